"""One input to the requests it makes: its statements, and its commands by the table."""

from dataclasses import dataclass, replace
from typing import Literal

import msgspec

from tensorcli import commands, config
from tensorcli.cells import Cell
from tensorcli.commands import Answer, Ask, Call, Emit
from tensorcli.past import Input, Part, Past
from tensorcli.pieces import Piece, cells, split
from tensorcli.report import AnyReport, Configure, Diagnosis, Evaluate, Notice, Time, TimeIt, Undone


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
    history: Past | None = None,
    start: Configure | None = None,
    number: int = 0,
    preferences: config.Preferences | None = None,
    keep_going: bool = False,
    emit_in_file: Emit | None = None,
) -> Diagnosis | None:
    """Run one input: each of its pieces is asked for in turn, and a diagnosis stops the rest unless `keep_going`.

    It is added to the `history`, with what becomes of it, under the client's `number`, else the next one.
    Gives the diagnosis that came, if any: an interruption before others, else the last. Statements are numbered
    through the whole input, commands among them. What comes of files that it runs goes to `emit_in_file`.
    """
    past = history if history is not None else Past()
    given = Input(text.strip("\n"), number or past.latest + 1)
    if text.strip():
        past.begun(given)
    begun = start or Configure(seed=0)
    running = _Submission(ask, emit, given, past, begun, preferences, width, max_values, keep_going, emit_in_file)
    running.play(Cell(text, filename, first_line, echo))
    return running.problem


@dataclass
class _Submission:
    """An input while it runs: what it can work with, and how far it is."""

    ask: Ask
    emit: Emit
    given: Input
    history: Past
    start: Configure
    preferences: config.Preferences | None
    width: int
    max_values: int
    keep_going: bool
    emit_in_file: Emit | None
    asked: int = 0  # statements
    problem: Diagnosis | None = None
    running: tuple[str, ...] = ()  # files

    def play(self, cell: Cell) -> None:
        """Run a text, up to the first diagnosis."""
        for first, text, prompted in cells(cell.text):
            echo = replace(cell, echo="all") if prompted else cell  # each was typed by itself
            for piece in split(text):
                self._run(piece._replace(line=first + piece.line - 1), echo)
                if self._is_over():
                    return

    def _is_over(self) -> bool:
        return self.problem is not None and (not self.keep_going or self.problem.category == "interrupted")

    def _run(self, piece: Piece, cell: Cell) -> None:
        line = cell.first_line + piece.line - 1
        answer, latest = self._asked_for(piece, cell, line), self.asked
        part = Part(piece.body if piece.command is None else _written(piece))
        self.given.parts.append(part)

        def pass_on(report: AnyReport, before: int = self.asked) -> None:
            nonlocal latest
            part.heard(report)
            if isinstance(report, Undone):
                self.history.take_back(report.inputs)
            if isinstance(report, Diagnosis) and not (self.problem and self.problem.category == "interrupted"):
                self.problem = report
            if isinstance(report, Diagnosis) and piece.command is None:
                report = _hinted(report)
            report = _placed(report, piece, before, filename=cell.filename, line=line)
            latest = max(latest, report.statement or 0)
            (self.emit_in_file if self.emit_in_file and self.running else self.emit)(report)

        if isinstance(answer, list):
            self.history.answered(self.given, part)
            self._play_file(answer, piece.argument)
            return
        if isinstance(answer, Notice | Diagnosis):
            pass_on(answer)
        else:
            part.request = answer
            self.ask(answer, pass_on)
        self.history.answered(self.given, part)
        self.asked = max(latest, self.asked + 1)

    def _asked_for(self, piece: Piece, cell: Cell, line: int) -> Answer:
        """What a piece asks for."""
        if piece.command is None:
            return Evaluate(
                text=piece.body,
                echo=cell.echo,
                filename=cell.filename,
                first_line=line,
                width=self.width,
                max_values=self.max_values,
            )
        argument = "\n".join(part for part in (piece.argument, piece.body) if part.strip())
        given = self.history.inputs, self.start, self.ask, self.running, self.preferences
        answer = commands.answer(piece, Call(argument, self.width, self.max_values, *given))
        if isinstance(answer, Time | TimeIt):
            return msgspec.structs.replace(answer, filename=cell.filename, first_line=line + (not piece.argument))
        return answer

    def _play_file(self, found: list[Cell], name: str) -> None:
        before = self.running
        self.running = (*before, name)
        for cell in found:
            self.play(cell)
            if self._is_over():
                break
        self.running = before


def _written(piece: Piece) -> str:
    """A command as it was written."""
    first = f"{piece.command} {piece.argument}".rstrip()
    return f"{first}\n{piece.body}" if piece.body.strip() else first


def _hinted(report: Diagnosis) -> Diagnosis:
    """A diagnosis with a note, where what is no name here, or no Python, is so in another shell."""
    begins = report.span and not report.within and (report.span.line, report.span.column) == (1, 0)
    if report.code == "syntax" or (report.code == "unknown-name" and begins):
        hint = commands.as_elsewhere(report.source or "")
        return msgspec.structs.replace(report, notes=(*report.notes, hint)) if hint else report
    return report


def _placed(report: AnyReport, piece: Piece, before: int, *, filename: str | None, line: int) -> AnyReport:
    """A report with its statement's number counted through the whole input, and a command's with its source."""
    if piece.command is None or report.statement is not None:
        return msgspec.structs.replace(report, statement=before + report.statement) if report.statement else report
    written = f"{piece.command} {piece.argument}".rstrip()
    report = msgspec.structs.replace(report, statement=before + 1, source=report.source or written)
    if isinstance(report, Diagnosis) and filename and not report.location:
        report = msgspec.structs.replace(report, location=f"{filename}:{line}")
    return report
