"""What is offered while one types, how calls are told, and documentation: from live objects, with no effect on them."""

import ast
import keyword
import signal
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tensorcli import language, report
from tensorcli.cursor import NEAR, bound, call, named, near, spot
from tensorcli.engine import apart, complete, foresight, namespace, predict, prose, pure
from tensorcli.engine.peek import NOTHING, Scope, peek
from tensorcli.engine.session import Session

SETUP = """
x = torch.rand(64, 784); w = torch.rand(784, 10); count = 3
model = nn.Sequential(nn.Linear(784, 100), nn.ReLU(), nn.Linear(100, 10))
held = {"key": [x, 1.5]}
def mix(a, b=2, *, scale=1.0):
    "Mix two things. Then more."
    return a
"""


@pytest.fixture(scope="module")
def session() -> Iterator[Session]:
    predict.warm_up()
    patience, foresight.SECONDS = foresight.SECONDS, 60.0  # of a machine that is busy too
    made = Session(seed=0)
    answers: list[report.AnyReport] = []
    made.ask(report.Evaluate(text=SETUP), answers.append)
    assert not any(isinstance(answer, report.Diagnosis) for answer in answers)
    yield made
    foresight.SECONDS = patience


def asked(session: Session, request: report.AnyRequest) -> Any:
    answers: list[report.AnyReport] = []
    session.ask(request, answers.append)
    (answer,) = answers
    return answer


def offered(session: Session, text: str, **options: Any) -> list[report.Completion]:
    """What is offered at the | in a text, or at its end."""
    cursor = text.index("|") if "|" in text else len(text)
    request = report.Complete(text=text.replace("|", "", 1), cursor=cursor, **options)
    return list(asked(session, request).items)


def texts(session: Session, text: str, **options: Any) -> list[str]:
    return [item.text for item in offered(session, text, **options)]


def test_keys_are_offered_at_the_bracket_as_they_are_written(session: Session) -> None:
    asked(session, report.Evaluate(text="keyed = {'one': 1, 'it\\'s': 2, 3: 3, None: 4, x: 5}"))
    whole = ["'one'", '"it\'s"', "3", "None"]
    answers = [
        texts(session, text) for text in ("keyed[", "f(keyed[ ", "keyed[on", "keyed[3 + ", "[", "x[", "keyed.keys()[")
    ]
    names = answers[5]
    asked(session, report.Evaluate(text="del keyed"))
    assert answers[0] == whole + ["keyed"] + [each for each in names if each != "keyed"]
    assert answers[1][:4] == whole
    assert answers[2] == ["'one'"]
    assert not any(set(whole) & set(answer) for answer in answers[3:])


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('keyed["', ["one", "two words"]),
        ("keyed['t", ["two words"]),
        ('f(keyed["o', ["one"]),
        ('nn.Linear(2, 1).state_dict()["', []),  # it would have to be made
        ('state["w', ["weight"]),
        ('keyed[1]["', []),
        ('x["', []),
        ('["', []),
    ],
)
def test_keys_of_a_dict_are_offered(session: Session, text: str, found: list[str]) -> None:
    asked(session, report.Evaluate(text="keyed = {'one': 1, 'two words': 2, 3: 3, 'a\"b': 4, 'new\\nline': 5}"))
    asked(session, report.Evaluate(text="state = nn.Linear(2, 1).state_dict()"))
    answer = texts(session, text)
    asked(session, report.Evaluate(text="del keyed, state"))
    assert answer == found


def keywords(session: Session, text: str) -> list[str]:
    return [each for each in texts(session, text) if keyword.iskeyword(each)]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("d", ["del", "def"]),
        ("x = 1\nd", ["del", "def"]),
        ("if x: r", ["return"]),
        ("torch.tensor(d", []),
        ("nn.Linear(i", []),
        ("x i", ["if", "in", "is"]),
        ("[y f", ["for"]),
        ("[y for y i", ["if", "in", "is"]),
        ("x if y e", ["else"]),
        ("y = n", ["not", "None"]),
        ("f(l", ["lambda"]),
        ("f(x, T", ["True"]),
    ],
)
def test_keywords_are_offered_where_they_can_stand(session: Session, text: str, found: list[str]) -> None:
    assert keywords(session, text) == found


