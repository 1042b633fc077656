"""One input to the requests it makes: pasted prompts come off, % commands are looked up in a table."""

import difflib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from keyword import iskeyword
from typing import Literal, get_args

import msgspec

from tensorcli import config, measuring
from tensorcli.pieces import Piece, cells, split
from tensorcli.report import (
    AnyReport,
    AnyRequest,
    Configure,
    Diagnosis,
    Draw,
    Drawn,
    Evaluate,
    Explain,
    Inspect,
    ListDevices,
    ListNames,
    Notice,
    Reset,
    Span,
    Time,
    TimeIt,
)

Emit = Callable[[AnyReport], None]
Ask = Callable[[AnyRequest, Emit], None]


Argument = Literal["", "code", "names", "files", "commands"] | tuple[str, ...]


@dataclass(frozen=True)
class Call:
    """A command as it was typed: its argument (a cell's lines below it), and what it can work with."""

    argument: str
    width: int
    max_values: int
    history: Sequence[str]
    preferences: config.Preferences | None = None  # of a prompt


@dataclass(frozen=True)
class Command:
    """One entry of the table. `run` says what to ask the engine, or answers by itself.

    `argument` is what completion offers behind it: a kind of thing, or the words themselves.
    """

    name: str
    usage: str
    help: str
    run: Callable[[Call], AnyRequest | Notice | Diagnosis]
    argument: Argument = ""


# The commands.


def _time(call: Call) -> AnyRequest | Diagnosis:
    if not call.argument:
        return _problem("there is nothing to time: write a statement after it, as in %time x @ x.T")
    return Time(text=call.argument, width=call.width, max_values=call.max_values)


_IPYTHON_OPTIONS = re.compile(r"(?:-[nrtp] *\d+ +|-[qoct] +)+(?=\S)")


def _timeit(call: Call) -> AnyRequest | Diagnosis:
    options = _IPYTHON_OPTIONS.match(call.argument)
    text = call.argument[options.end() :] if options else call.argument
    if not text:
        return _problem("there is nothing to time: write a statement after it, as in %timeit x @ x.T")
    if options is None:
        return TimeIt(text=text)
    why = "the time decides how many calls there are, and %bench --min-time 2 takes more"
    return TimeIt(text=text, notes=(f"{options[0].strip()} is left out: {why}",))


def _bench(call: Call) -> AnyRequest | Diagnosis:
    if not call.argument:
        return _problem("there is nothing to measure: write expressions after it, as in %bench x @ w, torch.mm(x, w)")
    try:
        return measuring.of_line(call.argument)
    except ValueError as problem:
        return _problem(str(problem))


def _check(call: Call) -> AnyRequest | Diagnosis:
    if not call.argument:
        return _problem("there is nothing to check: write an expression after it, as in %check x @ x.T")
    return Inspect(text=call.argument, dry_run=True)


# After a variable that is named as a kind of picture is: "line + 1", but not "line -x".
_INFIX = re.compile(r"$|[-+] |[*/@%=<>!&|^.,]|(?:if|in|is|and|or|not|for)\b")


