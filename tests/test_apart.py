"""Evaluating apart from the session: what is copied shares what the originals share, and nothing of theirs changes."""

import random

import numpy as np
import pytest
import torch

from tensorcli.engine import apart, environment, predict
from tensorcli.engine.session import Session
from tensorcli.report import Configure, Diagnosis, Evaluate, Output


def session_of(text: str) -> Session:
    """A session after some statements, which must not fail."""
    session, said = Session(seed=0), []
    session.ask(Evaluate(text=text), said.append)
    assert not any(type(answer).__name__ == "Diagnosis" for answer in said), said
    return session


def run(session: Session, text: str, *, seconds: float = 5.0):
    """What a text gives apart."""
    with apart.apart(seconds=seconds):
        return apart.run(text, session.names, trust=False)


def test_views_stay_views_of_one_storage_and_the_originals_stay():
    session = session_of("x = torch.zeros(4); y = x[1:3]; rows = [x, {'y': y}]")
    got = run(session, "y += 1\nx[0] = 9\nresult = [x.clone(), rows[0] is x, rows[1]['y'] is y]")
    assert got[0].tolist() == [9, 1, 1, 0]
    assert got[1:] == [True, True]
    assert session.names["x"].tolist() == [0, 0, 0, 0]
    assert session.names["x"]._version == 0


def test_strides_are_kept_and_those_of_arrays_too():
    session = session_of(
        "t = torch.arange(6).reshape(2, 3).T; a = np.arange(4)[::-1]; f = np.asfortranarray(np.eye(3))"
    )
    assert run(session, "t.stride()") == (1, 3)
    assert run(session, "a.strides[0]") == -8
    assert run(session, "f.strides") == (8, 24)


def test_a_modules_parameters_and_an_optimizers_are_the_same_copies():
    session = session_of("m = nn.Linear(2, 1); o = torch.optim.SGD(m.parameters(), lr=1.0); x = torch.ones(3, 2)")
    before = session.names["m"].weight.detach().clone()
    moved = run(session, "m(x).sum().backward()\no.step()\nm.weight.detach().clone()")
    assert not torch.equal(moved, before)
    assert torch.equal(session.names["m"].weight, before)
    assert session.names["m"].weight.grad is None


def test_functions_see_the_copies_their_closures_and_defaults_too():
    session = session_of(
        "x = torch.zeros(2)\ndef make(n, seen=[]):\n  def f(): x.add_(n); seen.append(n); return x\n  return f"
    )
    session.ask(Evaluate(text="f = make(3)"), lambda _: None)
    assert run(session, "f().tolist()") == [3, 3]
    assert session.names["x"].tolist() == [0, 0]
    assert session.names["make"].__defaults__ == ([],)


def test_a_function_of_the_sessions_may_do_no_more_apart_than_in_it():
    session = session_of("def reach(): return open")
    with pytest.raises(NameError):
        run(session, "reach()")


def test_nothing_is_printed_and_random_states_are_put_back():
    session = session_of("x = 1")
    said = []
    states = torch.get_rng_state(), np.random.get_state()[1].tolist(), random.getstate()
    with apart.apart(seconds=5.0):
        apart.run(
            "print('no')\ntorch.rand(3)\nnp.random.rand(3)\ntorch.set_default_dtype(torch.float64)", {}, trust=False
        )
    session.ask(Configure(), said.append)
    assert torch.equal(states[0], torch.get_rng_state())
    assert (states[1], states[2]) == (np.random.get_state()[1].tolist(), random.getstate())
    assert torch.get_default_dtype() == torch.float32
    assert not any(isinstance(answer, Output) for answer in said)


def test_a_backward_keeps_the_sessions_graph_and_leaves_no_gradient():
    session = session_of(
        "w = torch.ones(2, requires_grad=True); y = (w * w).sum(); w2 = torch.ones(1, requires_grad=True)"
    )
    run(session, "y.backward()")
    assert session.names["w"].grad is None
    session.names["y"].backward()
    assert session.names["w"].grad.tolist() == [2, 2]


def test_a_second_backward_fails_apart_as_it_would():
    session = session_of("w = torch.ones(2, requires_grad=True); y = (w * w).sum()")
    with pytest.raises(RuntimeError, match="a second time"):
        run(session, "y.backward()\ny.backward()")
    run(session, "y.backward(retain_graph=True)\ny.backward()")


def test_gradients_that_are_there_are_copied():
    session = session_of("w = torch.ones(2, requires_grad=True); (w * 3).sum().backward()")
    assert run(session, "w.grad.zero_()\nw.grad.tolist()") == [0, 0]
    assert session.names["w"].grad.tolist() == [3, 3]


def test_what_cannot_be_copied_is_not_tried():
    session = session_of("g = (i for i in range(3))")
    with pytest.raises(apart.NoCopy):
        run(session, "next(g)")
    assert next(session.names["g"]) == 0


def test_what_is_large_is_not_copied_but_predicted():
    session = session_of("x = torch.zeros(5000, 3000); m = nn.Linear(3000, 7)")
    with pytest.raises(apart.TooLarge):
        run(session, "x + 1")
    with apart.apart(seconds=30.0):
        assert tuple(predict.run("m(x)", session.names, trust=False).shape) == (5000, 7)
        with pytest.raises(RuntimeError, match="same dtype"):
            predict.run("x @ torch.zeros(3000, 2, dtype=torch.int64)", session.names, trust=False)


