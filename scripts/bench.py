"""tensorcli against what people use instead, measured side by side: A B A B ..., and the ratio pair by pair."""

import argparse
import contextlib
import importlib.util
import json
import os
import re
import select
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pexpect

PYTHON = sys.executable
TENSORCLI = [PYTHON, "-P", "-m", "tensorcli"]
PROMPT = rb">>>|In \["


def seconds_of(command: list[str]) -> float:
    """Wall-clock seconds of a whole process."""
    start = time.perf_counter()
    subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL, check=True)
    return time.perf_counter() - start


def seconds_in(call: Callable[[], object]) -> float:
    """Wall-clock seconds of a call."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


@contextlib.contextmanager
def at_terminal(command: list[str]) -> "Iterator[pexpect.spawn[bytes]]":
    """A program in a terminal, with a home of its own."""
    import pexpect

    with tempfile.TemporaryDirectory() as home:
        environment = {
            **os.environ,
            "TERM": "xterm",
            "PROMPT_TOOLKIT_NO_CPR": "1",
            "HOME": home,
            "XDG_STATE_HOME": home,
            "XDG_CONFIG_HOME": home,
            "IPYTHONDIR": home,
        }
        child = pexpect.spawn(command[0], command[1:], env=environment, dimensions=(24, 80), timeout=60)
        child.delaybeforesend = None
        try:
            yield child
        finally:
            child.close(force=True)


def seconds_to_prompt(command: list[str]) -> float:
    """Seconds from starting a program in a terminal to its first prompt."""
    start = time.perf_counter()
    with at_terminal(command) as child:
        child.expect(PROMPT)
        return time.perf_counter() - start


def compare(title: str, goal: str, first: Callable[[], float], second: Callable[[], float], *, pairs: int) -> float:
    """Measure two things in turn and print the median ratio of the pairs with its range."""
    first(), second()
    measured = [(first(), second()) for _ in range(pairs)]
    ratios = sorted(a / b for a, b in measured)
    ratio = statistics.median(ratios)
    a, b = (statistics.median(column) for column in zip(*measured, strict=True))
    print(f"{title}\n  {a * 1e3:9.2f} ms against {b * 1e3:9.2f} ms: ratio {ratio:.3f} ", end="")
    print(f"({ratios[0]:.3f} .. {ratios[-1]:.3f}, {pairs} pairs; {goal})", flush=True)
    return ratio


def start_up(pairs: int) -> None:
    """What a one-shot command and the first prompt cost."""
    compare(
        "tensorcli --help, against importing typer and rich",
        "goal: at most 2",
        lambda: seconds_of([*TENSORCLI, "--help"]),
        lambda: seconds_of([PYTHON, "-c", "import typer, rich"]),
        pairs=pairs,
    )
    compare(
        'tensorcli inspect "torch.rand(3,4)", against printing it from python -c',
        "goal: at most 1.15",
        lambda: seconds_of([*TENSORCLI, "inspect", "torch.rand(3,4)"]),
        lambda: seconds_of([PYTHON, "-c", "import torch; print(torch.rand(3,4))"]),
        pairs=pairs,
    )


def first_prompt(pairs: int) -> None:
    """How soon one can type."""
    if importlib.util.find_spec("IPython") is None:
        print("first prompt: not measured, for IPython is not installed (pip install ipython)")
        return
    compare(
        'first prompt of ipython -i -c "import torch", against that of tensorcli repl',
        "goal: at least 6",
        lambda: seconds_to_prompt([PYTHON, "-m", "IPython", "-i", "-c", "import torch"]),
        lambda: seconds_to_prompt([*TENSORCLI, "repl"]),
        pairs=pairs,
    )


KEYS = "qzjw"  # none of which ends an escape sequence
PER_LINE = 40  # keys, then the line is cleared
STEERING = re.compile(rb"\x1b\[[0-9;?]*[A-Za-z]")


def echoes(child: "pexpect.spawn[bytes]", seconds: float, *, patience: float = 1.0) -> list[float]:
    """The seconds from pressing a key to seeing it, key after key for so long; infinity for one that is not seen."""
    found: list[float] = []
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        key = KEYS[len(found) % len(KEYS)].encode()
        drained(child, 0.03)  # as fast as people type
        start = time.perf_counter()
        os.write(child.child_fd, key)
        seen, elapsed = b"", 0.0
        while key not in STEERING.sub(b"", seen) and elapsed < patience:
            seen += drained(child, 0.0005)
            elapsed = time.perf_counter() - start
        found.append(elapsed if elapsed < patience else float("inf"))
        if len(found) % PER_LINE == 0:
            os.write(child.child_fd, b"\x15")
    return found


def drained(child: "pexpect.spawn[bytes]", seconds: float) -> bytes:
    """What a program writes in so many seconds."""
    end, written = time.perf_counter() + seconds, b""
    while (left := end - time.perf_counter()) > 0:
        if select.select([child.child_fd], [], [], left)[0]:
            written += os.read(child.child_fd, 65536)
    return written


def echo(runs: int) -> None:
    """How soon a key is seen at the first prompt, while torch loads, at an idle prompt, and while something runs."""
    whens = (
        "in its first third of a second",
        "while torch loads",
        "while an input waits for torch",
        "at an idle prompt",
        "while a statement runs",
    )
    times: dict[str, list[float]] = {when: [] for when in whens}
    for _ in range(runs):
        with at_terminal([*TENSORCLI, "repl"]) as child:
            child.expect(PROMPT)
            times["in its first third of a second"] += echoes(child, 0.33)
            times["while torch loads"] += echoes(child, 3)
            drained(child, 5)
            times["at an idle prompt"] += echoes(child, 5)
            os.write(child.child_fd, b"\x15while True: torch.rand(100) + 1\r\r")
            drained(child, 1)
            times["while a statement runs"] += echoes(child, 3, patience=0.3)
        with at_terminal([*TENSORCLI, "repl"]) as child:
            child.expect(PROMPT)
            os.write(child.child_fd, b"1\r")
            child.expect_exact("starting torch")
            times["while an input waits for torch"] += echoes(child, 1)
    for when, seconds in times.items():
        seconds.sort()
        unseen = sum(each == float("inf") for each in seconds)
        middle, late = seconds[len(seconds) // 2], seconds[int(len(seconds) * 0.99)]
        print(
            f"a key is seen {when}: median {middle * 1e3:.1f} ms, 99 % within {late * 1e3:.1f} ms, the longest "
            f"{seconds[-1] * 1e3:.1f} ms ({len(seconds)} keys, {unseen} not seen; goal: 99 % within 30 ms)",
            flush=True,
        )


def memory() -> None:
    """What the process in front of the engine takes."""

    def resident() -> float:
        with open(f"/proc/{child.pid}/status") as status:
            return next(int(line.split()[1]) for line in status if line.startswith("VmRSS")) * 1024 / 1e6

    with at_terminal([*TENSORCLI, "repl"]) as child:
        child.expect(PROMPT)
        first = resident()
        drained(child, 8)
        idle = resident()
        for text in ("x = torch.rand(64, 784)", "x", "x @ x", "x.T @ x", "%whos", "%check x @ x.T", "x.re\t\x15"):
            os.write(child.child_fd, text.encode() + b"\r")
            drained(child, 1)
        print(
            f"the process in front: {first:.1f} MB at the first prompt, {idle:.1f} MB idle, {resident():.1f} MB after "
            "some answers (goal: under 60 MB)"
        )


def round_trip(count: int) -> None:
    """One statement to an engine in a child process, its description, and its rendering."""
    import io

    from tensorcli.client import Pipe
    from tensorcli.report import Evaluate
    from tensorcli.show import Screen

    engine = Pipe(seed=0)
    screen = Screen(color=True, width=80, stdout=io.StringIO(), stderr=io.StringIO())
    engine.ask(Evaluate(text="x = torch.rand(3, 3)"), screen.show)
    times = {"to the report": [], "to the screen": []}
    for turn in range(count):
        for kind in times:
            emit = screen.show if kind == "to the screen" else (lambda _: None)
            start = time.perf_counter()
            engine.ask(Evaluate(text="x @ x.T"), emit)
            if turn >= 20:
                times[kind].append(time.perf_counter() - start)
    engine.close()
    print("a round trip of `x @ x.T`, x 3x3, with its description (goal: at most 1.5 ms)")
    for kind, values in times.items():
        print(f"  {kind}: median {statistics.median(values) * 1e3:.3f} ms", flush=True)


LARGE = """
import resource, sys, time, statistics, json
import torch
from tensorcli.engine.describe import describe
x = torch.randn(50_000_000)
describe(torch.randn(1_000_000)); x.sum()
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
pairs = []
for _ in range(15):
    start = time.perf_counter(); describe(x); middle = time.perf_counter(); x.sum(); end = time.perf_counter()
    pairs.append((middle - start, end - middle))
grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
print(json.dumps({"pairs": pairs, "grown": grown * (1 if sys.platform == "darwin" else 1024)}))
"""


COMPLETED = ("torch.", "torch.nn.functional.", "x.")
IPYTHON = """
import json, sys, time
from IPython.core.interactiveshell import InteractiveShell
from IPython.core.completer import provisionalcompleter
shell = InteractiveShell.instance()
shell.run_cell("import torch; x = torch.rand(64, 784)", silent=True)
for line in sys.stdin:
    text = json.loads(line)
    start = time.perf_counter()
    with provisionalcompleter():
        found = list(shell.Completer.completions(text, len(text)))
    print(json.dumps([time.perf_counter() - start, len(found)]), flush=True)
"""


def completing(turns: int) -> None:
    """From the key Tab to the completions in the prompt, over the pipe, against IPython's completer, in turn."""
    from prompt_toolkit import PromptSession
    from prompt_toolkit.application import create_app_session
    from prompt_toolkit.input import create_pipe_input
    from prompt_toolkit.output import DummyOutput

    from tensorcli.client import Pipe
    from tensorcli.repl.completion import EngineCompleter
    from tensorcli.report import Evaluate

    found_there = importlib.util.find_spec("IPython") is not None
    if not found_there:
        print("completion: measured alone, for IPython is not installed (pip install ipython)")
    other = subprocess.Popen(
        [PYTHON, "-c", IPYTHON if found_there else ""], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    engine = Pipe(seed=0)
    engine.ask(Evaluate(text="x = torch.rand(64, 784)"), lambda _: None)
    time.sleep(WARM_SECONDS)
    took = {(text, who): [] for text in COMPLETED for who in ("tensorcli", "IPython")}
    with create_pipe_input() as keyboard, create_app_session(input=keyboard, output=DummyOutput()):
        prompt: PromptSession[str] = PromptSession(completer=EngineCompleter(engine), complete_while_typing=False)
        buffer, drawn, pressed = prompt.default_buffer, True, 0.0

        def press(_app: object) -> None:  # once the prompt has been drawn
            nonlocal drawn, pressed
            if not drawn:
                drawn, pressed = True, time.perf_counter()
                keyboard.send_text("\t")

        def answered(_buffer: object) -> None:
            state, seconds = buffer.complete_state, time.perf_counter() - pressed
            there = state is None or len(state.completions) > 100  # None: it was given up, and that took its time
            if drawn and there and not prompt.app.future.done():
                prompt.app.exit(result=seconds)

        prompt.app.after_render += press
        buffer.on_completions_changed += answered
        for turn in range(turns + WARM_TURNS):
            for text in COMPLETED:
                drawn = False
                seconds = {"tensorcli": prompt.prompt(default=text)}
                if found_there:
                    print(json.dumps(text), file=other.stdin, flush=True)
                    seconds["IPython"] = json.loads(other.stdout.readline())[0]
                for who, each in seconds.items():
                    if turn >= WARM_TURNS:
                        took[text, who].append(each)
    engine.close()
    other.communicate()
    print("completion, from the key to the prompt (goal: at most 20 ms at the 95th percentile)")
    for (text, who), values in took.items():
        if values:
            middle, late = statistics.median(values), sorted(values)[int(0.95 * len(values))]
            print(f"  {text:22}{who:10} median {middle * 1e3:7.2f} ms, 95th percentile {late * 1e3:7.2f} ms ({turns})")


WARM_SECONDS = 6.0  # after which the engine has done what it does while nobody asks for anything
WARM_TURNS = 5


def large_tensor() -> None:
    """Describing 50 million float32 elements against one sum over them."""
    found = json.loads(subprocess.run([PYTHON, "-c", LARGE], capture_output=True, text=True, check=True).stdout)
    describe, total = (statistics.median(column) for column in zip(*found["pairs"], strict=True))
    ratio = statistics.median(a / b for a, b in found["pairs"])
    print("describing 50 million float32 elements, against one sum() over them (goal: at most 5, under 16 MiB)")
    print(f"  {describe * 1e3:.1f} ms against {total * 1e3:.1f} ms: ratio {ratio:.2f}, ", end="")
    print(f"{found['grown'] / 2**20:.1f} MiB of extra memory", flush=True)


def lookups(count: int) -> None:
    """What the gate's table costs an attribute lookup."""
    import torch

    from tensorcli import language
    from tensorcli.engine import namespace

    text = f"for i in range({count}): x.shape"
    names = {**namespace.start_names(trust=False), "x": torch.rand(3)}
    (statement,) = language.parse(text)
    checked, plain = language.compiled(statement, filename="<bench>"), compile(text, "<bench>", "exec")

    def run(code: object) -> float:
        start = time.perf_counter()
        exec(code, names)
        return time.perf_counter() - start

    pairs = [(run(checked), run(plain)) for _ in range(9)]
    cost = statistics.median(a - b for a, b in pairs) / count
    print(f"an attribute lookup through the gate's table\n  {cost * 1e6:.3f} us more than a plain one (goal: near 0.1)")


MISTAKES = (
    "A @ A",
    "A + torch.rand(5)",
    "A.reshape(4, 4)",
    "layer(torch.rand(2, 7))",
    "torch.cat([A, torch.rand(2)])",
    "torch.arange(3).mean()",
    "A[5]",
    "A.shpae",
    "F.cross_entropy(torch.rand(4, 3), torch.tensor([1, 2, 3, 1]))",
    "A.sum().backward()",
)


def explaining() -> None:
    """What a mistake costs, with its explanation and its suggestions tried, against the statement alone."""
    from tensorcli import diagnoses, report
    from tensorcli.engine import remedy, serve
    from tensorcli.engine.session import Session

    session = Session(seed=0)
    serve._warm_up()
    diagnoses.entries()
    session.ask(report.Evaluate(text="A = torch.rand(3, 2); layer = nn.Linear(4, 2)"), lambda _: None)

    def seconds(text: str) -> float:
        start = time.perf_counter()
        session.ask(report.Evaluate(text=text), lambda _: None)
        return time.perf_counter() - start

    print(f"the first explanation, all that can be warmed up being warm: {seconds(MISTAKES[0]) * 1e3:.2f} ms; goal 150")
    every, tried = [], remedy.suggestions
    for _ in range(11):
        for text in MISTAKES:
            with_all = seconds(text)
            remedy.suggestions = lambda *_: ()
            without = seconds(text)
            remedy.suggestions = tried
            every.append((with_all, without))
    most = max(with_all for with_all, _ in every)
    a, b = (statistics.median(column) for column in zip(*every, strict=True))
    print(f"explaining {len(MISTAKES)} small mistakes, 11 times: {a * 1e3:.2f} ms (at most {most * 1e3:.2f}; goal 50)")
    print(f"  of which without trying edits {b * 1e3:.2f} ms")


PARTS = (
    "((x @ w + b).relu() * 2 - x.T.exp()).mean(dim=0) + ((w @ x + b).sigmoid() / 3 + w.T.tanh()).sum(dim=1)"
    " - (x - b).abs().amax(dim=1)[:64]"
)


def inspecting() -> None:
    """What it costs to see all parts of an expression, really run and predicted, against a plain run of it."""
    from tensorcli import report
    from tensorcli.engine import serve
    from tensorcli.engine.session import Session

    session = Session(seed=0)
    serve._warm_up()
    session.ask(
        report.Evaluate(text="x, w, b = torch.rand(64, 64), torch.rand(64, 64), torch.rand(64)"), lambda _: None
    )
    plain = report.Evaluate(text=PARTS)
    ways: dict[str, report.AnyRequest] = {
        "inspect": report.Inspect(text=PARTS),
        "a dry run": report.Inspect(text=PARTS, dry_run=True),
    }

    def asked(request: report.AnyRequest) -> tuple[float, report.AnyReport]:
        answers: list[report.AnyReport] = []
        start = time.perf_counter()
        session.ask(request, answers.append)
        return time.perf_counter() - start, answers[-1]

    def count(node: report.Node) -> int:
        return 1 + sum(map(count, node.children))

    for name, request in ways.items():
        first, trace = asked(request)
        assert isinstance(trace, report.Trace)
        pairs = [(asked(request)[0], asked(plain)[0]) for _ in range(51)]
        added = statistics.median(one - other for one, other in pairs)
        parts = count(trace.root)
        print(
            f"{name} of {parts} parts: {added * 1e3:.2f} ms more than plain ({added / parts * 1e3:.3f} ms a part);"
            f" the first {first * 1e3:.0f} ms"
        )


TIMED = {
    "1 us": "torch.dot(a, b)",
    "10 us": "m @ m",
    "1 ms": "middle @ middle",
    "100 ms": "large @ large @ large @ large @ large",
}
# Seconds that one measurement may take: many short pairs see the same machine more often than a few long ones do, but
# without room for six samples there is no interval.
BUDGETS = {"100 ms": 1.0}
SHORT = 0.1


def timing(pairs: int) -> None:
    """The medians of bench against those of torch.utils.benchmark, one after the other, and the time that each took."""
    import torch
    from torch.utils.benchmark import Measurement, Timer

    from tensorcli.engine import measure, timed

    torch.set_num_threads(1)  # what other programs do to one of several threads is not in question
    names = {"torch": torch, "a": torch.rand(1000), "b": torch.rand(1000), "m": torch.rand(64, 64)}
    names["middle"], names["large"] = torch.rand(320, 320), torch.rand(1024, 1024) / 512

    def ours(text: str, budget: float) -> tuple[measure.Samples, float]:
        start = time.perf_counter()
        task = measure.Task(timed.plain(text, dict(names)))
        found = measure.Interleaved({"": task}, clock=time.perf_counter, min_seconds=budget, max_seconds=10.0).run()[""]
        return found, time.perf_counter() - start

    def theirs(text: str, budget: float) -> tuple[Measurement, float]:
        start = time.perf_counter()
        timer = Timer(text, globals=names, num_threads=torch.get_num_threads())
        return timer.blocked_autorange(min_run_time=budget), time.perf_counter() - start

    def in_blocks(samples: measure.Samples, calls: int) -> float:
        """The median of the means of neighbours, so many that their calls are as many as those of the other's blocks.

        What disturbs one of many short samples is out of their median, but in the mean of a long block.
        """
        count = max(1, min(calls // samples.calls, len(samples.seconds)))
        seconds = samples.seconds
        return statistics.median(
            statistics.mean(seconds[at : at + count]) for at in range(0, len(seconds) - count + 1, count)
        )

    for name, text in TIMED.items():
        what = text, BUDGETS.get(name, SHORT)
        both = [
            (ours(*what), theirs(*what)) if turn % 2 else (theirs(*what), ours(*what))[::-1] for turn in range(pairs)
        ]
        ratios = sorted(statistics.median(one.seconds) / other.median for (one, _), (other, _) in both)
        blocks = [in_blocks(one, other.number_per_run) / other.median for (one, _), (other, _) in both]
        totals = [sum(pair[side][1] for pair in both) / pairs for side in (0, 1)]
        quarter = len(ratios) // 4
        print(
            f"{name}: {statistics.median(statistics.median(one.seconds) for (one, _), _ in both) * 1e6:.2f} us, ratio "
            f"to blocked_autorange {statistics.median(ratios):.3f} (middle half {ratios[quarter]:.3f} .. "
            f"{ratios[-1 - quarter]:.3f}, {pairs} pairs), in its blocks {statistics.median(blocks):.3f}; "
            f"{totals[0]:.3f} s each against {totals[1]:.3f} s",
            flush=True,
        )


def measured_share(runs: int) -> None:
    """How much of the time of a comparison of statements of about 10 ms goes into samples, at default settings."""
    import torch

    from tensorcli import report
    from tensorcli.engine.session import Session

    torch.set_num_threads(1)
    session = Session(seed=1)
    n, x = 740, torch.rand(740, 740)
    took = statistics.median(seconds_in(lambda: x @ x) for _ in range(20))
    n = round(n * (0.01 / took) ** (1 / 3))
    for texts in (("x @ x",), ("x @ x", "x.mm(x)")):
        shares, medians = [], []
        for _ in range(runs):
            answers: list[report.AnyReport] = []
            start = time.perf_counter()
            session.ask(report.Compare(texts=texts, setup=f"x = torch.rand({n}, {n})"), answers.append)
            seconds = time.perf_counter() - start
            (case,) = next(each for each in answers if isinstance(each, report.Benchmark)).cases
            shares.append(sum(sum(each.seconds) * each.calls_per_sample for each in case.variants) / seconds)
            medians += [each.median for each in case.variants if each.median]
        print(
            f"{len(texts)} statements of {statistics.median(medians) * 1e3:.1f} ms: {statistics.median(shares):.1%} of "
            f"the time in samples ({min(shares):.1%} .. {max(shares):.1%}, {runs} runs)"
        )


LOAD = """
import random, time
while True:
    end = time.perf_counter() + random.expovariate(4)
    while time.perf_counter() < end:
        sum(range(1000))
    time.sleep(random.expovariate(4))
"""


def honesty(runs: int) -> None:
    """How often the same is called different, and 5 % more work found, while three other programs work now and then."""
    import torch

    from tensorcli import stats
    from tensorcli.engine import measure, timed

    torch.set_num_threads(1)
    names = {"torch": torch, "a": torch.rand(1000), "b": torch.rand(1000), "m": torch.rand(64, 64)}
    texts = ("torch.dot(a, b)", "m @ m", "a.sum()")

    def differs(one: str, other: str, seed: int) -> bool:
        tasks = {name: measure.Task(timed.plain(text, dict(names))) for name, text in (("one", one), ("other", other))}
        found = measure.Interleaved(tasks, clock=time.perf_counter, min_seconds=0.5, max_seconds=10.0, seed=seed).run()
        pairs = found["one"].pairs(found["other"])
        return stats.ratio(found["one"].seconds, found["other"].seconds, pairs=pairs, seed=seed).differs

    others = [subprocess.Popen([PYTHON, "-c", LOAD]) for _ in range(3)]
    try:
        same = sum(differs(texts[k % 3], texts[k % 3], k) for k in range(runs))
        more = sum(differs("; ".join([texts[k % 3]] * 21), "; ".join([texts[k % 3]] * 20), k) for k in range(runs))
    finally:
        for other in others:
            other.kill()
            other.wait()
    print(f"the same called different in {same} of {runs} runs; 5 % more work found in {more} of {runs}")


BENCHES: dict[str, Callable[[argparse.Namespace], None]] = {
    "start": lambda options: start_up(options.pairs),
    "prompt": lambda options: first_prompt(max(options.pairs // 2, 3)),
    "echo": lambda options: echo(3),
    "memory": lambda options: memory(),
    "trip": lambda options: round_trip(300),
    "completion": lambda options: completing(10 * options.pairs),
    "large": lambda options: large_tensor(),
    "lookup": lambda options: lookups(1_000_000),
    "explain": lambda options: explaining(),
    "inspect": lambda options: inspecting(),
    "timing": lambda options: timing(options.pairs),
    "share": lambda options: measured_share(options.pairs),
    "honesty": lambda options: honesty(options.runs),
}
MINUTES = ("timing", "share", "honesty")  # take minutes, and are measured where they are named


def main() -> None:
    """Measure everything, or what is named."""
    parser = argparse.ArgumentParser(description=__doc__)
    names = [name for name in BENCHES if name not in MINUTES]
    parser.add_argument("what", nargs="*", default=names, help=", ".join(BENCHES))
    parser.add_argument("--pairs", type=int, default=11)
    parser.add_argument("--runs", type=int, default=100)
    options = parser.parse_args()
    for name in options.what:
        BENCHES[name](options)


if __name__ == "__main__":
    main()
