"""A short run of scripts/soak: random statements, kills and interrupts among them, against plain torch."""

import sys
from pathlib import Path

import pytest

from tensorcli import client, journal

sys.path.append(str(Path(__file__).parents[1] / "scripts"))

import soak

SEED = 98  # with which all of these come
KINDS = ("the session is back", "interrupt", "SIGKILL", "between", "restoring", "pause")


def test_random_statements_lose_no_name_and_no_value(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "AGAIN_SECONDS", 0.05)
    monkeypatch.setattr(client, "IDLE_SECONDS", 0.01)
    counts: list[str] = []
    assert soak.soak(statements=200, seed=SEED, every=20, say=counts.append) == []
    assert all(kind in counts[-1] for kind in KINDS)
