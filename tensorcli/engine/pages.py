"""The pages of `explain`: a kind of mistake, its rule, and its example made anew while the page is shown."""

import difflib
from collections.abc import Callable

from tensorcli import diagnoses, report
from tensorcli.engine import apart, environment, pretend

SECONDS = 10.0


def explain(code: str, emit: Callable[[report.AnyReport], None]) -> None:
    """Emit a page for each entry of this code; the list of all codes without one, a diagnosis for an unknown one."""
    found = [entry for entry in diagnoses.entries() if entry.code == code and entry.example]
    if not code:
        emit(report.Notice(text=listing()))
    elif not found:
        emit(_unknown(code))
    for entry in found:
        emit(_page(entry))


def listing() -> str:
    """Every code with its rule, a line each."""
    rules = {entry.code: entry.rule for entry in diagnoses.entries() if entry.rule}
    width = max(map(len, rules))
    return "\n".join(f"{code:<{width}}  {rules[code]}" for code in sorted(rules))


def _unknown(code: str) -> report.Diagnosis:
    near = difflib.get_close_matches(code, {entry.code for entry in diagnoses.entries()}, n=1)
    advice = f"did you mean {near[0]}?" if near else "%explain lists them"
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
    with apart.apart(seconds=SECONDS):
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
