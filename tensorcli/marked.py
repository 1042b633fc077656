"""A command as it stands in plain Python that %save wrote: Python runs its lines, %run the command that they do.

It is one whose lines code behind the gate may not run: they open files, say, as %load does. They are not run there, and
nothing more is allowed for them: the command alone is run, and only while the lines are what was written for it.
"""

import re
import zlib

from tensorcli import units

_MARK = re.compile(
    r"^# (%(?:load|precision) [^\n]+) in plain Python, ([0-9]{1,3}) lines? \(([0-9a-f]{8})\):\r?$", re.MULTILINE
)


def written(command: str, lines: list[str]) -> str:
    """The lines of Python for a command, under a mark that says so."""
    return "\n".join(
        [f"# {command} in plain Python, {units.plural(len(lines), 'line')} ({_sum(command, lines)}):", *lines]
    )


def as_commands(text: str) -> str:
    """A text with the commands in the place of their lines, each of which is left empty; what was changed stays.

    A mark and its lines are taken for one within a string too.
    """
    if not _MARK.search(text):
        return text
    lines, at = [line.removesuffix("\r") for line in text.split("\n")], 0
    while at < len(lines):
        found = _MARK.match(lines[at])
        after = at + 1 + int(found[2]) if found else at + 1
        if found and found[3] == _sum(found[1], lines[at + 1 : after]):
            lines[at:after] = [found[1], *[""] * (after - at - 1)]
        else:
            after = at + 1
        at = after
    return "\n".join(lines)


def _sum(command: str, lines: list[str]) -> str:
    return f"{zlib.crc32(chr(10).join([command, *lines]).encode('utf-8', 'backslashreplace')):08x}"
