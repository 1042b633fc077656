"""The pretended device: what runs there, what it says of mistakes, and that it goes without a trace."""

import copy
import gc
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from tensorcli.engine import namespace, pretend

CUDA = torch.device("cuda", 0)
CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def pretending() -> Iterator[None]:
    torch.manual_seed(0)
    pretend.start()
    yield
    pretend.stop()


def message(function: Callable[[], Any], kind: type[Exception] = RuntimeError) -> str:
    with pytest.raises(kind) as caught:
        function()
    assert type(caught.value) is kind
    return str(caught.value)


def same(here: torch.Tensor, there: torch.Tensor) -> None:
    assert there.device == CUDA
    assert here.device == CPU
    torch.testing.assert_close(here, there.cpu(), rtol=0, atol=0)


# Making and moving.


@pytest.mark.parametrize(
    "make",
    [
        lambda **on: torch.zeros(2, 3, **on),
        lambda **on: torch.tensor([1.0, 2.0], **on),
        lambda **on: torch.as_tensor([1.0, 2.0], **on),
        lambda **on: torch.asarray(np.ones(2), **on),
        lambda **on: torch.asarray(obj=[1, 2], **on),
        lambda **on: torch.tensor(data=[1, 2], **on),
        lambda **on: torch.arange(4, **on),
        lambda **on: torch.full((2,), 7, **on),
        lambda **on: torch.eye(2, **on),
        lambda **on: torch.zeros(2).new_ones(3, **on),
        lambda **on: torch.zeros(2).new_tensor([3.0], **on),
        lambda **on: torch.ones_like(torch.zeros(2), **on),
        lambda **on: torch.linspace(0, 1, 3, **on),
        lambda **on: torch.tril_indices(3, 3, **on),
        lambda **on: nn.Linear(2, 2, **on).weight.detach() * 0,
        lambda **on: torch.normal(0.0, 0.0, (2,), **on),
    ],
)
@pytest.mark.parametrize("device", ["cuda", "cuda:0", CUDA, torch.device("cuda"), 0])
def test_factories(make: Callable[..., torch.Tensor], device: Any) -> None:
    same(make(), make(device=device))
    assert make(device="cpu").device == CPU


def test_like_and_new_follow_their_tensor() -> None:
    there = torch.ones(2, device="cuda")
    made = [
        torch.zeros_like(there),
        torch.rand_like(there),
        there.new_zeros(3),
        there.new_tensor([1]),
        there.new_empty(2),
    ]
    assert {tensor.device for tensor in made} == {CUDA}
    assert torch.zeros_like(there, device="cpu").device == CPU
    assert torch.empty_like(there, device="meta").device == torch.device("meta")


def test_tensor_of_tensors() -> None:
    there = torch.ones(2, device="cuda")
    with pytest.warns(UserWarning, match="copy construct"):
        assert torch.tensor(there).device == CUDA
    assert torch.as_tensor(there) is there
    assert torch.tensor([there[0], there[1]]).device == CPU


@pytest.mark.parametrize(
    "move",
    [
        lambda x: x.cuda(),
        lambda x: x.cuda(0),
        lambda x: x.to("cuda"),
        lambda x: x.to(0),
        lambda x: x.to(CUDA),
        lambda x: x.to(device="cuda"),
        lambda x: x.to("cuda", torch.float32),
        lambda x: x.to(torch.zeros(1, device="cuda")),
        lambda x: x.type_as(torch.zeros(1, device="cuda")),
        lambda x: x.type("torch.cuda.FloatTensor"),
        lambda x: torch.as_tensor(x, device="cuda"),
        lambda x: torch.empty(3, device="cuda").copy_(x),
    ],
)
def test_moving_copies(move: Callable[[torch.Tensor], torch.Tensor]) -> None:
    here = torch.arange(3.0)
    there = move(here)
    same(here, there)
    there.add_(1)
    assert here.tolist() == [0, 1, 2]
    back = there.cpu()
    there.zero_()
    assert back.tolist() == [1, 2, 3]
    assert back.device == CPU


def test_moving_to_where_it_is_gives_the_same_object() -> None:
    here, there = torch.ones(2), torch.ones(2, device="cuda")
    assert there.cuda() is there
    assert there.to("cuda") is there
    assert there.to(there) is there
    assert here.cpu() is here
    assert here.to("cpu") is here
    assert there.to("cuda", copy=True) is not there


