"""One input from the prompt: submitted, its answers shown, and what the next prompt needs of them kept."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tensorcli.config import Preferences
from tensorcli.inputs import submit
from tensorcli.pieces import cells, split
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
        runs_files = "%run" in text and any(
            piece.command == "%run" for _, part, _ in cells(text) for piece in split(part)
        )  # a pager for each of their answers would have to be left

        def show(report: AnyReport) -> None:
            if report.seconds is not None:
                self.seconds = report.seconds
            if isinstance(report, Diagnosis):
                rest = [report.not_run] if report.not_run else []
                self.suggested = tuple("\n".join([each.source, *rest]) for each in report.suggestions)
            self._show(report, screen, waiting, paged=not runs_files)

        submit(
            text,
            client.ask,
            show,
            width=screen.width,
            history=client.past,
            start=client.start,
            number=client.next_input(),
            preferences=self.preferences,
        )
        with waiting.aside():
            screen.end_line()
        if client.settings:
            client.ask(Configure(), lambda _: None)  # what the toolbar shows of them may have changed

    def bring_back(self, client: "Client", screen: "Screen", waiting: "Waiting") -> None:
        """Have the client bring an earlier session back, as it does before the first thing it is asked."""

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
