"""An exception to a diagnosis: the exact sub-expression that failed, its operands' facts, and the table's sentence."""

import ast
import re
import time
import warnings
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from types import FrameType
from typing import Any

import numpy as np
import torch

from tensorcli import diagnoses, language, report, units
from tensorcli.diagnoses import Unknown, general, syntax
from tensorcli.diagnoses.edits import change, keyword, suffix
from tensorcli.diagnoses.messages import PATTERNS
from tensorcli.engine import (
    aftermath,
    apart,
    calls,
    describe,
    environment,
    limits,
    namespace,
    origins,
    predict,
    pure,
    remedy,
)
from tensorcli.language import TRUST, Place, Problem, Statement

FURTHER = 5  # ways to mend a second mistake, where mending the first alone does not help; and times the same one
_WORK = (ast.Call, ast.BinOp, ast.UnaryOp, ast.Compare)  # what may take as long again as it took
OPERAND_SECONDS = 0.1  # for all operands that have to be made again


@dataclass(frozen=True)
class Known:
    """What of the session an explanation may look at. It changes nothing of it."""

    names: Mapping[str, Any]
    sources: Mapping[str, Statement]  # by their code's filename
    trust: bool = False
    random_state: torch.Tensor | None = None  # of torch's generator, before the statement
    seconds: float = 0.0  # that the statement took until it failed
    advises: bool = True  # whether edits are tried


# What CUDA says of errors after which every later call fails, until the process ends.
_POISON = re.compile(
    r"CUDA error: (device-side assert triggered|an illegal memory access|unspecified launch failure|misaligned address"
    r"|hardware stack error|an illegal instruction|operation not supported on global|invalid program counter"
    r"|the launch timed out|uncorrectable ECC error|unknown error)"
)


def poisons(error: BaseException) -> bool:
    """Whether CUDA computes nothing more in this process after an error."""
    return isinstance(error, RuntimeError) and bool(_POISON.search(_message(error)))


def of_problem(problem: Problem, known: Known, *, filename: str | None, first_line: int) -> report.Diagnosis:
    """The diagnosis of text that cannot or may not run, with repaired texts that did run, apart from the session."""
    line = first_line + problem.line - 1
    title, place = problem.title, problem.place
    suggestions: tuple[report.Suggestion, ...] = ()
    if problem.error is not None:
        title, place, texts = syntax.explained(problem.text, problem.error)
        suggestions = remedy.repaired(problem.text, texts, known)
    return report.Diagnosis(
        source=problem.source,
        statement=1,
        code=problem.code,
        category=problem.code,
        title=title,
        span=report.Span(**place._asdict()),
        location=f"{filename}:{line + place.line - 1}" if filename else None,
        notes=problem.notes,
        suggestions=suggestions,
    )


def unexplained(error: BaseException, statement: Statement, number: int) -> report.Diagnosis:
    """That a statement failed, in Python's own words."""
    kind = "interrupted" if isinstance(error, KeyboardInterrupt) else "other"
    title = f"{type(error).__name__}: {_message(error)}".split("\n")[0][:500]
    return report.Diagnosis(source=statement.source, statement=number, code=kind, category=kind, title=title)


def out_of_memory(statement: Statement, number: int, not_run: str = "") -> report.Diagnosis:
    """What is said where even explaining it takes more memory than there is."""
    left = limits.left_nbytes()
    have = "" if left is None else f": {units.nbytes(left)} are left"
    return report.Diagnosis(
        source=statement.source,
        statement=number,
        code="out-of-memory",
        category="memory",
        title=f"this needs more memory than there is{have}",
        not_run=not_run or None,
    )


def of_error(
    error: BaseException,
    statement: Statement,
    known: Known,
    *,
    number: int,
    seconds: float,
    filename: str | None = None,
    first_line: int = 1,
    not_run: str = "",
) -> report.Diagnosis:
    """The diagnosis of an exception that `statement` raised. Runs nothing that could have an effect on the session.

    `not_run` is the text of the input's statements after it.
    """
    origin = origins.located(error.__traceback__, statement, known.sources)
    failure = _failure(error, origin, known)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of looking at values: they are ours, not the user's
        entry, code, category, finding = _recognised(failure)
    place = origin.place
    own = place if origin.statement is statement else None
    suggestions: tuple[report.Suggestion, ...] = ()
    notes = finding.notes
    try:
        suggestions = _suggestions(failure, statement, known, code, finding) if known.advises else ()
        notes += tuple(aftermath.notes(suggestions, statement, own, known.names)) if suggestions else ()
    except Exception:  # a mistake in the explanation must not hide what is explained
        pass
    line = first_line + statement.line - 1 + (own.line - 1 if own else 0)
    operands = tuple(_facts(operand) for operand in failure.operands)
    return report.Diagnosis(
        source=statement.source,
        statement=number,
        seconds=seconds,
        code=code,
        category=category,
        title=finding.title,
        exception=type(error).__name__ if category != "refused" else None,
        torch=failure.message if failure.message and category != "refused" else None,
        span=report.Span(**place._asdict()) if place else None,
        within=None if origin.statement is statement else origin.statement.source,
        function=None if origin.statement is statement else origins.function_of(origin.frame),
        location=f"{filename}:{line}" if filename else None,
        calls=origins.calls(error.__traceback__, known.sources),
        operands=operands,
        variables=() if any(map(_tells, operands)) else _variables(origin.frame),
        suggestions=suggestions,
        notes=notes,
        not_run=not_run or None,
        reference=entry.lesson if entry else None,
    )