def test_moving_with_a_dtype() -> None:
    there = torch.ones(2).to("cuda", torch.float16)
    assert (there.device, there.dtype) == (CUDA, torch.float16)
    assert there.to(torch.float64).device == CUDA
    assert there.to("cpu", torch.float64).device == CPU


def test_moving_is_differentiable() -> None:
    leaf = torch.ones(3, requires_grad=True)
    there = leaf.cuda()
    there.retain_grad()
    back = (there * 2).cpu()
    back.retain_grad()
    back.sum().backward()
    assert (leaf.is_leaf, there.is_leaf) == (True, False)
    assert repr(there.grad_fn).startswith("<ToCopyBackward0")
    assert [x.grad.device for x in (leaf, there, back)] == [CPU, CUDA, CPU]
    assert leaf.grad.tolist() == [2, 2, 2]
    assert torch.ones(3).cuda().requires_grad_().is_leaf


def test_what_a_tensor_says() -> None:
    here, there = torch.ones(2), torch.ones(2, device="cuda")
    assert (there.device, there.is_cuda, there.is_cpu, there.get_device()) == (CUDA, True, False, 0)
    assert (here.device, here.is_cuda, here.is_cpu, here.get_device()) == (CPU, False, True, -1)
    assert (there.type(), here.type()) == ("torch.cuda.FloatTensor", "torch.FloatTensor")
    assert there.half().type() == "torch.cuda.HalfTensor"
    assert pretend.is_pretended(there)
    assert not pretend.is_pretended(here)


@pytest.mark.parametrize(
    "ask",
    [
        lambda: torch.zeros(2, device="cuda:1"),
        lambda: torch.zeros(2, device=1),
        lambda: torch.zeros(2).to("cuda:1"),
        lambda: torch.zeros(2).cuda(1),
        lambda: nn.Linear(2, 2).to("cuda:1"),
    ],
)
def test_no_second_device(ask: Callable[[], Any]) -> None:
    assert message(ask, torch.AcceleratorError).startswith("CUDA error: invalid device ordinal\n")


def test_torch_has_its_own_words_for_wrong_arguments() -> None:
    there = torch.ones(2, device="cuda")
    assert message(lambda: there.type_as(), TypeError).startswith("type_as() missing 1 required positional argument")
    assert message(lambda: there.cuda(1, 2, 3, 4), TypeError).startswith("cuda() received an invalid combination")
    assert message(lambda: there.to("gpu")).startswith("Expected one of cpu, cuda")
    assert message(lambda: there @ torch.ones(3, device="cuda")).startswith("inconsistent tensor size, expected")


def test_torch_cuda_answers() -> None:
    for space in (torch, namespace.MODULES["torch"]):
        assert space.cuda.is_available()
        assert space.cuda.device_count() == 1
        assert space.cuda.current_device() == 0
        assert space.cuda.get_device_name(0) == "pretended"
        assert space.cuda.max_memory_allocated() >= space.cuda.memory_allocated() >= 0
        assert space.cuda.synchronize() is None
        assert space.accelerator.current_accelerator() == torch.device("cuda")
    assert torch.cuda.get_device_properties(0).name == "pretended"


def test_memory_is_what_lives_on_the_device() -> None:
    gc.collect()
    before = torch.cuda.memory_allocated()
    x = torch.zeros(1000, device="cuda")
    parts = [x[:10], torch.zeros(1000)]
    assert torch.cuda.memory_allocated() - before == 4096
    del x, parts
    assert torch.cuda.memory_allocated() == before


def test_pinned_memory_stays_on_the_host() -> None:
    x = torch.rand(3)
    pinned = x.pin_memory()
    assert (pinned.is_pinned(), x.is_pinned(), pinned.device) == (True, False, CPU)
    assert pinned.to("cuda", non_blocking=True).tolist() == x.tolist()
    assert "only dense CPU tensors can be pinned" in message(lambda: x.cuda().pin_memory())


def test_messages_name_meta() -> None:
    x, there = torch.rand(3, 3, device="cuda"), torch.rand(3, 3, device="meta")
    assert "mat2 is on meta" in message(lambda: x @ there)
    assert "two devices, cuda:0 and meta" in message(lambda: x + there)
    assert "mask on meta and self on cuda:0" in message(lambda: x.masked_fill(there > 0, 0.0))
    assert torch.as_tensor(there).is_meta


