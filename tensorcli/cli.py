"""The commands: arguments to a request, an engine's reports to the screen, and the exit code."""

import math
import os
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer
from typer.core import TyperCommand

from tensorcli import __version__, opening

if TYPE_CHECKING:
    from tensorcli.client import Client
    from tensorcli.journal import Journal
    from tensorcli.report import AnyReport, AnyRequest, Benchmark
    from tensorcli.show import Screen

app = typer.Typer(
    name="tensorcli",
    help="A tensor playground: type a PyTorch expression, see its shape, dtype, device, memory and values.",
    no_args_is_help=False,
    invoke_without_command=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog='Example: tensorcli inspect "torch.rand(3, 4) @ torch.rand(4, 2)"',
)


class Dtype(StrEnum):
    """The default dtypes there can be."""

    float32 = "float32"
    float64 = "float64"
    float16 = "float16"
    bfloat16 = "bfloat16"


class Pretended(StrEnum):
    """The devices that can be pretended."""

    cuda = "cuda"


class Picture(StrEnum):
    """The pictures that there can be of a tensor."""

    auto = "auto"
    line = "line"
    histogram = "histogram"
    heatmap = "heatmap"
    image = "image"


STDOUT = "-"  # in a file's place
PLOT = f"Draw the result; KIND is {', '.join(Picture)}."


class Inspecting(TyperCommand):
    """A command whose `--plot` may stand without its value, also before an argument."""

    def parse_args(self, context: Any, args: list[str]) -> list[str]:
        """The arguments, each such `--plot` with the value that is meant."""
        kinds = list(Picture)
        bare = [arg == "--plot" and after not in kinds for arg, after in zip(args, [*args, ""][1:], strict=True)]
        words = [after for b, after in zip(bare, args[1:], strict=False) if b and not after.startswith("-")]
        meant = ["--plot=auto" if b else arg for arg, b in zip(args, bare, strict=True)]
        try:
            return super().parse_args(context, meant)
        except Exception as error:
            if not words or "extra argument" not in str(error):
                raise
            raise typer.BadParameter(
                f"{words[0]} is no picture: choose from {', '.join(kinds)}", param_hint="--plot"
            ) from None


def _number(kind: type[int] | type[float], example: str, *, least: float = -math.inf, most: float = math.inf) -> Any:
    """How an option's number is read: what is none is told in the same words, whatever Typer's own are."""
    called = "a whole number" if kind is int else "a number"
    limits = (
        "" if least == -math.inf else f" of at least {least:g}" if most == math.inf else f" from {least:g} to {most:,}"
    )

    def read(text: Any) -> Any:
        with suppress(ValueError, OverflowError):
            if least <= (number := kind(text)) <= most:
                return number
        raise typer.BadParameter(f"{text!s:.40} is not {called}{limits}: write {example}")

    return {"parser": read, "metavar": "INTEGER" if kind is int else "FLOAT"}


_SECONDS = _number(float, "2", least=0.001)

Json = Annotated[bool, typer.Option("--json", help="Print each report as one line of JSON.")]
NoColor = Annotated[bool, typer.Option("--no-color", help="Print no colours.")]
Width = Annotated[
    int | None,
    typer.Option("--width", help="Columns to draw in.", show_default="terminal", **_number(int, "100", least=20)),
]
Seed = Annotated[
    int | None,
    typer.Option(
        "--seed",
        help="Seed of the random numbers.",
        show_default="random",
        **_number(int, "42", least=0, most=2**63 - 1),
    ),
]
Device = Annotated[str, typer.Option("--device", help="Default device: cpu, cuda, cuda:1.")]
DefaultDtype = Annotated[Dtype, typer.Option("--dtype", help="Default dtype of floating-point tensors.")]
Pretend = Annotated[
    Pretended | None, typer.Option("--pretend", help="Behave as if there were one such device, where there is none.")
]
Warn = Annotated[bool, typer.Option("--warn/--no-warn", help="Tell of mistakes that raise nothing.")]
Trust = Annotated[bool, typer.Option("--trust", help="Full Python: run your own code without the gate.")]


