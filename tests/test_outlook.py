"""Outlooks: what is foretold is what the statement then gives, and nothing of the session has changed by it."""

import io
import sys
import threading
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch
from msgspec import structs
from prompt_toolkit.application import create_app_session
from prompt_toolkit.input import create_pipe_input
from prompt_toolkit.output import DummyOutput
from rich.cells import cell_len
from samples import NASTY, SAMPLES
from terminal import Terminal
from test_oracle import EXPRESSIONS, SETUP
from torch.overrides import _get_current_function_mode_stack
from torch.utils._python_dispatch import _get_current_dispatch_mode_stack

from tensorcli import report
from tensorcli.client import Canned
from tensorcli.config import Config, Preferences
from tensorcli.engine import apart, interrupts, outlook, predict, randomness
from tensorcli.engine.session import Session
from tensorcli.render.outlook import render_outlook
from tensorcli.repl import outlook as prompted
from tensorcli.repl.loop import run
from tensorcli.report import AnyReport, AnyRequest, Evaluate, Settings
from tensorcli.show import Screen

sys.path.insert(0, str(Path(__file__).parents[1] / "scripts"))

import dryrun

NAMES = """
x = torch.rand(64, 784); w = torch.rand(784, 10); b = torch.rand(10); i = torch.tensor([1, 2, 3])
model = nn.Sequential(nn.Linear(784, 4), nn.BatchNorm1d(4), nn.Dropout(), nn.Linear(4, 10))
leaf = torch.ones(3, requires_grad=True); loss = (leaf * 2).sum(); shared = x[0]
optimizer = torch.optim.SGD(model.parameters(), lr=0.1); generator = torch.Generator().manual_seed(3)
numbers = [1, 2]; table = {"a": [x, numbers]}; later = iter([1, 2]); array = np.ones(3)
huge = torch.empty(40000, 40000); text = "abc"; dropped = (n * n for n in range(3))
def f(n):
    total = x.sum()
    for k in range(n): total = total + k
    return total
def grow(): numbers.append(3)
def kept(*, a=w): return x @ a
"""


@pytest.fixture(autouse=True)
def enough_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outlook, "SECONDS", 10.0)


@pytest.fixture(scope="module")
def session() -> Session:
    predict.warm_up()
    return begun(NAMES)


def begun(setup: str, **options: Any) -> Session:
    made = Session(seed=0, **options)
    for statement in [setup] if "\n" not in setup else setup.strip().split("\n", 6):
        assert not problems(made, statement)
    return made


def ask(session: Session, request: AnyRequest) -> list[AnyReport]:
    found: list[AnyReport] = []
    session.ask(request, found.append)
    return found


def problems(session: Session, text: str) -> list[str]:
    return [each.title for each in ask(session, Evaluate(text=text)) if isinstance(each, report.Diagnosis)]


def foretold(session: Session, text: str, cursor: int | None = None) -> list[AnyReport]:
    return ask(session, report.Outlook(text=text, cursor=len(text) if cursor is None else cursor))


def line(session: Session, text: str, cursor: int | None = None, width: int = 80) -> str:
    return render_outlook(foretold(session, text, cursor), width=width).plain


# Truth.


def test_what_is_foretold_of_expressions_is_what_they_give():
    predict.warm_up()
    session = begun(SETUP)
    told = 0
    for text in EXPRESSIONS[::4]:
        before = foretold(session, text)
        after = [each for each in ask(session, Evaluate(text=text)) if not isinstance(each, report.Notice)]
        if before:
            told += 1
            assert [said(each) for each in before] == [said(each) for each in after], text
    assert told > 0.8 * len(EXPRESSIONS[::4])


@pytest.mark.parametrize(
    "text", ["m @ m", "y = net(m)", "m.T[:3].sum(0)", "torch.empty_like(m) + 1", "m + torch.ones(1)", "m @ m[:2]"]
)
def test_what_is_foretold_of_meta_tensors_is_what_they_give(text: str):
    session = begun("m = torch.ones(10_000, 10_000, device='meta'); net = nn.Linear(10_000, 2, device='meta')")
    (before,) = foretold(session, text)
    (after,) = ask(session, Evaluate(text=text))
    assert said(before) == said(after)
    if isinstance(after, report.Tensor):
        assert after.device == "meta"