# After a dot.


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("x.resh|", ["reshape", "reshape_as"]),
        ("f(count, x.resh|) + 1", ["reshape", "reshape_as"]),
        ("x[0].resh", ["reshape", "reshape_as"]),
        ("held['key'][0].resh", ["reshape", "reshape_as"]),
        ("x.T.resh", ["reshape", "reshape_as"]),
        ("(x @ w).resh", ["reshape", "reshape_as"]),
        ("torch.rand(3).resh", ["reshape", "reshape_as"]),
        ("model(x).resh", ["reshape", "reshape_as"]),
        ("x.nonzero().resh", ["reshape", "reshape_as"]),
        ("(x > 0).resh", ["reshape", "reshape_as"]),
        ("np.ones(3).resh", ["reshape"]),
        ("np.random.rand(3).T.resh", ["reshape"]),
        ("x.numpy().resh", ["reshape"]),
        ("for i in x:\n    y = i\n    if x.resh", ["reshape", "reshape_as"]),
        ("f'{x.resh", ["reshape", "reshape_as"]),
        ("'a.b'.isal", ["isalnum", "isalpha"]),
        (
            "[1, 2].",
            ["append", "clear", "copy", "count", "extend", "index", "insert", "pop", "remove", "reverse", "sort"],
        ),
        ("x.max(1).", ["indices", "values", "count", "index", "n_fields", "n_sequence_fields", "n_unnamed_fields"]),
        ("model[0].wei", ["weight"]),
        ("model.0", []),
        ("torch.matm", ["matmul"]),
        ("torch.nn.functional.cross_", ["cross_entropy"]),
        ("torch.linalg.matrix_r", ["matrix_rank"]),
        ("count.real.bit_l", ["bit_length"]),
        ("nowhere.", []),
        ("mix(x).", []),
        ("x.untyped_st", []),
        ("x.__cl", []),
        ("torch.os", []),
        ("torch._C", []),
        ("# x.resh", []),
        ("'x.resh", []),
        ("1.", []),
        (".", []),
        ("x..", []),
        ("return (x).resh", ["reshape", "reshape_as"]),
    ],
)
def test_attributes(session: Session, text: str, found: list[str]) -> None:
    if text == "mix(x).":  # which runs on tensors without elements
        assert texts(session, text)[:2] == ["shape", "dtype"]
    else:
        assert texts(session, text) == found


def test_each_says_what_it_is(session: Session) -> None:
    lines = {item.text: item.detail for item in offered(session, "x.")}
    assert (lines["shape"], lines["dtype"], lines["T"]) == ("torch.Size([64, 784])", "float32", "float32 [784, 64]")
    assert lines["sum"] == "Returns the sum of all elements in the input tensor"
    assert {item.text: item.detail for item in offered(session, "(x @ w).")}["shape"] == "torch.Size([64, 10])"
    assert next((item.text, item.detail) for item in offered(session, "model[0].b")) == ("bias", "float32 [100]")


def test_the_most_used_come_first_then_the_alphabet(session: Session) -> None:
    found = texts(session, "torch.")
    assert found[:3] == ["tensor", "rand", "randn"]
    assert found.index("zeros") < found.index("abs") < found.index("absolute")
    assert sorted(found) == [name for name in dir(namespace.START["torch"]) if name[0] != "_"]
    assert texts(session, "F.")[:3] == ["relu", "softmax", "cross_entropy"]


def test_the_hand_kept_names_are_there() -> None:
    from tensorcli.engine.usage import MOST_USED

    spaces: dict[str, Any] = {name: dir(space) for name, space in namespace.MODULES.items()}
    spaces |= {"Tensor": namespace.row(torch.Tensor), "Module": namespace.row(torch.nn.Module) | {"training"}}
    spaces["Module"] |= {"weight", "bias"}  # of the layers
    for owner, names in MOST_USED.items():
        assert not {*names.split()} - {*spaces[owner]}, owner