def _max_memory(text: Any) -> int | None:
    """How --max-memory is read."""
    from tensorcli.config import nbytes_of

    try:
        return nbytes_of(str(text))
    except ValueError as problem:
        raise typer.BadParameter(str(problem)) from None


MaxMemory = Annotated[
    int | None,
    typer.Option(
        "--max-memory",
        help="The most memory to use, such as 8 GiB.",
        show_default="what is free",
        parser=_max_memory,
        metavar="AMOUNT",
    ),
]
MaxValues = Annotated[
    int, typer.Option("--max-values", help="Most elements whose values --json prints.", **_number(int, "1000", least=0))
]


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"tensorcli {__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def main_callback(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Without a command: repl."""
    if context.invoked_subcommand is None:
        repl()


@app.command(epilog="Example: tensorcli repl --seed 42")
def repl(
    seed: Seed = None,
    device: Device = "cpu",
    dtype: DefaultDtype = Dtype.float32,
    trust: Trust = False,
    pretend: Pretend = None,
    warn: Warn = True,
    max_memory: MaxMemory = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the last session, as it was left.")] = False,
    json: Json = False,
    no_color: NoColor = False,
    width: Width = None,
) -> None:
    """Type expressions and see what they give. Reads statements from stdin where that is not a terminal."""
    from tensorcli import repl as room

    last, pretended = _last_session() if resume else None, pretend and pretend.value
    chosen = opening.seed_or_any(seed if last is None or last.seed is None else last.seed)
    options: dict[str, Any] = {"seed": chosen, "device": device, "trust": trust, "warn": warn, "max_memory": max_memory}
    if sys.stdin is not None and sys.stdin.isatty() and not json:
        options |= {"dtype": dtype.value, "pretend": pretended, "last": last, "no_color": no_color, "width": width}
        _leave(lambda: opening.at_terminal(**options))
    if sys.stdin is not None and sys.stdin.isatty():
        sys.stderr.write("reading statements; Ctrl-D ends them and runs them\n")
    shown = opening.screen(json=json, no_color=no_color, width=width)
    here = _here(shown, **options, dtype=dtype, pretend=pretend)
    _leave(lambda: room.batch(here, shown, sys.stdin.buffer if sys.stdin else None))


def _last_session() -> "Journal":
    from tensorcli import journal

    found = journal.latest(root) if (root := opening.sessions()) else None
    if found is None:
        raise typer.BadParameter("there is no earlier session to go on with", param_hint="--resume")
    return found