def test_the_gate_stands_apart_too():
    from tensorcli.language import Problem

    with pytest.raises(Problem, match="underscore"), apart.apart(seconds=5.0):
        apart.run("torch.__class__", {}, trust=False)


def test_what_takes_too_long_is_given_up():
    with pytest.raises(TimeoutError), apart.apart(seconds=0.05):
        apart.run("while True: pass", {}, trust=False)


def test_a_trusted_sessions_files_and_processes_are_out_of_reach_while_edits_are_tried(tmp_path):
    session, said = Session(seed=0, trust=True), []
    there, marker = tmp_path / "there.txt", tmp_path / "ran"
    text = f"A = torch.rand(3, 2)\ndef save(t):\n    open({str(there)!r}, 'a').write('once')\n    return t"
    session.ask(Evaluate(text=text), said.append)
    session.ask(Evaluate(text="save(A) @ A"), said.append)
    session.ask(Evaluate(text=f"import os; os.system('touch {marker}') + A @ A"), said.append)
    assert there.read_text() == "once"
    assert marker.exists()
    marker.unlink()
    session.ask(Evaluate(text=f"os.system('touch {marker}') or A @ A"), said.append)
    assert marker.exists()
    assert [s.source for s in said[-1].suggestions] == []
    session.ask(Evaluate(text="A @ A"), said.append)
    assert [s.source for s in said[-1].suggestions][:2] == ["A @ A.T", "A.T @ A"]


def explained(session: Session, text: str) -> Diagnosis:
    """What is said of a text that fails."""
    said: list[object] = []
    session.ask(Evaluate(text=text), said.append)
    assert isinstance(said[-1], Diagnosis), said
    return said[-1]


@pytest.mark.parametrize("name", ["w", "h"])
def test_no_hook_of_the_sessions_is_called_wherever_it_hangs(name):
    session = session_of("w = torch.ones(3, requires_grad=True); h = w * 2; loss = h * 1")
    seen: list[object] = []
    tensor = session.names[name]
    (tensor.register_post_accumulate_grad_hook if name == "w" else tensor.register_hook)(seen.append)
    assert explained(session, "loss.backward()").code == "backward-non-scalar"
    assert seen == []


def test_bound_methods_of_lists_and_dictionaries_are_those_of_copies():
    session = session_of("log = []; f = log.append; d = {}; up = d.setdefault; a = torch.ones(2, 3)")
    session.ask(Evaluate(text="def g():\n    f(1)\n    up('k', 1)\n    return a @ a"), lambda _: None)
    explained(session, "g()")
    assert session.names["log"] == [1]
    assert run(session, "f(2)\nlog") == [1, 2]
    assert session.names["log"] == [1]


@pytest.mark.parametrize(
    ("change", "setting"),
    [
        ("torch.set_default_device('meta')", environment.default_device),
        ("torch.use_deterministic_algorithms(True)", torch.are_deterministic_algorithms_enabled),
        ("torch.set_float32_matmul_precision('medium')", torch.get_float32_matmul_precision),
        ("torch.set_printoptions(precision=1)", lambda: torch._tensor_str.PRINT_OPTS.precision),
        ("torch.set_default_dtype(torch.float64)", torch.get_default_dtype),
    ],
)
def test_a_setting_that_only_a_trial_reached_is_put_back(change, setting):
    session = session_of("a = torch.ones(2, 3)")
    before = setting()
    with apart.apart(seconds=5.0):
        apart.run(f"(a @ a.T, {change})", session.names, trust=True)
    assert setting() == before


def test_what_writes_running_statistics_is_not_had_again():
    session = Session(seed=0, warn=True)
    session.ask(Evaluate(text="x = torch.ones(4, 2); rm, rv = torch.zeros(2), torch.ones(2)"), lambda _: None)
    explained(session, "torch.batch_norm(x, None, None, rm, rv, True, 0.5, 1e-5, False) @ torch.ones(3, 2)")
    assert session.names["rm"].tolist() == [0.5, 0.5]


def test_the_end_of_the_process_is_not_tried():
    session = Session(seed=0, trust=True)
    explained(session, "import sys\nif True:\n    c = torch.ones(2, 3) @ torch.ones(2, 3)\n    sys.exit(3)")


def test_no_except_clause_keeps_the_deadline():
    session = session_of("x = torch.ones(2, 3)")
    text = "for k in range(10**9):\n    try:\n        for j in range(10**9): pass\n    except Exception: pass"
    with pytest.raises(TimeoutError):
        run(session, text, seconds=0.05)


def test_an_exception_whose_own_text_fails_is_explained_without_it():
    session = Session(seed=0, trust=True)
    text = "class Odd(Exception):\n    def __str__(self): return 1 / 0\nraise Odd()"
    assert explained(session, text).code != "engine-fault"


def test_trusted_code_saves_nothing_and_starts_no_thread_while_edits_are_tried(tmp_path):
    session = Session(seed=0, trust=True)
    target = tmp_path / "checkpoint.pt"
    explained(session, f"if True:\n    c = torch.ones(2, 3) @ torch.ones(2, 3)\n    torch.save(c, {str(target)!r})")
    explained(
        session,
        "import threading\nif True:\n    c = torch.ones(2, 3) @ torch.ones(2, 3)\n"
        f"    t = threading.Thread(target=lambda: open({str(target)!r}, 'w').close()); t.start(); t.join()",
    )
    assert not target.exists()
