"""Loops around what is timed do what the text does, once a turn."""

from itertools import repeat

import pytest
import torch

from tensorcli import language, report
from tensorcli.engine import namespace, timed
from tensorcli.engine.session import Session


@pytest.fixture
def session() -> Session:
    session = Session(seed=0)
    session.ask(report.Evaluate(text="x = torch.arange(3.); n = 0; seen = []; F2 = F"), lambda _: None)
    return session


def looped(session: Session, text: str, turns: int = 4) -> None:
    loop = timed.guarded(language.parse(text), session.names, trust=False, variables=session.variables())
    loop(repeat(None, turns))


def test_what_is_assigned_is_the_sessions(session):
    looped(session, "n += 1")
    assert session.names["n"] == 4
    looped(session, "y = x * 2; z, (w, *_) = y.sum(), [1, 2]; import math\nfor k in range(2): n += k")
    assert session.names["y"].tolist() == [0, 2, 4]
    assert (session.names["z"].item(), session.names["w"], session.names["n"], session.names["k"]) == (6, 1, 8, 1)
    assert not [name for name in session.names if "loop" in name or "turn" in name]


def test_functions_of_libraries_are_looked_up_once_and_methods_each_time(session, monkeypatch):
    asked = []
    guards = session.names["__builtins__"]
    attribute = guards[".attribute"]
    monkeypatch.setitem(guards, ".attribute", lambda value, name: asked.append(name) or attribute(value, name))
    looped(session, "seen.append(torch.nn.functional.relu(x).sum())")
    assert asked == ["nn", "functional", "relu", *["append", "sum"] * 4]
    assert len(session.names["seen"]) == 4


def test_a_variable_that_hides_a_library_is_looked_up_each_time(session):
    session.ask(report.Evaluate(text="F = x"), lambda _: None)
    looped(session, "seen.append(F.sum()); F = F + 1")
    assert [each.item() for each in session.names["seen"]] == [3, 6, 9, 12]


def test_a_name_that_a_comprehension_binds_is_its_own(session):
    looped(session, "seen.append([F.sum().item() for F in [x, x]])", turns=1)
    assert session.names["seen"] == [[3.0, 3.0]]


def test_the_gate_stands_in_loops(session):
    with pytest.raises(language.Problem):
        language.parse("().__class__")
    with pytest.raises(namespace.Refused):
        looped(session, "torch.load")


def test_a_loop_of_ours_keeps_its_names_to_itself():
    names = {"torch": torch, "x": torch.ones(2), "total": 0}
    timed.plain("total += x.sum()", names)(repeat(None, 3))
    assert names["total"] == 6


def test_timing_runs_a_mistake_once_and_explains_it(session):
    said: list[report.AnyReport] = []
    session.ask(report.TimeIt(text="seen.append(1); x @ torch.ones(4)"), said.append)
    (found,) = said
    assert isinstance(found, report.Diagnosis)
    assert (found.code, found.within) == ("matmul-inner-sizes", None)
    assert session.names["seen"] == [1]


def test_what_a_command_left_out_is_told_with_the_time():
    said = []
    Session(seed=1).ask(report.TimeIt(text="1 + 1", min_seconds=0.001, notes=("left out",)), said.append)
    assert said[-1].warnings[0] == "left out"


def test_what_is_timed_once_says_its_time_once(session):
    said = []
    session.ask(report.Time(text="1 + 1"), said.append)
    value, timing = said
    assert (value.text, value.seconds) == ("2", None)
    assert timing.seconds > 0