def said(answer: AnyReport) -> object:
    if isinstance(answer, report.Diagnosis):
        return answer.code, answer.title
    assert isinstance(answer, report.Tensor | report.Value)
    return answer.name, dryrun.facts(answer)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("x @ w", "float32 [64, 10] cpu  2.5 KiB"),
        ("y = x @ w", "y = float32 [64, 10] cpu  2.5 KiB"),
        ("a = x @ w; c = a.T @ a", "a = float32 [64, 10] cpu  2.5 KiB; c = float32 [10, 10] cpu  400 B"),
        ("v, k = x.max(dim=1)", "v = float32 [64] cpu  256 B; k = int64 [64] cpu  512 B"),
        ("for k in range(3):\n    x = x + k\ny = x[:2]", "y = float32 [2, 784] cpu  6.1 KiB"),
        ("model(x)", "float32 [64, 10] cpu  2.5 KiB  requires grad"),
        ("nn.BatchNorm1d(784)(x)", "float32 [64, 784] cpu  196 KiB  requires grad"),
        ("model(x[:1])", "BatchNorm1d in training needs more than one value per channel, and its input is…"),
        ("nn.Sequential(nn.Linear(784, 4), nn.Dropout())(x)", "float32 [64, 4] cpu  1 KiB  requires grad"),
        ("F.dropout(x)", "float32 [64, 784] cpu  196 KiB"),
        ("f(3)", "float32 [] cpu  4 B"),
        ("kept()", "float32 [64, 10] cpu  2.5 KiB"),
        ("n = x.shape[0] * 2", "n = int 128"),
        ("x.shape", "torch.Size([64, 784])"),
        ("nn.Linear(3, 4)", "Linear(in_features=3, out_features=4, bias=True)"),
        ("x @ b", "the inner sizes differ: (64, 784) @ (10,) needs 784 = 10"),
        ("y = x @ b; z = no", "the inner sizes differ: (64, 784) @ (10,) needs 784 = 10"),
        ("x.view(3, 7)", "[3, 7] has 21 elements, and the tensor has 50,176"),
        ("(huge @ huge) @ b", "the inner sizes differ: (40000, 40000) @ (10,) needs 40000 = 10"),
        ("x.resh + 1", "a Tensor has no resh: did you mean reshape()?"),
        ("nothing + 1", "there is no variable nothing"),
        ("open('x')", "open is not tensor work"),
    ],
)
def test_what_a_line_says(session: Session, text: str, expected: str):
    assert line(session, text) == expected


def test_what_needs_more_memory_than_there_is_is_said(session: Session):
    assert line(session, "torch.rand(10**6, 10**6)").startswith("this needs 3.6 TiB of cpu memory, and ")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "# x",
        "x @",
        "torch.rand(",
        "x[",
        "y = ",
        "for k in x:",
        "x x",
        "5",
        "'abc'",
        "torch",
        "x.sum",
        "torch.rand",
        "print(x)",
        "x[x > 0]",
        "x.sum().item()",
        "1 if x.any() else 2",
        "np.ones(3)",
        "array + 1",
        "import os",
        "next(dropped)",
        "from time import sleep; sleep(1)",
        "id(x)",
        "torch.cuda.synchronize()",
        "torch.cuda.get_device_properties(0)",
        "text * 10**9",
        "numbers * 10**9",
        "[0] * 10**7",
        "sum(range(10**9))",
        "list(huge)",
        "huge.split(1)",
    ],
)
def test_what_is_not_finished_or_cannot_be_known_says_nothing(session: Session, text: str):
    assert foretold(session, text) == []


@pytest.mark.parametrize(
    ("text", "word"), [("noth", "noth"), ("x + noth", "noth"), ("x.resh", "resh"), ("torch.ran", "ran"), ("a + x", "a")]
)
def test_a_name_that_is_not_known_is_no_mistake_until_the_cursor_leaves_it(session: Session, text: str, word: str):
    end = text.index(word) + len(word)
    assert foretold(session, text, end) == foretold(session, text, end - 1) == []
    assert len(foretold(session, text + " ")) == 1


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("x.foo", "a Tensor has no foo"),
        ("torch.nn.Linr", "torch.nn has no Linr: did you mean Linear?"),
        ("y = model[0].weigt", "a Linear has no weigt: did you mean weight?"),
        ("x.shape.numl", "a Size has no numl: did you mean numel()?"),
        ("x.untyped_stor", ""),  # what is there, and refused
    ],
)
def test_what_nothing_begins_with_is_a_mistake_at_once(session: Session, text: str, expected: str):
    assert line(session, text) == expected


def test_a_name_elsewhere_is_told_of_while_the_cursor_is_at_another(session: Session):
    assert line(session, "nothing + x") == "there is no variable nothing"


