"""The gate: what does tensor work runs, and nothing else can be reached."""

import types

import pytest
import torch

from tensorcli import language, report
from tensorcli.engine import namespace
from tensorcli.engine.session import Session

REFUSED = r"""
import os
import sys as s
import subprocess
import torch.os
import numpy.ctypeslib
from os import path
from torch import *
from torch import load
from torch import os
from numpy import load
from torch.utils import cpp_extension
open("x")
exec("1")
eval("1")
compile("1", "", "exec")
globals()
locals()
vars(torch)
input()
breakpoint()
memoryview(b"x")
super()
__import__("os")
torch.__dict__
torch.os
torch.sys
torch.load("x")
torch.save(x, "x")
torch.hub
torch.jit
torch.compile
torch.ops
torch.classes
torch.library
torch.from_file("x")
torch.utils.cpp_extension
torch.multiprocessing
torch.distributed
torch.serialization
torch.storage
torch.types.os
torch.functional.torch
torch.nn.functional.torch
torch.nn.functional.importlib
F.warnings
F.torch
nn.modules
nn.DataParallel
torch.set_printoptions.x
torch.autograd.Function
torch.cuda.os
torch.backends.cuda.matmul
np.load("x")
np.save("x", 1)
np.savetxt("x", [1])
np.loadtxt("x")
np.genfromtxt("x")
np.fromfile("x")
np.memmap("x")
np.lib
np.ctypeslib
np.testing
np.f2py
np.seterrcall(print)
np.errstate
np.ndarray((1,), dtype="O", buffer=b"12345678")
type(n)((1,), dtype="O", buffer=b"12345678")
np.ndarray.__new__
torch.optim.lr_scheduler.LambdaLR(torch.optim.SGD([torch.ones(1)], lr=1.0), [f]).state_dict()
torch.optim.lr_scheduler.LambdaLR(torch.optim.SGD([torch.ones(1)], lr=1.0), [f]).load_state_dict({})
nn.ParameterDict()
type(torch.utils.data.DataLoader([1]))([1, 2], num_workers=1)
type(f)(1, 2)
type(nn.Linear(1, 1).register_forward_hook(f))({})
np.str_("{0.__class__}").format(1)
np.str_("a").center(10**8)
n.resize(1, refcheck=False)
torch.distributions.Normal(0.0, 1.0).expand((2,), math)
torch.distributions.Normal(0.0, 1.0).arg_constraints
iter(int, 1)
round(5, -(10**9))
pow(3, (1 << 900000) - 1, (1 << 900000) - 5)
math.factorial(10**7)
math.comb(10**7, 10**6)
math.perm(10**6)
sum(range(10**12))
r = range(10**11)
import itertools
np.set_printoptions(formatter={})
np.random.mtrand
math.__loader__
x.__class__
x.__class__.__bases__
x.__init__.__globals__
x.storage()
x.untyped_storage()
x.set_(x)
x.share_memory_()
x.as_subclass(int)
x.module_load(x)
n.tofile("x")
n.dump("x")
n.ctypes
n.data
n.base
n.setflags(write=True)
n.__array_interface__
(lambda: 0).__globals__
(lambda: 0).__code__
(i for i in x).gi_frame
(i for i in x).gi_code
f.__globals__
type(type(1))
type("X", (), {})
type(torch)("os", {})
type(1).__subclasses__()
getattr(x, "__class__")
getattr(x, "storage")
getattr(torch, "os")
[].__class__
"".__class__
"{0.__class__}".format(x)
"{0[0]}".format(x)
"{a.b}".format_map({"a": x})
str.format("{0.__class__}", x)
f"{x.__class__}"
f"{x:{10**9}}"
f"{1:>1000000000}"
"%1000000000d" % 1
"%*d" % (10**9, 1)
"a".ljust(10**9)
"a".center(10**9)
"1".zfill(10**9)
"{:>1000000000}".format(1)
format(1, ">1000000000")
"a" * 10**10
[0] * 10**10
(1, 2) * 10**9
10**9 * [0]
9**9**9
10**10**10
2**10**9
pow(9, 10**9)
1 << 10**10
list(range(10**10))
tuple(range(10**10))
[*range(10**10)]
sorted(range(10**10))
set(range(10**10))
class A: pass
async def g(): pass
@print\ndef g(): pass
def g(): yield 1
lambda: (yield)
global x
__name__ = "a"
__name__ += "a"
(__name__ := "a")
del __name__
for __name__ in "ab": pass
[1 for __name__ in "ab"]
with torch.no_grad() as __name__: pass
def __name__(): pass
lambda __name__: 1
dict(__name__=1)
import math as __name__
f.__name__
x.__name__
getattr(f, "__name__")
"{0.__name__}".format(f)
__names__
__main__
__file__
_private
__builtins__
_x = 1
x._base
def __init__(): pass
def g(_a): pass
lambda _a: 1
f(_a=1)
for _i in x: pass
with torch.no_grad() as _c: pass
try: pass\nexcept* ValueError: pass
match x:\n    case 1: pass
raise SystemExit
raise KeyboardInterrupt
raise x
raise ValueError from None.x
try: pass\nexcept BaseException: pass
try: pass\nexcept KeyboardInterrupt: pass
try: pass\nexcept x.__class__: pass
torch.rand = 1
torch.nn.Linear = 1
np.pi = 3
math.pi = 3
x.__class__ = 1
x.shape2 = 1
x.T = 1
f.x = 1
m.forward = f
m.training = f
del torch.rand
del x.__class__
x.ﬁeld_ = 1
ｅｖａｌ("1")
x.__ｃlass__
torch.utils.data.DataLoader.x
m.compile()
m.share_memory()
m.register_buffer.__self__
torch.distributions.Normal(0, 1).__class__
torch.Generator.x
x.grad_fn.__class__
e.__traceback__
print.__self__
print("x", file=x)
torch.tensor.__self__
torch.nn.init.torch
np.dtype.x
""".strip().split("\n")