def test_default_device() -> None:
    with torch.device("cuda"):
        assert torch.zeros(2).device == CUDA
        assert torch.tensor([1]).device == CUDA
        assert torch.tensor([1], device="cpu").device == CPU
        assert nn.Linear(2, 2).weight.device == CUDA
        assert F.one_hot(torch.tensor([1, 0])).tolist() == [[0, 1], [1, 0]]
        assert torch.from_numpy(np.ones(2)).device == CPU
    assert torch.zeros(2).device == CPU
    torch.set_default_device("cuda")
    assert torch.zeros(2).device == CUDA
    assert torch.get_default_device() == CUDA
    torch.set_default_device(None)
    assert torch.zeros(2).device == CPU


def test_generators() -> None:
    there = torch.Generator("cuda").manual_seed(3)
    assert isinstance(there, torch.Generator)
    assert isinstance(torch.Generator(), torch.Generator)
    assert (there.device, torch.Generator().device) == (CUDA, CPU)
    same(torch.rand(3, generator=torch.Generator().manual_seed(3)), torch.rand(3, device="cuda", generator=there))
    wrong = "Expected a 'cuda' device type for generator but found 'cpu'"
    assert message(lambda: torch.rand(2, device="cuda", generator=torch.Generator())) == wrong
    wrong = "Expected a 'cpu' device type for generator but found 'cuda'"
    assert message(lambda: torch.randperm(2, generator=there)) == wrong
    with torch.random.fork_rng():
        first = torch.rand(2, device="cuda")
    same(first.cpu(), torch.rand(2, device="cuda"))


# Views, indices, copies.


@pytest.mark.parametrize(
    "view",
    [
        lambda x: x[0],
        lambda x: x[1:, ::2],
        lambda x: x[..., None],
        lambda x: x.t(),
        lambda x: x.view(-1),
        lambda x: x.reshape(6),
        lambda x: x.detach(),
        lambda x: x.data,
        lambda x: x.unbind()[1],
        lambda x: x.split(1)[0],
        lambda x: next(iter(x)),
        lambda x: x.expand(4, 2, 3),
        lambda x: nn.Parameter(x),
        lambda x: x[torch.tensor([0, 1])],
        lambda x: x[torch.tensor([0, 1]), torch.tensor([1, 2])],
        lambda x: x[[0, 1]],
        lambda x: x[x > 2],
        lambda x: x[:, torch.tensor([True, False, True])],
        lambda x: x[x.cpu() > 2],
        lambda x: x.nonzero(),
        lambda x: x.max(dim=0).indices,
        lambda x: torch.sort(x)[0],
        lambda x: copy.deepcopy(x),
        lambda x: copy.copy(x),
        lambda x: torch.vmap(torch.sum)(x),
        lambda x: x.to_sparse().to_dense(),
        lambda x: x.to_sparse().coalesce().values(),
    ],
)
def test_views_and_results_stay_there(view: Callable[[torch.Tensor], torch.Tensor]) -> None:
    here = torch.arange(6.0).view(2, 3)
    there = here.cuda()
    gc.collect()
    same(view(here), view(there))


def test_tag_outlives_the_tensor_that_had_it() -> None:
    view = torch.ones(4, device="cuda")[1:]
    gc.collect()
    assert view.device == CUDA
    parameter = nn.Parameter(torch.zeros(2))
    parameter.data = torch.ones(2, device="cuda")
    gc.collect()
    assert parameter.device == CUDA


def test_writing_by_index() -> None:
    def write(x: torch.Tensor) -> torch.Tensor:
        x[0] = torch.tensor([1.0, 2.0, 3.0])  # from the CPU, which a basic index copies
        x[1, 1:] = 5
        x[torch.tensor([0]), 0] = torch.tensor([9.0])  # one element
        x[x.cpu() == 2] = -1.0
        x[:, 2] += 1
        return x

    same(write(torch.zeros(2, 3)), write(torch.zeros(2, 3, device="cuda")))
    here = torch.zeros(2)
    here[0] = torch.ones(1, device="cuda")[0]
    assert here.tolist() == [1, 0]
    assert here.device == CPU


INDICES = "indices should be either on cpu or on the same device as the indexed tensor (cpu)"
TWO = "Expected all tensors to be on the same device, but found at least two devices, cuda:0 and cpu!"


def test_wrong_indices() -> None:
    here, there = torch.zeros(3), torch.zeros(3, device="cuda")
    index = torch.tensor([0, 1])
    assert message(lambda: here[index.cuda()]) == INDICES
    assert message(lambda: here[there == 0]) == INDICES
    assert message(lambda: here.__setitem__(index.cuda(), 1.0)) == INDICES
    assert message(lambda: there.__setitem__(index, torch.ones(2))) == TWO
    assert there.tolist() == [0, 0, 0]


