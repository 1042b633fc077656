"""What all tests share: the engine has the patience of a machine that nothing else works on."""

import sys

import pytest

PATIENCE = 10  # times its own limits of time, which are for people who wait; a test may set others
LIMITS = {
    "failure": ["OPERAND_SECONDS"],
    "foresight": ["SECONDS"],
    "outlook": ["SECONDS"],
    "look": ["QUICK"],
    "probe": ["QUICK"],
    "remedy": ["SECONDS", "SLOW_SECONDS"],
    "surprises": ["SECONDS", "QUICK"],
}


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, limits in LIMITS.items():
        if module := sys.modules.get(f"tensorcli.engine.{name}"):
            for limit in limits:
                monkeypatch.setattr(module, limit, PATIENCE * getattr(module, limit))
