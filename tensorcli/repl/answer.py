"""One input from the prompt: submitted, its answers shown, and what the next prompt needs of them kept."""

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from tensorcli.config import Preferences
from tensorcli.inputs import submit
from tensorcli.repl.keys import keys_waiting
from tensorcli.report import AnyReport, Configure, Diagnosis, Progress, Settings, Tensor, Value

if TYPE_CHECKING:
    from tensorcli.client import Client
    from tensorcli.repl.typeahead import Waiting
    from tensorcli.show import Screen


@dataclass
class Answers:
    """What is remembered from one input to the next: the last time and the last texts suggested."""

    preferences: Preferences = field(default_factory=Preferences)
    seconds: float | None = None
    suggested: tuple[str, ...] = ()

    def answer(self, text: str, client: "Client", screen: "Screen", waiting: "Waiting") -> None:
        """Submit one input and show what it gives. The number of a suggestion is that one, and what was not run."""
        text = self._taken(text) or text
        self.suggested = ()

        def show(report: AnyReport, *, paged: bool = True) -> None:
            if report.seconds is not None:
                self.seconds = report.seconds
            if isinstance(report, Diagnosis):
                rest = [report.not_run] if report.not_run else []
                self.suggested = tuple("\n".join([each.source, *rest]) for each in report.suggestions)
            self._show(report, screen, waiting, paged=paged)

        submit(
            text,
            client.ask,
            show,
            emit_in_file=partial(show, paged=False),  # a pager for each of these answers would have to be left
            width=screen.width,
            history=client.past,
            start=client.start,
            number=client.next_input(),
            preferences=self.preferences,
        )
        with waiting.aside():
            screen.end_line()
        if client.settings:
            self.look(client, screen, waiting)

    def look(self, client: "Client", screen: "Screen", waiting: "Waiting") -> None:
        """Ask for the settings, which the toolbar shows, and show what comes before them.

        As before all it is asked, the client says what became of the engine and brings an earlier session back.
        """

        def show(report: AnyReport) -> None:
            if not isinstance(report, Settings):
                self._show(report, screen, waiting)

        client.ask(Configure(), show)
        with waiting.aside():
            screen.end_line()

    def _show(self, report: AnyReport, screen: "Screen", waiting: "Waiting", *, paged: bool = True) -> None:
        if isinstance(report, Progress):
            return _show_progress(report, screen, waiting)
        with waiting.aside():
            screen.show(report, paged=paged and self._may_page(report) and not waiting.keys)

    def _may_page(self, report: AnyReport) -> bool:
        """Whether a pager may show it: what a command answers, not a result, behind which more is typed at once."""
        return self.preferences.config.pager and not isinstance(report, Tensor | Value) and not keys_waiting()

    def _taken(self, text: str) -> str | None:
        number = text.strip()
        return next((each for at, each in enumerate(self.suggested, 1) if number == str(at)), None)


def _show_progress(progress: Progress, screen: "Screen", waiting: "Waiting") -> None:
    """On the line that waits, for what is typed stands there too."""
    if not screen.at_line_start:
        with waiting.aside():
            screen.end_line()
    waiting.show(screen.progress(progress))
