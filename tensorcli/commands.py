"""The table of % commands: what each asks of an engine, or says by itself."""

import difflib
import re
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from keyword import iskeyword
from typing import Any, Literal, get_args

from tensorcli import config, keeping, measuring, units
from tensorcli.cells import Cell
from tensorcli.past import Input
from tensorcli.pieces import Piece
from tensorcli.report import (
    AnyReport,
    AnyRequest,
    Configure,
    Diagnosis,
    Document,
    Draw,
    Drawn,
    Explain,
    Inspect,
    Judge,
    Judged,
    ListDevices,
    ListNames,
    Notice,
    Reset,
    Settings,
    Span,
    Time,
    TimeIt,
    Undo,
)

Emit = Callable[[AnyReport], None]
Ask = Callable[[AnyRequest, Emit], None]


Kind = Literal["", "code", "names", "files", "commands", "mistakes"]
Argument = Kind | tuple[str, ...] | Callable[[Sequence[str]], Sequence[str]]


@dataclass(frozen=True)
class Call:
    """A command as it was typed: its argument (a cell's lines below it), and what it can work with.

    `history` are the inputs, this one last, of a session that began with `start`; `running` are the files that are
    being run.
    """

    argument: str
    width: int
    max_values: int
    history: Sequence[Input]
    start: Configure
    ask: Ask
    running: Sequence[str] = ()
    preferences: config.Preferences | None = None  # of a prompt


Answer = AnyRequest | Notice | Diagnosis | list[Cell]


@dataclass(frozen=True)
class Command:
    """One entry of the table. `run` says what to ask the engine or which cells to run, or answers by itself.

    `argument` is what completion offers behind it: a kind of thing, the words themselves, or which may follow others.
    `first` are words that may stand before it. `examples` are more lines of its own help.
    """

    name: str
    usage: str
    help: str
    run: Callable[[Call], Answer]
    argument: Argument = ""
    first: tuple[str, ...] = ()
    examples: tuple[str, ...] = ()


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


_INSPECTING = re.compile(r"--(dry-run|grad|all)(?:\s+|$)|--depth(?:\s+|=)(\d{1,4})(?:\s+|$)", re.ASCII)


def _inspect(call: Call) -> AnyRequest | Diagnosis:
    text, options = call.argument, dict[str, Any]()
    while found := _INSPECTING.match(text):
        options |= {found[1].replace("-", "_"): True} if found[1] else {"depth": int(found[2])}
        text = text[found.end() :]
    if text.startswith("--"):
        known = "--dry-run, --grad, --all and --depth N"
        return _problem(f"%inspect has no option {_shortened(text.split()[0])}: it has {known}")
    if not text:
        return _problem("there is nothing to inspect: write an expression after it, as in %inspect x @ w + b")
    return Inspect(text=text, **options)


def _whos(call: Call) -> AnyRequest:
    return ListNames(types=tuple(call.argument.split()))


def _who(call: Call) -> AnyRequest:
    return ListNames(types=tuple(call.argument.split()), brief=True)


def _load(call: Call) -> AnyRequest:
    return keeping.load(call.argument)


def _save(call: Call) -> AnyRequest | Notice | Diagnosis:
    def may_change(text: str) -> bool:
        answers: list[AnyReport] = []
        call.ask(Judge(texts=(text,)), answers.append)
        return all(any(each.may_change) for each in answers if isinstance(each, Judged))

    return keeping.save(call.argument, call.history, call.start, may_change)


def _run(call: Call) -> list[Cell] | Diagnosis:
    return keeping.run(call.argument, call.running)


def _undo(call: Call) -> AnyRequest | Diagnosis:
    count = _small(call.argument) if call.argument else 1
    if not count:
        return _problem(f"%undo takes how many inputs to take back, not {_shortened(call.argument)}: try %undo 2")
    return Undo(count=count)


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


def _settings(call: Call, told: Callable[[Settings], str]) -> Notice | Diagnosis:
    """A sentence about the settings as they are, or what the engine says in their stead."""
    answers: list[AnyReport] = []
    call.ask(Configure(), answers.append)
    for each in answers:
        if isinstance(each, Settings):
            return Notice(text=told(each))
    problems = [each for each in answers if isinstance(each, Diagnosis)]
    return problems[0] if problems else Notice(text="the engine has not said")


def _threads(call: Call) -> AnyRequest | Notice | Diagnosis:
    if not call.argument:
        return _settings(call, lambda now: f"torch computes with {units.plural(now.threads, 'thread')}")
    number = _small(call.argument)
    if number is None:
        return _problem(f"%threads takes a whole number, not {_shortened(call.argument)}: try %threads 1")
    return Configure(threads=number)


