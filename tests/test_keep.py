"""A session written to a file and read by another one."""

import numpy as np
import pytest
import torch

from tensorcli import report
from tensorcli.engine.session import Session

TEXT = """
torch.manual_seed(7)
x = torch.rand(3, 4)
row = x[1]
w = torch.ones(3, requires_grad=True)
(w * 2).sum().backward()
model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
opt = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
model(torch.rand(5, 3)).pow(2).sum().backward()
opt.step()
a = np.arange(3)
k = 3
def scaled(v, by=2):
    return v * by * k
def counter(n):
    def inner(m):
        return m if m == n else inner(m + 1)
    return inner
count = counter(5)
xs = [x, {"row": row}]
half = x.half()
c = torch.tensor([1 + 2j])
q = F
torch.rand(2)
"""
LOOK = (
    "[x, row, w, w.grad, model.state_dict(), opt.state_dict(), a, k, scaled(x), count(0), xs, half, c, q.relu(x), _,"
    " Out, torch.rand(2), np.random.rand(2)]"
)


def asked(session, request):
    answers = []
    session.ask(request, answers.append)
    return answers


def seen(session):
    asked(session, report.Evaluate(text=f"seen = {LOOK}"))
    return repr(session.names["seen"])


def kept(session, path, **options):
    (answer,) = asked(session, report.Keep(path=str(path), **{"max_nbytes": 1 << 30} | options))
    return answer


def test_another_session_goes_on_bit_for_bit(tmp_path):
    first, second = Session(seed=1), Session(seed=2)
    asked(first, report.Configure(dtype="float64"))
    asked(first, report.Evaluate(text=TEXT))
    assert isinstance(kept(first, tmp_path / "s"), report.Notice)
    found, facts = [], (first.settings(), first.inputs, list(first.variables()))
    expected = seen(first)
    asked(second, report.Evaluate(text="gone = 1"))
    (answer,) = asked(second, report.GoOn(path=str(tmp_path / "s")))
    assert isinstance(answer, report.Notice)
    assert (second.settings(), second.inputs, list(second.variables())) == facts
    assert seen(second) == expected
    for session in (first, second):
        asked(session, report.Evaluate(text="torch.manual_seed(3); row.add_(1); k = 10"))
        asked(session, report.Evaluate(text="model(torch.rand(5, 3)).sum().backward(); opt.step()"))
        found.append(seen(session))
    assert found[0].split(", tensor([")[:-1] == found[1].split(", tensor([")[:-1]  # but what NumPy drew in between
    assert torch.equal(second.names["row"], second.names["x"][1])
    torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("w = torch.ones(3, requires_grad=True); y = w * 2", "a tensor with autograd's graph behind it"),
        ("x = torch.zeros(1000)", "4,000 bytes of tensors, and 100 are the most"),
        ("g = (i for i in range(3))", "TypeError: cannot pickle 'generator' object"),
        ("a = np.zeros(2); t = torch.from_numpy(a)", "an array that shares its memory"),
        ("a = np.zeros(2); v = a[1:]", "an array that shares its memory"),
        ("t = torch.ones(2); a = t.numpy()", "an array that shares its memory"),
        ("m = nn.Linear(1, 1); o = torch.optim.LBFGS(m.parameters())", "a model or optimizer with hooks"),
    ],
)
def test_what_has_no_place_in_a_file_is_said_and_writes_none(tmp_path, text, why):
    session = Session(seed=1)
    asked(session, report.Evaluate(text=text))
    answer = kept(session, tmp_path / "s", max_nbytes=100)
    assert (answer.code, answer.title) == ("not-kept", f"the session is not kept: {why}")
    assert list(tmp_path.iterdir()) == []


def test_a_request_that_waits_goes_before(tmp_path):
    session = Session(seed=1)
    asked(session, report.Evaluate(text="x = torch.zeros(1000)"))
    before = kept(session, tmp_path / "s")
    written = (tmp_path / "s").read_bytes()
    asked(session, report.Evaluate(text="x.add_(1)"))
    session.is_wanted = lambda: True
    answer = kept(session, tmp_path / "s")
    assert isinstance(before, report.Notice)
    assert (answer.code, answer.category) == ("put-off", "memory")
    assert (tmp_path / "s").read_bytes() == written
    assert [path.name for path in tmp_path.iterdir()] == ["s"]


def test_a_file_that_cannot_be_read_leaves_an_empty_session(tmp_path):
    session = Session(seed=1)
    (answer,) = asked(session, report.GoOn(path=str(tmp_path / "none")))
    assert (answer.code, answer.category) == ("not-kept", "memory")
    assert asked(session, report.Evaluate(text="1 + 1"))[0].text == "2"


def test_only_some_statements_run():
    session = Session(seed=1)
    begun = []
    session.on_statement = begun.append
    asked(session, report.Evaluate(text="a = 1\nb = 2\nc = 3", until=2))
    assert list(session.variables()) == ["a", "b"]
    assert begun == [2]


def test_arrays_keep_what_they_share(tmp_path):
    session, other = Session(seed=1), Session(seed=1)
    asked(session, report.Evaluate(text="a = np.zeros(3); ys = [a, a]"))
    kept(session, tmp_path / "s")
    asked(other, report.GoOn(path=str(tmp_path / "s")))
    assert other.names["ys"][0] is other.names["ys"][1] is other.names["a"]
    assert isinstance(other.names["a"], np.ndarray)


def test_closures_share_their_cells_and_settings_hold(tmp_path):
    session, other = Session(seed=1, trust=True), Session(seed=1, trust=True)
    text = """
def pair():
    c = 0
    def up():
        nonlocal c
        c += 1
    def get():
        return c
    return up, get
up, get = pair()
w = torch.ones(2, requires_grad=True)
w.sum().backward()
def f(x: int, *, q=w):
    return x
f.w = w
del F
torch.set_grad_enabled(False)
"""
    asked(session, report.Evaluate(text=text))
    assert isinstance(kept(session, tmp_path / "s"), report.Notice)
    torch.set_grad_enabled(True)
    asked(other, report.GoOn(path=str(tmp_path / "s")))
    assert torch.is_grad_enabled() is False
    torch.set_grad_enabled(True)
    names = other.names
    names["up"]()
    assert names["get"]() == 1
    assert "F" not in names
    assert names["f"].__kwdefaults__["q"] is names["w"] is names["f"].w
    assert names["w"].grad.tolist() == [1.0, 1.0]
    assert names["f"].__annotations__ == {"x": int}
