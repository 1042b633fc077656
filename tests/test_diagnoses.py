"""The table of diagnoses: every example provokes its own code, and every suggestion that is shown runs."""

import pytest
from rich.cells import cell_len

from tensorcli import diagnoses, render, report
from tensorcli.diagnoses import messages
from tensorcli.engine import pages, pretend
from tensorcli.engine.session import Session

ENTRIES = [entry for entry in diagnoses.entries() if entry.example]
NAMES = [f"{entry.code}-{entry.recognise.__name__}" for entry in ENTRIES]


def ask(session: Session, text: str) -> list[report.AnyReport]:
    """What a session says to a text."""
    said: list[report.AnyReport] = []
    session.ask(report.Evaluate(text=text, echo="all"), said.append)
    return said


@pytest.fixture
def pretended(request):
    """The pretended device, for an entry that needs it."""
    if request.getfixturevalue("entry").pretend:
        pretend.start()
        yield
        pretend.stop()
    else:
        yield


@pytest.mark.parametrize("entry", ENTRIES, ids=NAMES)
def test_an_example_provokes_its_own_code_and_its_suggestions_run(entry, pretended):
    said = ask(Session(seed=0), entry.example)
    problem = said[-1]
    assert isinstance(problem, report.Diagnosis), said
    assert not any(isinstance(answer, report.Diagnosis) for answer in said[:-1])
    assert (problem.code, problem.category) == (entry.code, entry.category)
    assert len(problem.suggestions) <= 3
    *setup, _ = entry.example.split("\n")
    for suggestion in problem.suggestions:
        session = Session(seed=0)
        for statement in setup:
            ask(session, statement)
        answers = ask(session, suggestion.source)
        assert not any(isinstance(answer, report.Diagnosis) for answer in answers), suggestion.source
        if suggestion.result.shape is not None:
            results = [answer for answer in answers if isinstance(answer, report.Tensor)]
            assert (results[-1].shape, results[-1].dtype) == (suggestion.result.shape, suggestion.result.dtype)


@pytest.mark.parametrize("entry", ENTRIES, ids=NAMES)
def test_an_entry_has_a_rule_and_a_docstring(entry):
    assert entry.rule.endswith(".") or entry.code in ("interrupted",), entry.code
    assert entry.recognise.__doc__


def test_every_pattern_of_messages_is_asked_for():
    asked = set()
    from pathlib import Path

    for file in Path(diagnoses.__file__).parent.glob("*.py"):
        text = file.read_text()
        asked |= {name for name in messages.PATTERNS if f'"{name}"' in text.replace(f'"{name}":', "")}
    assert asked == set(messages.PATTERNS)


def test_a_page_shows_the_rule_and_the_example_made_anew():
    said: list[report.AnyReport] = []
    Session(seed=3).ask(report.Explain(code="matmul-inner-sizes"), said.append)
    [page] = said
    assert isinstance(page, report.Explanation)
    assert page.example == "torch.rand(3, 2) @ torch.rand(3, 2)"
    assert page.diagnosis is not None
    assert [suggestion.source for suggestion in page.diagnosis.suggestions][:2] == [
        "torch.rand(3, 2) @ torch.rand(3, 2).T",
        "torch.rand(3, 2).T @ torch.rand(3, 2)",
    ]


def test_a_page_leaves_the_session_that_asks_as_it_is():
    session = Session(seed=7)
    first = ask(session, "torch.rand(2)")
    session.ask(report.Configure(seed=7), lambda _: None)
    session.ask(report.Explain(code="mixed-devices"), lambda _: None)
    assert not pretend.active()
    again = ask(session, "torch.rand(2)")
    assert first[0].values == again[0].values
    assert str(session.settings().device) == "cpu"


def test_without_a_code_all_are_listed_and_an_unknown_one_is_a_diagnosis():
    said: list[report.AnyReport] = []
    Session(seed=0).ask(report.Explain(), said.append)
    assert isinstance(said[0], report.Notice)
    assert {line.split("  ")[0] for line in said[0].text.split("\n")} >= {entry.code for entry in ENTRIES if entry.rule}
    pages.explain("matmul-iner-sizes", said.append)
    assert said[-1].title == ("there is no kind of mistake called matmul-iner-sizes: did you mean matmul-inner-sizes?")
    pages.explain("zero-division-error", said.append)
    assert said[-1].title == (
        "zero-division-error is an error of Python's own, ZeroDivisionError: its page is that of Python's documentation"
    )


