"""What a text that is still being written would give: a dry run that is short, and gives up what it cannot know."""

import ast
import re
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import torch

from tensorcli import language, report, units
from tensorcli.engine import (
    apart,
    describe,
    dryrun,
    environment,
    failure,
    foresight,
    interrupts,
    namespace,
    predict,
    pure,
    remedy,
)
from tensorcli.engine.session import Session
from tensorcli.language import Statement

Emit = Callable[[report.AnyReport], None]

SECONDS = 0.5  # that it may take, as a model's first call does: it gives way at once to whatever is asked next
_UNSAID = ("depends-on-values", "not-predicted")


def outlook(session: Session, request: report.Outlook, emit: Emit) -> None:
    """Answer with what the statements would give, as Evaluate does but without values, or why one would fail.

    Answers with nothing where that cannot be said in a moment. The session stays as it is.
    """
    try:
        answers = _answers(session, request)
    except (apart.NoCopy, apart.TooLarge, TimeoutError, KeyboardInterrupt) as error:
        return failure.let_go(error)
    problem = next((each for each in answers if isinstance(each, report.Diagnosis)), None) or _too_large(answers)
    if problem is None:
        for answer in answers:
            emit(answer)
    elif problem.code not in _UNSAID:
        emit(problem)


def _answers(session: Session, request: report.Outlook) -> list[report.AnyReport]:
    answers: list[report.AnyReport] = []
    try:
        statements = language.parse(request.text, trust=False)
    except language.Problem as problem:
        if problem.code != "refused" or session.trust:  # what is not Python is not finished
            return []
        return [failure.of_problem(problem, failure.Known({}, {}), filename=None, first_line=1)]
    trees = [statement.node for statement in statements]
    if session.trust and not pure.changes_nothing(trees, session.names, session.start):
        return []  # no gate kept what they call from the world outside
    if foresight.is_foreseeable(trees, session.names):
        with dryrun.untouched(seconds=SECONDS, gently=True), interrupts.may_raise():
            _Double(session, request).look(statements, answers.append)
    return answers


def _too_large(answers: Sequence[report.AnyReport]) -> report.Diagnosis | None:
    """What is wrong where the results take more memory than there is."""
    needed: dict[str, int] = {}
    for answer in answers:
        if isinstance(answer, report.Tensor):
            needed[answer.device] = needed.get(answer.device, 0) + answer.storage_nbytes
    for device, nbytes in needed.items():
        free = environment.free_nbytes(device)
        if free is not None and nbytes > free:
            title = f"this needs {units.nbytes(nbytes)} of {device} memory, and {units.nbytes(free)} are free"
            return report.Diagnosis(code="out-of-memory", category="memory", title=title)
    return None


def _is_written_yet(span: report.Span | None, request: report.Outlook) -> bool:
    """Whether the cursor still stands at the name that is all of a span, or ends it."""
    before = re.search(r"\w*$", request.text[: request.cursor])
    after = re.match(r"\w*", request.text[request.cursor :])
    word = (before[0] if before else "") + (after[0] if after else "")
    return bool(word and span and span.text.endswith(word))


def _may_go_on(error: Exception) -> bool:
    """Whether what is asked for in vain may be the beginning of a name that is there, or of one that is assigned."""
    if not isinstance(error, AttributeError) or not error.name:
        return True
    known = {*namespace.directory(error.obj), *dir(type(error.obj))}
    return any(name.startswith(error.name) for name in known)


class _Double(dryrun.DrySession):
    """A session's double, behind the gate, that says of a statement's results what they are."""

    faker = foresight.Faker
    advises = False

    def __init__(self, session: Session, request: report.Outlook) -> None:
        super().__init__(session, request.text)
        self.trust = False
        self._request = request

    def start_names(self) -> dict[str, Any]:
        """What a session starts with, less what takes long in one go."""
        return foresight.start_names()

    def look(self, statements: Sequence[Statement], emit: Emit) -> None:
        """Run statements, and emit what they give."""

        def pass_on(answer: report.AnyReport) -> None:
            if isinstance(answer, report.Tensor | report.Value | report.Diagnosis):
                emit(answer)

        for number, statement in enumerate(statements, 1):
            if self._run(statement, number, self.context(pass_on), shown=number == len(statements)) is None:
                return

    def explained(self, error: BaseException, *arguments: Any, **options: Any) -> Any:
        """The diagnosis of what a statement raised: nothing is computed for it."""
        if not isinstance(error, Exception) or isinstance(error, apart.NoCopy | TimeoutError):
            raise error
        found = super().explained(error, *arguments, **{**options, "seconds": remedy.SLOW_SECONDS})
        interrupts.may_stop()  # without the time to look at the operands it says less than there is to say
        if found.category == "name" and _is_written_yet(found.span, self._request) and _may_go_on(error):
            raise apart.NoCopy("a name that is being written")
        return found

    def _answers(self, statement: Statement, value: Any, *_: Any, shown: bool, **__: Any) -> list[report.AnyReport]:
        found: dict[str | None, Any] = {name: self.names[name] for name in statement.bound if name in self.names}
        if isinstance(statement.node, ast.Expr) and shown and not isinstance(statement.node.value, ast.Constant):
            found[None] = value
        with predict.predicting(self._mode):
            return [_said(value, name) for name, value in found.items() if _is_worth_saying(value)]


def _is_worth_saying(value: Any) -> bool:
    """Not what a statement without a result gives, nor what is only on the way to a call."""
    return not (value is None or isinstance(value, namespace.Namespace)) and (
        isinstance(value, torch.nn.Module) or not callable(value)
    )


def _said(value: Any, name: str | None) -> report.Tensor | report.Value:
    found = describe.describe(value, name=name, brief=True, stats=False)
    if isinstance(value, str):  # a tensor's text has its values
        return msgspec.structs.replace(found, text="")
    return found
