"""Edits to suggestions: each is put into the text, the corrected statement is run apart, and what ran is shown."""

import ast
import time
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any

import torch

from tensorcli import report
from tensorcli.diagnoses import Edit, Failure
from tensorcli.engine import apart, describe, predict
from tensorcli.language import Statement

if TYPE_CHECKING:
    from tensorcli.engine.failure import Known

MAX_SHOWN = 3
MAX_DEFINITION = 60  # characters of a changed definition that are shown whole
SLOW_SECONDS = 0.1  # a statement that took longer until it failed is not computed again: its shapes are
MAX_TRIED = 60
SECONDS = 0.5  # for all of them together


# A text that still fails, mended further: the texts, and what was done.
Again = Callable[[Exception, str, Edit], Iterable[tuple[str, str]]]


def suggestions(
    failure: Failure,
    edits: Iterable[Edit],
    statement: Statement,
    known: "Known",
    again: Again = lambda *_: (),
    times: int = 1,
) -> tuple[report.Suggestion, ...]:
    """The first few edits whose corrected statement ran, with what it gave.

    Where a corrected statement fails of the same mistake further on, `again` mends that too, some times over.
    """
    return tuple(islice(_working(failure, edits, statement, known, again, times), MAX_SHOWN))


def _working(
    failure: Failure, edits: Iterable[Edit], statement: Statement, known: "Known", again: Again, times: int
) -> Iterator[report.Suggestion]:
    tried: set[str] = set()
    if known.seconds >= SLOW_SECONDS:
        predict.warm_up()
    end = time.monotonic() + SECONDS

    def mended(error: Exception, text: str, edit: Edit, times: int) -> tuple[str, Any, list[str]] | None:
        """The first text that runs of those that mend a text which failed further on, and all that was done."""
        for source, title in again(error, text, edit) if times else ():
            left = end - time.monotonic()
            if source in tried or left <= 0:
                continue
            tried.add(source)
            try:
                return source, _tried(source, known, seconds=left), [edit.title, title]
            except KeyboardInterrupt:
                continue
            except Exception as still:
                if found := mended(still, source, edit, times - 1):
                    return *found[:2], [edit.title, title, *found[2]]
        return None

    for edit in proposed(edits):
        left = end - time.monotonic()
        if not edit.changes or left <= 0:
            continue
        source = corrected(edit, failure, statement)
        if source in tried:
            continue
        tried.add(source)
        shown, title = _shown(edit, failure, source), edit.title
        try:
            value = _tried(source, known, seconds=left)
        except KeyboardInterrupt:
            continue
        except Exception as error:  # it does not mend it, or not all of it, or cannot be tried
            found = mended(error, source, edit, times if len(tried) <= MAX_SHOWN else 0)
            if found is None:
                continue
            source, value, done = found
            shown, title = source, ", ".join(dict.fromkeys(filter(None, done)))
        if _accepted(edit, value):
            yield report.Suggestion(title=title, edit=shown, source=source, result=_result(value))


def _accepted(edit: Edit, value: Any) -> bool:
    try:
        return edit.accept(value)
    except Exception:
        return False


def repaired(text: str, candidates: Iterable[str], known: "Known") -> tuple[report.Suggestion, ...]:
    """The first few of several texts that ran, for one that could not be read."""
    return tuple(islice(_running(text, candidates, known), MAX_SHOWN))


def _running(text: str, candidates: Iterable[str], known: "Known") -> Iterator[report.Suggestion]:
    end = time.monotonic() + SECONDS
    seen: set[str] = set()
    for source in candidates:
        left = end - time.monotonic()
        same = ast.dump(ast.parse(source))
        if left <= 0 or same in seen:
            continue
        seen.add(same)
        try:
            value = _tried(source, known, seconds=left)
        except (Exception, KeyboardInterrupt):
            continue
        yield report.Suggestion(title="", edit=_changed_lines(text, source), source=source, result=_result(value))


def _changed_lines(before: str, after: str) -> str:
    """The lines of a text that were not in the one before; all of it where only the indentation is new."""
    known = before.split("\n")
    new = [line for line in after.split("\n") if line not in known]
    indented = {line.strip() for line in new} <= {line.strip() for line in known}
    return after if indented else "\n".join(new).strip()


def proposed(edits: Iterable[Edit]) -> Iterator[Edit]:
    """The first edits; what an entry trips over ends them."""
    try:
        yield from islice(edits, MAX_TRIED)
    except Exception:
        return


