"""One input from the prompt: submitted, its answers shown, and what the next prompt needs of them kept."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from prompt_toolkit.output import Output

from tensorcli.config import Preferences
from tensorcli.inputs import submit
from tensorcli.past import Input, take_back
from tensorcli.repl.keys import keys_waiting
from tensorcli.report import AnyReport, Configure, Diagnosis, Undone

if TYPE_CHECKING:
    from tensorcli.client import Client
    from tensorcli.show import Screen


class Waiting:
    """A line that says what is waited for, and goes when it is over. Blanks erase it: no escape code is needed."""

    TEXT = "starting torch ..."

    def __init__(self, output: Output) -> None:
        self._output = output
        self._shown = False

    def show(self) -> None:
        """Draw it."""
        self._shown = True
        self._write(self.TEXT)

    def clear(self) -> None:
        """Erase it, if it is there."""
        if self._shown:
            self._shown = False
            self._write("\r" + " " * len(self.TEXT) + "\r")

    def _write(self, text: str) -> None:
        self._output.write_raw(text)
        self._output.flush()


@dataclass
class Answers:
    """What is remembered from one input to the next: the inputs, the last time and the last texts suggested."""

    preferences: Preferences = field(default_factory=Preferences)
    inputs: list[Input] = field(default_factory=list)
    seconds: float | None = None
    suggested: tuple[str, ...] = ()

    def answer(self, text: str, client: "Client", screen: "Screen", waiting: Waiting) -> None:
        """Submit one input and show what it gives. The number of a suggestion is that one, and what was not run."""
        text = self._taken(text) or text
        self.suggested = ()

        def show(report: AnyReport) -> None:
            waiting.clear()
            if report.seconds is not None:
                self.seconds = report.seconds
            if isinstance(report, Diagnosis):
                rest = [report.not_run] if report.not_run else []
                self.suggested = tuple("\n".join([each.source, *rest]) for each in report.suggestions)
            if isinstance(report, Undone):
                take_back(self.inputs, report.inputs)
            screen.show(report, paged=self.preferences.config.pager and not keys_waiting())

        submit(
            text,
            client.ask,
            show,
            width=screen.width,
            history=self.inputs,
            start=client.start,
            number=client.next_input(),
            preferences=self.preferences,
        )
        screen.end_line()
        if client.settings:
            client.ask(Configure(), lambda _: None)  # what the toolbar shows of them may have changed

    def _taken(self, text: str) -> str | None:
        number = text.strip()
        return next((each for at, each in enumerate(self.suggested, 1) if number == str(at)), None)