def test_sessions_that_are_trusted_say_only_what_is_sure_to_change_nothing():
    session = begun("import os; x = torch.rand(3, 4)", trust=True)
    assert not problems(session, "def g(): os.environ['TENSORCLI'] = '1'; return x")
    assert line(session, "y = x @ x.T") == "y = float32 [3, 3] cpu  36 B"
    assert line(session, "x @ x") == "the inner sizes differ: (3, 4) @ (3, 4) needs 4 = 3"
    for text in ("g()", "os.getcwd()", "x.add_(1)", "open('x', 'w')", "import sys", "nn.Linear(3, 4)"):
        assert foretold(session, text) == []
    assert not problems(session, "assert 'TENSORCLI' not in os.environ")


# Nothing changes.


def state(session: Session) -> list[object]:
    """All of a session that a statement may change."""
    names = session.names
    tensors = {name: value for name, value in names.items() if isinstance(value, torch.Tensor)}
    layers = names["model"].state_dict()
    return [
        {name: id(value) for name, value in names.items()},
        {name: (t._version, t.shape, t.requires_grad, id(t.grad_fn)) for name, t in tensors.items()},
        {name: t.tolist() for name, t in tensors.items() if name != "huge"},
        {name: (t._version, t.tolist()) for name, t in layers.items()},
        [(parameter.grad, id(parameter)) for parameter in names["model"].parameters()],
        (names["model"].training, str(names["optimizer"].state_dict()), names["leaf"].grad),
        (str(names["numbers"]), str(names["array"]), list(names["table"]), names["generator"].get_state().tolist()),
        (names["later"].__length_hint__(), names["dropped"].gi_frame is not None, str(names["Out"])),
        [str(part) for part in randomness.state()],
        [str(setting) for setting in apart.settings()],
        (list(session.sources), session.inputs, dict(session.held), session.seed, session.settings()),
        _get_current_function_mode_stack() + _get_current_dispatch_mode_stack(),
        (torch.is_grad_enabled(), torch._C._is_torch_function_enabled(), interrupts._State.late),
    ]


EFFECTS = [
    "x.add_(1)",
    "x += 1",
    "x[0] = 5; shared.zero_()",
    "x = w; w = 3; del b",
    "del x",
    "torch.rand(3)",
    "x.uniform_(); torch.randperm(5); torch.bernoulli(x)",
    "torch.rand(3, generator=generator)",
    "torch.manual_seed(7)",
    "torch.set_default_dtype(torch.float64)",
    "torch.set_num_threads(1); torch.set_grad_enabled(False)",
    "torch.set_printoptions(precision=2); torch.set_default_device('meta')",
    "torch.use_deterministic_algorithms(True)",
    "loss.backward()",
    "loss.backward(); leaf.grad",
    "torch.autograd.grad(loss, leaf)",
    "leaf.grad = torch.ones(3)",
    "leaf.requires_grad_(False)",
    "leaf.data = torch.zeros(3)",
    "leaf.register_hook(lambda g: g * 2); (leaf * 3).sum().backward()",
    "model(x)",
    "model.eval()",
    "model(x).sum().backward(); optimizer.step(); optimizer.zero_grad()",
    "nn.init.zeros_(model[0].weight)",
    "model.double()",
    "model[1].running_mean.fill_(3)",
    "numbers.append(3)",
    "numbers.clear(); table['b'] = 1; table['a'][1].append(4)",
    "grow()",
    "numbers += [3]",
    "next(later)",
    "list(later)",
    "next(dropped)",
    "for k in range(3): x.add_(k); numbers.append(k)",
    "[numbers.append(k) for k in range(3)]",
    "array += 1",
    "torch.from_numpy(array).add_(1)",
    "np.random.rand(3)",
    "torch.as_tensor(array)[0] = 9",
    "print('hello')",
    "def f(n): return n",
    "import random; random.random()",
    "y = x @ b",
    "x.add_(torch.ones(3)); numbers.append(x.resh)",
    "Out[1] = 3; _ = 4",
    "text = text + 'd'",
    "with torch.no_grad(): x.mul_(2)",
    "with torch.inference_mode(): y = x * 2",
    "with torch.autocast('cpu'): y = x @ w",
    "raise ValueError('x')",
    "torch.func.grad(lambda t: (t ** 2).sum())(x)",
    "torch.vmap(lambda t: t * 2)(x)",
    "huge.fill_(1)",
    "%time x.add_(1)",
]


@pytest.mark.parametrize("text", EFFECTS)
def test_nothing_of_the_session_changes(session: Session, text: str, capfd: pytest.CaptureFixture[str]):
    before = state(session)
    foretold(session, text)
    assert state(session) == before
    assert capfd.readouterr() == ("", "")


# In a moment.


