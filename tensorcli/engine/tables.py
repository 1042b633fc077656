"""CSV files as tensors: which separator, whether there is a header, which columns are numbers."""

import csv
import itertools
import re
from array import array
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import numpy as np
import torch

from tensorcli import units
from tensorcli.engine.describe import dtype_name
from tensorcli.engine.files import Found, Unfit, check_room, moved, moving, shown

MISSING = frozenset({"", "na", "n/a", "nan", "null", "none", "?", "-"})
_SEPARATORS = ";\t|,"  # a comma last: it may stand in numbers
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?|[+-]?inf(?:inity)?", re.ASCII | re.IGNORECASE)
_COMMA = re.compile(r"[+-]?\d+,\d+", re.ASCII)
_WHOLE = 2.0**53  # up to here every whole number is a float64
_QUOTED = re.compile(r'"[^"]*"')
_SAMPLE = 64  # lines that are looked at before any is read


@dataclass
class Column:
    """A column as it is read: its numbers, how many are missing, and the first cell that is no number.

    `exact` says that no whole number in it was too large for a float64.
    """

    numbers: "array[float]" = field(default_factory=lambda: array("d"))
    missing: int = 0
    text: str | None = None
    exact: bool = True
    words: set[str] = field(default_factory=set)  # that stand for what is missing


def read(path: Path) -> Found:
    """A table's numbers, a row for each of its rows, in the default dtype. Raises Unfit, OSError."""
    check_room(2 * path.stat().st_size, path)
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            return _read(file, path)
    except UnicodeDecodeError:
        raise Unfit(f"{path.name} is not UTF-8 text: line {_not_text(path):,} is not; save it as UTF-8") from None
    except csv.Error as error:
        raise Unfit(f"{path.name} is no table: {error}") from None


def _not_text(path: Path) -> int:
    """The first line that is not UTF-8."""
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            try:
                line.decode()
            except UnicodeDecodeError:
                return number
    return 1


def _read(file: IO[str], path: Path) -> Found:
    sample = list(itertools.islice(file, _SAMPLE))
    separator = "\t" if path.suffix.lower() == ".tsv" else _separator(sample)
    rows = enumerate(csv.reader(itertools.chain(sample, file), delimiter=separator), 1)
    first = next((row for _, row in rows if any(map(str.strip, row))), None)
    if first is None:
        raise Unfit(f"{path.name} is empty")
    comma = separator != "," and any(
        _COMMA.fullmatch(cell.strip()) for line in sample for cell in line.split(separator)
    )
    header = not any(_number(cell, comma) is not None for cell in first) and any(map(str.strip, first))
    columns = [Column() for _ in first]
    count = 0
    for line, row in itertools.chain([] if header else [(1, first)], rows):
        if any(map(str.strip, row)):
            _take(row, line, columns, comma, path)
            count += 1
    names = [" ".join(cell.split())[:40] or f"column {at}" for at, cell in enumerate(first, 1)] if header else []
    return _found(columns, names, count, separator, comma, path)


def _separator(sample: list[str]) -> str:
    """The one by which the first lines hold most numbers, the same number of cells each if there is such a one.

    A comma, where none is in all of these lines.
    """
    lines = [_QUOTED.sub("", line) for line in sample if line.strip()]
    counts = {each: [line.count(each) for line in lines] for each in _SEPARATORS}
    found = [each for each in _SEPARATORS if min(counts[each], default=0) > 0]

    def numbers(separator: str) -> int:
        cells = (cell for line in lines for cell in line.split(separator))
        return sum(_number(cell, separator != ",") is not None for cell in cells)

    return min(found, key=lambda each: (-numbers(each), len(set(counts[each]))), default=",")