# Names, and what a call takes.


def test_names_the_latest_first(session: Session) -> None:
    assert [(item.text, item.detail) for item in offered(session, "mo")] == [("model", "torch.nn.Sequential")]
    assert [(item.text, item.detail) for item in offered(session, "cou")] == [("count", "int 3")]
    assert texts(session, "")[:4] == ["mix", "held", "model", "count"]
    assert texts(session, "1 + rang") == ["range"]
    assert texts(session, "", of="names")[:2] == ["mix", "held"]
    assert "matmul-inner-sizes" in texts(session, "", of="mistakes")
    assert texts(session, "matmul-in", of="mistakes") == ["matmul-inner-sizes"]


def test_of_many_variables_only_those_that_are_offered_are_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[Any] = []
    monkeypatch.setattr(complete.about, "detail", lambda value: looked.append(value) or "")
    names = {f"name{number}": number for number in range(10_000)}
    scope = Scope(names, trust=False)
    found = complete.completions(report.Complete(text="x + Name12", cursor=10), scope)
    assert len(found.items) == len(looked) == 111
    complete.completions(report.Complete(text="", cursor=0), scope)
    assert len(looked) == 111 + complete.MAX_ITEMS


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("import nump", ["numpy", "numpy.fft", "numpy.linalg", "numpy.random"]),
        ("import torch.nn.f", ["torch.nn.functional"]),
        ("from torch.nn.functional import cross_", ["cross_entropy"]),
        ("from torch import nn, matmu", ["matmul"]),
        ("import torch as ", []),
        ("from nowhere import ", []),
    ],
)
def test_imports(session: Session, text: str, found: list[str]) -> None:
    assert texts(session, text) == found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("torch.zeros(3, dt", ["dtype="]),
        ("torch.zeros(3, dtype=torch.float32, de", ["device="]),
        ("x.sum(keep", ["keepdim="]),
        ("mix(1, sc", ["scale="]),
        ("mix(1, scale=2, sc", []),
        ("nn.Linear(3, 4, bi", ["bias=", "bin"]),
        ("F.softmax(x, _st", []),
        ("torch.zeros(3, dtype=", [f"torch.{name}" for name in (
            "float32", "float64", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8", "bool",
            "complex64", "complex128")]),
        ("torch.zeros(3, dtype=torch.flo", ["float32", "float64", "float16", "float"]),
        ("x.to(float6", ["torch.float64"]),
        ("x.sum(1, keepdim=", ["True", "False"]),
        ("torch.zeros(3, device='c", ["cpu"] if not torch.cuda.is_available() else ["cpu", "cuda:0"]),
    ],
)  # fmt: skip
def test_what_a_call_takes(session: Session, text: str, found: list[str]) -> None:
    assert texts(session, text)[: len(found) or None] == found


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        ("x.sum(dim=", ["dim=0 (64)", "dim=1 (784)"]),
        ("x.sum(dim=-", ["dim=-2 (64)", "dim=-1 (784)"]),
        ("x.sum(dim=(0, ", ["dim=0 (64)", "dim=1 (784)"]),
        ("torch.softmax(x, dim=", ["dim=0 (64)", "dim=1 (784)"]),
        ("torch.cat([w, w], dim=", ["dim=0 (784)", "dim=1 (10)"]),
        ("(x @ w).argmax(dim=", ["dim=0 (64)", "dim=1 (10)"]),
        ("x.flatten(start_dim=", ["start_dim=0 (64)", "start_dim=1 (784)"]),
    ],
)
def test_dims_with_their_sizes(session: Session, text: str, labels: list[str]) -> None:
    assert [item.label for item in offered(session, text)] == labels
    numbers = [label.partition("=")[2].split()[0].lstrip("-") for label in labels]
    assert texts(session, text) == numbers


