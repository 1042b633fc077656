"""What is to be measured, as it is written on a command line or behind %bench, as a request."""

import argparse
import ast
import difflib
import math
import re
import shlex
from collections.abc import Sequence
from typing import Any, NoReturn

from tensorcli import ranges
from tensorcli.report import Bench, Compare

MAX_SECONDS = 10.0  # for a variant, where that is not asked for
COMPARE = "compare"  # the word before expressions of one's own


def request(
    words: Sequence[str],
    *,
    setup: str = "",
    params: Sequence[str] = (),
    sizes: Sequence[str] = (),
    variants: Sequence[str] = (),
    **options: Any,
) -> Bench | Compare:
    """A workload's name, or "compare" and expressions, with their options. Raises ValueError with a sentence."""
    least, most = options.get("min_seconds", 0.0), options.get("max_seconds")
    if most is None:
        options["max_seconds"] = max(MAX_SECONDS, least)
    elif most < least:
        raise ValueError(f"--max-time {most:g} is less than --min-time {least:g}: raise it, or leave it out")
    first, *expressions = words
    if first == COMPARE:
        if sizes:
            raise ValueError("--size is for workloads: write --param n=64,256, and {n} where it is to stand")
        if variants:
            raise ValueError("--variant is for workloads: write the expressions that are to be measured")
        parameters: dict[str, tuple[int | float | str, ...]] = {}
        for text in params:
            name, values = ranges.parameter(text)
            parameters[name] = (*parameters.get(name, ()), *values)
        return Compare(texts=tuple(expressions), setup=setup, parameters=parameters, **options)
    if expressions:
        raise ValueError(f"{first} takes no expressions: did you mean bench compare?")
    for option, given in (("--setup", setup), ("--param", params)):
        if given:
            raise ValueError(f"{option} is for compare: {first} makes its own inputs, and --size says how large")
    found: list[int] = []
    unread: list[str] = []
    for part in (part for text in sizes for part in text.split(",")):
        try:
            found += ranges.integers(part)
        except ValueError as problem:
            unread.append(str(problem))
    if unread and not found:
        raise ValueError(unread[0])
    return Bench(
        workload=first,
        sizes=tuple(found),
        unread=tuple(unread),
        variants=tuple(variants),
        **options,
    )


_MANY: dict[str, Any] = {"action": "append", "default": []}
_FLAG: dict[str, Any] = {"action": "store_true"}

# The options behind %bench: those of `tensorcli bench` that say what is measured, and how.
OPTIONS: dict[str, dict[str, Any]] = {
    "--setup": {"default": ""},
    "--param": {"dest": "params", **_MANY},
    "--size": {"dest": "sizes", **_MANY},
    "--variant": {"dest": "variants", **_MANY},
    "--device": {"dest": "devices", **_MANY},
    "--dtype": {"dest": "dtypes", **_MANY},
    "--threads": {"type": int, **_MANY},
    "--min-time": {"dest": "min_seconds", "type": float, "default": 1.0},
    "--max-time": {"dest": "max_seconds", "type": float},
    "--seed": {"type": int, "default": 0},
    "--full": _FLAG,
    "--cold": _FLAG,
    "--explain": _FLAG,
}
_FLAGS = "|".join(name for name, kind in OPTIONS.items() if kind is _FLAG)
_VALUED = "|".join(["-s", *(name for name, kind in OPTIONS.items() if kind is not _FLAG)])
_OPTION = rf"""(?:(?:{_FLAGS})|(?:{_VALUED})(?:\s+|=)(?:"[^"]*"|'[^']*'|[^\s"'])+)"""
_BEFORE = re.compile(rf"(?:{_OPTION}(?:\s+|$))*")
_BEHIND = re.compile(rf"(?:\s+{_OPTION})+\s*$")


# Those of the command line alone. Python reads a - -json too, but nobody writes it so.
_ELSEWHERE = re.compile(
    r"\s(--(?:json|csv|markdown|plot|baseline|fail-if-slower|trust|max-memory|width|no-color))(?=[\s=]|$)"
)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise ValueError(message)


def of_line(line: str) -> Bench | Compare:
    """What stands behind %bench. Raises ValueError with a sentence.

    In quotes it is as in a shell: '"x @ w" "torch.mm(x, w)" --param n=64,256'. Else it is Python, with options before
    or behind: '--min-time 2 x @ w, torch.mm(x, w)', where lines, and commas outside brackets, part the expressions.
    A single name may be a workload's: it is where --size or --variant says so, else the engine knows.
    """
    head, _, below = line.partition("\n")
    before = _BEFORE.match(head)
    assert before is not None  # it may be empty
    rest = head[before.end() :]
    first, second, *_ = [*rest.split(maxsplit=2), "", ""]
    bare = first.isidentifier() and second.startswith("--")  # a workload's name, or a variable's
    if bare or first == COMPARE or first.startswith(("--", '"', "'")) or not (first or below):
        words, given = _parsed(line)
    else:
        if unknown := _ELSEWHERE.search(rest):
            raise ValueError(
                f"%bench has no option {unknown[1]}: tensorcli bench {unknown[1]} has it, on a command line"
            )
        behind = _BEHIND.search(rest)
        start = behind.start() if behind else len(rest)
        _, given = _parsed(f"{before[0]} {rest[start:]}")
        words = [*_expressions(rest[:start]), *_expressions(below)]
    alone = words == [first] and first.isidentifier()
    named = first == COMPARE or (alone and (given["sizes"] or given["variants"])) or (bare and not alone)
    return request(words if named else (COMPARE, *words), **given)


def _parsed(text: str) -> tuple[list[str], dict[str, Any]]:
    """The words of a line as in a shell, and its options by the names of a request's fields."""
    options = _Parser(add_help=False, allow_abbrev=False, exit_on_error=False)
    options.add_argument("words", nargs="*")
    for name, kind in OPTIONS.items():
        options.add_argument(*(("-s", name) if name == "--setup" else (name,)), **kind)
    try:
        found, unknown = options.parse_known_intermixed_args(shlex.split(text))
    except argparse.ArgumentError as error:
        raise ValueError(str(error)) from None
    if unknown:
        close = difflib.get_close_matches(unknown[0], OPTIONS, n=1)
        there = f"there are -s, {', '.join(OPTIONS)}; tensorcli bench has more of them, for files"
        raise ValueError(f"%bench has no option {unknown[0]}: {f'did you mean {close[0]}?' if close else there}")
    given = vars(found)
    for name in ("devices", "dtypes", "threads"):
        given[name] = tuple(given[name])
    for option, seconds in (("--min-time", given["min_seconds"]), ("--max-time", given["max_seconds"])):
        if seconds is not None and not (math.isfinite(seconds) and seconds > 0):
            raise ValueError(f"{seconds:g} s cannot be spent on a variant: write a number above 0, as in {option} 2")
    if not 0 <= given["seed"] < 2**63:
        raise ValueError(f"a seed is a whole number from 0 to 2**63 - 1, not {given['seed']}: write --seed 42")
    return given.pop("words"), given


def _expressions(text: str) -> list[str]:
    """The expressions of some lines, each of them a tuple without brackets or one expression."""
    found: list[str] = []
    for line in filter(str.strip, text.split("\n")):
        try:
            tree = ast.parse(line.strip(), mode="eval").body
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            found.append(line.strip())  # what is wrong with it is explained when it is read
            continue
        whole = ast.get_source_segment(line.strip(), tree) or ""
        parts = tree.elts if isinstance(tree, ast.Tuple) and not whole.startswith("(") else [tree]
        found += [ast.get_source_segment(line.strip(), part) or "" for part in parts]
    return found