def test_a_word_finds_the_kinds_of_mistakes_that_have_it():
    said: list[report.AnyReport] = []
    pages.explain("matmul", said.append)
    assert {line.split("  ")[0] for line in said[0].text.split("\n")} == {
        "matmul-batch-sizes",
        "matmul-inner-sizes",
        "matmul-ranks",
    }
    pages.explain("inner-siz", said.append)
    assert said[1].code == "matmul-inner-sizes"


@pytest.mark.parametrize("entry", ENTRIES, ids=NAMES)
@pytest.mark.parametrize("width", [40, 100])
def test_no_line_is_longer_than_the_screen_and_nothing_of_a_suggestion_is_lost(entry, width, pretended):
    problem = ask(Session(seed=0), entry.example)[-1]
    lines = render.render(problem, width=width).plain.split("\n")
    assert max(map(cell_len, lines)) <= width
    shown = "".join("".join(lines).split())
    before = problem.source.split("\n") + (problem.within or "").split("\n")
    for suggestion in problem.suggestions:
        fresh = [line for line in suggestion.source.split("\n") if line not in before][:4]
        assert all("".join(line.split()) in shown for line in fresh), suggestion.source


def test_an_argument_is_mended_where_the_function_cannot_be():
    session = Session(seed=0, trust=True)
    ask(
        session,
        "class Net(nn.Module):\n"
        "    def __init__(self):\n        super().__init__()\n        self.fc = nn.Linear(784, 10)\n"
        "    def forward(self, x):\n        return self.fc(x)\n"
        "net = Net(); images = torch.rand(5, 28, 28)",
    )
    problem = ask(session, "out = net(images)")[-1]
    assert problem.code == "linear-features"
    assert [suggestion.source for suggestion in problem.suggestions] == ["out = net(images.flatten(1))"]


def test_two_mistakes_at_once_are_mended_together():
    session = Session(seed=0)
    ask(session, "layer = nn.Linear(784, 10); pixels = torch.ones(5, 28, 28, dtype=torch.uint8)")
    problem = ask(session, "layer(pixels)")[-1]
    assert "layer(pixels.float().flatten(1))" in [suggestion.source for suggestion in problem.suggestions]


