"""Which way imports go, who may print, and what every report can do; and that each of these checks can fail."""

import ast
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import get_args

import pytest
from rich.console import Console
from samples import SAMPLES

from tensorcli import wire
from tensorcli.__main__ import asks_for_a_prompt
from tensorcli.render import render
from tensorcli.report import AnyReport, Nothing, Output

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "tensorcli"
FILES = sorted(PACKAGE.rglob("*.py"))
HEAVY = {"torch", "numpy", "sympy", "plotille", "matplotlib"}


def python(code: str, *arguments: str, cwd: Path = ROOT, **environment: str) -> str:
    """What a fresh Python prints, on stdout and stderr together."""
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(cwd), "NO_COLOR": "1", "COLUMNS": "200", **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        check=False,
    ).stdout


# What is imported when a command runs.

LAST_WORDS = "sys.stderr.write(f'loaded {sorted({name.partition(\".\")[0] for name in sys.modules})}')"
COMMAND = f"""
import sys
sys.argv[0] = "tensorcli"
try:
    from tensorcli.__main__ import main
    main()
finally:
    {LAST_WORDS}
"""


def loaded(said: str) -> set[str]:
    """The top-level packages that a fresh Python had imported at its end."""
    before, word, after = said.rpartition("loaded [")
    assert word, said
    assert "Traceback" not in before, said
    return set(ast.literal_eval("[" + after.partition("]")[0] + "]"))


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ("--help", "inspect"),
        ("--version", "tensorcli 0"),
        ("bench list", "matmul"),
        ("repl --help", "--seed"),
        ("inspect --help", "--setup"),
        ("run --help", "--keep-going"),
        ("bench --help", "--size"),
        ("devices --help", "--json"),
    ],
)
def test_what_asks_nothing_of_the_engine_imports_no_torch(arguments, says):
    said = python(COMMAND, *arguments.split())
    assert says in said
    assert not loaded(said) & HEAVY


def test_completion_in_the_shell_imports_no_torch():
    typed = {"_TENSORCLI_COMPLETE": "complete_bash", "COMP_WORDS": "tensorcli in", "COMP_CWORD": "1"}
    said = python(COMMAND, **typed)
    assert said.startswith("inspect")
    assert not loaded(said) & HEAVY


def test_modules_outside_the_engine_import_no_torch():
    outside = [path for path in FILES if not path.is_relative_to(PACKAGE / "engine") and path.name != "__main__.py"]
    names = [".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__") for path in outside]
    assert {"tensorcli.report", "tensorcli.render.theme", "tensorcli.client", "tensorcli.workloads.dot"} < set(names)
    assert not loaded(python(f"import sys, {', '.join(names)}\n{LAST_WORDS}")) & HEAVY


def test_the_first_prompt_waits_for_no_parser_of_arguments_and_nothing_that_draws_answers():
    names = "tensorcli.__main__, tensorcli.opening, tensorcli.repl.loop"
    said = python(f"import sys, {names}\ntensorcli.opening.preferences()\n{LAST_WORDS}")
    assert "prompt_toolkit" in loaded(said)
    assert not loaded(said) & {*HEAVY, "typer", "rich", "msgspec", "filelock", "pygments"}


@pytest.mark.parametrize(
    ("arguments", "is_terminal", "asks"),
    [
        ([], True, True),
        (["repl"], True, True),
        (["repl", "--seed", "1"], True, False),
        (["inspect"], True, False),
        ([], False, False),
        (["repl"], False, False),
    ],
)
def test_only_a_plain_prompt_at_a_terminal_goes_without_it(monkeypatch, arguments, is_terminal, asks):
    monkeypatch.setattr(sys, "argv", ["tensorcli", *arguments])
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(isatty=lambda: is_terminal))
    assert asks_for_a_prompt() == asks
    monkeypatch.setenv("_TENSORCLI_COMPLETE", "complete_bash")
    assert not asks_for_a_prompt()


def test_the_last_words_name_what_was_imported():
    assert "numpy" in loaded(python(f"import sys, numpy.version\n{LAST_WORDS}"))


# The contracts in pyproject.toml.

CONTRACTS = {
    "Imports go downwards, and the waist imports nothing of ours": ("stats.py", "tensorcli.report"),
    "What draws knows no torch, not even through another module": ("render/units.py", "tensorcli.client"),
    "The engine and its tables know no terminal": ("diagnoses/general.py", "rich"),
    "Only the client reaches the engine": ("files.py", "tensorcli.engine.describe"),
    "torch only in the engine, and in the functions of its tables": ("child.py", "torch"),
    "Rich only where reports are drawn and shown": ("repl/keys.py", "rich"),
    "prompt_toolkit only in the REPL": ("show.py", "prompt_toolkit"),
    "Typer only in the command line": ("commands.py", "typer"),
    "plotille only where reports are drawn": ("show.py", "plotille"),
    "matplotlib only where files are drawn": ("render/text.py", "matplotlib"),
}
LINT = "from importlinter.cli import lint_imports_command as lint; lint(['--no-cache'])"


