"""What is typed, shown on a terminal that knows no escape codes."""

from collections.abc import Iterator
from contextlib import contextmanager

from prompt_toolkit import PromptSession
from prompt_toolkit.utils import get_cwidth


@contextmanager
def echo(prompt: PromptSession[str], continuation: str) -> Iterator[None]:
    """Within it all of each change is shown: prompt_toolkit then writes the last character of the text, and no more."""
    buffer, shown = prompt.default_buffer, ""

    def changed(_sender: object) -> None:
        nonlocal shown
        text = buffer.document.text_before_cursor
        same = next(
            (at for at, (a, b) in enumerate(zip(shown, text, strict=False)) if a != b), min(len(shown), len(text))
        )
        back = "\b \b" * get_cwidth(shown[same:])
        again = "\b" if text and same == len(text) else ""  # what it writes stands there already
        margin = continuation if text[:same].endswith("\n") and text[same:] not in ("", "\n") else ""
        prompt.output.write_raw(back + again + margin + text[same:-1].replace("\n", "\n" + continuation))
        shown = text

    buffer.on_text_changed.add_handler(changed)
    try:
        yield
    finally:
        buffer.on_text_changed.remove_handler(changed)