# What is typed, a part of what is said, and all that is offered.
SAID = [
    # names
    ("nan", "did you mean torch.nan?", ["torch.nan", "math.nan", "np.nan"]),
    ("null", "did you mean None?", ["None"]),
    ("true", "did you mean True?", ["True"]),
    ("Print(x)", "did you mean print?", ["print(x)"]),
    ("rand(3)", "did you mean torch.rand?", ["torch.rand(3)", "np.random.rand(3)"]),
    ("randn", "did you mean torch.randn?", ["torch.randn", "np.random.randn"]),
    ("w + 1", "did you mean W?", ["W + 1"]),
    ("f", "did you mean F?", ["F"]),
    ("e", "there is no variable e", []),
    ("done", "there is no variable done", []),
    ("x[0, 0].int().item().lenght", "an int has no lenght", []),
    # calls
    ("x.sum(dmi=1)", "did you mean dim?", ["x.sum(dim=1)"]),
    ("torch.ones(2, foo=1)", "ones has no argument foo", ["torch.ones(2)"]),
    ("W.expand(2, 3, 3).sum(1, 2)", "several dimensions in brackets, (1, 2)", ["W.expand(2, 3, 3).sum((1, 2))"]),
    ("x.sum(1, 2, 3)", "x of shape [2, 3] has 2", ["x.sum(1)", "x.sum()"]),
    ("torch.rand(2)(3)", "not a function", ["torch.rand(2, 3)"]),
    ("torch.linspace(0, 1)", "steps is missing: linspace(start, end, steps)", ["torch.linspace(0, 1, steps=100)"]),
    ("nn.Linear(4)", "out_features is missing: Linear(", []),
    ("nn.Conv2d(3)", "out_channels and kernel_size are missing", []),
    ("x.view()", "size is missing: view(size)", ["x.view(-1)"]),
    (
        "torch.ones(2.0, 3)",
        "size takes whole numbers, and 2.0 is not one",
        ["torch.ones(2, 3)", "torch.ones(int(2.0), 3)"],
    ),
    ("sum(x, dim=1)", "Python's sum has no argument dim", ["x.sum(dim=1)", "torch.sum(x, dim=1)"]),
    ("any(x > 0, dim=1)", "Python's any has no argument dim", ["(x > 0).any(dim=1)", "torch.any(x > 0, dim=1)"]),
    (
        "nn.Sequential(nn.Linear, F.relu)",
        "nn.Linear is a class that needs in_features and out_features; F.relu is a function, and nn.ReLU() its layer",
        [],
    ),
    (
        "nn.Sequential(nn.Linear(2, 3), F.leaky_relu)",
        "F.leaky_relu is a function, and nn.LeakyReLU() its layer",
        ["nn.Sequential(nn.Linear(2, 3), nn.LeakyReLU())"],
    ),
    # values and indices
    ("lst[3]", "lst has 3 items, 0 to 2: there is no item 3", ["lst[-1]", "lst[2]"]),
    ("[][0]", "[] is empty", []),
    (
        "torch.optim.SGD(m.parameters(), lr=-0.1)",
        "a learning rate cannot be -0.1",
        ["torch.optim.SGD(m.parameters(), lr=0.1)"],
    ),
    (
        "nn.Dropout(p=2)",
        "a probability cannot be 2: it lies between 0 and 1",
        ["nn.Dropout(p=0.2)", "nn.Dropout(p=0.5)"],
    ),
    ("F.dropout(x, 50)", "a probability cannot be 50", ["F.dropout(x, 0.5)"]),
    ("torch.ones(-1, 3)", "a size cannot be -1 here", ["torch.ones(1, 3)"]),
    ("v[0:3:-1]", "positive steps", ["v[0:3].flip(0)"]),
    ("v[3:0:-1]", "positive steps", ["v[1:4].flip(0)"]),
    ("x[0, 2:0:-1]", "positive steps", ["x[0, 1:].flip(0)"]),
    ("for r in W.sum(): pass", "a single number: it has no elements to loop over", []),
    ("for r in 3: pass", "3 is a single number: a loop goes over range(3)", ["for r in range(3): pass"]),
    ("len(5)", "5 is an int: it has no length", []),
    ("a, b = W", "W gives 3 values", ["a, b, _ = W", "a, b = W[:2]"]),
    ("rows, cols = W", "W gives 3 values", ["rows, cols = W.shape", "rows, cols, _ = W", "rows, cols = W[:2]"]),
    ("torch.cat((W, 1))", "1 is no tensor, and stands among the tensors", ["torch.cat((W,), 1)"]),
    ("torch.kthvalue(v, 0)", "k goes from 1 to 5, and 0 was given", ["torch.kthvalue(v, 1)"]),
    ("nn.Embedding(5, 3)(5)", "5 is no tensor", ["nn.Embedding(5, 3)(torch.tensor(4))"]),
    # texts that cannot be read
    ("W && W", "& between tensors, not &&", ["torch.logical_and(W, W)"]),
    ("W || W", "| between tensors, not ||", ["torch.logical_or(W, W)"]),
    ("(x > 0) && x < 3", "not &&", ["(x > 0) & (x < 3)", "torch.logical_and((x > 0), x < 3)"]),
    ("if t == 3 && x.ndim == 2: y = 1", "not &&", ["if t == 3 and x.ndim == 2: y = 1"]),
    ("x +=", "this line is not finished: something is missing after +=", []),
    ("x * (W -", "this line is not finished: something is missing after -", []),
    ("t --", "write += 1 or -= 1", ["t -= 1"]),
    ("print x.shape", "takes brackets", ["print(x.shape)"]),
    ("torch.rand(2,,4)", ", cannot stand here", ["torch.rand(2,4)"]),
    ("x[,1]", ", cannot stand here", ["x[:, 1]", "x[1]"]),
    ("if t = 3: y = 1", "a comparison is written ==", ["if t == 3: y = 1"]),
    ("torch.no_grad: x + 1", "begins with `with`", ["with torch.no_grad(): x + 1"]),
    ("torch.no_grad(): x + 1", "begins with `with`", ["with torch.no_grad(): x + 1"]),
    ("torch.no_grad:\n    x + 1", "begins with `with`", ["with torch.no_grad():\n    x + 1"]),
    ("y = x*2 y.sum()", "is missing before y", ["y = x*2; y.sum()"]),
    ("y = 3 t = 4", "is missing before t", ["y = 3; t = 4"]),
    ("x.mean + W.mean", "x.mean and W.mean were not called", ["x.mean() + W.mean()"]),
]


