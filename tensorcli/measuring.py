"""What is to be measured, as it is written on a command line or behind %bench, as a request."""

import argparse
import ast
import shlex
from collections.abc import Sequence
from typing import Any, NoReturn

from tensorcli import ranges
from tensorcli.report import Bench, Compare

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
    return Bench(
        workload=first,
        sizes=tuple(n for text in sizes for n in ranges.integers(text)),
        variants=tuple(variants),
        **options,
    )


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise ValueError(message)


def of_line(line: str) -> Bench | Compare:
    """What stands behind %bench. Raises ValueError with a sentence.

    In quotes, or with options, it is as in a shell: '"x @ w" "torch.mm(x, w)" --param n=64,256', 'matmul --size 64'.
    Without, it is Python: 'x @ w, torch.mm(x, w)', where lines, and commas outside brackets, part the expressions.
    A single name may be a workload's; the engine knows.
    """
    first, *rest = line.split(maxsplit=1)
    named = first == COMPARE or (first.isidentifier() and "".join(rest).startswith("--"))
    if not (first[0] in "\"'-" or named):
        return request((COMPARE, *_expressions(line)))
    options = _Parser(add_help=False, allow_abbrev=False, exit_on_error=False)
    options.add_argument("words", nargs="*")
    options.add_argument("-s", "--setup", default="")
    for name in ("param", "size", "variant", "device", "dtype"):
        options.add_argument(f"--{name}", dest=f"{name}s", action="append", default=[])
    options.add_argument("--threads", type=int, action="append", default=[])
    options.add_argument("--min-time", dest="min_seconds", type=float, default=1.0)
    options.add_argument("--max-time", dest="max_seconds", type=float, default=10.0)
    options.add_argument("--seed", type=int, default=0)
    for name in ("full", "cold", "explain"):
        options.add_argument(f"--{name}", action="store_true")
    head, _, below = line.partition("\n") if first[0] == "-" else (line, "", "")
    try:
        given = vars(options.parse_intermixed_args(shlex.split(head)))
    except argparse.ArgumentError as error:
        raise ValueError(str(error)) from None
    words = [*given.pop("words"), *_expressions(below)]
    for name in ("devices", "dtypes", "threads"):
        given[name] = tuple(given[name])
    return request(words if named else (COMPARE, *words), **given)


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