def _suggestions(
    failure: diagnoses.Failure, statement: Statement, known: Known, code: str, finding: diagnoses.Finding
) -> tuple[report.Suggestion, ...]:
    """The entry's edits that run; else those that mend many failures; else those that leave a second one to mend."""
    end = time.monotonic() + remedy.SECONDS
    again = partial(_again, code, known)
    found = remedy.suggestions(failure, _thawed(finding.edits), statement, known, again, FURTHER)
    if time.monotonic() > end:  # what is tried takes long: enough
        return found
    if not found and (code.endswith("-error") or general.category_of(failure) in ("shape", "index")):
        found = remedy.suggestions(failure, general.edits(failure), statement, known)
    if not found and isinstance(failure.error, Exception):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            edits = _recognised(failure)[3].edits
        found = remedy.suggestions(failure, _thawed(edits), statement, known, partial(_again, None, known))
    if len(found) < remedy.MAX_SHOWN and failure.statement and failure.statement.source != statement.source:
        outer = replace(failure, statement=statement.again(), node=None)
        edits = _at_the_call(failure, outer, known)
        others = remedy.suggestions(outer, edits, statement, known, again, FURTHER)
        found = (*found, *others)[: remedy.MAX_SHOWN]
    return found


def _thawed(edits: Iterable[diagnoses.Edit]) -> Iterator[diagnoses.Edit]:
    """The edits that leave a function's parameters where they stand in its body."""
    yield from (edit for edit in edits if not any(_frozen(*change) for change in edit.changes))


def _frozen(written: Statement, node: ast.AST, text: str) -> str | None:
    """The parameter that an edit would replace by a constant in its function's body: the call gives it."""
    if not isinstance(node, ast.Name) or not re.fullmatch(r"-?[\d.]+", text):
        return None
    functions = [one for one in ast.walk(written.node) if isinstance(one, ast.FunctionDef | ast.Lambda)]
    around = [one for one in functions if any(part is node for part in ast.walk(one))]
    return node.id if any(node.id in calls.parameters(one) for one in around) else None


def _given_for(outer: ast.Call, written: Statement, name: str) -> ast.expr | None:
    """What a call gives for a parameter of the function that a statement defines."""
    named = getattr(written.node, "name", None)
    if not isinstance(written.node, ast.FunctionDef) or not isinstance(outer.func, ast.Name) or outer.func.id != named:
        return None
    places = dict(zip(calls.parameters(written.node), outer.args, strict=False))
    return keyword(outer, name) or places.get(name)


def _at_the_call(failure: diagnoses.Failure, outer: diagnoses.Failure, known: Known) -> Iterator[diagnoses.Edit]:
    """What would mend an operand inside a function, put behind the argument that it came from."""
    assert failure.statement is not None
    assert outer.statement is not None
    value = _Values(known.names, known)
    calls_there = [node for node in ast.walk(outer.statement.node) if isinstance(node, ast.Call)]
    arguments = [part for call in calls_there for part in call.args if not isinstance(part, ast.Constant | ast.Starred)]
    for edit in remedy.proposed(_recognised(failure)[3].edits):
        if len(edit.changes) != 1:
            continue
        written, node, text = edit.changes[0]
        if not isinstance(node, ast.expr):
            continue
        if name := _frozen(written, node, text):
            given = [part for call in calls_there if (part := _given_for(call, written, name))]
            yield from (change(outer, (part, text), title=edit.title) for part in given)
            continue
        old = written.place_of(node).text
        start = next((start for start in (old, f"({old})") if text.startswith(start) and text != start), None)
        for argument in arguments if start else ():
            if _alike(value(argument), failure.value(node)):
                operand = diagnoses.Operand("", None, argument)
                yield suffix(outer, operand, text[len(start or "") :], title=edit.title)