@pytest.mark.filterwarnings("ignore:__array__ implementation")
def test_leaving_torch() -> None:
    there = torch.ones(2, device="cuda")
    refusal = (
        "can't convert cuda:0 device type tensor to numpy. Use Tensor.cpu() to copy the tensor to host memory first."
    )
    for leave in (
        there.numpy,
        there.__array__,
        lambda: np.asarray(there),
        lambda: np.array(there, copy=True),
        lambda: np.add(there, 1),
    ):
        assert message(leave, TypeError) == refusal
    assert there.cpu().numpy().tolist() == [1, 1]
    array = there.numpy(force=True)
    array[0] = 5
    assert there.tolist() == [1, 1]
    source = np.ones(2)
    made = torch.as_tensor(source, device="cuda")
    source[0] = 7
    assert made.tolist() == [1, 1]
    assert (float(there[0]), there[0].item(), bool(there[0] > 0), len(there), 1.0 in there) == (1.0, 1.0, True, 2, True)


def test_how_it_prints() -> None:
    there = torch.tensor([1.0, 2.0], device="cuda")
    assert repr(there) == "tensor([1., 2.], device='cuda:0')"
    assert f"{there} {there[0]:.1f}" == "tensor([1., 2.], device='cuda:0') 1.0"
    assert repr(there.requires_grad_()) == "tensor([1., 2.], device='cuda:0', requires_grad=True)"
    assert repr(there * 2) == "tensor([2., 4.], device='cuda:0', grad_fn=<MulBackward0>)"
    assert str(nn.Parameter(there)) == "Parameter containing:\ntensor([1., 2.], device='cuda:0', requires_grad=True)"
    assert repr(torch.tensor([1.0])) == "tensor([1.])"


# Mistakes.


def wrapped(argument: str, method: str, devices: tuple[str, str] = ("cpu", "cuda:0")) -> str:
    return (
        f"Expected all tensors to be on the same device, but got {argument} is on {devices[0]}, different from other "
        f"tensors on {devices[1]} (when checking argument in method wrapper_CUDA_{method})"
    )


