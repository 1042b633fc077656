"""A session of thousands of random statements, valid, invalid and killing, against plain torch in this process.

    scripts/soak [--statements 10000] [--seed 0] [--every 25]

A model runs the same statements with the same seed. Every so often all names, all values and the next random numbers
are compared, bit for bit. At the end nothing may be left: no process, file, thread or open file, and memory must not
have grown. Exits with 1 where anything differs; the last inputs are then printed.
"""

import argparse
import ast
import contextlib
import io
import os
import random
import signal
import statistics
import sys
import tempfile
import threading
import time
import warnings
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT)]

from tensorcli import client, journal, report  # noqa: E402

CALM = 0.25  # the last part of the statements, in which nothing is killed: the engine's memory is compared over it
SETTLED = 30  # samples of an engine's memory, from which its growth can be told
GROWTH = 16 << 20  # bytes that memory may differ by between the medians of two windows


@dataclass(frozen=True)
class Step:
    """One input, or a request: what the model runs in its place, and what happens when it has printed something."""

    text: str = ""
    model: str | None = None  # None is the same text
    fails: bool | None = None  # None: where it fails in the model
    during: str = ""  # "interrupt", or the name of a signal for the engine
    before: str = ""  # the same between two statements
    request: report.AnyRequest | None = None
    kind: str = ""


Make = Callable[["Writer"], Step]