def _tried(source: str, known: "Known", *, seconds: float) -> Any:
    """What a corrected text gives: computed on copies, or, where that would take long, predicted."""
    if known.seconds < SLOW_SECONDS:
        try:
            with apart.apart(seconds=seconds, random_state=known.random_state):
                return apart.run(source, known.names, trust=known.trust)
        except (apart.TooLarge, MemoryError):
            pass
    with apart.apart(seconds=seconds, random_state=known.random_state):
        return predict.run(source, known.names, trust=known.trust)


def _result(value: Any) -> report.Result:
    if isinstance(value, torch.Tensor):
        return report.Result(
            shape=describe.shape_of(value), dtype=describe.dtype_name(value.dtype), device=str(value.device)
        )
    return report.Result(dtype=None if value is None else describe.type_name(type(value)))


# Texts.


def corrected(edit: Edit, failure: Failure, statement: Statement) -> str:
    """The whole corrected input: changed definitions first, then the statement."""
    texts: dict[int, tuple[Statement, list[tuple[ast.AST, str]]]] = {}
    for written, node, text in edit.changes:
        texts.setdefault(id(written), (written, []))[1].append((node, text))
    inner = texts.pop(id(failure.statement), None)
    lines = [spliced(written, changes) for written, changes in texts.values()]
    if inner is not None:
        lines.append(spliced(*inner))
    if inner is None or (failure.statement is not None and failure.statement.source != statement.source):
        lines.append(statement.source)
    return "\n".join(lines)


def spliced(written: Statement, changes: list[tuple[ast.AST, str]]) -> str:
    """A statement's text with nodes replaced."""
    return _splice(written, changes, 0, len(written.source))


def _splice(written: Statement, changes: list[tuple[ast.AST, str]], start: int, end: int) -> str:
    parts, at = [], start
    for node, text in sorted(changes, key=lambda change: _offsets(written, change[0])):
        first, last = _unbracketed(written.source, *_offsets(written, node), text)
        if at <= first and last <= end:
            parts += [written.source[at:first], text]
            at = last
    return "".join([*parts, written.source[at:end]])


def _unbracketed(source: str, first: int, last: int, text: str) -> tuple[int, int]:
    """Where `text` goes: over the brackets around a node too, where it brings its own: not `((a + b).T)`."""
    grouped = source[max(first - 1, 0) : first] == "(" and source[last : last + 1] == ")"
    called = first > 1 and (source[first - 2].isalnum() or source[first - 2] in "_)]")
    if grouped and not called and text.startswith(f"({source[first:last]})"):
        return first - 1, last + 1
    return first, last


def _offsets(written: Statement, node: ast.AST) -> tuple[int, int]:
    """Where a node begins and ends in its statement's source, in characters."""
    place = written.place_of(node)
    begins = [0]
    for line in written.source.split("\n"):
        begins.append(begins[-1] + len(line) + 1)
    return begins[place.line - 1] + place.column, begins[place.end_line - 1] + place.end_column


def _shown(edit: Edit, failure: Failure, source: str) -> str:
    """The new text of the failing expression, or of the statement that is changed instead."""
    if failure.node is not None and failure.statement is not None:
        start, end = _offsets(failure.statement, failure.node)
        inside = [
            (node, text)
            for written, node, text in edit.changes
            if written is failure.statement
            and start <= _offsets(written, node)[0]
            and _offsets(written, node)[1] <= end
        ]
        if len(inside) == len(edit.changes):
            return _splice(failure.statement, inside, start, end)
    anew = [written for written, node, text in edit.changes if text != written.place_of(node).text]
    written = (anew or [edit.changes[0][0]])[0]
    changes = [(node, text) for other, node, text in edit.changes if other is written]
    whole = spliced(written, changes)
    return whole if len(whole) <= MAX_DEFINITION else _innermost(written, changes) or whole


def _innermost(written: Statement, changes: list[tuple[ast.AST, str]]) -> str | None:
    """The new text of the smallest call that holds all changes: of a long definition the part that matters."""
    places = [_offsets(written, node) for node, _ in changes]
    calls = [_offsets(written, node) for node in ast.walk(written.node) if isinstance(node, ast.Call)]
    around = [(a, b) for a, b in calls if all(a <= first and last <= b for first, last in places)]
    if not around:
        return None
    start, end = min(around, key=lambda place: place[1] - place[0])
    return _splice(written, changes, start, end)