def _take(row: list[str], line: int, columns: list[Column], comma: bool, path: Path) -> None:
    if len(row) != len(columns):
        raise Unfit(f"{path.name} is no table: row {line:,} has {units.plural(len(row), 'cell')}, "
                    f"and the first one {len(columns)}")  # fmt: skip
    for cell, column in zip(row, columns, strict=True):
        number = _number(cell, comma)
        if number is None and cell.strip().lower() in MISSING:
            column.missing += 1
            column.words.add(cell.strip())
            number = float("nan")
        elif number is None and column.text is None:
            column.text = cell.strip()
            column.numbers = array("d")
        if column.text is None and number is not None:
            column.numbers.append(number)
            if abs(number) >= _WHOLE and cell.strip().lstrip("+-").isdecimal():
                column.exact &= int(cell) == number


def _number(cell: str, comma: bool) -> float | None:
    text = cell.strip().replace(",", ".") if comma else cell.strip()
    return float(text) if _NUMBER.fullmatch(text) else None


def _found(columns: list[Column], names: list[str], count: int, separator: str, comma: bool, path: Path) -> Found:
    kept = [at for at, column in enumerate(columns) if column.text is None]
    if not kept:
        cell = columns[0].text or ""
        raise Unfit(f"{path.name} has no column of numbers: its first one has {cell[:40]!r}")
    if not count:
        raise Unfit(f"{path.name} has a header and no rows")
    exact = torch.from_numpy(np.array([columns[at].numbers for at in kept]).T)
    values = exact.to(torch.get_default_dtype()).contiguous()
    called = names or [f"column {at + 1}" for at in range(len(columns))]
    notes = [f"columns: {units.listed([called[at] for at in kept])}"] if names else ["it has no header"]
    for at, column in enumerate(columns):
        if column.text is not None:
            notes.append(f"left out: {called[at]}, which holds text such as {column.text[:40]!r}")
    missing = {called[at]: columns[at].missing for at in kept if columns[at].missing}
    if missing:
        where = units.listed([f"{number:,} in {name}" for name, number in missing.items()])
        notes.append(f"missing, and so nan: {where}")
    if comma:
        notes.append("a comma in a number is its decimal point")
    notes += _not_kept(exact, values, all(columns[at].exact for at in kept))
    words = set[str]().union(*(columns[at].words for at in kept))
    python = _python(kept, words, bool(names), separator, comma, path)
    return Found(python, ("import csv",), value=moved(values), notes=tuple(notes))


def _not_kept(read: torch.Tensor, values: torch.Tensor, exact: bool) -> list[str]:
    """What became another number in the dtype: not the last digits of fractions, but whole numbers, and infinities."""
    dtype, notes = dtype_name(values.dtype), list[str]()
    if bool((values.isinf() & read.isfinite()).any()):
        notes.append(f"some numbers are too large for {dtype}, and so inf: {_KEEPS}")
    whole = (read == read.trunc()) & (read.abs() < 2.0**63)
    if not exact:
        notes.append("some whole numbers are too large to be exact, in float64 too")
    elif bool((whole & values.isfinite() & (read != values.double())).any()):
        notes.append(f"some whole numbers are too large to be exact in {dtype}: {_KEEPS}")
    return notes


_KEEPS = "%dtype float64 before loading keeps them"


def _python(kept: list[int], words: set[str], header: bool, separator: str, comma: bool, path: Path) -> str:
    """The same table in plain Python."""
    cell = "row[i].replace(',', '.')" if comma else "row[i]"
    number = f"float('nan' if row[i].strip() in {sorted(words)} else {cell})" if words else f"float({cell})"
    rows = f"[row for row in csv.reader(open({shown(path)}, newline='', encoding='utf-8-sig'), delimiter={separator!r})"
    rows += " if any(map(str.strip, row))]" + ("[1:]" if header else "")
    wanted = f"({', '.join(map(str, kept))},)" if len(kept) == 1 else f"({', '.join(map(str, kept))})"
    return f"torch.tensor([[{number} for i in {wanted}] for row in {rows}]){moving()}"