def test_a_nested_tensor_has_dims_too() -> None:
    session = Session(seed=0)
    text = "many = torch.nested.nested_tensor([torch.ones(2, 3), torch.ones(4, 3)])"
    session.ask(report.Evaluate(text=text), lambda _: None)
    labels = [item.label for item in offered(session, "many.sum(dim=")]
    assert labels == ["dim=0 (2)", "dim=1 (?)", "dim=2 (3)"]


def test_what_a_call_cannot_do_without_is_offered_before_its_keywords(session: Session) -> None:
    assert texts(session, "F.relu(").index("x") < texts(session, "F.relu(").index("inplace=")
    assert texts(session, "F.relu(x, ")[:2] == ["True", "False"]


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("a = 1; b, c = 2, 3\nd = e = a", ("a", "b", "c", "d", "e")),
        ("for i, (j, k) in x:\n    ", ("i", "j", "k")),
        ("def f(a, *b, c=d, **e):\n    return a(g, h=i)", ("f", "a", "b", "c", "e")),
        ("(lambda a, b=c: d(a, e", ("a", "b")),
        ("with torch.no_grad() as a, f(b=c): [d for e in f(g, h=i) if (j := k)]", ("a", "e", "j")),
        ("x.a = x[b] = c; d == e; f(g=h,\n  i=j); k += l; m <= n; {o: p}", ()),
        ("a = 1; b = 2; a = 3", ("b", "a")),
        ("while a := b: (c := d), lambda:= e, ():= f", ("a", "c")),
        ("'a = 1' # b = 2", ()),
        ("a", ()),
    ],
)
def test_names_that_a_text_binds(text: str, names: tuple[str, ...]) -> None:
    assert bound(text, len(text)) == names


def test_what_the_text_binds_is_offered_and_only_the_type_of_what_it_was_believed(session: Session) -> None:
    assert [(item.text, item.detail) for item in offered(session, "def f(weird, x):\n    return wei")] == [
        ("weird", "")
    ]
    assert next((item.text, item.detail) for item in offered(session, "x = 3; y = x")) == ("x", "")
    assert texts(session, "for x in f:\n    x.resh") == ["reshape", "reshape_as"]
    assert {item.text: item.detail for item in offered(session, "x = f; x.")}["shape"] != "torch.Size([64, 784])"
    for text in ("x = w[0]; x.sum(dim=", "def f(x): return x.sum(dim=", "x = w; (x @ w).sum(dim="):
        assert not any("(64)" in item.label for item in offered(session, text))
    assert [item.label for item in offered(session, "y = w; x.sum(dim=")] == ["dim=0 (64)", "dim=1 (784)"]


# Signatures.


@pytest.mark.parametrize(
    ("text", "best", "current", "parameters"),
    [
        ("torch.sum(", 0, "input", ("input", "*", "dtype=None")),
        ("torch.sum(x, 0", 1, "dim", ("input", "dim", "keepdim=False", "*", "dtype=None")),
        ("torch.sum(x, dim=(0, ", 1, "dim", ("input", "dim", "keepdim=False", "*", "dtype=None")),
        ("x.reshape(2, ", 0, "*shape", ("*shape",)),
        ("x.view(", 0, "*shape", ("*shape",)),
        ("mix(1, scale=", 0, "scale=1.0", ("a", "b=2", "*", "scale=1.0")),
        ("nn.ReLU(", 0, "inplace=False", ("inplace=False",)),
        ("model(", 0, "input", ("input",)),
        ("(x @ w).argmax(", 0, "dim=None", ("dim=None", "keepdim=False")),
        ("torch.matmul(x, ", 0, "other", ("input", "other", "*", "out=None")),
        ("torch.mm(x, ", 0, "mat2", ("input", "mat2", "*", "out=None")),
        ("max(1, ", 1, "arg2", ("arg1", "arg2", "*args", "*", "key=func")),
        ("np.add(1, ", 0, "x2", None),
        ("f'{torch.matmul(x, ", 0, None, None),
    ],
)
def test_signatures(session: Session, text: str, best: int, current: str, parameters: tuple[str, ...] | None) -> None:
    found = asked(session, report.Signature(text=text, cursor=len(text)))
    if current is None:
        assert found.items == ()
        return
    way = found.items[found.best]
    assert (found.best, way.parameters[way.current]) == (best, current)
    assert parameters is None or way.parameters == parameters