@app.command(
    cls=Inspecting, epilog='Example: tensorcli inspect "x @ w" -s "x = torch.rand(64, 784); w = torch.rand(784, 10)"'
)
def inspect(
    expression: Annotated[str, typer.Argument(help="The expression to look into.", metavar="EXPRESSION")],
    setup: Annotated[str, typer.Option("--setup", "-s", help="Statements to run first.")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Compute nothing: shapes, dtypes, bytes alone.")] = False,
    symbol: Annotated[list[str] | None, typer.Option(help="A size that is not known: a dry run.")] = None,
    grad: Annotated[bool, typer.Option("--grad", help="Show the autograd graph and the gradients.")] = False,
    depth: Annotated[
        int | None, typer.Option(help="Levels of the tree.", show_default="all", **_number(int, "2", least=0))
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Show numbers, indices and what loops hold too.")] = False,
    plot: Annotated[Picture | None, typer.Option(metavar="[KIND]", help=PLOT)] = None,
    plot_to: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Draw the result to a .png or .svg file.")
    ] = None,
    expect: Annotated[
        str | None, typer.Option(metavar="RESULT", help='Exit with 1 if it is not "float32 [N, *] cpu".')
    ] = None,
    svg: Annotated[Path | None, typer.Option(metavar="FILE", help="Save what the screen shows as SVG.")] = None,
    html: Annotated[Path | None, typer.Option(metavar="FILE", help="Save what the screen shows as HTML.")] = None,
    seed: Seed = None,
    device: Device = "cpu",
    dtype: DefaultDtype = Dtype.float32,
    trust: Trust = False,
    max_memory: MaxMemory = None,
    pretend: Pretend = None,
    warn: Warn = False,
    json: Json = False,
    no_color: NoColor = False,
    width: Width = None,
) -> None:
    """Show every sub-expression's shape, dtype, device, memory and time."""
    from tensorcli import expect as expectations
    from tensorcli import figure
    from tensorcli.report import Inspect, Plot, Trace

    if (dry_run or symbol) and (plot or plot_to):
        raise typer.BadParameter("a dry run computes nothing, so there is nothing to draw", param_hint="--plot")
    try:
        expected = None if expect is None else expectations.parse(expect)
    except expectations.Malformed as problem:
        raise typer.BadParameter(str(problem), param_hint="--expect") from None
    if plot_to and (lack := figure.problem(plot_to)):
        sys.stderr.write(f"error: {lack}\n")
        raise typer.Exit(2)
    _must_be_writable(plot_to, svg, html)
    screen = opening.screen(json=json, no_color=no_color, width=width, svg=svg, html=html)
    engine = _here(
        screen, seed=seed, device=device, dtype=dtype, trust=trust, pretend=pretend, warn=warn, max_memory=max_memory
    )
    size = figure.PIXELS if plot_to else screen.width

    def show(answer: "AnyReport") -> None:
        if not isinstance(answer, Plot) or plot:
            screen.show(answer)

    def finish(answers: "list[AnyReport]") -> None:
        for answer in answers:
            if isinstance(answer, Plot) and plot_to:
                figure.save(answer, plot_to)
            elif isinstance(answer, Trace) and expected and (problem := expectations.problem(expected, answer)):
                screen.show(problem)

    request = Inspect(
        text=expression,
        setup=setup,
        depth=depth,
        all=everything,
        grad=grad,
        dry_run=dry_run or bool(symbol),
        symbols=tuple(symbol or ()),
        plot=(plot or Picture.auto).value if plot or plot_to else None,
        plot_size=(size, size * 3 // 4),
    )
    _answer(engine, request, screen, show=show, finish=finish)


@app.command(epilog="Example: tensorcli run tutorial.md --keep-going")
def run(
    file: Annotated[str, typer.Argument(help="A .py, .md or .ipynb file, or - for stdin.", metavar="FILE|-")],
    keep_going: Annotated[
        bool, typer.Option("--keep-going", help="Go on with the next fence, cell or command after an error.")
    ] = False,
    seed: Seed = None,
    device: Device = "cpu",
    dtype: DefaultDtype = Dtype.float32,
    trust: Trust = False,
    max_memory: MaxMemory = None,
    pretend: Pretend = None,
    warn: Warn = False,
    max_values: MaxValues = 1000,
    json: Json = False,
    no_color: NoColor = False,
    width: Width = None,
) -> None:
    """Run a Python file, a Markdown file's python fences or a notebook's code cells, as one session."""
    from tensorcli.cells import read
    from tensorcli.files import play

    screen = opening.screen(json=json, no_color=no_color, width=width)
    cells = read(file)
    if not isinstance(cells, list):
        screen.show(cells)
        raise typer.Exit(2)
    engine = _here(
        screen, seed=seed, device=device, dtype=dtype, trust=trust, pretend=pretend, warn=warn, max_memory=max_memory
    )
    _leave(lambda: play(cells, engine, screen, keep_going=keep_going, max_values=max_values))


@app.command(epilog="Example: tensorcli bench matmul --size 64 --size 512 --device cpu --device cuda")
def bench(
    workload: Annotated[
        str, typer.Argument(help="matmul, dot, ...; list shows them all.", metavar="WORKLOAD|list|compare")
    ],
    expressions: Annotated[
        list[str] | None, typer.Argument(help="What compare measures.", metavar="EXPRESSION")
    ] = None,
    setup: Annotated[str, typer.Option("--setup", "-s", help="Statements for compare to run first.")] = "",
    param: Annotated[
        list[str] | None, typer.Option("--param", metavar="NAME=VALUES", help="What {NAME} stands for: n=64,256.")
    ] = None,
    device: Annotated[list[str] | None, typer.Option("--device", help="May be given more than once.")] = None,
    size: Annotated[list[str] | None, typer.Option("--size", help="n, or several: 64,256 or 64..4096*2.")] = None,
    dtype: Annotated[list[str] | None, typer.Option("--dtype", help="May be given more than once; also tf32.")] = None,
    threads: Annotated[
        list[int] | None, typer.Option("--threads", help="May be given more than once.", **_number(int, "4"))
    ] = None,
    variant: Annotated[
        list[str] | None, typer.Option("--variant", help="Only these; the first is compared to.")
    ] = None,
    min_time: Annotated[float, typer.Option("--min-time", help="Seconds to spend on each variant.", **_SECONDS)] = 1.0,
    max_time: Annotated[
        float | None,
        typer.Option(
            "--max-time", help="Seconds to spend on one at most.", show_default="10, or --min-time", **_SECONDS
        ),
    ] = None,
    full: Annotated[bool, typer.Option("--full", help="Run loops to their end, however long that takes.")] = False,
    cold: Annotated[
        bool,
        typer.Option(
            "--cold", help="Flush the caches before each call; that takes of the time, so there are fewer samples."
        ),
    ] = False,
    explain: Annotated[bool, typer.Option("--explain", help="Count the operators and allocations of each.")] = False,
    baseline: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Compare with an earlier run's --json FILE.")
    ] = None,
    fail_if_slower: Annotated[
        str | None, typer.Option(metavar="PERCENT", help="Exit with 1 if slower than --baseline by more: 10%.")
    ] = None,
    json: Annotated[Path | None, typer.Option(metavar="FILE", help="Also write all of it; - for stdout.")] = None,
    csv: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Also write a line for each variant; - for stdout.")
    ] = None,
    markdown: Annotated[Path | None, typer.Option(metavar="FILE", help="Also write the tables; - for stdout.")] = None,
    plot: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Draw time and rate against size to a .png or .svg file.")
    ] = None,
    seed: Seed = None,
    trust: Trust = False,
    max_memory: MaxMemory = None,
    no_color: NoColor = False,
    width: Width = None,
) -> None:
    """Measure a Python loop against vectorised variants, or expressions of your own, every raw sample kept.

    The exit code is 2 where the command line leaves nothing to measure. It is 1 where something asked for makes no
    sense, fails, gives a wrong result or none, or cannot be measured at all, such as a size that does not fit into
    memory; the rest is measured. A variant that a device lacks is no failure.
    """
    from tensorcli import baseline as baselines
    from tensorcli import figure, measuring, sense
    from tensorcli.report import Benchmark, Output

    screen = opening.screen(json=str(json) == STDOUT, no_color=no_color, width=width)
    if workload == "list":
        from tensorcli.workloads import listing

        if expressions:
            raise typer.BadParameter(
                f"list shows every workload, and takes no more words: {' '.join(expressions)[:100]}"
            )

        others: dict[str, object] = {"--setup": setup, "--param": param, "--device": device, "--size": size}
        others |= {"--dtype": dtype, "--threads": threads, "--variant": variant, "--baseline": baseline}
        others |= {"--csv": csv, "--markdown": markdown, "--plot": plot}
        if named := ", ".join(option for option, given in others.items() if given):
            raise typer.BadParameter(f"list shows every workload: leave out {named}")
        if json and str(json) != STDOUT:
            raise typer.BadParameter("list writes no file: --json - prints it as JSON", param_hint="--json")

        def show_all() -> int:
            for line in listing():
                screen.show(line)
            return screen.close()

        _leave(show_all)
    try:
        request = measuring.request(
            (workload, *(expressions or ())),
            setup=setup,
            params=param or (),
            sizes=size or (),
            variants=variant or (),
            devices=tuple(device or ()),
            dtypes=tuple(dtype or ()),
            threads=tuple(threads or ()),
            min_seconds=min_time,
            max_seconds=max_time,
            full=full,
            cold=cold,
            explain=explain,
            seed=opening.seed_or_any(seed),
        )
    except ValueError as problem:
        raise typer.BadParameter(str(problem)) from None
    if wrong := sense.hopeless(request):
        raise typer.BadParameter("; ".join(dict.fromkeys(problem.title for problem in wrong)))
    share = None if fail_if_slower is None else _share(fail_if_slower)
    if share is not None and baseline is None:
        raise typer.BadParameter(
            "slower than what? --baseline FILE names an earlier run", param_hint="--fail-if-slower"
        )
    then = None if baseline is None else baselines.read(baseline)
    if isinstance(then, str) or (plot and (lack := figure.problem(plot))):
        sys.stderr.write(f"error: {then if isinstance(then, str) else lack}\n")
        raise typer.Exit(2)
    files = {"--json": json, "--csv": csv, "--markdown": markdown, "--plot": plot}
    outputs = {option: path for option, path in files.items() if path is not None}
    _must_differ(outputs)
    saved = {option: path for option, path in outputs.items() if str(path) != STDOUT}
    _must_be_writable(*saved.values(), code=2)
    printed = next((option for option in ("--csv", "--markdown") if str(files[option]) == STDOUT), None)
    found: list[Benchmark] = []

    def show(answer: "AnyReport") -> None:
        if isinstance(answer, Benchmark):
            answer = answer if then is None else baselines.since(answer, then, share)
            found.append(answer)
            if printed:
                answer = Output(text=_contents(answer, printed, "").decode())
        screen.show(answer)

    def finish(_: "list[AnyReport]") -> None:
        for answer in found:
            for problem in baselines.slower(answer, then, share) if then is not None and share is not None else ():
                screen.show(problem)
            _write_bench(answer, saved, screen)
        if not found:
            _not_written(saved.values(), "nothing was measured")

    engine = _here(screen, seed=seed, trust=trust, max_memory=max_memory)
    _answer(engine, request, screen, show=show, finish=finish)