ROWS = torch.tensor([[0, 1, 2]])
MIXED: list[tuple[Callable[[torch.Tensor, torch.Tensor], Any], str]] = [  # g is there, c is here
    *[
        (operator, TWO)
        for operator in (
            lambda g, c: g + c,
            lambda g, c: c + g,
            lambda g, c: c - g,
            lambda g, c: g * c,
            lambda g, c: g / c,
            lambda g, c: g // c,
            lambda g, c: g % c,
            lambda g, c: g**c,
            lambda g, c: g == c,
            lambda g, c: c < g,
            lambda g, c: (g > 0) & (c > 0),
            lambda g, c: torch.add(g, c),
            lambda g, c: torch.maximum(g, c),
            lambda g, c: torch.atan2(g, c),
            lambda g, c: torch.where(g > 0, g, c),
            lambda g, c: torch.where(c > 0, g, g),
            lambda g, c: torch.lerp(g, c, 0.5),
            lambda g, c: torch.addcmul(g, g, c),
            lambda g, c: torch.allclose(g, c),
            lambda g, c: torch.isclose(c, g),
            lambda g, c: torch.add(g, g, out=c),
            lambda g, c: torch.logical_and(g, c),
            lambda g, c: g.sub(c),
            lambda g, c: g.mul_(c),
            lambda g, c: c.add_(g),
            lambda g, c: c[0, 0].add_(g.sum()),
            lambda g, c: c.__iadd__(g),
            lambda g, c: g.div_(c),
            lambda g, c: F.mse_loss(g, c),
            lambda g, c: F.l1_loss(g, c),
            lambda g, c: F.smooth_l1_loss(g, c),
            lambda g, c: F.binary_cross_entropy_with_logits(g, c),
            lambda g, c: F.binary_cross_entropy(torch.sigmoid(g), torch.sigmoid(c)),
            lambda g, c: torch.special.zeta(g, c),
        )
    ],
    (lambda g, c: g @ c, wrapped("mat2", "mm")),
    (lambda g, c: c @ g, wrapped("mat2", "mm", ("cuda:0", "cpu"))),
    (lambda g, c: torch.mm(g, c), wrapped("mat2", "mm")),
    (lambda g, c: g.matmul(c[None]), wrapped("mat2", "bmm")),
    (lambda g, c: torch.bmm(g[None], c[None]), wrapped("mat2", "bmm")),
    (lambda g, c: torch.einsum("ij,jk->ik", g, c), wrapped("mat2", "bmm")),
    (lambda g, c: torch.addmm(g, g, c), wrapped("mat2", "addmm")),
    (lambda g, c: g.clone().addmm_(c, g), wrapped("mat1", "addmm_")),
    (lambda g, c: torch.mm(g, g, out=c), wrapped("self", "mm_out_out", ("cuda:0", "cpu"))),
    (lambda g, c: torch.mm(g, c, out=g), wrapped("mat2", "mm_out_out")),
    (lambda g, c: torch.dot(g[0], c[0]), wrapped("tensor", "_dot")),
    (lambda g, c: torch.mv(g, c[0]), wrapped("mat", "addmv_", ("cuda:0", "cpu"))),
    (lambda g, c: torch.cat([g, c]), wrapped("tensors", "cat")),
    (lambda g, c: torch.cat([c, g]), wrapped("tensors", "cat", ("cuda:0", "cpu"))),
    (lambda g, c: torch.stack([g, c]), wrapped("tensors", "cat")),
    (lambda g, c: torch.hstack([g, c]), wrapped("tensors", "cat")),
    (lambda g, c: torch.gather(g, 0, ROWS), wrapped("index", "gather")),
    (lambda g, c: g.scatter(0, ROWS, 1.0), wrapped("index", "scatter_value")),
    (lambda g, c: g.scatter_add_(0, ROWS.cuda(), c), wrapped("src", "scatter_add_")),
    (lambda g, c: g.index_select(0, ROWS[0]), wrapped("index", "_index_select")),
    (lambda g, c: g.index_add(0, ROWS[0].cuda(), c), wrapped("source", "index_add")),
    (lambda g, c: torch.take(g, ROWS), wrapped("index", "_take")),
    (lambda g, c: torch.masked_select(g, c > 0), wrapped("mask", "_masked_select")),
    (lambda g, c: torch.equal(g, c), wrapped("other", "_equal")),
    (lambda g, c: torch.clamp(g, c), wrapped("min", "clamp_Tensor")),
    (lambda g, c: torch.isin(g, c), wrapped("test_elements", "isin_Tensor_Tensor")),
    (lambda g, c: torch.searchsorted(g[0], c[0]), wrapped("self", "Tensor_searchsorted")),
    (lambda g, c: torch.linalg.solve(g, c), wrapped("B", "_linalg_solve_ex")),
    (lambda g, c: F.linear(c, g), wrapped("mat2", "mm", ("cuda:0", "cpu"))),
    (lambda g, c: F.linear(c, g, g[0]), wrapped("mat1", "addmm")),
    (lambda g, c: nn.Linear(3, 2).cuda()(c), wrapped("mat1", "addmm")),
    (lambda g, c: nn.Linear(3, 2)(g), wrapped("mat1", "addmm", ("cuda:0", "cpu"))),
    (lambda g, c: F.embedding(ROWS, g), wrapped("index", "_index_select")),
    (lambda g, c: nn.Embedding(4, 2).cuda()(ROWS), wrapped("index", "_index_select")),
    (lambda g, c: F.cross_entropy(g, ROWS[0]), wrapped("target", "nll_loss_forward")),
    (lambda g, c: F.cross_entropy(g, ROWS[0].cuda(), weight=c[0]), wrapped("weight", "nll_loss_forward")),
    (lambda g, c: F.cross_entropy(g.T[None, ..., None], ROWS[..., None]), wrapped("target", "_nll_loss2d_forward")),
    (lambda g, c: F.layer_norm(g, (3,), c[0], c[0]), wrapped("weight", "_native_layer_norm")),
    (lambda g, c: nn.BatchNorm1d(3)(g), wrapped("weight", "_cudnn_batch_norm")),
    (lambda g, c: nn.BatchNorm1d(3).cuda()(c), wrapped("weight", "_native_batch_norm", ("cuda:0", "cpu"))),
    (lambda g, c: nn.MultiheadAttention(3, 1).cuda()(c, c, c), wrapped("mat1", "addmm")),
    (lambda g, c: nn.TransformerEncoderLayer(3, 1).cuda()(c), wrapped("mat1", "addmm")),
    (lambda g, c: torch.vmap(lambda row: row @ c)(g), wrapped("mat2", "mm")),
    (
        lambda g, c: g.masked_fill(c > 0, 0.0),
        "expected self and mask to be on the same device, but got mask on cpu and self on cuda:0",
    ),
    (
        lambda g, c: F.grid_sample(g[None, None], c[None, :, :2, None].expand(1, 3, 2, 2), align_corners=False),
        "grid_sampler(): expected input and grid to be on same device, but input is on cuda:0 and grid is on cpu",
    ),
    (
        lambda g, c: F.conv2d(c[None, None], g[None, None]),
        "Input type (torch.FloatTensor) and weight type (torch.cuda.FloatTensor) should be the same",
    ),
    (
        lambda g, c: nn.Conv2d(1, 1, 2)(g[None, None]),
        "Input type (torch.cuda.FloatTensor) and weight type (torch.FloatTensor) should be the same",
    ),
    (
        lambda g, c: F.conv2d(g[None, None], g[None, None], c[0, :1]),
        "Input type (torch.cuda.FloatTensor) and bias type (torch.FloatTensor) should be the same",
    ),
    (
        lambda g, c: nn.LSTM(3, 2).cuda()(c),
        "Input and parameter tensors are not at the same device, found input tensor at cpu and "
        "parameter tensor at cuda:0",
    ),
    (
        lambda g, c: nn.GRU(3, 3).cuda()(g, c[:1]),
        "Input and hidden tensors are not at the same device, found input tensor at cuda:0 and hidden tensor at cpu",
    ),
    (
        lambda g, c: F.scaled_dot_product_attention(g, g, c),
        "Expected query, key, and value to have the same device type, but got query.device: cuda:0 "
        "key.device: cuda:0 and value.device: cpu instead.",
    ),
    (
        lambda g, c: setattr(g, "grad", c),
        "attempting to assign a gradient with device type 'cpu' to a tensor with device type 'cuda'. "
        "Please ensure that the gradient and the tensor are on the same device",
    ),
    (
        lambda g, c: g.clone().requires_grad_().exp().backward(c),
        "invalid gradient at index 0 - expected device cuda:0 but got cpu",
    ),
]


