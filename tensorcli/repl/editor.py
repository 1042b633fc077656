"""The input in an editor of the user's, and back at the prompt: nothing runs before Enter."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from prompt_toolkit.application import run_in_terminal
from prompt_toolkit.document import Document
from prompt_toolkit.key_binding import KeyPressEvent

from tensorcli import programs

_USUAL = ["notepad"] if sys.platform == "win32" else ["editor", "nano", "vi", "emacs"]


def edit(event: KeyPressEvent) -> None:
    """Have the input edited, and go on with what the file then has. A failed editor changes nothing."""
    buffer, output = event.current_buffer, event.app.output

    def tell(sentence: str) -> None:
        output.write(sentence + "\n")
        output.flush()

    async def run() -> None:
        text = await run_in_terminal(lambda: edited(buffer.text, tell), in_executor=True)
        if text is not None:
            buffer.document = Document(text, len(text))

    event.app.create_background_task(run())


def edited(text: str, tell: Callable[[str], None]) -> str | None:
    """The text as the user's editor left it; None, with the reason told, where there is no telling."""
    command = editor()
    if not command:
        tell("there is no editor: set the environment variable EDITOR to the name of one")
        return None
    with tempfile.TemporaryDirectory(prefix="tensorcli-", ignore_cleanup_errors=True) as folder:
        path = Path(folder) / "input.py"
        try:
            path.write_text(text + "\n", "utf-8", "surrogateescape")
            code = subprocess.call([*command, str(path)])
            written = path.read_text("utf-8", "replace")
        except OSError as error:
            advice = "set the environment variable EDITOR to the name of one that is there"
            tell(f"{command[0]} cannot edit the input: {error.strerror}; {advice}")
            return None
    if code:
        tell(f"{command[0]} ended with exit code {code}: the input is as it was")
        return None
    return written.rstrip("\n")


def editor() -> list[str]:
    """The command of the user's editor: VISUAL, EDITOR, or a usual one; empty where there is none."""
    for name in ("VISUAL", "EDITOR"):
        if wanted := os.environ.get(name, "").strip():
            return programs.command(wanted)
    return next(([found] for each in _USUAL if (found := shutil.which(each))), [])