def test_defaults_are_told_where_they_are_short() -> None:
    session = Session(seed=0, trust=True)
    text = """
ran, own = [], []
own.append(own)
class Loud:
    def __repr__(self): ran.append("repr"); return "loud"
def f(a=-1, b="text", c=(1, [2.5, None]), d={"k": torch.float32}, e=torch.rand, g=10**10_000, h=list(range(10**6)),
      i=torch.rand(2), j=[Loud()], k=own, m=Loud()): pass
"""
    session.ask(report.Evaluate(text=text), lambda _: None)
    (way,) = asked(session, report.Signature(text="f(", cursor=2)).items
    told = ["a=-1", "b='text'", "c=(1, [2.5, None])", "d={'k': torch.float32}", "e=rand"]
    assert list(way.parameters) == [*told, *(f"{name}=..." for name in "ghijkm")]
    assert session.names["ran"] == []


@pytest.mark.parametrize("text", ["", "x", "x.sum", "(x, ", "nowhere(", "count(", "x.sum()", "def f(", "#f("])
def test_there_is_no_signature_where_nothing_is_called(session: Session, text: str) -> None:
    assert asked(session, report.Signature(text=text, cursor=len(text))).items == ()


def test_nearly_every_function_has_one(session: Session) -> None:
    from tensorcli.engine.signatures import overloads

    for name in ("torch", "torch.nn", "torch.nn.functional", "torch.linalg", "torch.fft", "torch.special", "numpy"):
        space = vars(namespace.MODULES[name])
        called = [each for each in dir(namespace.MODULES[name]) if callable(space[each])]
        without = [each for each in called if not overloads(space[each]) and not isinstance(space[each], type)]
        assert len(without) <= len(called) * 0.05, (name, without)
    methods = [name for name in namespace.row(torch.Tensor) if callable(getattr(torch.Tensor, name, None))]
    assert [name for name in methods if not overloads(getattr(torch.Tensor, name))] == []


# Documentation.


def documented(session: Session, text: str, **options: Any) -> Any:
    return asked(session, report.Document(text=text, **options))


def test_documentation(session: Session) -> None:
    method = documented(session, "x.reshape")
    assert (method.name, method.type) == ("x.reshape", "method")
    assert method.signatures[0].parameters == ("*shape",)
    assert method.text.startswith("Returns a tensor with the same data and number of elements as self\n")
    assert documented(session, "x.sum").text.startswith("Returns the sum of all elements in the input tensor.")
    own = documented(session, "mix", source=True)
    assert (own.type, own.text, own.value) == ("function", "Mix two things. Then more.", None)
    assert own.definition.startswith("def mix(a, b=2, *, scale=1.0):\n")


def test_a_variable_is_described(session: Session) -> None:
    found = documented(session, "x")
    assert (found.type, found.value.shape, found.value.dtype) == ("torch.Tensor", (64, 784), "float32")
    assert found.value.stats is not None
    assert documented(session, "x", cursor=1).value.stats is None  # which would hold up what is typed next
    assert documented(session, "count").value.text == "3"
    assert documented(session, "(x @ w)").value is None  # which is predicted, not computed


def test_what_stands_at_the_cursor(session: Session) -> None:
    text = "torch.matmul(x.T, w)"
    assert documented(session, text, cursor=8).name == "torch.matmul"
    assert documented(session, text, cursor=14).name == "x"
    assert documented(session, text, cursor=15).name == "x.T"
    assert documented(session, text, cursor=17).name == "torch.matmul"
    assert named("f(x, )", 5) == "f"
    assert named("1 + ", 4) is None