def test_suggestions_that_differ_in_indentation_are_shown_whole():
    problem = ask(Session(seed=0), "for k in range(3):\n    z = k\n  print(z)")[-1]
    shown = [suggestion.edit for suggestion in problem.suggestions]
    assert shown == ["for k in range(3):\n    z = k\n    print(z)", "for k in range(3):\n    z = k\nprint(z)"]


@pytest.mark.parametrize(("text", "sentence", "offered"), SAID, ids=[text for text, _, _ in SAID])
def test_what_is_wrong_is_said_and_nothing_typed_is_dropped(text, sentence, offered):
    session = Session(seed=0)
    ask(session, "x = torch.arange(6.).reshape(2, 3); W = torch.rand(3, 3); v = torch.rand(5); lst = [1, 2, 3]; t = 3")
    ask(session, "m = nn.Linear(3, 2)")
    problem = ask(session, text)[-1]
    assert isinstance(problem, report.Diagnosis)
    assert sentence in problem.title
    assert [suggestion.source for suggestion in problem.suggestions] == offered


def _shown(setup: str, text: str) -> list[tuple[str, str]]:
    """The suggestions for a mistake: what is shown of each, and its reason."""
    session, said = Session(seed=0), []
    session.ask(report.Evaluate(text=setup), said.append)
    session.ask(report.Evaluate(text=text), said.append)
    [diagnosis] = [answer for answer in said if isinstance(answer, report.Diagnosis)]
    return [(suggestion.edit, suggestion.title) for suggestion in diagnosis.suggestions]


def test_what_runs_and_means_something_else_is_not_offered():
    assert _shown("x = torch.rand(3, 4)", "[x[i] for i in range(5)]") == [
        ("[x[i] for i in range(3)]", "the range ends at 3"),
        ("[x[i] for i in range(len(x))]", "as many as there are"),
    ]
    assert _shown("w = torch.ones(3, requires_grad=True); w.sum().backward()", "w.sub_(0.1 * w.grad)") == [
        ("with torch.no_grad():\n    w.sub_(0.1 * w.grad)", "without gradients"),
        ("w.data.sub_(0.1 * w.grad)", "on its data"),
    ]
    assert _shown("", "torch.full((2, 3))") == [("torch.full((2, 3), 0)", "")]


def test_the_change_that_mends_is_what_is_shown():
    setup = "x = torch.rand(3, requires_grad=True); h = x * 5; h = h.exp(); h += 1"
    assert [edit for edit, _ in _shown(setup, "h.sum().backward()")] == ["h = h + 1"]


def test_each_thing_mended_is_named():
    setup = "image = torch.randint(0, 255, (32, 32, 3), dtype=torch.uint8); conv = nn.Conv2d(3, 8, 3)"
    [(edit, reason)] = _shown(setup, "conv(image)")
    assert edit == "conv(image.float().permute(2, 0, 1))"
    assert reason == "floating-point numbers, channels first"