ALLOWED = r"""
torch.tensor([1]) + 1
np.arange(3).sum()
nn.Linear(4, 2)(torch.rand(4))
F.relu(x)
math.sqrt(2)
x.shape[0]
x[..., None, ::2].T
x if k else y
[i for i in range(3) if i]
{i: i for i in range(3)}
{i for i in range(3)}
(lambda a, *b, c=1, **d: a)(1)
(z := 3) + z
f"{x.sum():.3f} {k!r:>4} {k:0{4}d}"
print("a", k, sep="-", end="")
a, *b = [1, 2, 3]
a, (b, c) = 1, (2, 3)
x[0] = 5
x[:, 1] = x[:, 0]
x.requires_grad = False
x.grad = None
x.data = x.data
x[0] **= 2
k **= 2
k <<= 2
k += 1
del a
for i in range(3):\n    if i: continue\n    else: break
while k < 0: pass
with torch.no_grad(): x + 1
with torch.inference_mode(): x + 1
with torch.autocast("cpu"): x + 1
with torch.device("cpu"): torch.rand(2)
def g(a, b=2):\n    return a + b
g(1)
assert g(1) == 3, "no"
try:\n    1 / 0\nexcept (ZeroDivisionError, ValueError) as e:\n    print(e, e.args)\nelse: pass\nfinally: pass
try:\n    1 / 0\nexcept: pass
import torch
import numpy as np
import torch.nn as nn
import torch.nn.functional as F
import math
import torch, math as m2
from torch import nn, rand
from torch.nn import functional as F
from torch import nn as net
from math import pi
import torch.optim as optim
from torch.utils.data import DataLoader, TensorDataset
import time, random
torch.__version__
np.__version__
input = 3; sum = 4; dict = 5; list = 6
[1] * 3 + [0] * 1000
"a" * 3
"%d %s" % (1, "a")
"{} {a:>5}".format(1, a=2)
"a-b".split("-")[0].upper().center(9)
2**64 + 2**0.5 + (-8) ** (1 / 3)
1 << 20
isinstance(x, torch.Tensor), type(x), type(k)
type(x) is torch.Tensor, type(m)(4, 2), isinstance(f, type(f)), type(f) is type(f)
nn.Linear(1, 1).register_forward_hook(f).remove()
next(iter([1])), round(2.5), round(2.567, 1), pow(3, 4, 5)
torch.frombuffer(b"abcd", dtype=torch.uint8), np.frombuffer(b"abcd", dtype=np.uint8)
isinstance(n, np.ndarray), type(n), type(n) is np.ndarray
math.factorial(5) + math.comb(5, 2) + math.perm(3) + math.prod([2, 3])
range(10)[3], len(range(0, 10, 3)), list(range(5, 0, -1))
getattr(x, "shape"), hasattr(x, "storage"), hasattr(x, "T")
dir(x)[:3]
sorted([3, 1], key=lambda v: -v)
list(zip([1], [2])), list(enumerate([1])), list(map(str, [1]))
x.max(dim=0).values
x.register_hook(lambda g: g) if x.requires_grad else None
m = nn.Sequential(nn.Linear(4, 3), nn.ReLU()); m(torch.rand(2, 4))
m[0].weight.shape, m[0].in_features
list(m.parameters())[0].grad
m[0].weight = nn.Parameter(torch.zeros(3, 4))
opt = torch.optim.SGD(m.parameters(), lr=0.1); opt.zero_grad(); opt.step()
[b[0].shape for b in torch.utils.data.DataLoader(torch.utils.data.TensorDataset(torch.rand(4, 2)), batch_size=2)]
torch.distributions.Normal(0.0, 1.0).sample((2,))
torch.func.vmap(torch.sum)(torch.rand(3, 2))
torch.autograd.grad(torch.ones(1, requires_grad=True).sum(), torch.ones(1, requires_grad=True), allow_unused=True)
torch.linalg.svd(torch.rand(3, 2)).S
torch.cuda.is_available(), torch.cuda.device_count()
torch.finfo(torch.float32).max, torch.iinfo(torch.int8).min
torch.manual_seed(0); np.random.seed(0); torch.rand(2)
np.random.default_rng(0).normal(size=3)
np.linalg.norm(np.ones(3)), np.float32(1.5), np.int64(3).item()
torch.from_numpy(np.ones(3)).numpy()
raise ValueError("mine") if k < 0 else 1 if False else None
""".strip().split("\n")