def test_a_long_text_is_read_from_its_last_statements_alone() -> None:
    line = "y = torch.sum(x, dim=0)\n"
    many = line * 1000
    assert near(line * 3) == line * 3
    for end in ("x.resh", "f(\n    a,\n\n# c\n  x.resh", "def f(a):\n    if a:\n        x.resh"):
        assert len(near(many + end)) < NEAR + len(line) + len(end)
        assert near(many + end).startswith(line)
    block = "f(\n" + "    a,\n" * 2000
    assert near(many + block) == block, "the statement that the cursor is in is whole"
    assert call(block, len(block)) is not None
    assert near(" \n" * NEAR) == " \n" * NEAR


def test_what_is_not_there(session: Session) -> None:
    assert documented(session, "torch.matmull").code == "unknown-attribute"
    assert documented(session, "nowhere").code == "unknown-name"
    assert documented(session, "x.__class__").category == "refused"
    assert documented(session, "exit(1)").code == "not-documented"
    assert documented(session, "1 +").code == "not-documented"


def test_prose() -> None:
    text = """
add(input, other) -> Tensor

Adds :attr:`other` to :math:`\\text{input}_i`, as in `NumPy <https://numpy.org>`__. See ``x``.

.. math::
    \\frac{a}{b} \\times c

.. note:: a note
"""
    said = "Adds other to input_i, as in NumPy. See x.\n\n    (a) / (b) x c\n\nNote: a note"
    assert prose.plain(text) == said
    assert prose.first_sentence(text) == "Adds other to input_i, as in NumPy"


# Nothing is run, and nothing is offered that the gate would not let through.

PARTS = st.sampled_from(
    """x w model held count mix torch F nn np . . . . ( ) [ ] { } , = == + @ - : ; ' " 0 1 "key" dim dtype float32 sum
    rand add_ zero_ append pop weight data grad lambda import from for in if not return def * ** \\n # % ? f' _ print
    __class__ manual_seed seed len é""".split()
)
TEXTS = st.lists(PARTS, max_size=14).flatmap(
    lambda parts: st.sampled_from(["", " "]).map(lambda gap: gap.join(parts).replace("\\n", "\n"))
)


def state(session: Session) -> tuple[Any, ...]:
    values = session.names["x"], session.names["w"], *session.names["model"].parameters()
    return (
        [(name, id(value)) for name, value in session.names.items()],
        [(value._version, value.grad, value.requires_grad) for value in values],
        repr([1.5 if isinstance(each, float) else id(each) for each in session.names["held"]["key"]]),
        torch.get_rng_state().tolist(),
        session.inputs,
    )


@settings(max_examples=300, deadline=None)
@given(text=TEXTS, data=st.data())
def test_at_any_place_of_any_text(session: Session, text: str, data: st.DataObject) -> None:
    cursor = data.draw(st.integers(0, len(text)))
    before = state(session)
    found = asked(session, report.Complete(text=text, cursor=cursor))
    ways = asked(session, report.Signature(text=text, cursor=cursor))
    told = asked(session, report.Document(text=text, cursor=cursor))
    assert isinstance(found, report.Completions)
    assert isinstance(ways, report.Signatures)
    assert isinstance(told, report.Documentation) or told.code == "not-documented"
    assert state(session) == before
    place = spot(text, cursor)
    for item in [*found.items[:5], *found.items[-5:]]:
        assert item.start + len(place.word if place else "") == cursor
        if place and place.owner:
            language.parse(f"({place.owner}\n).{item.text}")  # raises what the gate refuses
            seen = peek(place.owner, Scope(session.names, trust=False).at(text, cursor))
            assert seen is not None
            if seen.value is not NOTHING and not seen.predicted:
                namespace.attribute(seen.value, item.text)
        elif place and not place.quoted and place.importing is None and item.text.isidentifier():
            known = {*session.names, *namespace.BUILTINS, *bound(text, cursor)}
            assert item.text in known or keyword.iskeyword(item.text)


