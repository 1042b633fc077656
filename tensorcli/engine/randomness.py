"""The generators of random numbers, all of them together: torch's of each device, NumPy's and Python's."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import torch


def seed(number: int) -> None:
    """Seed all of them."""
    torch.manual_seed(number)
    np.random.seed(number % 2**32)
    random.seed(number)


class State(NamedTuple):
    """Where every generator stands."""

    cpu: torch.Tensor
    cuda: list[torch.Tensor]
    numpy: Any
    python: Any


def state() -> State:
    """Where they stand now."""
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else []
    return State(torch.get_rng_state(), cuda, np.random.get_state(), random.getstate())


def restore(before: State) -> None:
    """Make them stand where they did."""
    torch.set_rng_state(before.cpu)
    if before.cuda:
        torch.cuda.set_rng_state_all(before.cuda)
    np.random.set_state(before.numpy)
    random.setstate(before.python)


@contextmanager
def put_back() -> Iterator[None]:
    """Within it random numbers may be drawn; at its end every generator stands where it stood."""
    before = state()
    try:
        yield
    finally:
        restore(before)