class Writer:
    """Random statements about the names there may be."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def one(self, letter: str = "t") -> str:
        """A name: of a tensor (t), an int (i), a list (l), a function (f), a module (m) or an array (a)."""
        return f"{letter}{self.random.randrange(6 if letter == 't' else 3)}"

    def shape(self) -> str:
        return self.random.choice(["3", "2, 3", "3, 4", "4", "3, 3", "1, 3", "2, 1, 3", "0", "5, 5"])

    def number(self) -> str:
        return self.random.choice(["2", "-1", "0.5", "3", "1e-3"])

    def value(self) -> str:
        """An expression with a tensor in it."""
        a, b = self.one(), self.one()
        return self.random.choice([
            f"torch.rand({self.shape()})", f"torch.randn({self.shape()})", f"torch.zeros({self.shape()})",
            f"torch.arange({self.random.randrange(6)}).float()", f"{a} + {b}", f"{a} * {self.number()}", f"{a} @ {b}",
            f"{a}.sum()", f"{a}.clone()", f"{a}.detach()", f"{a}.softmax(-1)", f"torch.cat([{a}, {b}])", f"{a}.T",
            f"{a}[0]", f"{a}.reshape(-1)", f"torch.where({a} > 0, {a}, {b})", f"F.relu({a})", f"{a}.double()",
            f"{self.one('f')}({a})", f"{self.one('m')}({a})", f"torch.from_numpy({self.one('a')})", f"_ + {a}",
            f"F.dropout({a}, 0.5)", f"torch.randperm({self.random.randrange(1, 6)})", f"{a}.to(torch.bfloat16)",
            f"torch.tensor([1 + 2j, {self.number()}])", f"{a} > {b}",
        ])  # fmt: skip


PRELUDE = tuple(
    [f"t{n} = torch.rand(3)" for n in range(6)]
    + [f"i{n} = {n}\nl{n} = []\nf{n} = torch.sin\nm{n} = nn.Linear(3, 3)\na{n} = np.ones(3)" for n in range(3)]
)


def _statement(w: Writer) -> str:
    """A statement that runs, or fails as it may in torch."""
    a, b = w.one(), w.one()
    i, xs, f, m, array = (w.one(letter) for letter in "ilfma")
    return w.random.choice([
        f"{a} = {w.value()}", f"{a} = {w.value()}", f"{a} = {w.value()}", f"{a}, {b} = {w.value()}, {w.value()}",
        f"{a} = {b}", w.value(), w.value(), f"{a}.add_({w.number()})", f"{a}.mul_({b})", f"{a}[0] = {w.number()}",
        f"{a}.normal_()", f"{a} += {b}", f"{a}.requires_grad_()", f"({a} * {a}).sum().backward()",
        f"with torch.no_grad():\n    {a}.fill_({w.number()})", f"{i} = {w.random.randrange(100)}", f"{i} += 1",
        f"{xs} = [{a}, {i}]", f"{xs}.append({a})", f"{xs} = {xs}[-3:]", f"for k in range(3):\n    {a} = {a} + k",
        f"def {f}(x):\n    return x * {i} + {a}", f"{f} = lambda x: x + {w.number()}",
        f"def make(k):\n    def inner(x):\n        return x * k\n    return inner\n{f} = make({i})",
        f"{m} = nn.Linear(3, {w.random.randrange(1, 4)})", f"{m}({a}).sum().backward()",
        f"for p in {m}.parameters():\n    p.data.sub_(0.1)", f"{array} = np.arange({w.random.randrange(1, 5)}.0)",
        f"{array}[0] = {w.number()}", f"{array} = np.random.rand(3)", f"del {a}",
        f"del {w.one(w.random.choice('ilfma'))}",
        f"{a} = {w.value()}\n{b} = {a} + 1\n{w.value()}", f"if {i} > 50:\n    {a} = {b}\nelse:\n    {b} = {a}",
    ])  # fmt: skip


def _wrong(w: Writer) -> Step:
    """What fails, by itself or at the gate."""
    a = w.one()
    text, refused = w.random.choice([
        (f"{a} = torch.rand(2, 3) @ torch.rand(2, 3)", False), ("undefined_name", False), ("1 / 0", False),
        (f"{a} = torch.rand(3", True), ("import os", True), (f"{a}.__class__", True), ("open('/tmp/x')", True),
        (f"{a} = torch.rand(2)\nraise ValueError('x')", False), ("torch.zeros(2, 3).view(7)", False), ("[][1]", False),
        ("assert torch.rand(3).sum() > 5", False), ("F.cross_entropy(torch.rand(2, 3), torch.tensor([1, 9]))", False),
        (f"{a} = torch.rand(3)\n{a} = {a} @ torch.rand(4)\n{a} = None", False), ("torch.float33", False),
        ("def g(): return g()\ng()", False), (f"{a}.nonsense()", False), ("for x in 3: pass", False),
    ])  # fmt: skip
    return Step(text, model="" if refused else None, fails=True, kind="wrong")


def _too_large(w: Writer) -> Step:
    a = w.one()
    text = w.random.choice([
        f"{a} = torch.empty(10**12)", f"{a} = torch.ones(10**6, 10**6)", f"{a} = [0] * 10**12",
        f"{a} = np.zeros(10**12)", "bytearray(10**12)",
    ])  # fmt: skip
    return Step(text, model="", fails=True, kind="too large")


def _within(w: Writer) -> Step:
    """Ended while it runs, behind what it has done."""
    first = _statement(w)
    how = w.random.choice(["interrupt", "interrupt", "SIGKILL", "SIGSEGV"])
    busy = w.random.choice(["while True: pass", "while True: torch.ones(3)", "torch.manual_seed\nwhile True: pass"])
    return Step(f"{first}\nprint('on')\n{busy}", model=f"{first}\nNone", during=how, kind=how)


def _between(w: Writer) -> Step:
    how = w.random.choice(["SIGKILL", "SIGSEGV", "restoring"])
    if how == "restoring":  # a statement might itself be hit
        return Step(before=how, model="", request=report.ListNames(), kind=how)
    return Step(_statement(w), before=how, kind="between")


def _asked(w: Writer) -> Step:
    """A request that is no input."""
    a, number = w.one(), w.random.randrange(1000)
    return w.random.choice([
        Step(model=f"seed({number})", request=report.Configure(seed=number), kind="seed"),
        Step(request=report.ListNames(), model="", kind="whos"),
        Step(request=report.Complete(text=f"{a}.res", cursor=6), model="", kind="complete"),
        Step(request=report.Inspect(text=f"{a}.sum() + 1", dry_run=True), model="", kind="check"),
        Step(request=report.Time(text=f"{a} = torch.rand(3)"), model=f"{a} = torch.rand(3)", kind="time"),
        Step(request=report.Inspect(text="torch.rand(3) + 1"), model="torch.rand(3) + 1\nNone", kind="inspect"),
        Step(request=report.Draw(text="torch.rand(5)"), model="torch.rand(5)", kind="plot"),
    ])  # fmt: skip


TABLE: tuple[tuple[float, Make], ...] = (
    (80, lambda w: Step(_statement(w), kind="statement")),
    (8, _wrong),
    (0.5, _too_large),
    (1, _within),
    (1, _between),
    (4, _asked),
    (1, lambda w: Step(kind="pause", model="")),
    (0.1, lambda w: Step(request=report.Reset(), model="reset()", kind="reset")),
)
KILLING = (_within, _between)


class Model:
    """The names as plain Python and torch have them."""

    def __init__(self, seed: int) -> None:
        self.seed_of_all = seed
        self.names: dict[str, Any] = {}
        self.reset()

    def reset(self) -> None:
        self.names.clear()
        self.names.update(torch=torch, np=np, nn=torch.nn, F=torch.nn.functional, seed=self.seed, reset=self.reset)
        self.start = set(self.names) | {"__builtins__"}
        self.seed(self.seed_of_all)

    def seed(self, number: int) -> None:
        self.seed_of_all = number
        torch.manual_seed(number)
        np.random.seed(number)
        random.seed(number)

    def run(self, text: str) -> tuple[str, BaseException | None]:
        """What is printed, and what was raised."""
        printed = io.StringIO()
        with warnings.catch_warnings(), contextlib.redirect_stdout(printed):
            warnings.simplefilter("ignore")
            try:
                nodes = ast.parse(text).body
                for node in nodes:
                    if isinstance(node, ast.Expr):
                        value = eval(compile(ast.Expression(node.value), "<model>", "eval"), self.names)
                        if value is not None and node is nodes[-1]:
                            self.names["_"] = value
                    else:
                        exec(compile(ast.Module([node], []), "<model>", "exec"), self.names)
            except Exception as error:
                return printed.getvalue(), error.with_traceback(None)
        return printed.getvalue(), None

    def variables(self) -> dict[str, Any]:
        return {name: value for name, value in self.names.items() if name not in self.start and name[0] != "_"}

    def look(self) -> str:
        """A text that prints every value, bit for bit, and the next random numbers."""
        last = {"_": self.names["_"]} if "_" in self.names else {}
        parts = [_bits(name, value) for name, value in {**self.variables(), **last}.items()]
        return f"print([{', '.join(parts)}], torch.rand(2).tolist(), np.random.rand(2).tolist())"


def _bits(name: str, value: Any) -> str:
    match value:
        case torch.Tensor():
            grad = f", {_bits(f'{name}.grad', value.grad)}" if value.is_leaf and value.grad is not None else ""
            bits = f"{name}.detach().contiguous().reshape(-1).view(torch.uint8).tolist()"
            return f"({name!r}, {name}.dtype, {name}.shape, {name}.stride(), {name}.requires_grad, {bits}{grad})"
        case torch.nn.Linear():
            return f"({name!r}, {_bits(f'{name}.weight', value.weight)}, {_bits(f'{name}.bias', value.bias)})"
        case list():
            return f"({name!r}, {', '.join(_bits(f'{name}[{at}]', each) for at, each in enumerate(value))})"
        case np.ndarray():
            return f"({name!r}, {name}.dtype, {name}.tolist())"
        case _ if callable(value):
            return f"{name!r}"
    return f"({name!r}, {name})"


@dataclass
class Soak:
    """The session under test beside its model."""

    pipe: client.Pipe
    model: Model
    history: deque[str] = field(default_factory=lambda: deque(maxlen=60))
    counts: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)

    def begin(self) -> None:
        """Give every name a value."""
        for text in PRELUDE:
            self.step(Step(text, kind="statement"))

    def step(self, step: Step) -> None:
        """Take one step with both, and compare whether they failed."""
        self.history.append(f"{step.kind}: {step.text or step.request}" + (f" [{step.before}]" * bool(step.before)))
        self.counts[step.kind] += 1
        if step.kind == "pause":
            return time.sleep(3 * client.IDLE_SECONDS + 0.01)
        if step.before:
            self._end(step.before)
        _, error = self.model.run(step.text if step.model is None else step.model)
        acted = False

        def emit(answer: report.AnyReport) -> None:
            nonlocal acted
            said.append(answer)
            if isinstance(answer, report.Output) and step.during and not acted:
                acted = True
                self._end(step.during, during=True)

        said: list[report.AnyReport] = []
        self.pipe.ask(step.request or report.Evaluate(text=step.text), emit)
        self._judge(step, error, said)

    def _judge(self, step: Step, error: BaseException | None, said: list[report.AnyReport]) -> None:
        problems = [each for each in said if isinstance(each, report.Diagnosis) and each.code != "engine-died"]
        for each in said:
            if isinstance(each, report.Notice) and each.text.startswith("the session is"):
                self.counts[f"  {each.text.split(' in ')[0].split(':')[0]}"] += 1
                if "left out" in each.text or "not brought back" in each.text:
                    self.problem(f"{each.text}: {step}")
        faults = [each for each in problems if each.category == "engine"]
        if faults:
            self.problem(f"{faults[0].code}: {faults[0].title} {faults[0].notes}: {step}")
        expected = step.fails if step.fails is not None else error is not None or step.during == "interrupt"
        if step.request is None and bool(problems) != expected:
            self.problem(f"{'fails' if problems else 'does not fail'}: {step}\n  {error!r}\n  {problems}")

    def _end(self, how: str, *, during: bool = False) -> None:
        engine = self.pipe._engine
        if how == "interrupt":
            signal.raise_signal(signal.SIGINT)
        elif how == "restoring":
            self._end("SIGKILL")
            threading.Thread(target=self._end_again, args=(engine,)).start()
        elif engine._process:
            engine._process.send_signal(getattr(signal, how))
            while during is False and not engine.ended:
                time.sleep(0.001)

    def _end_again(self, first: Any) -> None:
        """End the engine that follows the first one once it brings the session back."""
        while (engine := self.pipe._engine) is first or not (engine.settings or engine.ended):
            time.sleep(0.001)
        time.sleep(random.Random(len(self.history)).random() * 0.02)
        if engine._process:
            engine._process.kill()

    def check(self) -> None:
        """Compare all names and values."""
        names: list[report.AnyReport] = []
        self.pipe.ask(report.ListNames(), names.append)
        mine = set(self.model.variables())
        theirs = {item.name for each in names if isinstance(each, report.Names) for item in each.items}
        if mine != theirs:
            self.problem(f"names differ: lost {mine - theirs}, too many {theirs - mine} {names if not theirs else ''}")
        text = self.model.look()
        expected, error = self.model.run(text)
        said: list[report.AnyReport] = []
        self.pipe.ask(report.Evaluate(text=text), said.append)
        found = "".join(each.text for each in said if isinstance(each, report.Output))
        if error or found != expected:
            problems = [each for each in said if isinstance(each, report.Diagnosis | report.Notice)]
            at = next((at for at, (a, b) in enumerate(zip(found, expected, strict=False)) if a != b), -1)
            around = slice(max(0, at - 300), at + 300)
            self.problem(f"values differ: {error} {problems}\n  {found[around]}\n  {expected[around]}")

    def problem(self, text: str) -> None:
        """Note what is wrong, with what led to it."""
        self.wrong.append(text[:3000])
        print(f"WRONG: {text[:3000]}\n  after:", *self.history, sep="\n  ", flush=True)


def resident(pid: int | str) -> int:
    """The bytes of memory that a process has to itself; 0 where that cannot be said."""
    with contextlib.suppress(OSError, StopIteration):
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        return int(next(line for line in lines if line.startswith("RssAnon")).split()[1]) * 1024
    return 0


def children() -> set[str]:
    """The processes that this one has started and that are there, or have not been waited for."""
    with contextlib.suppress(OSError):
        return {pid for task in Path("/proc/self/task").iterdir() for pid in (task / "children").read_text().split()}
    return set()


@dataclass(frozen=True)
class Sample:
    """What is in use at one time; `engine` is the engine's memory and `pid` its process."""

    front: int
    engine: int
    pid: int
    threads: int
    files: int