def test_nothing_of_ones_own_runs_under_trust() -> None:
    session = Session(seed=0, trust=True)
    text = """
ran = []
class Loud(nn.Module):
    @property
    def shown(self): ran.append("property"); return torch.rand(3)
    def __getattr__(self, name): ran.append(name); return super().__getattr__(name)
    def __dir__(self): ran.append("dir"); return []
    def __getitem__(self, index): ran.append("item"); return self
    def __repr__(self): ran.append("repr"); return "loud"
    def forward(self, x): ran.append("forward"); return x
class Told:
    def __get__(self, owner, kind): ran.append("get"); return 5
    def __set__(self, owner, value): pass
class Quiet:
    told = Told()
    @property
    def __class__(self): return int
    def __getattr__(self, name): ran.append(name); raise AttributeError(name)
class Traced(torch.Tensor):
    @classmethod
    def __torch_function__(cls, *arguments): ran.append("function"); return super().__torch_function__(*arguments)
loud = Loud(); quiet = Quiet(); traced = torch.rand(3).as_subclass(Traced); ran.clear()
"""
    session.ask(report.Evaluate(text=text), lambda _: None)
    assert session.names["ran"] == []
    for written in (
        "quiet.",
        "quiet.to",
        "quiet.nothing",
        "tra",
        "traced.sum(dim=",
        "loud.",
        "loud.shown.",
        "loud[0].",
        "loud(1).",
        "loud(",
        "loud.sh",
        "lou",
        "mix(loud.nothing.",
    ):
        asked(session, report.Complete(text=written, cursor=len(written)))
        asked(session, report.Signature(text=written, cursor=len(written)))
        session.ask(report.Outlook(text=written, cursor=0), lambda _: None)
    assert session.names["ran"] == []
    assert next((item.text, item.detail) for item in offered(session, "traced")) == ("traced", "float32 [3]")
    assert "shown" in texts(session, "loud.sh")


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="there is no such timer")
def test_a_prediction_that_takes_long_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(foresight, "SECONDS", 0.05)
    session = Session(seed=0)
    asked(session, report.Evaluate(text="def slow():\n    while True: pass"))
    assert texts(session, "slow().") == []


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="there is no such timer")
@pytest.mark.parametrize(
    "text",
    [
        "np.ones(3)",
        "ones.sum()",
        "sorted(many)",
        "sum(range(10**9))",
        "'a' * 10**9",
        "[[k for k in range(9999)] for n in range(9999)]",
    ],
)
def test_what_would_compute_or_last_is_not_predicted(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(foresight, "SECONDS", 0.05)
    session = Session(seed=0)
    session.ask(report.Evaluate(text="many = [0] * 10**6; ones = np.ones(3)"), lambda _: None)
    with pytest.raises((apart.NoCopy, TimeoutError)):
        foresight.value_of(ast.parse(text, mode="eval").body, session.names)


def test_values_that_are_held_need_no_run(session: Session) -> None:
    def held(text: str) -> Any:
        return pure.held(ast.parse(text, mode="eval").body, session.names, trust=False)

    assert held("held['key'][1]") == 1.5
    assert held("x.T[0, 1:3].shape") == (2,)
    for text in ("torch.rand(3)", "x + 1", "mix(1)", "[i for i in x]", "x[x > 0]"):
        with pytest.raises(pure.Unknown):
            held(text)


def ways(session: Session, text: str) -> list[str]:
    found = asked(session, report.Signature(text=text, cursor=len(text)))
    return [", ".join(way.parameters) for way in found.items]


def test_what_tells_nothing_of_a_call_comes_last_and_what_is_nobodys_business_not_at_all(session: Session) -> None:
    assert ways(session, "x.to(")[-1] == "*args, **kwargs"
    assert len(ways(session, "x.to(")) == 4
    assert ways(session, "F.softmax(") == ["input, dim=None, dtype=None"]
