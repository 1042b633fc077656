"""Where in what was typed an exception was raised, and the calls that led there."""

import ast
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import FrameType, TracebackType
from typing import Any

import torch

from tensorcli import report
from tensorcli.language import Place, Statement

MOST_CALLS = 8  # of those that led to a failure: the first and the last of more
MOST_VARIABLES = 8


@dataclass(frozen=True)
class Origin:
    """Where an exception was raised in what the user wrote: the statement, the frame, and the place in it."""

    statement: Statement
    frame: FrameType | None = None
    place: Place | None = None
    library: tuple[FrameType, ...] = ()  # the frames of torch's own Python code above it


def located(traceback: TracebackType | None, statement: Statement, sources: Mapping[str, Statement]) -> Origin:
    """The innermost frame of user code: its statement, itself, and the place of what it was executing."""
    found = Origin(statement)
    library: list[FrameType] = []
    while traceback is not None:
        code = traceback.tb_frame.f_code
        if code.co_filename in sources:
            origin = sources[code.co_filename]
            place = _place(origin, traceback)
            found = Origin(origin, traceback.tb_frame, place and _narrowed(origin.again(), place))
            library = []
        else:
            library.append(traceback.tb_frame)
        traceback = traceback.tb_next
    return replace(found, library=tuple(library))


def _place(origin: Statement, traceback: TracebackType) -> Place | None:
    """What a frame was executing."""
    positions = list(traceback.tb_frame.f_code.co_positions())[traceback.tb_lasti // 2]
    if None in positions:
        return None
    line, end_line, offset, end_offset = positions
    return origin.place(line, offset, end_line, end_offset)  # type: ignore[arg-type]


def calls(traceback: TracebackType | None, sources: Mapping[str, Statement]) -> tuple[report.Caller, ...]:
    """The calls in what was typed that led to the innermost frame of it, the outermost first.

    Those of one place that follow each other, as in a recursion, are one. One without a text stands for many.
    """
    places: list[tuple[TracebackType, int]] = []
    while traceback is not None:
        if traceback.tb_frame.f_code.co_filename in sources:
            last = places[-1] if places else None
            if last and last[0].tb_frame is traceback.tb_frame:  # raised again: told where it was at first
                places[-1] = traceback, last[1]
            elif last and _is_same(last[0], traceback):
                places[-1] = last[0], last[1] + 1
            elif last and traceback.tb_frame.f_code.co_name in _COMPREHENSIONS:  # a call only for Python
                places[-1] = traceback, 1
            else:
                places.append((traceback, 1))
        traceback = traceback.tb_next
    led = places[:-1]
    if places and places[-1][1] > 1:  # it ended where it was called all along
        led.append((places[-1][0], places[-1][1] - 1))
    found = [_caller(each, times, sources) for each, times in led[: MOST_CALLS // 2]]
    if left := led[MOST_CALLS // 2 : -MOST_CALLS // 2]:
        found.append(report.Caller(text="", times=sum(times for _, times in left)))
    return (*found, *(_caller(each, times, sources) for each, times in led[MOST_CALLS // 2 :][-MOST_CALLS // 2 :]))


_COMPREHENSIONS = ("<listcomp>", "<setcomp>", "<dictcomp>", "<genexpr>")


def _is_same(one: TracebackType, other: TracebackType) -> bool:
    return one.tb_frame.f_code is other.tb_frame.f_code and one.tb_lasti == other.tb_lasti


def _caller(traceback: TracebackType, times: int, sources: Mapping[str, Statement]) -> report.Caller:
    frame = traceback.tb_frame
    origin = sources[frame.f_code.co_filename]
    place = _place(origin, traceback)
    return report.Caller(
        function=function_of(frame),
        text=place.text if place else "",
        line=place.line if place and "\n" in origin.source else None,
        times=times,
    )


def variables(frame: FrameType | None) -> dict[str, Any]:
    """What a function's own names held, the first few; nothing of a statement outside all functions."""
    if frame is None or function_of(frame) is None:
        return {}
    own = {name: value for name, value in frame.f_locals.items() if name.isidentifier() and name[0] != "_"}
    told = {name: value for name, value in own.items() if isinstance(value, torch.nn.Module) or not callable(value)}
    return dict(list(told.items())[:MOST_VARIABLES])


def function_of(frame: FrameType | None) -> str | None:
    """The name of the function that a frame is of, with its class's; of a comprehension, that of the one around it."""
    parts = frame.f_code.co_qualname.split(".<locals>.") if frame else []
    return next((part for part in reversed(parts) if not part.startswith("<")), None)


def place_of(error: BaseException, statement: Statement, sources: Mapping[str, Statement]) -> Place | None:
    """Where in a statement an exception was raised."""
    origin = located(error.__traceback__, statement, sources)
    return origin.place if origin.statement is statement else None


def _narrowed(fresh: Statement, place: Place) -> Place:
    """The condition, or what is looped over, of the statement at `place`: Python lays their failures on all of it."""
    for node in ast.walk(fresh.node):
        match node:
            case (
                ast.If(test=part)
                | ast.While(test=part)
                | ast.Assert(test=part)
                | ast.IfExp(test=part)
                | ast.For(iter=part)
            ) if fresh.place_of(node) == place:
                return fresh.place_of(part)
    return place
