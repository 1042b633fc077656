"""One input from the prompt: submitted, its answers shown, and what the next prompt needs of them kept."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from prompt_toolkit.output import Output

from tensorcli.commands import submit
from tensorcli.report import AnyReport, Configure, Diagnosis, Progress, Suggestion

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
    """What is remembered from one input to the next: the inputs, the last time and the last suggestions."""

    inputs: list[str] = field(default_factory=list)
    seconds: float | None = None
    suggestions: tuple[Suggestion, ...] = ()

    def answer(self, text: str, client: "Client", screen: "Screen", waiting: Waiting) -> None:
        """Submit one input and show what it gives; the number of a suggestion is that suggestion."""
        text = self._suggested(text) or text
        self.inputs.append(text)
        self.suggestions = ()

        def show(report: AnyReport) -> None:
            if not isinstance(report, Progress):
                waiting.clear()
            if report.seconds is not None:
                self.seconds = report.seconds
            if isinstance(report, Diagnosis):
                self.suggestions = report.suggestions
            screen.show(report)

        submit(text, client.ask, show, width=screen.width, history=self.inputs)
        screen.end_line()
        if client.settings:
            client.ask(Configure(), lambda _: None)  # what the toolbar shows of them may have changed

    def _suggested(self, text: str) -> str | None:
        number = text.strip()
        if number.isascii() and number.isdecimal() and 0 < int(number[:4]) <= len(self.suggestions):
            return self.suggestions[int(number) - 1].source
        return None
