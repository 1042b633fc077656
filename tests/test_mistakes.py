"""The mistakes of tests/mistakes: how many are answered with what was meant, and that explaining leaves no trace."""

import sys
from pathlib import Path

import pytest
import torch

from tensorcli import report
from tensorcli.engine import apart, pretend, remedy
from tensorcli.engine.session import Session

sys.path.insert(0, str(Path(__file__).parents[1] / "scripts"))

import mistakes

FILES = sorted(mistakes.FOLDER.glob("*.toml"))
EVERY = [(file.stem, mistake) for file in FILES for mistake in mistakes.mistakes(file)]


def test_there_are_enough_and_none_twice():
    assert len(EVERY) >= 250
    assert len({mistake["operator"] for _, mistake in EVERY}) >= 80
    texts = [(m["setup"], m["failing"], m.get("pretend")) for _, m in EVERY]
    assert len(set(texts)) == len(texts)


def test_what_was_meant_is_what_is_offered():
    found = [mistakes.outcome(mistake) for _, mistake in EVERY]
    assert sum(answer.first for answer in found) >= 0.90 * len(found)
    assert sum(answer.shown for answer in found) >= 0.97 * len(found)
    assert sum(answer.span for answer in found) >= 0.98 * len(found)
    assert sum(answer.code for answer in found) >= 0.95 * len(found)


def test_the_shares_that_are_kept_are_of_these_mistakes():
    operators = {mistake["operator"] for _, mistake in EVERY}
    assert f"{len(EVERY)} mistakes over {len(operators)} operators." in mistakes.RESULTS.read_text()


def _state(session: Session) -> dict[str, object]:
    """The session's variables and random state, as plain values."""
    with torch.no_grad():
        return {name: _plain(value) for name, value in session.variables().items()} | {
            ".random": torch.get_rng_state().tolist()
        }


def _plain(value: object) -> object:
    if isinstance(value, torch.nn.Module):
        return {name: _plain(tensor) for name, tensor in value.state_dict().items()}
    if isinstance(value, torch.Tensor):
        grad = value.grad if value.is_leaf else None
        read = value.layout is torch.strided and not value.is_meta
        text = str(value.detach().cpu().tolist()) if read else "not read"
        return (tuple(value.shape), str(value.dtype), str(value.device), text, value._version, _plain(grad))
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return repr(value) if isinstance(value, int | float | str | bool | complex) else type(value).__name__


def _after(mistake: dict[str, str]) -> tuple[dict[str, object], list[str]]:
    session = Session(seed=0)
    said: list[report.AnyReport] = []
    session.ask(report.Evaluate(text=mistake["setup"] or "None"), said.append)
    session.ask(report.Evaluate(text=mistake["failing"]), said.append)
    return _state(session), [answer.text for answer in said if isinstance(answer, report.Output)]


# Large ones take long, and what torch.empty holds is anybody's guess.
SMALL = [m for _, m in EVERY if "000" not in m["setup"] + m["failing"] and "empty" not in m["setup"] + m["failing"]]


@pytest.mark.parametrize("part", range(8))
def test_explaining_leaves_no_trace(part, monkeypatch):
    for mistake in SMALL[part::8]:
        if mistake.get("pretend"):
            pretend.start()
        try:
            explained = _after(mistake)
            with monkeypatch.context() as patch:
                patch.setattr(remedy, "suggestions", lambda *_: ())
                patch.setattr(apart, "value_of", lambda *_, **__: 1 / 0)
                plain = _after(mistake)
        finally:
            if mistake.get("pretend"):
                pretend.stop()
        assert explained == plain, mistake["failing"]


@pytest.mark.parametrize("part", range(8))
def test_a_suggestion_that_is_taken_gives_what_it_said(part):
    for mistake in [m for _, m in EVERY][part::8]:
        if mistake.get("pretend"):
            pretend.start()
        try:
            session, said = Session(seed=0), []
            session.ask(report.Evaluate(text=mistake["setup"] or "None"), lambda _: None)
            session.ask(report.Evaluate(text=mistake["failing"]), said.append)
            for suggestion in [
                s for answer in said if isinstance(answer, report.Diagnosis) for s in answer.suggestions
            ][:1]:
                taken: list[report.AnyReport] = []
                session.ask(report.Evaluate(text=suggestion.source), taken.append)
                assert not any(isinstance(answer, report.Diagnosis) for answer in taken), suggestion.source
                given = [
                    report.Result(shape=a.shape, dtype=a.dtype, device=a.device)
                    for a in taken
                    if isinstance(a, report.Tensor)
                ]
                assert suggestion.result.shape is None or suggestion.result in given, suggestion.source
        finally:
            if mistake.get("pretend"):
                pretend.stop()