def _alike(one: Any, other: Any) -> bool:
    if not (isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor)):
        return False
    return one.shape == other.shape and one.dtype == other.dtype and one.device == other.device


def _again(
    code: str | None, known: Known, error: Exception, source: str, edit: diagnoses.Edit
) -> Iterator[tuple[str, str]]:
    """The texts with the same mistake mended, in the same way, where it fails of it now; and what was done.

    Without a code any mistake is mended, in the likeliest ways.
    """
    if isinstance(error, Problem):
        return
    statements = language.parse(source, trust=known.trust)
    here = {apart.FILENAME.format(at): statement for at, statement in enumerate(statements)}
    origin = origins.located(error.__traceback__, statements[-1], {**known.sources, **here})
    let_go(error)
    called = origin.statement not in statements  # it fails in a function of the session's
    if origin.frame is None or (called and len(statements) > 1):
        return
    failure = _failure(error, origin, known)
    _, found, _, finding = _recognised(failure)
    at, edits = 0 if called else statements.index(origin.statement), finding.edits
    if called:
        outer = replace(failure, statement=statements[0].again(), node=None)
        failure, edits = outer, _at_the_call(failure, outer, known)
    others = (other for other in remedy.proposed(edits) if other.changes)
    if code is not None:
        others = (other for other in others if found == code and other.title == edit.title)
    for other in islice(others, 1 if code else FURTHER):
        texts = [statement.source for statement in statements]
        texts[at] = remedy.corrected(other, failure, statements[at])
        yield "\n".join(texts), other.title


def let_go(error: BaseException | None) -> None:
    """Drop an exception's frames: they would keep its tensors alive."""
    waiting, seen = [error], set()
    while waiting:
        error = waiting.pop()
        if error is not None and id(error) not in seen:
            seen.add(id(error))
            error.__traceback__ = None
            waiting += [error.__context__, error.__cause__]


def _recognised(failure: diagnoses.Failure) -> tuple[diagnoses.Entry | None, str, str, diagnoses.Finding]:
    if isinstance(failure.error, namespace.Refused):
        return None, "refused", "refused", diagnoses.Finding(failure.message, (TRUST,))
    if isinstance(failure.node, ast.Raise) and not isinstance(failure.error, KeyboardInterrupt):
        return None, *general.raised(failure)  # whatever its words, it is the user's own
    return diagnoses.recognised(failure)


def _failure(error: BaseException, origin: origins.Origin, known: Known) -> diagnoses.Failure:
    """All that can be known of a failure before anything is tried."""
    message, names = _message(error), known.names
    fresh = origin.statement.again()
    node = _node_at(fresh, origin.place)
    text = origin.place.text if origin.place else ""
    if node is None or not isinstance(error, Exception):
        memory = _memory(error, message, known.names)
        return diagnoses.Failure(error, message, text, (), names, namespace.directory, fresh, node, memory=memory)
    frame = origin.frame
    scope = {**(frame.f_globals if frame else names), **(frame.f_locals if frame else {})}
    if known.seconds >= remedy.SLOW_SECONDS:
        predict.warm_up()
    value = _Values(scope, known)
    call = calls.of(node, fresh, value)
    return diagnoses.Failure(
        error,
        message,
        text,
        calls.operands(node, fresh, value),
        names,
        namespace.directory,
        fresh,
        node,
        call,
        calls.layer(call, origin.library),
        partial(_definition, known.sources),
        value,
        lambda statement, node: calls.of(node, statement, value),
        namespace.MODULES.get,
        partial(_history, known.sources, origin.statement),
        _memory(error, message, known.names),
    )


def _history(sources: Mapping[str, Statement], failing: Statement) -> list[Statement]:
    """The statements before the failing one, read anew."""
    return [statement.again() for statement in sources.values() if statement is not failing]


def _memory(error: BaseException, message: str, names: Mapping[str, Any]) -> diagnoses.Memory:
    """What is known of the memory that ran out; nothing where another thing went wrong."""
    if not isinstance(error, MemoryError) and not re.search(f"memory|{PATTERNS['no memory']}", message):
        return diagnoses.Memory()
    limits.met()
    if "CUDA" in message:
        return diagnoses.Memory(environment.free_nbytes("cuda"))
    from tensorcli.engine import holdings

    left, most = limits.left_nbytes(), limits.most_nbytes()
    own = {name: value for name, value in names.items() if name[0] not in "_."}
    try:
        return diagnoses.Memory(left, most, tuple(holdings.largest(own)))
    except MemoryError:  # of too many things to be looked at now
        return diagnoses.Memory(left, most)