@pytest.mark.parametrize(
    "text",
    [
        "while True: pass",
        "while True: x = x + 1",
        "for k in range(9999):\n    for n in range(9999): x.add_(1)",
        "f(9999)",
        "model(model(x)[:, :1].expand(64, 784)) ** 2 + torch.linalg.svd(w).S.sum() + x.mean(dim=(0, 1))",
        "nn.LSTM(10, 20)(torch.rand(900, 1, 10))",
        "with torch.no_grad():\n    while True: y = model(x)",
        "while True:\n    try: x @ w\n    except Exception: pass",
    ],
)
def test_what_is_cut_short_leaves_nothing_behind(session: Session, text: str, monkeypatch: pytest.MonkeyPatch):
    before = state(session)
    for turn in range(12):
        monkeypatch.setattr(outlook, "SECONDS", 0.0005 * 1.5**turn)
        foretold(session, text)
        assert _get_current_dispatch_mode_stack() == []
    assert state(session) == before
    monkeypatch.setattr(outlook, "SECONDS", 10.0)
    assert line(session, "x @ w") == "float32 [64, 10] cpu  2.5 KiB"
    assert torch.equal(session.names["x"] @ session.names["w"], session.names["x"].mm(session.names["w"]))


def test_one_that_would_not_end_says_nothing(session: Session, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(outlook, "SECONDS", 0.05)
    assert foretold(session, "while True: pass") == foretold(session, "x + 1; [f(999) for k in range(9999)]") == []


def spun(seconds: float | None) -> bool:
    """Whether a loop without an end was cut short."""
    try:
        with interrupts.deadline(seconds) if seconds else nullcontext(), interrupts.may_raise():
            while True:
                pass
    except TimeoutError:
        return True


def test_a_deadline_within_another_ends_no_later():
    with interrupts.deadline(0.01):
        assert spun(30)
        assert spun(None)


# One line.


@pytest.mark.parametrize("width", [1, 2, 7, 20, 40, 80])
@pytest.mark.parametrize("name", SAMPLES)
def test_a_line_fits(name: str, width: int):
    for answers in ([SAMPLES[name]], [SAMPLES[name]] * 5):
        drawn = render_outlook(answers, width=width).plain
        assert cell_len(drawn) <= width
        assert drawn.isprintable()


def test_narrow_lines_lose_what_tells_least(session: Session):
    assert [line(session, "x @ w", width=width) for width in (28, 20, 12)] == [
        "float32 [64, 10] cpu",
        "float32 [64, 10] cpu",
        "float32 [64…",
    ]
    assert line(session, "a = x @ w; c = a.T @ a", width=40) == "a = float32 [64, 10] cpu  2.5 KiB; …"


def test_what_is_drawn_cannot_steer_the_terminal():
    nasty = report.Diagnosis(code="c", category="shape", title=NASTY)
    assert render_outlook([nasty], width=200).plain.isprintable()


# At the prompt.

SETTINGS = Settings(version="0", torch="2.13", device="cpu", dtype="float32", seed=7, threads=2)
FORETOLD = report.Tensor(shape=(64, 10), nbytes=2560, storage_nbytes=2560)


class Prompt:
    """A prompt whose keys are pressed as its screen, or its engine, has got so far."""

    def __init__(self, tmp_path: Path, *, config: Config | None = None) -> None:
        self.client = Canned(self.answer, settings=SETTINGS)
        self._history, self._config = tmp_path / "history", config or Config()
        self.drawn, self.steps, self.later = "", [], {}

    def answer(self, request: AnyRequest) -> Iterable[AnyReport]:
        if isinstance(request, report.Outlook):
            self.happens(f"asked {request.text}")
            if request.text in self.later:
                assert self.later[request.text].wait(30)
            return [structs.replace(FORETOLD, name=request.text)]
        return []

    def happens(self, what: str) -> None:
        """Something was drawn or asked: go on where that was waited for."""
        while self.steps and (what.endswith if what.startswith("asked") else what.__contains__)(self.steps[0][0]):
            self.steps.pop(0)[1]()

    def play(self, *steps: tuple[str, Callable[[], None]], keys: str) -> list[str]:
        """Press keys, then do each step when its text has been drawn or asked for; the texts that were asked about."""
        with create_pipe_input() as keyboard:
            self.keyboard = keyboard
            self.steps = [*steps]

            class Recorder(DummyOutput):
                def write(_, data: str) -> None:
                    self.drawn += data
                    self.happens(self.drawn)

            with create_app_session(input=keyboard, output=Recorder()):
                keyboard.send_text(keys)
                preferences = Preferences(self._config)
                screen = Screen(stdout=io.StringIO(), stderr=io.StringIO(), color=False, width=80)
                run(
                    lambda: self.client,
                    lambda: screen,
                    seed=7,
                    color=None,
                    history=self._history,
                    preferences=preferences,
                )
        return [each.text for each in self.client.asked if isinstance(each, report.Outlook)]

    def press(self, keys: str) -> Callable[[], None]:
        """A step that presses these keys."""

        def press() -> None:
            self.drawn = ""
            self.keyboard.send_text(keys)

        return press


@pytest.fixture
def no_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prompted, "IDLE_SECONDS", 0.0)