@pytest.mark.parametrize(
    ("setup", "text", "title"),
    [
        ("A = torch.rand(5, 2)", "A[:len(A)/2]", "an index is a whole number or a mask, and len(A)/2 is float"),
        ("a = torch.rand(4, 3)", 'a.mean(dim="batch")', 'mean(dim, keepdim=False) was given dim="batch"'),
        ("x = torch.rand(3)", "x.len()", "a Tensor has no len: did you mean len(x)?"),
        ("x = torch.rand(3)", "x.copy()", "a Tensor has no copy: did you mean clone?"),
        ("None", "loss.backward()", "there is no variable loss"),
        ("None", "attn", "there is no variable attn"),
        ("None", "model(torch.rand(3))", "there is no variable model"),
        ("None", "flor = torch.rand(3) * 2 + floor", "there is no variable floor"),
        ("a = 1", "a + 1 = 3", "= assigns to a name, and this is an expression; a comparison is written =="),
        ("x = torch.rand(2, 2)", "x.expand(5)", "expand was given 1 size for the 2 dimensions of [2, 2]"),
    ],
)
def test_the_sentence_is_whole_and_says_what_is_offered(setup, text, title):
    session = Session(seed=0)
    ask(session, setup)
    [diagnosis] = ask(session, text)
    assert diagnosis.title == title
    assert "copy_" not in str(diagnosis.suggestions)


@pytest.mark.parametrize(
    ("setup", "text", "edits"),
    [
        (
            "def f(x, n): return x.reshape(n, -1)",
            "f(torch.rand(10), 3)",
            ["f(torch.rand(10), 2)", "f(torch.rand(10), 5)"],
        ),
        ("def f(x, n=3): return x.reshape(n, -1)", "f(torch.rand(10))", []),
        ("x = torch.rand(10, 3); m = x.mean(dim=1)", "x - m", ["x - m.unsqueeze(1)", "x.T - m"]),
        ("x = torch.rand(4, 6)", "x.T.view(-1)", ["x.T.reshape(-1)", "x.T.contiguous().view(-1)"]),
    ],
)
def test_nothing_is_offered_only_to_fill_the_list(setup, text, edits):
    session = Session(seed=0)
    ask(session, setup)
    [diagnosis] = ask(session, text)
    assert [suggestion.edit for suggestion in diagnosis.suggestions] == edits


# What was raised in code that was typed.

DEEP = """
def f1(v):
    w = v + 1; t = torch.ones(3)
    raise RuntimeError("size " + str(v))
def f2(v): return f1(v + 1)
def f3(v):
    u = v * 2
    return f2(u)
"""


def raised(text: str, setup: str = "") -> report.Diagnosis:
    session = Session(seed=0)
    assert not any(isinstance(answer, report.Diagnosis) for answer in ask(session, setup))
    found = ask(session, text)[-1]
    assert isinstance(found, report.Diagnosis)
    return found


def test_an_exception_of_ones_own_says_its_type_what_led_to_it_and_what_the_names_held():
    found = raised("y = f3(4)", DEEP)
    assert (found.code, found.category, found.title) == ("runtime-error", "other", "RuntimeError: size 9")
    assert (found.exception, found.function) == ("RuntimeError", "f1")
    assert [(call.function, call.line, call.text) for call in found.calls] == [
        (None, None, "f3(4)"),
        ("f3", 3, "f2(u)"),
        ("f2", None, "f1(v + 1)"),
    ]
    assert [(each.text, each.shape, each.note) for each in found.variables] == [
        ("v", None, "int 9"),
        ("w", None, "int 10"),
        ("t", (3,), None),
    ]
    assert (
        render.render(found, width=80).plain
        == """\
error: RuntimeError: size 9                                        runtime-error

  f3(4)
  in f3, line 3: f2(u)
  in f2: f1(v + 1)
  in f1, line 3
    def f1(v):
        w = v + 1; t = torch.ones(3)
        raise RuntimeError("size " + str(v))
        ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
    v                   int 9
    w                   int 10
    t  float32 [3] cpu"""
    )


@pytest.mark.parametrize(
    ("text", "code", "title"),
    [
        ("raise ValueError('mat1 and mat2 shapes cannot be multiplied')", "value-error", "ValueError: mat1 and mat2 "
         "shapes cannot be multiplied"),
        ("raise KeyError('k')", "key-error", "KeyError: 'k'"),
        ("raise RuntimeError", "runtime-error", "RuntimeError was raised without a message"),
        ("1 / 0", "zero-division-error", "ZeroDivisionError: division by zero"),
        ("{'a': 1} + 1", "type-error", "unsupported operand type(s) for +: 'dict' and 'int'"),
        ("def r(n): return r(n + 1)\nr(0)", "recursion-error", "RecursionError: maximum recursion depth exceeded"),
    ],
)  # fmt: skip
def test_the_kind_of_a_mistake_of_pythons_is_its_type(text, code, title):
    found = raised(text)
    assert (found.code, found.title) == (code, title)
    assert not found.suggestions


