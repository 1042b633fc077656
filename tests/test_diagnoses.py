"""The table of diagnoses: every example provokes its own code, and every suggestion that is shown runs."""

import pytest

from tensorcli import diagnoses, report
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
    assert pages.explain("matmul-inner-size", said.append) is None
    assert said[-1].title == ("there is no kind of mistake called matmul-inner-size: did you mean matmul-inner-sizes?")


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