class _Values:
    """The values of expressions in the failing one's scope, each had once. Calling it gives Unknown where it cannot."""

    def __init__(self, scope: Mapping[str, Any], known: Known) -> None:
        self._scope, self._known = scope, known
        self._found: dict[str, Any] = {}

    def __call__(self, node: ast.expr) -> Any:
        key = ast.dump(node)
        if key not in self._found:
            self._found[key] = self._value(node)
        return self._found[key]

    def _value(self, node: ast.expr) -> Any:
        if isinstance(node, ast.Name):
            return self._scope.get(node.id, namespace.BUILTINS.get(node.id, Unknown))
        if self._known.seconds >= remedy.SLOW_SECONDS and any(isinstance(part, _WORK) for part in ast.walk(node)):
            return self._made_again(node)
        state = torch.get_rng_state()
        try:
            if self._known.random_state is not None:
                torch.set_rng_state(self._known.random_state)
            with warnings.catch_warnings(), torch.no_grad():
                warnings.simplefilter("ignore")
                return pure.value_of(node, self._scope)
        except Exception:
            pass
        finally:
            torch.set_rng_state(state)
        return self._made_again(node)

    def _made_again(self, node: ast.expr) -> Any:
        try:
            with apart.apart(seconds=OPERAND_SECONDS, random_state=self._known.random_state):
                if self._known.seconds < remedy.SLOW_SECONDS:
                    return apart.value_of(node, self._scope, trust=self._known.trust)
                return predict.value_of(node, self._scope, trust=self._known.trust)
        except BaseException:
            return Unknown


def _message(error: BaseException) -> str:
    """The exception's own words, without the lines that torch adds for its developers."""
    try:
        text = error.msg if isinstance(error, SyntaxError) else str(error)
        if isinstance(error, KeyError) and error.args and not isinstance(error.args[0], str):
            text = repr(error.args[0])
    except Exception:  # its own text fails
        return ""
    text = re.split(r"\n(?:Exception raised from|C\+\+ CapturedTraceback|frame #0)", text)[0]
    return describe.cut(text.strip(), limit=4000)


def _node_at(fresh: Statement, place: Place | None) -> ast.AST | None:
    """The expression, or else the statement, that stands exactly at `place` in a statement."""
    nodes = [node for node in ast.walk(fresh.node) if isinstance(node, ast.expr | ast.stmt)]
    nodes.sort(key=lambda node: isinstance(node, ast.stmt))
    return next((node for node in nodes if fresh.place_of(node) == place), None)


def _definition(sources: Mapping[str, Statement], name: str) -> Statement | None:
    """The statement that last assigned a variable, read anew."""
    found = (s for s in reversed(list(sources.values())) if isinstance(s.node, ast.Assign) and name in s.bound)
    return next((statement.again() for statement in found if not _sets_a_part(statement, name)), None)


def _sets_a_part(statement: Statement, name: str) -> bool:
    fresh = statement.again().node
    assert isinstance(fresh, ast.Assign)
    return not any(
        isinstance(part, ast.Name) and part.id == name
        for target in fresh.targets
        for part in ast.walk(target)
        if isinstance(getattr(part, "ctx", None), ast.Store)
    )


def _facts(operand: diagnoses.Operand) -> report.Operand:
    try:
        return _known_facts(operand)
    except Exception:  # its own text fails, as that of a layer made of a tensor does
        return report.Operand(text=operand.text, note=describe.type_name(type(operand.value)))


def _tells(operand: report.Operand) -> bool:
    """Whether more is known of it than its name."""
    return bool(operand.dtype or operand.note)


def _variables(frame: FrameType | None) -> tuple[report.Operand, ...]:
    """What the names of a function held when it failed."""
    return tuple(_facts(diagnoses.Operand(name, value)) for name, value in origins.variables(frame).items())


def _known_facts(operand: diagnoses.Operand) -> report.Operand:
    value = operand.value
    if value is Unknown:
        return report.Operand(text=operand.text)
    if isinstance(value, torch.Tensor):
        return report.Operand(
            text=operand.text,
            shape=describe.shape_of(value),
            dtype=describe.dtype_name(value.dtype),
            device=str(value.device),
        )
    if isinstance(value, np.ndarray):
        return report.Operand(text=operand.text, shape=tuple(value.shape), dtype=str(value.dtype), note="a NumPy array")
    if value is None or (callable(value) and not isinstance(value, torch.nn.Module)):
        return report.Operand(text=operand.text)
    if isinstance(value, torch.nn.Module):
        return report.Operand(text=operand.text, note=describe.cut(" ".join(str(value).split()), limit=80))
    kind = describe.type_name(type(value))
    return report.Operand(text=operand.text, note=f"{kind} {describe.cut(describe.text_of(value), limit=60)}")