def _plot(call: Call) -> AnyRequest | Diagnosis:
    if not call.argument:
        return _problem("there is nothing to draw: write an expression after it, as in %plot torch.randn(1000)")
    first, _, rest = call.argument.partition(" ")
    size = (call.width, call.width * 3 // 4)
    if first in get_args(Drawn) and not _INFIX.match(rest.lstrip()):
        return Draw(text=rest.strip(), plot=first, plot_size=size)  # type: ignore[arg-type]
    if first.isidentifier() and not iskeyword(first) and re.match(r"[\w(\[]", rest) and not _INFIX.match(rest):
        return _problem(f"there is no picture called {first}: choose from {', '.join(get_args(Drawn))}")
    return Draw(text=call.argument, plot_size=size)


def _whos(_call: Call) -> AnyRequest:
    return ListNames()


def _reset(_call: Call) -> AnyRequest:
    return Reset()


def _devices(_call: Call) -> AnyRequest:
    return ListDevices()


def _seed(call: Call) -> AnyRequest | Diagnosis:
    text = call.argument.replace("_", "")
    if not text:
        return Configure()
    if not (text.isascii() and text.isdecimal() and len(text) < 20 and int(text) < 2**63):
        return _problem(f"a seed is a whole number from 0 to 2**63 - 1, not {_shortened(text)}: try %seed 42")
    return Configure(seed=int(text))


def _warn(call: Call) -> AnyRequest | Diagnosis:
    word = _plain(call.argument)
    if word not in ("", "on", "off"):
        return _problem(f"%warn is on or off, not {_shortened(word)}: try %warn off")
    return Configure(warn=None if not word else word == "on")


def _device(call: Call) -> AnyRequest:
    return Configure(device=_plain(call.argument) or None)


def _dtype(call: Call) -> AnyRequest:
    return Configure(dtype=_plain(call.argument).removeprefix("torch.") or None)


def _history(call: Call) -> Notice | Diagnosis:
    if call.argument and not (call.argument.isascii() and call.argument.isdecimal() and len(call.argument) < 10):
        return _problem(f"%history takes how many inputs to show, not {_shortened(call.argument)}: try %history 10")
    first = max(0, len(call.history) - int(call.argument)) if call.argument else 0
    lines = [
        f"{number:>4}  " + text.replace("\n", "\n      ") for number, text in enumerate(call.history[first:], first + 1)
    ]
    return Notice(text="\n".join(lines) or "nothing has been typed yet")


_SETTING = re.compile(r"(\w+)\s*(?:=\s*|\s|$)(.*)", re.DOTALL)


def _config(call: Call) -> Notice | Diagnosis:
    preferences = call.preferences
    if preferences is None:
        return _problem("%config is for the prompt: run tensorcli repl in a terminal")
    words = call.argument.split()
    setting = _SETTING.match(" ".join(word for word in words if word != "--save"))
    name, value = setting.groups() if setting else ("", "")
    try:
        if value:
            preferences.change(name, value)
        if "--save" in words:
            names = [name] if name else list(preferences.changed)
            preferences.save(names)
            return Notice(text=f"{preferences.path} has {', '.join(names)}" if names else "nothing has been changed")
        if not name:
            return Notice(text=preferences.described())
        return Notice(text=preferences.line(name) + (f"\n{_NOT_SAVED}" if value else ""))
    except config.Problem as problem:
        return _problem(str(problem))


_NOT_SAVED = "for this session; %config --save has it hold for later ones too"


def _explain(call: Call) -> AnyRequest:
    return Explain(code=_plain(call.argument))


def _help(call: Call) -> Notice | Diagnosis:
    name = call.argument if call.argument[:1] in ("", "!") else "%" + call.argument.lstrip("%")
    chosen = [c for c in COMMANDS.values() if not name or c.name.lstrip("%") == name.lstrip("%")]
    if not chosen:
        return _unknown(name)
    width = max(len(command.usage) for command in chosen)
    return Notice(text="\n".join(f"{command.usage:<{width}}  {command.help}" for command in chosen))


COMMANDS = {
    command.name: command
    for command in (
        Command("%time", "%time STATEMENT", "run a statement and say how long it took", _time, "code"),
        Command("%%time", "%%time", "on the first line: time all lines below it", _time, "code"),
        Command("%timeit", "%timeit STATEMENT", "run a statement many times: median and interval", _timeit, "code"),
        Command("%%timeit", "%%timeit", "on the first line: run all lines below it many times", _timeit, "code"),
        Command(
            "%bench", "%bench EXPR, EXPR", "compare expressions, or measure a workload: %bench matmul", _bench, "code"
        ),
        Command("%%bench", "%%bench", "on the first line: compare the lines below it", _bench, "code"),
        Command("%check", "%check EXPR", "what it would give and need, with nothing computed", _check, "code"),
        Command("%plot", "%plot [KIND] EXPR", "draw a line, histogram, heatmap or image of a tensor", _plot, "code"),
        Command("%whos", "%whos", "the variables: shape, dtype, device, memory, sharing", _whos),
        Command(
            "%device",
            "%device [NAME]",
            "show or set the default device: cpu, cuda, cuda:1",
            _device,
            ("cpu", "cuda", "meta"),
        ),
        Command(
            "%dtype",
            "%dtype [NAME]",
            "show or set the default dtype: float32, float64",
            _dtype,
            ("float32", "float64", "float16", "bfloat16"),
        ),
        Command("%seed", "%seed [N]", "show the seed, or seed every generator with N", _seed),
        Command(
            "%warn", "%warn [on|off]", "tell of mistakes that raise nothing, once for each kind", _warn, ("on", "off")
        ),
        Command("%devices", "%devices", "what torch and the driver say of the devices", _devices),
        Command("%history", "%history [N]", "the last N inputs, or all of them", _history),
        Command("%explain", "%explain [CODE]", "the page of a kind of mistake; all kinds without a code", _explain),
        Command(
            "%config",
            "%config [NAME VALUE]",
            "show the options, or change one; --save keeps it",
            _config,
            (*config.HELP, "--save"),
        ),
        Command("%reset", "%reset", "forget all variables and begin again from the seed", _reset),
        Command("%help", "%help [COMMAND]", "this list, or one line of it", _help, "commands"),
        Command("!nvidia-smi", "!nvidia-smi", "the same as %devices", _devices),
    )
}


# An input.


def submit(
    text: str,
    ask: Ask,
    emit: Emit,
    *,
    echo: Literal["last", "all"] = "last",
    filename: str | None = None,
    first_line: int = 1,
    width: int = 80,
    max_values: int = 1000,
    history: Sequence[str] = (),
    preferences: config.Preferences | None = None,
    keep_going: bool = False,
) -> Diagnosis | None:
    """Run one input: each of its pieces is asked for in turn, and a diagnosis stops the rest unless `keep_going`.

    Gives the diagnosis that came, if any: an interruption before others, else the last.
    Statements are numbered through the whole input, commands among them.
    """
    asked, problem = 0, None
    pieces = [piece._replace(line=first + piece.line - 1) for first, cell in cells(text) for piece in split(cell)]
    for piece in pieces:
        latest = before = asked

        def pass_on(report: AnyReport, piece: Piece = piece, before: int = before) -> None:
            nonlocal latest, problem
            if isinstance(report, Diagnosis) and not (problem and problem.category == "interrupted"):
                problem = report
            report = _placed(report, piece, before, filename=filename, line=first_line + piece.line - 1)
            latest = max(latest, report.statement or 0)
            emit(report)

        if piece.command is None:
            line = first_line + piece.line - 1
            request: AnyRequest | Notice | Diagnosis = Evaluate(
                text=piece.body, echo=echo, filename=filename, first_line=line, width=width, max_values=max_values
            )
        else:
            argument = "\n".join(part for part in (piece.argument, piece.body) if part.strip())
            request = _command(piece, Call(argument, width, max_values, history, preferences))
            if isinstance(request, Time | TimeIt):
                below = 0 if piece.argument else 1
                line = first_line + piece.line - 1 + below
                request = msgspec.structs.replace(request, filename=filename, first_line=line)
        if isinstance(request, Notice | Diagnosis):
            pass_on(request)
        else:
            ask(request, pass_on)
        asked = max(latest, before + 1)
        if problem and not keep_going:
            break
    return problem


def _placed(report: AnyReport, piece: Piece, before: int, *, filename: str | None, line: int) -> AnyReport:
    """A report with its statement's number counted through the whole input, and a command's with its source."""
    if piece.command is None or report.statement is not None:
        return msgspec.structs.replace(report, statement=before + report.statement) if report.statement else report
    written = f"{piece.command} {piece.argument}".rstrip()
    report = msgspec.structs.replace(report, statement=before + 1, source=report.source or written)
    if isinstance(report, Diagnosis) and filename and not report.location:
        report = msgspec.structs.replace(report, location=f"{filename}:{line}")
    return report


def _command(piece: Piece, call: Call) -> AnyRequest | Notice | Diagnosis:
    name = piece.command or ""
    found = COMMANDS.get(name)
    if found:
        return found.run(call)
    if name.startswith("!"):
        title = f"{name} would start another program, and that is not tensor work: run it in a shell"
        return Diagnosis(code="refused", category="refused", title=title, source=name, span=_span(name))
    return _unknown(name)


def _unknown(name: str) -> Diagnosis:
    near = difflib.get_close_matches(name, COMMANDS, n=1)
    advice = f"did you mean {near[0]}?" if near else "%help lists them"
    title = f"there is no command {_shortened(name)}: {advice}"
    return Diagnosis(code="unknown-command", category="name", title=title, source=name, span=_span(name))


def _problem(title: str) -> Diagnosis:
    return Diagnosis(code="bad-argument", category="value", title=title)


def _span(text: str) -> Span:
    return Span(line=1, column=0, end_line=1, end_column=len(text), text=text)


def _plain(argument: str) -> str:
    return argument.strip("\"' ")


def _shortened(text: str) -> str:
    return text if len(text) <= 40 else text[:37] + "..."