def copy_with(mistakes, folder: Path) -> Path:
    """A copy of the package to which each (file, line) has been added."""
    shutil.copytree(PACKAGE, folder / "tensorcli", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", folder)
    for file, line in mistakes:
        with (folder / "tensorcli" / file).open("a", encoding="utf-8") as source:
            source.write(line)
    return folder


def test_imports_keep_the_contracts():
    said = python(LINT)
    assert f"Contracts: {len(CONTRACTS)} kept, 0 broken." in said, said


def test_each_contract_can_be_broken_even_inside_a_function(tmp_path):
    mistakes = [(file, f"\n\ndef mistake():\n    import {name}\n") for file, name in CONTRACTS.values()]
    said = python(LINT, cwd=copy_with(mistakes, tmp_path))
    for contract, (file, name) in CONTRACTS.items():
        assert f"{contract} BROKEN" in said
        module = "tensorcli." + file.removesuffix(".py").replace("/", ".")
        assert f"{module} -> {name}" in said or f"{module} is not allowed to import {name}" in said, said


def ruff(folder: Path) -> set[tuple[str, str]]:
    """Each (file, message) that ruff has about imports."""
    command = [sys.executable, "-m", "ruff", "check", "--no-cache", "--select", "TID", "--output-format", "json"]
    said = subprocess.run([*command, "tensorcli"], cwd=folder, capture_output=True, encoding="utf-8", check=False)
    package = folder.resolve() / "tensorcli"
    return {
        (Path(each["filename"]).relative_to(package).as_posix(), each["message"].split("`")[1])
        for each in json.loads(said.stdout)
    }


def test_what_is_slow_to_import_is_not_imported_at_the_top():
    assert ruff(ROOT) == set()


def test_each_slow_import_at_the_top_is_found(tmp_path):
    mistakes = {
        ("client.py", "torch"),
        ("client.py", "tensorcli.engine"),
        ("workloads/dot.py", "torch"),
        ("diagnoses/general.py", "torch"),
        ("stats.py", "numpy"),
        ("commands.py", "rich"),
        ("pieces.py", "prompt_toolkit"),
        ("files.py", "typer"),
        ("units.py", "plotille"),
        ("figure.py", "matplotlib"),
    }
    assert ruff(copy_with([(file, f"\nimport {name}\n") for file, name in mistakes], tmp_path)) == mistakes


# Who may print and end the process.

MAY = {"show.py", "__main__.py", "cli.py", "opening.py", "engine/serve.py"}
EXCEPTIONS = {
    ("engine/namespace.py", "print"): "the user's own print, into the session's output",
    ("engine/interrupts.py", "os._exit"): "a second Ctrl-C while the first cannot be heard",
    ("repl/loop.py", "sys.stdout"): "prompt_toolkit is given the stream of a terminal that can do nothing",
}
SPEAKS = {"print", "input", "exit", "quit", "sys.exit", "os._exit", "sys.stdout", "sys.stderr", "sys.__stdout__"}


def speaks(source: str) -> set[str]:
    """What of a terminal and of exit codes a source text uses."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Attribute(value=ast.Name(id=module), attr=name) if f"{module}.{name}" in SPEAKS:
                found.add(f"{module}.{name}")
            case ast.Call(func=ast.Name(id=name)) if name in SPEAKS:
                found.add(name)
            case ast.ImportFrom(module=module, names=names):
                found |= {f"{module}.{each.name}" for each in names} & SPEAKS
            case ast.Raise(exc=ast.Name(id="SystemExit") | ast.Call(func=ast.Name(id="SystemExit"))):
                found.add("SystemExit")
    return found


def test_only_few_modules_print_or_end_the_process():
    found = {(path.relative_to(PACKAGE).as_posix(), what) for path in FILES for what in speaks(path.read_text("utf-8"))}
    assert {each for each in found if each[0] not in MAY} == set(EXCEPTIONS)


@pytest.mark.parametrize(
    ("source", "what"),
    [
        ("def f():\n    print(1)", "print"),
        ("import sys\nsys.stdout.write('')", "sys.stdout"),
        ("import sys\nx = [sys.stderr]", "sys.stderr"),
        ("import sys\nsys.exit(1)", "sys.exit"),
        ("from sys import stdout", "sys.stdout"),
        ("import os\nos._exit(1)", "os._exit"),
        ("raise SystemExit(2)", "SystemExit"),
        ("raise SystemExit", "SystemExit"),
    ],
)
def test_each_way_to_speak_is_found(source, what):
    assert speaks(source) == {what}


# Every report.


def test_there_is_a_sample_of_every_report():
    assert {type(sample) for sample in SAMPLES.values()} == set(get_args(AnyReport))


@pytest.mark.parametrize("name", SAMPLES)
def test_every_report_makes_the_round_trip_and_has_a_renderer(name):
    sample = SAMPLES[name]
    again = wire.report(wire.encode(sample))
    assert again == sample
    console = Console(width=80, color_system=None, force_terminal=False)
    with console.capture() as drawn:
        console.print(render(again, width=80), end="")
    says_nothing = isinstance(sample, Nothing) or (isinstance(sample, Output) and not sample.text)
    assert bool(drawn.get().strip()) is not says_nothing
