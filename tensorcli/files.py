"""A file played as one session, cell by cell."""

from typing import TYPE_CHECKING

from tensorcli.cells import Cell
from tensorcli.inputs import submit

if TYPE_CHECKING:
    from tensorcli.client import Client
    from tensorcli.show import Screen


def play(found: list[Cell], engine: "Client", screen: "Screen", *, keep_going: bool, max_values: int = 1000) -> int:
    """Run the cells as one session, stop at the first diagnosis unless `keep_going`; the exit code."""
    for cell in found:
        problem = submit(
            cell.text,
            engine.ask,
            screen.show,
            echo=cell.echo,
            filename=cell.filename,
            first_line=cell.first_line,
            width=screen.width,
            max_values=max_values,
            history=engine.past,
            start=engine.start,
            number=engine.next_input(),
            keep_going=keep_going,
        )
        if problem and (problem.category == "interrupted" or not keep_going):
            break
    return screen.exit_code