@pytest.mark.parametrize(("call", "words"), MIXED)
def test_mixed_devices(call: Callable[[torch.Tensor, torch.Tensor], Any], words: str) -> None:
    here = torch.rand(3, 3) + 0.5
    there = here.cuda()
    with pytest.raises(RuntimeError) as caught:
        call(there, here)
    assert str(caught.value) == words
    if words == TWO:
        call(there, there.clone())  # it is the devices that were wrong, and nothing else
    assert here.device == CPU
    assert there.device == CUDA


ZERO_DIM: list[Callable[[torch.Tensor, torch.Tensor], torch.Tensor]] = [
    lambda x, s: x + s,
    lambda x, s: s + x,
    lambda x, s: s - x,
    lambda x, s: x / s,
    lambda x, s: x**s,
    lambda x, s: s**x,
    lambda x, s: x > s,
    lambda x, s: torch.where(x > 0.5, x, s),
    lambda x, s: torch.where(x > 0.5, s, x),
    lambda x, s: torch.maximum(x, s),
    lambda x, s: x.mul(s),
    lambda x, s: x.clone().mul_(s),
    lambda x, s: x.clone().fill_(s),
    lambda x, s: x.masked_fill(x > 0.5, s),
    lambda x, s: torch.full_like(x, s),
    lambda x, s: torch.lerp(x, x + 1, s),
    lambda x, s: torch.addcmul(x, x, s),
]


@pytest.mark.parametrize("call", ZERO_DIM)
def test_zero_dim_tensors_mix(call: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]) -> None:
    here, scalar = torch.rand(3, 3), torch.tensor(2.0)
    same(call(here, scalar), call(here.cuda(), scalar))


def test_zero_dim_tensors_do_not_mix_everywhere() -> None:
    there, scalar = torch.rand(3, device="cuda"), torch.tensor(2.0)
    assert message(lambda: torch.stack([there[0], scalar])) == wrapped("tensors", "cat")
    assert message(lambda: scalar.add_(there[0])) == TWO
    assert message(lambda: torch.ones(3) + there[0]) == TWO


def test_gradient_of_a_zero_dim_tensor_comes_home() -> None:
    scalar = torch.tensor(2.0, requires_grad=True)
    (scalar * torch.ones(3, device="cuda")).sum().backward()
    assert scalar.grad.device == CPU
    assert scalar.grad.item() == 3


# Programs.