SETUP = """
x = torch.rand(3, 4); y = torch.rand(3, 4); k = 2; n = np.arange(3); m = nn.Linear(4, 2); e = ValueError("a")
def f(a):
    return a
"""


def ask(session: Session, text: str) -> list[report.AnyReport]:
    answers: list[report.AnyReport] = []
    session.ask(report.Evaluate(text=text), answers.append)
    return answers


@pytest.fixture(scope="module")
def fresh():
    """A function that makes a session with a few variables."""

    def make(*, trust: bool = False) -> Session:
        session = Session(seed=0, trust=trust)
        assert not [a for a in ask(session, SETUP) if isinstance(a, report.Diagnosis)]
        return session

    return make


@pytest.mark.parametrize("text", REFUSED)
def test_refused(text: str, fresh):
    text = text.replace("\\n", "\n")
    answers = ask(fresh(), text)
    problem = answers[-1]
    assert isinstance(problem, report.Diagnosis), answers
    if problem.category != "refused":  # there is no such thing at all, in Python's own words
        assert problem.category in ("name", "syntax", "value"), problem
        assert problem.torch or problem.category == "syntax"
    assert problem.span is not None
    assert problem.span.text in text


@pytest.mark.parametrize("text", ALLOWED)
def test_allowed(text: str, fresh):
    session = fresh()
    if text.startswith("assert g") or text == "g(1)":
        ask(session, "def g(a, b=2):\n    return a + b")
    if "m[0]" in text or "m.parameters" in text:
        ask(session, "m = nn.Sequential(nn.Linear(4, 3), nn.ReLU())")
    if text == "del a":
        ask(session, "a = 1")
    if text.startswith("raise"):
        return
    problems = [a for a in ask(session, text.replace("\\n", "\n")) if isinstance(a, report.Diagnosis)]
    assert problems == []


@pytest.mark.parametrize("trust", [False, True])
def test_a_script_finds_that_it_is_the_one_that_runs(trust: bool, fresh):
    session = fresh(trust=trust)
    ask(session, "def main():\n    return __name__\nif __name__ == '__main__':\n    ran = main()\n")
    assert type(session.names["ran"]) is str
    assert (session.names["ran"], "__name__" in session.variables()) == ("__main__", False)