MOST_DIGITS = 17  # no float64 has more


def _precision(call: Call) -> AnyRequest | Notice | Diagnosis:
    if not call.argument:
        return _settings(call, lambda now: f"values are printed with {units.plural(now.precision, 'digit')}")
    if call.argument == "reset":
        return Configure(precision="default")
    written = re.fullmatch(r"%\.(\d+)f", call.argument)  # as IPython has it
    number = _small(written[1] if written else call.argument)
    if number is None or number > MOST_DIGITS:
        advice = f"from 0 to {MOST_DIGITS}, or reset, not {_shortened(call.argument)}: try %precision 8"
        return _problem(f"%precision takes how many digits to print, {advice}")
    return Configure(precision=number)


def _small(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else None


def _history(call: Call) -> Notice | Diagnosis:
    found = _chosen(call.history, re.sub(r"^-n(\s+|$)", "", call.argument))  # as IPython asks for numbers
    if found is None:
        advice = f"not {_shortened(call.argument)}: try %history 10, 2-5 or -g sqrt"
        return _problem(f"%history takes how many inputs to show, which ones or a text in them, {advice}")
    lines = [f"{each.number:>4}  " + each.text.strip("\n").replace("\n", "\n      ") + _fate(each) for each in found]
    nothing = "no input is like that" if call.argument else "nothing has been typed yet"
    return Notice(text="\n".join(lines) or nothing)


def _chosen(inputs: Sequence[Input], which: str) -> Sequence[Input] | None:
    """The last inputs, those from one number to another, or those that have a text; None where it says none of that."""
    if not which:
        return inputs
    if last := re.fullmatch(r"(?:-l\s*)?(\d{1,9})", which):
        return inputs[max(0, len(inputs) - int(last[1])) :]
    if some := re.fullmatch(r"(\d{1,9})\s*-\s*(\d{1,9})", which):
        return [each for each in inputs if int(some[1]) <= each.number <= int(some[2])]
    if text := re.fullmatch(r"-g\s*(\S.*)", which):
        return [each for each in inputs[:-1] if text[1].lower() in each.text.lower()]
    return None


def _fate(given: Input) -> str:
    if given.undone:
        return "  (taken back)"
    return "  (failed)" if any(part.problem for part in given.parts) else ""


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
        lasts = (_NOT_YET if name in config.AT_START else _NOT_SAVED) if value else ""
        return Notice(text="\n".join(filter(None, [preferences.line(name), lasts])))
    except config.Problem as problem:
        return _problem(str(problem))


def _of_config(before: Sequence[str]) -> Sequence[str]:
    """The words that may follow those behind %config."""
    given = [word for word in before if word != "--save"]
    words: Sequence[str] = () if given else tuple(config.HELP)
    if len(given) == 1:
        words = config.choices(given[0])
    return words if "--save" in before else (*words, "--save")


_NOT_YET = "not for the engine that runs; %config --save has it hold for later sessions"
_NOT_SAVED = "for this session; %config --save has it hold for later ones too"


def _explain(call: Call) -> AnyRequest:
    return Explain(code=_plain(call.argument))


def _document(call: Call) -> AnyRequest | Notice | Diagnosis:
    return Document(text=call.argument) if call.argument and not call.argument.startswith("%") else _help(call)


def _define(call: Call) -> AnyRequest | Notice | Diagnosis:
    return Document(text=call.argument, source=True) if call.argument else _help(call)


def _help(call: Call) -> Notice | Diagnosis:
    name = call.argument if call.argument[:1] in ("", "!") else "%" + call.argument.lstrip("%")
    chosen = [c for c in COMMANDS.values() if not name or c.name.lstrip("%") == name.lstrip("%")]
    if not chosen:
        return _unknown(name)
    width = max(len(command.usage) for command in chosen)
    lines = [f"{command.usage:<{width}}  {command.help}" for command in chosen]
    return Notice(text="\n".join(lines + (["", *chosen[0].examples] if name and chosen[0].examples else [])))


_KEYS = """\
Enter         runs what is complete, else begins another line; an empty one ends
Tab           completes; F1 shows how what is at the cursor is called, as ? does
Up, Down      go through earlier inputs; Ctrl-R searches them
Ctrl-X Ctrl-E writes the input in $EDITOR; in vi v does: %config keys vi
Ctrl-C        interrupts, or clears the line; Ctrl-D on an empty line leaves
1, 2, 3       take a suggestion that an error came with"""

_TYPED = """\
x @ w         shows its value, which is then _, and Out[3] for input 3
x = w.T       shows what x is now; loops, functions, several lines work too
torch np nn F math are there; pasted >>> and In [3]: prompts come off"""


def _quickref(call: Call) -> Notice:
    names = "  ".join(name for name in COMMANDS if not name.startswith("%%"))
    lines = textwrap.wrap(names, max(call.width, 20), break_on_hyphens=False)
    return Notice(text="\n".join([_TYPED, "", _KEYS, "", *lines, "%help says what each does, %help %save more of it"]))


TYPES = ("Tensor", "ndarray", "int", "float", "list", "dict", "function")

COMMANDS = {
    command.name: command
    for command in (
        Command("%time", "%time STATEMENT", "run a statement and say how long it took", _time, "code"),
        Command("%%time", "%%time", "on the first line: time all lines below it", _time, "code"),
        Command("%timeit", "%timeit STATEMENT", "run a statement many times: median and interval", _timeit, "code"),
        Command("%%timeit", "%%timeit", "on the first line: run all lines below it many times", _timeit, "code"),
        Command(
            "%bench",
            "%bench EXPR, EXPR",
            "compare expressions, or measure a workload: %bench matmul",
            _bench,
            "code",
            examples=(
                "%bench x @ w, x.mm(w) --min-time 2  seconds for each; --max-time, --cold, --explain",
                "%bench x @ w, x.mm(w) --device cpu --device cuda  also --dtype, --threads, --seed",
                "%bench dot --size 64..4096*2        a workload; --variant dot, --full",
                '%bench "x[:{n}].sum()" -s "x = torch.rand(1000)" --param n=10,100',
            ),
        ),
        Command("%%bench", "%%bench", "on the first line: compare the lines below it", _bench, "code"),
        Command("%check", "%check EXPR", "what it would give and need, with nothing computed", _check, "code"),
        Command(
            "%inspect",
            "%inspect EXPR",
            "every part of it: shape, dtype, device, memory, time",
            _inspect,
            "code",
            examples=(
                "%inspect --dry-run x @ w   with nothing computed",
                "%inspect --grad loss       the graph behind it, and the gradients",
                "%inspect --depth 2 EXPR    so many levels; --all: loops and numbers too",
            ),
        ),
        Command(
            "%plot",
            "%plot [KIND] EXPR",
            "draw a line, histogram, heatmap or image of a tensor",
            _plot,
            "code",
            first=get_args(Drawn),
        ),
        Command("%whos", "%whos [TYPE]", "the variables: shape, dtype, device, memory, sharing", _whos, TYPES),
        Command("%who", "%who [TYPE]", "their names alone, of some types: %who Tensor int", _who, TYPES),
        Command(
            "%load",
            "%load FILE [as NAME]",
            "tensors from a file: .safetensors, .npy, .csv, .png",
            _load,
            "files",
            examples=(
                "%load photo.png as img            uint8 [channels, height, width]",
                "%load data.csv as X               the columns of numbers; says what else there is",
                "%load w.safetensors               each by its name; behind the file: these alone",
                "%load model.safetensors as state  a dict of them: model.load_state_dict(state)",
                "%load old.pt                      tensors and containers; nothing in it is run",
            ),
        ),
        Command(
            "%save",
            "%save FILE [WHAT]",
            "what was typed (.py .ipynb .md), or tensors (.safetensors)",
            _save,
            "files",
            examples=(
                "%save notes.py             all inputs as plain torch, with the seed; .ipynb, .md",
                "%save notes.py 1-4 7       these of %history",
                "%save x.safetensors x y    tensors by their names; .npz and .npy too",
                "%save net.safetensors net  a model's state_dict(); or an expression: X @ w",
                "%save -f notes.py          over a file that is there",
            ),
        ),
        Command("%run", "%run FILE", "run a .py, .md or .ipynb file in this session", _run, "files"),
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
        Command(
            "%precision",
            "%precision [N|reset]",
            "how many digits values are printed with",
            _precision,
            ("reset",),
        ),
        Command("%threads", "%threads [N]", "show or set how many threads torch computes with", _threads),
        Command("%seed", "%seed [N]", "show the seed, or seed every generator with N", _seed),
        Command(
            "%warn", "%warn [on|off]", "tell of mistakes that raise nothing, once for each kind", _warn, ("on", "off")
        ),
        Command("%devices", "%devices", "what torch and the driver say of the devices", _devices),
        Command(
            "%history",
            "%history [WHICH]",
            "what was typed: all of it, the last 10, 2-5, or -g TEXT",
            _history,
            examples=(
                "%history 10        the last ten inputs",
                "%history 2-5       those with these numbers",
                "%history -g sqrt   those with this text",
            ),
        ),
        Command(
            "%explain",
            "%explain [CODE]",
            "the page of a kind of mistake; all kinds without a code",
            _explain,
            "mistakes",
        ),
        Command(
            "%config",
            "%config [NAME VALUE]",
            "show the options, or change one; --save keeps it",
            _config,
            _of_config,
        ),
        Command("%undo", "%undo [N]", "take back the last input, or N, that changed something", _undo),
        Command("%reset", "%reset", "forget all variables and begin again from the seed", _reset),
        Command("%help", "%help [COMMAND]", "this list, or more of one of them", _help, "commands"),
        Command("?", "?NAME, NAME?", "how it is called, and its documentation (F1 at the cursor)", _document),
        Command("??", "??NAME, NAME??", "the same, and its source", _define),
        Command("%quickref", "%quickref", "keys and commands on one screen", _quickref),
        Command("!nvidia-smi", "!nvidia-smi", "the same as %devices", _devices),
    )
}


_FOLDER = "files are found from the folder in which tensorcli was started, and by their whole path"
_SHELL = "that is not tensor work: do it in a shell"
_MEASURES = "%inspect shows the time and memory of every part, %bench compares expressions"
_PASTE = "paste it as it is: prompts come off and all lines are one input"

HABITS = {  # of other shells' users: why there is no such command, and what to do instead
    "%cd": _FOLDER,
    "%pwd": _FOLDER,
    "%ls": f"listing files: {_SHELL}; Tab behind %load shows them",
    "%pip": f"installing a package: {_SHELL}, with python -m pip install",
    "%conda": f"installing a package: {_SHELL}",
    "%env": f"the environment of the process: {_SHELL} before tensorcli is started",
    "%%bash": f"running other programs: {_SHELL}",
    "%%writefile": "code writes no files: %save notes.py writes what was typed",
    "%matplotlib": "%plot x draws in the terminal",
    "%pylab": "torch, np, nn, F and math are there already, and %plot x draws",
    "%debug": "an error names the part that failed and its operands, and %inspect shows every part",
    "%pdb": "an error names the part that failed and its operands, and %inspect shows every part",
    "%tb": "an error names the part that failed and its operands, and %explain tells of its kind",
    "%xmode": "an error names the part that failed and its operands, and %explain tells of its kind",
    "%prun": _MEASURES,
    "%lprun": _MEASURES,
    "%memit": _MEASURES,
    "%mprun": _MEASURES,
    "%paste": _PASTE,
    "%cpaste": _PASTE,
    "%hist": "it is %history here",
    "%notebook": "%save notes.ipynb writes what was typed as a notebook",
    "%logstart": "what was typed is kept by itself: %save notes.py writes it to a file",
    "%store": "%save x.safetensors x writes tensors, %load x.safetensors reads them",
    "%xdel": "del x does it",
    "%reset_selective": "del x, y does it",
    "%lsmagic": "%help lists the commands",
    "%magic": "%help lists the commands",
    "%who_ls": "%who lists the names",
    "%load_ext": "there are no extensions: %help lists what there is",
    "%autoreload": "modules of your own are not imported: %run file.py runs a file again",
}


def as_elsewhere(text: str) -> str | None:
    """What to write instead of a text that is no Python of this session's, where another shell would know it."""
    match = re.match(r"\s*(\w+)", text)
    name = match[1] if match else ""
    if f"%{name}" in COMMANDS and re.fullmatch(r"\s*\w+([ \t]+[\w'\"-][^\n]*)?\s*", text):
        return f"commands begin with %: %{text.strip()}"
    if re.fullmatch(r"_[1-9]\d*", name):
        return f"Out[{name[1:]}] is what input {name[1:]} gave"
    return "%history shows what was typed, Out what it gave" if name == "In" else None


# What is asked for.


def answer(piece: Piece, call: Call) -> Answer:
    """What a command asks for, or says by itself."""
    name = piece.command or ""
    found = COMMANDS.get(name)
    try:
        if found:
            return found.run(call)
    except keeping.Mistyped as problem:
        return _problem(str(problem))
    if name in HABITS:
        title = f"there is no {name} here: {HABITS[name]}"
        return Diagnosis(code="unknown-command", category="name", title=title, source=name, span=_span(name))
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