class Recurrent(nn.Module):
    def __init__(self, kind: type[nn.Module]) -> None:
        super().__init__()
        self.inner = kind(4, 3, 2, bidirectional=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.inner(x)[0]


class Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.MultiheadAttention(4, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.inner(x, x, x, attn_mask=torch.zeros(x.shape[0], x.shape[0], device=x.device))[0]


def floats(*shape: int) -> torch.Tensor:
    return torch.rand(*shape)


PROGRAMS: list[tuple[Callable[[], nn.Module], Callable[[], torch.Tensor]]] = [
    (lambda: nn.Linear(4, 3), lambda: floats(2, 4)),
    (
        lambda: nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU(), nn.MaxPool2d(2)),
        lambda: floats(2, 1, 6, 6),
    ),
    (lambda: nn.BatchNorm1d(4), lambda: floats(5, 4)),
    (lambda: nn.Sequential(nn.Embedding(9, 4), nn.LayerNorm(4)), lambda: torch.randint(9, (2, 3))),
    (lambda: Recurrent(nn.LSTM), lambda: floats(3, 2, 4)),
    (lambda: Recurrent(nn.GRU), lambda: floats(3, 2, 4)),
    (lambda: Attention(), lambda: floats(3, 2, 4)),
    (lambda: nn.TransformerEncoderLayer(4, 2, 8, dropout=0.0), lambda: floats(3, 2, 4)),
]
OPTIMIZERS: list[Callable[[Any], torch.optim.Optimizer]] = [
    lambda parameters: torch.optim.SGD(parameters, lr=0.1, momentum=0.9),
    lambda parameters: torch.optim.Adam(parameters, lr=0.1),
    lambda parameters: torch.optim.AdamW(parameters, lr=0.1, amsgrad=True, foreach=True),
]


def train(module: nn.Module, batch: torch.Tensor, make: Callable[[Any], torch.optim.Optimizer]) -> list[torch.Tensor]:
    optimizer = make(module.parameters())
    losses = []
    for _ in range(2):
        optimizer.zero_grad()
        loss = module(batch).square().mean()
        loss.backward()
        nn.utils.clip_grad_norm_(module.parameters(), 0.5)
        optimizer.step()
        losses.append(loss.detach())
    gradients = [parameter.grad for parameter in module.parameters()]
    return [*losses, *gradients, *(value.detach() for value in module.state_dict().values())]


@pytest.mark.parametrize("make", OPTIMIZERS)
@pytest.mark.parametrize(("build", "feed"), PROGRAMS)
@pytest.mark.filterwarnings("ignore:PyTorch was compiled without cuDNN")
def test_training_is_as_on_the_cpu(
    build: Callable[[], nn.Module], feed: Callable[[], torch.Tensor], make: Callable[[Any], torch.optim.Optimizer]
) -> None:
    module, batch = build(), feed()
    there = copy.deepcopy(module).to("cuda")
    expected = train(module, batch, make)
    for here, pretended in zip(expected, train(there, batch.cuda(), make), strict=True):
        assert pretended.device == CUDA
        torch.testing.assert_close(here, pretended.cpu(), rtol=1e-5, atol=1e-6)
    assert {value.device for value in there.cpu().state_dict().values()} == {CPU}


def test_modules_move() -> None:
    for move in (lambda m: m.cuda(), lambda m: m.to("cuda"), lambda m: m.to(0), lambda m: m.to(torch.ones(1).cuda())):
        module = nn.BatchNorm1d(2)
        parameter = module.weight
        assert move(module) is module
        assert module.weight is parameter
        assert {value.device for value in module.state_dict().values()} == {CUDA}
        assert module.weight.is_leaf
    module = nn.Linear(2, 2)
    module(torch.ones(1, 2)).sum().backward()
    assert module.cuda().weight.grad.device == CUDA
    assert copy.deepcopy(module).weight.device == CUDA


def test_gradients() -> None:
    seen = []
    weight = torch.ones(3, device="cuda", requires_grad=True)
    product = weight * 2
    product.register_hook(lambda gradient: seen.append(gradient.device))
    product.sum().backward()
    assert weight.is_leaf
    assert weight.grad.device == CUDA
    (gradient,) = torch.autograd.grad((weight * weight).sum(), weight, create_graph=True)
    assert (gradient.device, gradient.tolist()) == (CUDA, [2, 2, 2])
    (second,) = torch.autograd.grad(gradient.sum(), weight)
    assert (second.device, second.tolist()) == (CUDA, [2, 2, 2])
    torch.autograd.backward(weight.sum())
    assert seen == [CUDA]
    assert torch.func.grad(lambda x: (x * x).sum())(weight.detach()).device == CUDA


def test_own_functions_see_the_device_in_backward() -> None:
    seen = []

    class Double(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
            ctx.save_for_backward(x)
            return x * 2

        @staticmethod
        def backward(ctx: Any, gradient: torch.Tensor) -> torch.Tensor:
            (x,) = ctx.saved_tensors
            seen.append((x.device, gradient.device))
            return gradient * torch.full_like(x, 2) * torch.ones(3, device=gradient.device)

    for run in (lambda y, x: y.backward(), lambda y, x: torch.autograd.backward(y), torch.autograd.grad):
        x = torch.ones(3, device="cuda", requires_grad=True)
        run(Double.apply(x).sum(), x)
    assert seen == [(CUDA, CUDA)] * 3


def test_checkpoints() -> None:
    x = torch.ones(3, device="cuda", requires_grad=True)
    for reentrant in (False, True):
        result = torch.utils.checkpoint.checkpoint(lambda y: (y * y).sum(), x, use_reentrant=reentrant)
        result.backward()
    same(torch.full((3,), 4.0), x.grad)


def test_recurrent_layers_take_packed_sequences() -> None:
    def run(x: torch.Tensor, lstm: nn.Module) -> tuple[torch.Tensor, torch.Tensor]:
        packed = nn.utils.rnn.pack_padded_sequence(x, torch.tensor([3, 2]), batch_first=True)
        return nn.utils.rnn.pad_packed_sequence(lstm(packed)[0])

    x, lstm = torch.rand(2, 3, 4), nn.LSTM(4, 2)
    expected, lengths = run(x, lstm)
    result, there = run(x.cuda(), lstm.cuda())
    same(expected.detach(), result.detach())
    assert (there.device, there.tolist()) == (CPU, lengths.tolist())


def test_loading_data() -> None:
    data = torch.utils.data.TensorDataset(torch.arange(6.0).view(3, 2), torch.tensor([0, 1, 0]))
    loader = torch.utils.data.DataLoader(data, batch_size=2, pin_memory=True)
    batches = [(x.to("cuda", non_blocking=True), y.cuda()) for x, y in loader]
    assert [x.device for batch in batches for x in batch] == [CUDA] * 4
    assert batches[0][0].tolist() == [[0, 1], [2, 3]]


def test_half_precision() -> None:
    x, kernel = torch.rand(1, 1, 4, 4), torch.rand(1, 1, 2, 2)
    result = F.conv2d(x.cuda().half(), kernel.cuda().half())
    assert (result.device, result.dtype) == (CUDA, torch.float16)
    torch.testing.assert_close(result.cpu().float(), F.conv2d(x, kernel), rtol=1e-2, atol=1e-2)
    there = x.cuda()[0, 0]
    with torch.autocast("cuda"):
        assert ((there @ there).dtype, (x @ x).dtype) == (torch.float16, torch.float32)


def test_lazy_modules() -> None:
    module = nn.LazyLinear(2).cuda()
    result = module(torch.ones(1, 3, device="cuda"))
    assert {result.device, *(parameter.device for parameter in module.parameters())} == {CUDA}


def test_carry() -> None:
    here, there = torch.ones(2), torch.ones(2, device="cuda")
    target = here.clone()
    pretend.carry(there, target)
    assert target.device == CUDA
    pretend.carry(here, target)
    assert target.device == CPU


# Stopping.


def test_stop_leaves_nothing_behind() -> None:
    pretend.stop()
    spaces = [torch, torch.cuda, torch.accelerator, torch.autograd, *namespace.MODULES.values()]
    before = [dict(vars(space)) for space in spaces]
    pretend.start()
    pretend.start()
    assert pretend.active()
    there = torch.ones(2, device="cuda")
    torch.set_default_device("cuda")
    pretend.stop()
    pretend.stop()
    assert not pretend.active()
    assert [dict(vars(space)) for space in spaces] == before
    assert torch.overrides._get_current_function_mode_stack() == []
    assert not torch.cuda.is_available()
    assert torch.zeros(2).device == CPU
    assert (there.device, there.numpy().tolist()) == (CPU, [1, 1])
    assert pretend.is_pretended(there)
    with pytest.raises((AssertionError, RuntimeError)):  # the words depend on what torch was built for
        torch.ones(2).cuda()