def test_a_refusal_says_what_why_and_the_way_to_have_it(fresh):
    (problem,) = ask(fresh(), "import os")
    assert problem.code == "refused"
    assert problem.title.startswith("os is not among the modules that do tensor work")
    assert "--trust" in problem.notes[0]


def test_trust_lifts_the_gate(fresh):
    session = fresh(trust=True)
    for text in ("import os", "os.sep", "class A:\n    x = 1", "A().x", "x.__class__", "open", "9**99"):
        assert not [a for a in ask(session, text) if isinstance(a, report.Diagnosis)], text


def test_no_attribute_of_anything_in_reach_is_a_module_or_reaches_one():
    """Walk every allowed attribute, without calls, from what a session starts with."""
    start = list(namespace.start_names(trust=False).values())[1:] + list(namespace.BUILTINS.values())
    start += [torch.rand(2), torch.nn.Linear(2, 2), ValueError("a"), "a", 1, [1], {1: 2}, torch.Generator()]
    seen: set[object] = set()  # namespaces and functions each by itself, other values one of each type
    queue = start
    while queue:
        value = queue.pop()
        key = id(value) if isinstance(value, namespace.Namespace) or callable(value) else type(value)
        if key in seen:
            continue
        seen.add(key)
        assert not isinstance(value, types.ModuleType | types.CodeType | types.FrameType), value
        for name in namespace.directory(value):
            try:
                queue.append(namespace.attribute(value, name))
            except (AttributeError, RuntimeError, TypeError, namespace.Refused, NotImplementedError):
                continue
    assert len(seen) > 1500


def test_operators_indexing_calls_and_loops_stay_native():
    """The code of a loop calls no guard but for attributes."""
    text = "for i in range(10):\n    s = s + a[i] * b[i]\n    s -= a[i:2] @ b ** 2 / c\n    f(s)"
    (statement,) = language.parse(text)
    code = language.compiled(statement, filename="<t>")
    assert set(code.co_names) == {"range", "s", "a", "b", "c", "f", "i"}


@pytest.mark.parametrize(
    "text",
    [
        "torch.frombuffer(b'q', dtype=torch.uint8)[0] = 120",
        "torch.asarray(b'q', dtype=torch.uint8)[0] = 120",
        "torch.from_numpy(np.frombuffer(b'q', dtype=np.uint8))[0] = 120",
    ],
)
def test_constants_cannot_be_written(text: str, fresh):
    session = fresh()
    ask(session, text)
    assert ask(session, "bytes([113])")[0].text == "b'q'"


def test_namespaces_are_read_only():
    before = dir(namespace.MODULES["math"])
    with pytest.raises(namespace.Refused):
        namespace.MODULES["math"].loc = 1
    with pytest.raises(namespace.Refused):
        del namespace.MODULES["math"].pi
    assert dir(namespace.MODULES["math"]) == before


def test_guards_cannot_be_spelt_or_shadowed(fresh):
    session = fresh()
    assert all(not name.isidentifier() for name in namespace.GUARDS)
    ask(session, "attribute = 3; module = 4")
    assert not isinstance(ask(session, "x.shape")[-1], report.Diagnosis)


@pytest.mark.parametrize("trust", [False, True])
def test_bounds_of_the_text(trust: bool, fresh):
    session = fresh(trust=trust)
    cases = {
        "x" * 1_000_001: "this input has 1,000,001 characters",
        "-" * 5000 + "1": "nested",
        "x" + ".T" * 3000: "nested",
        "(" * 300 + ")" * 300: "too many nested parentheses",
        "x = 'a\0b'": "line 1 holds a null byte",
        "x = '\ud800'": "surrogate",
        "[" * 150 + "1" + "]" * 150 + "+" + "-" * 250 + "1": "nested more than 200 levels",
    }
    for text, said in cases.items():
        (problem,) = ask(session, text)
        assert said in problem.title
        assert problem.category == "syntax"
    assert ask(session, "k")[0].text == "2"


def test_a_bare_except_lets_an_interrupt_through():
    (statement,) = language.parse("try:\n    f()\nexcept:\n    pass")
    code = language.compiled(statement, filename="<t>")

    def interrupt() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        eval(code, {"f": interrupt, "Exception": Exception})