def sample(pipe: client.Pipe) -> Sample:
    """What is in use now."""
    pid = pipe._engine._process.pid if pipe._engine._process else 0
    files = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
    return Sample(resident("self"), resident(pid), pid, threading.active_count(), files)


def grown(values: list[int]) -> int:
    """By how much the median of the last third is above that of the third before it."""
    third = max(1, len(values) // 3)
    return round(statistics.median(values[-third:]) - statistics.median(values[-2 * third : -third] or values[:1]))


def soak(*, statements: int, seed: int, every: int = 25, say: Callable[[str], None] = lambda text: None) -> list[str]:
    """Run so many random statements; what was wrong."""
    writer = Writer(seed)
    before = children()
    with tempfile.TemporaryDirectory() as folder:
        old, tempfile.tempdir = tempfile.tempdir, folder
        try:
            run = Soak(client.Pipe(seed=seed), Model(seed))
            samples = _run(run, writer, statements, every, say)
            run.pipe.close()
        finally:
            tempfile.tempdir = old
        left = os.listdir(folder)
    for _ in range(50):
        if children() <= before:
            break
        time.sleep(0.02)
    if left or children() - before:
        run.problem(f"left behind: files {left}, processes {children() - before}")
    _judge_growth(run, samples, say)
    say(", ".join(f"{number} {kind.strip()}" for kind, number in sorted(run.counts.items())))
    return run.wrong


def _run(run: Soak, writer: Writer, statements: int, every: int, say: Callable[[str], None]) -> list[Sample]:
    samples: list[Sample] = []
    makes, weights = [make for _, make in TABLE], [weight for weight, _ in TABLE]
    begun = time.monotonic()
    run.begin()
    for number in range(1, statements + 1):
        (make,) = writer.random.choices(makes, weights)
        if make in KILLING and number > statements * (1 - CALM):
            make = TABLE[0][1]
        step = make(writer)
        run.step(step)
        if step.kind == "reset":
            run.begin()
        if number % every == 0 or number == statements:
            run.check()
            samples.append(sample(run.pipe))
        if number % 500 == 0:
            last = samples[-1]
            say(
                f"{number:,} statements in {time.monotonic() - begun:.0f} s: front {last.front >> 20} MiB, "
                f"engine {last.engine >> 20} MiB, {last.threads} threads, {last.files} files, {len(run.wrong)} wrong"
            )
        if len(run.wrong) > 5:
            break
    return samples


def _judge_growth(run: Soak, samples: list[Sample], say: Callable[[str], None]) -> None:
    last = [each.engine for each in samples if each.pid == samples[-1].pid]
    last = last if len(last) >= SETTLED else [0]  # a young one still loads what explanations need
    for what, growth, most in (
        ("memory of the front", grown([each.front for each in samples]), GROWTH),
        ("memory of the last engine", grown(last), GROWTH),
        ("threads", grown([each.threads for each in samples]), 8),
        ("open files", grown([each.files for each in samples]), 3),
    ):
        say(f"{what}: {growth:+,} from the second to the last third")
        if growth > most:
            run.problem(f"{what} grew by {growth:,}")


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="scripts/soak", description=__doc__.split("\n")[0])
    parser.add_argument("--statements", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--every", type=int, default=25, help="statements between two comparisons")
    options = parser.parse_args()
    journal.AGAIN_SECONDS, client.IDLE_SECONDS = 0.2, 0.05  # kept in files often, as in a session of many hours
    wrong = soak(**vars(options), say=lambda text: print(text, flush=True))
    print(f"{len(wrong)} wrong" if wrong else "nothing was lost")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
