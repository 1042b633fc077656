"""Statements from a pipe, evaluated one after the other as if each had been typed."""

from typing import TYPE_CHECKING, BinaryIO

from tensorcli.inputs import submit
from tensorcli.pieces import cells, statements
from tensorcli.report import Diagnosis

if TYPE_CHECKING:
    from tensorcli.client import Client
    from tensorcli.show import Screen


def run(client: "Client", screen: "Screen", stream: BinaryIO | None, *, max_values: int) -> int:
    """Run everything in `stream` and show every answer; the exit code."""
    data = stream.read() if stream else b""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        title = f"byte {error.start:,} (0x{data[error.start]:02x}, on line {line:,}) is not UTF-8 text: nothing was run"
        screen.show(Diagnosis(code="not-utf8", category="syntax", title=title, notes=("save the input as UTF-8",)))
        return screen.exit_code
    found = [(first + line - 1, each) for first, cell, _ in cells(text) for line, each in statements(cell)]
    for line, statement in found:
        problem = submit(
            statement,
            client.ask,
            screen.show,
            echo="all",
            first_line=line,
            width=screen.width,
            max_values=max_values,
            history=client.past,
            start=client.start,
            number=client.next_input(),
        )
        if problem and problem.category == "interrupted":
            break
    return screen.exit_code