def _share(text: str) -> float:
    """The share that "10%", "10 %" and "10" are."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*%?", text.strip(), re.ASCII)
    if match is None:
        raise typer.BadParameter(f"{text} is no share: write 10%", param_hint="--fail-if-slower")
    return float(match[1]) / 100


def _write_bench(benchmark: "Benchmark", files: Mapping[str, Path], screen: "Screen") -> None:
    """Write the files asked for, whole; one that cannot be loses no other, and what an interrupt leaves out is named.

    What was measured until an interrupt is written as well, and says that it is incomplete.
    """
    from tensorcli import atomic
    from tensorcli.report import Diagnosis

    if not any(variant.seconds for case in benchmark.cases for variant in case.variants):
        return _not_written(files.values(), "nothing was measured")
    left = dict(files)
    try:
        for option, path in files.items():
            try:
                atomic.write(path, _contents(benchmark, option, path.suffix.lower()))
            except OSError as error:
                title = f"{path} cannot be written: {error.strerror or error}"
                screen.show(Diagnosis(code="not-written", category="value", title=title))
            del left[option]
    except KeyboardInterrupt:
        _not_written(left.values(), "it was interrupted")
        raise


def _not_written(paths: Iterable[Path], why: str) -> None:
    for path in paths:
        sys.stderr.write(f"{path} is not written: {why}\n")


def _contents(benchmark: "Benchmark", option: str, suffix: str) -> bytes:
    """What an option writes of a benchmark."""
    from tensorcli import export, figure, wire

    match option:
        case "--json":
            return wire.encode(benchmark)
        case "--csv":
            return export.as_csv(benchmark)
        case "--markdown":
            from tensorcli.render.bench import markdown

            return markdown(benchmark).encode("utf-8", "backslashreplace")
    return figure.of_benchmark(benchmark, suffix)


@app.command(epilog="Example: tensorcli explain matmul-inner-sizes")
def explain(
    code: Annotated[str, typer.Argument(help="What stands at the right of an error; none lists all.")] = "",
    json: Json = False,
    no_color: NoColor = False,
    width: Width = None,
) -> None:
    """Show the page of a kind of mistake: the rule, and a worked example."""
    from tensorcli.report import Explain

    screen = opening.screen(json=json, no_color=no_color, width=width)
    _answer(_here(screen), Explain(code=code), screen)


@app.command(epilog="Example: tensorcli devices --json")
def devices(json: Json = False, no_color: NoColor = False, width: Width = None) -> None:
    """Show the devices that torch and the driver report, and why there is no CUDA where there is none."""
    from tensorcli.report import ListDevices

    screen = opening.screen(json=json, no_color=no_color, width=width)
    _answer(_here(screen), ListDevices(), screen)


def _here(
    screen: "Screen",
    *,
    seed: int | None = None,
    device: str = "cpu",
    dtype: Dtype = Dtype.float32,
    trust: bool = False,
    pretend: Pretended | None = None,
    warn: bool = False,
    max_memory: int | None = None,
) -> "Client":
    """An engine in this process. Where its device is not there, says so and leaves: nothing runs on another instead."""
    from tensorcli.client import Here

    options: dict[str, Any] = {"trust": trust, "warn": warn, "max_memory": max_memory}
    engine = Here(seed=opening.seed_or_any(seed), dtype=dtype.value, pretend=pretend and pretend.value, **options)
    if device != "cpu":
        from tensorcli.report import Configure, Diagnosis

        problems: list[Diagnosis] = []
        engine.ask(
            Configure(device=device), lambda said: problems.extend([said] if isinstance(said, Diagnosis) else [])
        )
        for problem in problems:
            screen.show(problem)
            _leave(screen.close)
        engine.start = Configure(seed=engine.start.seed, device=device, dtype=dtype.value)
    return engine


def _answer(
    engine: "Client",
    request: "AnyRequest",
    screen: "Screen",
    *,
    show: "Callable[[AnyReport], None] | None" = None,
    finish: "Callable[[list[AnyReport]], None]" = lambda _: None,
) -> NoReturn:
    """Ask one request, show each of its reports, do with all of them what is left to do, and leave."""

    def ask() -> int:
        answers: list[AnyReport] = []

        def emit(answer: "AnyReport") -> None:
            answers.append(answer)
            (show or screen.show)(answer)

        try:
            engine.ask(request, emit)
        except KeyboardInterrupt:
            finish(answers)
            raise
        finish(answers)
        return screen.close()

    _leave(ask)


def _must_differ(outputs: Mapping[str, Path]) -> None:
    """Leave where two options write to the same place: one would be lost."""
    taken: dict[str, str] = {}
    for option, path in outputs.items():
        place = STDOUT if str(path) == STDOUT else os.path.realpath(path)
        if first := taken.get(place):
            where = "stdout" if place == STDOUT else str(path)
            raise typer.BadParameter(f"{first} and {option} both write to {where}: give each its own file")
        taken[place] = option


def _must_be_writable(*paths: Path | None, code: int = 1) -> None:
    """Leave where a file cannot be written, before anything is computed for it."""
    for path in paths:
        try:
            if path is not None:
                there = path.exists()
                path.open("ab").close()
                if not there:
                    path.resolve().unlink()
        except OSError as error:
            sys.stderr.write(f"error: {path} cannot be written: {error.strerror}\n")
            raise typer.Exit(code) from None


def _leave(action: Callable[[], int]) -> NoReturn:
    """Do what was asked and end with its exit code."""
    raise typer.Exit(opening.ended(action))
