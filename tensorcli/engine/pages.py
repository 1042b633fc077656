"""The pages of `explain`: a kind of mistake, its rule, and its example made anew while the page is shown."""

import builtins
import difflib
from collections.abc import Callable

from tensorcli import diagnoses, report
from tensorcli.diagnoses.general import kebab
from tensorcli.engine import apart, environment, pretend

PYTHONS = {
    kebab(name): name
    for name, value in vars(builtins).items()
    if isinstance(value, type) and issubclass(value, BaseException)
}


def explain(code: str, emit: Callable[[report.AnyReport], None]) -> None:
    """Emit a page for each entry of this code, or of the only one with this word in it.

    Emit the list of all codes without one, that of the several which have the word, a diagnosis for an unknown one.
    """
    codes = {entry.code for entry in diagnoses.entries() if entry.example and code in entry.code}
    if code in codes or len(codes) == 1:
        chosen = code if code in codes else codes.pop()
        for entry in diagnoses.entries():
            if entry.code == chosen and entry.example:
                emit(_page(entry))
    elif codes:
        emit(report.Notice(text=listing(code)))
    else:
        emit(_unknown(code))


def listing(word: str = "") -> str:
    """Every code that has the word in it, with its rules, a line each."""
    rules: dict[str, list[str]] = {}
    for entry in diagnoses.entries():
        if entry.rule and word in entry.code and entry.rule not in rules.setdefault(entry.code, []):
            rules[entry.code].append(entry.rule)
    width = max(map(len, rules))
    return "\n".join(f"{code:<{width}}  {' '.join(rules[code])}" for code in sorted(rules))


def _unknown(code: str) -> report.Diagnosis:
    if own := PYTHONS.get(code):
        title = f"{code} is an error of Python's own, {own}: its page is that of Python's documentation"
        return report.Diagnosis(code="unknown-code", category="name", title=title, source=code)
    near = difflib.get_close_matches(code, {entry.code for entry in diagnoses.entries()}, n=1)
    advice = f"did you mean {near[0]}?" if near else "explain without a code lists them"
    title = f"there is no kind of mistake called {code[:40]}: {advice}"
    return report.Diagnosis(code="unknown-code", category="name", title=title, source=code)


def _page(entry: diagnoses.Entry) -> report.Explanation:
    return report.Explanation(
        code=entry.code,
        category=entry.category,
        rule=entry.rule,
        example=entry.example,
        diagnosis=provoked(entry),
        reference=entry.lesson,
    )


def provoked(entry: diagnoses.Entry) -> report.Diagnosis | None:
    """What is said of an entry's example in a session of its own. The session that asks is left as it is."""
    from tensorcli.engine.session import Session

    device, pretending = environment.default_device(), pretend.active()
    said: list[report.AnyReport] = []
    with apart.apart(seconds=None):
        try:
            if entry.pretend and not pretending:
                pretend.start()
            session = Session(seed=0)
            session.ask(report.Evaluate(text=entry.example, echo="all"), said.append)
        finally:
            if entry.pretend and not pretending:
                pretend.stop()
            environment.set_default_device(str(device))
    return next((answer for answer in said if isinstance(answer, report.Diagnosis)), None)