LEAVE = "\x03\x04"


@pytest.mark.usefixtures("no_rest")
def test_the_line_is_drawn_when_the_answer_comes(tmp_path: Path):
    prompt = Prompt(tmp_path)
    assert prompt.play(("[64, 10] cpu  2.5 KiB", prompt.press(LEAVE)), keys="x @ w") == ["x @ w"]


@pytest.mark.usefixtures("no_rest")
def test_what_is_typed_next_is_asked_next_and_only_its_answer_drawn(tmp_path: Path):
    prompt = Prompt(tmp_path)
    first = prompt.later["qq"] = threading.Event()
    prompt.later["qq @ w"] = threading.Event()
    seen = []
    steps = [
        ("asked qq", prompt.press(" @ w")),
        ("@ w", first.set),
        ("asked qq @ w", prompt.later["qq @ w"].set),
        ("[64, 10]", lambda: (seen.append(prompt.drawn), prompt.press(LEAVE)())),
    ]
    assert prompt.play(*steps, keys="qq") == ["qq", "qq @ w"]
    assert "qq @ w = float32 [64, 10]" in seen[0]
    assert "qq = " not in seen[0]


@pytest.mark.usefixtures("no_rest")
def test_the_same_text_is_asked_about_again_once_it_has_run(tmp_path: Path):
    prompt = Prompt(tmp_path)
    steps = [("[64, 10]", prompt.press("\rqq")), ("asked qq", prompt.press(LEAVE))]
    assert prompt.play(*steps, keys="qq") == ["qq", "qq"]


@pytest.mark.usefixtures("no_rest")
def test_commands_blanks_and_pasted_prompts_are_not_asked_about(tmp_path: Path):
    prompt = Prompt(tmp_path)
    clear = "\x15"
    steps = [
        ("%plot qq", prompt.press(clear + "  # c")),
        ("# c", prompt.press(clear + ">>> qy")),
        ("qy", prompt.press(clear + "qz")),
        ("[64, 10]", prompt.press(LEAVE)),
    ]
    assert prompt.play(*steps, keys="%plot qq") == ["qz"]


@pytest.mark.usefixtures("no_rest")
@pytest.mark.parametrize("command", ["%time", "%timeit"])
def test_what_is_timed_is_foretold(tmp_path: Path, command: str):
    prompt = Prompt(tmp_path)
    assert prompt.play(("[64, 10]", prompt.press(LEAVE)), keys=f"{command} x @ w") == ["x @ w"]


def test_nothing_is_asked_while_keys_come(tmp_path: Path):
    assert Prompt(tmp_path).play(keys="x @ w\r" * 3 + LEAVE) == []


@pytest.mark.usefixtures("no_rest")
def test_it_can_be_switched_off(tmp_path: Path):
    prompt = Prompt(tmp_path, config=Config(outlook=False))
    assert prompt.play(("x @ w", prompt.press(LEAVE)), keys="x @ w") == []


@pytest.mark.usefixtures("no_rest")
def test_a_dumb_terminal_is_told_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("TERM", "dumb")
    assert Prompt(tmp_path).play(keys="x @ w\r" + LEAVE) == []


# On a terminal.

TOLD = "float32 [3] cpu  12 B"


def test_it_stands_below_the_input_and_goes_with_it(tmp_path: Path):
    terminal = Terminal("repl", env={"HOME": str(tmp_path), "XDG_STATE_HOME": str(tmp_path)})
    try:
        terminal.prompt()
        terminal.type("torch.ones(\r3)")
        shown = terminal.see(TOLD)
        assert shown[-4:-1] == [">>> torch.ones(", "...     3)", TOLD], "directly below, and above the toolbar"
        assert terminal.line == "...     3)", "the cursor stays in the input"
        terminal.type("\r")
        terminal.see("tensor([1., 1., 1.])")
        terminal.prompt()
        assert TOLD not in terminal.lines
        assert terminal.leave() == 0
    finally:
        terminal.close()