def test_what_an_exception_came_of_is_said():
    text = "try: [][1]\nexcept IndexError as error: raise ValueError('no')"
    assert raised(text).notes == ("before it came IndexError: list index out of range",)


def test_calls_of_one_place_are_one_line_and_of_many_the_ends_are_shown():
    found = raised("def fact(n): return n * fact(n - 1) if n else torch.ones(2) @ torch.ones(3)\nfact(12)")
    assert [(call.text, call.times) for call in found.calls] == [("fact(12)", 1), ("fact(n - 1)", 12)]
    found = raised("def k(n): return l(n - 1) if n else [][1]\ndef l(n): return k(n)\nk(20)")
    assert [(call.text, call.times) for call in found.calls][3:6] == [("l(n - 1)", 1), ("", 33), ("l(n - 1)", 1)]
    assert len(found.calls) == 9


def test_what_is_raised_again_is_no_call():
    session = Session(seed=0, trust=True)
    text = "def f():\n    try:\n        raise ValueError\n    except ValueError as e:\n        raise e\nf()"
    assert [call.text for call in ask(session, text)[-1].calls] == ["f()"]


def test_a_comprehension_is_no_call():
    found = raised("def f(x): raise ValueError\ndef g(x): return [f(y) for y in x], sum(f(y) for y in x)\ng([1])")
    assert [call.text for call in found.calls] == ["g([1])", "f(y)"]


def test_a_return_outside_a_function_is_told_without_the_name_of_its_input():
    [diagnosis] = ask(Session(seed=0), "return 3")
    assert "<input" not in str(diagnosis.torch)


TITLES = {
    "(x > 0.5).float().sum().backward()": "x > 0.5 is bool, and only floating-point numbers have gradients",
    "x.argmax().backward()": "x.argmax() is int64, and only floating-point numbers have gradients",
    "with torch.no_grad():\n    y = (x * 2).sum()\n    y.backward()": "y has no gradient: it is computed without "
    "gradients here",
    "cut.backward()": "cut has no gradient: .detach() cut it off from what requires_grad",
    "plain.sum().backward()": "nothing it was computed from has requires_grad=True",
    "mha(q, q, q)": "MultiheadAttention takes 8 features, and the last size of its input [2, 5, 6] is 6",
    "gru(q, torch.zeros(5, 4))": "for an input [2, 5, 6] the hidden state is (layers, batch, hidden), and "
    "torch.zeros(5, 4) is [5, 4]",
    "outs.shape": "outs is a list of 2 tensors and no tensor: torch.stack(outs) makes one",
}


@pytest.mark.parametrize("text", TITLES)
def test_a_title_is_true_of_what_was_given(text):
    session, said = Session(seed=0), []
    setup = """x = torch.rand(3, requires_grad=True); cut = (x * 2).sum().detach(); plain = torch.rand(3) * 2
q = torch.rand(2, 5, 6); mha = nn.MultiheadAttention(8, 2, batch_first=True); gru = nn.GRU(6, 4); outs = [q, q]"""
    session.ask(report.Evaluate(text=setup), lambda _: None)
    session.ask(report.Evaluate(text=text), said.append)
    (diagnosis,) = [answer for answer in said if isinstance(answer, report.Diagnosis)]
    assert diagnosis.title.endswith(TITLES[text])


@pytest.mark.parametrize("text", ["m.weight[0] = 0", "row[:] = torch.rand(3)", "m.weight[0] += 1"])
def test_nothing_is_assigned_to_a_copy_that_is_lost(text):
    session, said = Session(seed=0), []
    session.ask(report.Evaluate(text="m = nn.Linear(3, 2); row = torch.ones(1).expand(3)"), lambda _: None)
    session.ask(report.Evaluate(text=text), said.append)
    (diagnosis,) = [answer for answer in said if isinstance(answer, report.Diagnosis)]
    assert diagnosis.suggestions
    assert not any("clone()[" in suggestion.source for suggestion in diagnosis.suggestions)
