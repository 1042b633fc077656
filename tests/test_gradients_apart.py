"""Edits that run backward are tried apart: what the session holds of gradients and graphs stays as it was."""

import pytest
import torch

from tensorcli.engine import apart
from tensorcli.engine.session import Session
from tensorcli.report import Evaluate


@pytest.fixture
def scope():
    w = torch.tensor([1.0, 2.0], requires_grad=True)
    return {"w": w, "loss": (w**2).sum(), "held": [(w**3).sum()]}


@pytest.mark.parametrize("text", ["loss.backward()", "held[0].backward()", "torch.autograd.grad(loss, w)"])
def test_a_backward_that_is_tried_leaves_the_graph_and_the_gradients(scope, text):
    apart.run(text, scope, trust=False)
    apart.run(text, scope, trust=False)
    assert scope["w"].grad is None
    scope["loss"].backward()
    scope["held"][0].backward()
    assert scope["w"].grad.tolist() == [5.0, 16.0]


def test_the_copy_gets_the_gradient_of_a_graph_that_began_in_the_session(scope):
    assert apart.run("loss.backward()\nw.grad * 1", scope, trust=False).tolist() == [2.0, 4.0]
    assert apart.run("(loss + w.sum()).backward()\nw.grad * 1", scope, trust=False).tolist() == [3.0, 5.0]
    assert apart.run("torch.autograd.grad(loss + w.sum(), w)[0]", scope, trust=False).tolist() == [3.0, 5.0]
    scope["w"].grad = torch.ones(2)
    assert apart.run("loss.backward()\nw.grad * 1", scope, trust=False).tolist() == [3.0, 5.0]
    assert scope["w"].grad.tolist() == [1.0, 1.0]


def test_a_second_backward_fails_as_it_would_in_the_session(scope):
    with pytest.raises(RuntimeError, match="second time"):
        apart.run("loss.backward()\nloss.backward()", scope, trust=False)
    apart.run("loss.backward(retain_graph=True)\nloss.backward()", scope, trust=False)


def test_a_tensor_that_took_no_part_is_said_so(scope):
    scope["other"] = torch.ones(2, requires_grad=True)
    with pytest.raises(RuntimeError, match="not have been used"):
        apart.run("torch.autograd.grad(loss, [w, other])", scope, trust=False)
    found = apart.run("torch.autograd.grad(loss, [w, other], allow_unused=True)", scope, trust=False)
    assert found[0].tolist() == [2.0, 4.0]
    assert found[1] is None


def test_hooks_are_not_called_by_what_is_tried():
    session, said = Session(seed=0), []
    text = "log = []; w = torch.ones(2, requires_grad=True); w.register_hook(lambda g: log.append(1)); y = w * 2"
    session.ask(Evaluate(text=text), said.append)
    session.ask(Evaluate(text="y.backward()"), said.append)
    assert said[-1].code == "backward-non-scalar"
    assert session.names["log"] == []
    session.ask(Evaluate(text="z = (w * 3); z.register_hook(lambda g: log.append(2)); z.backward()"), said.append)
    assert session.names["log"] == []
