"""What the keys do: when Enter runs the input, how lines are indented, and where keys go while nothing reads them."""

import select
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from itertools import groupby, takewhile

from prompt_toolkit.application import Application
from prompt_toolkit.application.current import get_app
from prompt_toolkit.buffer import Buffer
from prompt_toolkit.enums import DEFAULT_BUFFER, EditingMode
from prompt_toolkit.filters import (
    Condition,
    emacs_mode,
    has_focus,
    has_selection,
    is_searching,
    vi_mode,
    vi_navigation_mode,
)
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.key_binding.key_processor import KeyPress
from prompt_toolkit.key_binding.vi_state import InputMode
from prompt_toolkit.keys import Keys
from prompt_toolkit.search import accept_search

from tensorcli.pieces import is_complete
from tensorcli.repl.indent import INDENT, after
from tensorcli.signals import sigint_to


def bindings() -> KeyBindings:
    """Enter, Tab and Backspace for statements, and the keys of the editor. Alt-Enter always runs the input."""
    keys = KeyBindings()
    typing = has_focus(DEFAULT_BUFFER)
    own_indent = False  # whether the input's lines come with theirs, from a terminal that does not mark what is pasted
    in_indent = Condition(lambda: _is_blank(get_app().current_buffer.document.current_line_before_cursor))

    @keys.add("enter", filter=typing & ~vi_navigation_mode & ~(vi_mode & has_selection))
    def _(event: KeyPressEvent) -> None:
        nonlocal own_indent
        buffer, queue = event.current_buffer, event.key_processor.input_queue
        ahead, within = queue[0].data[:1] if queue else "", buffer.document.line_count > 1
        own_indent = bool(ahead) and (ahead == " " or (own_indent and within))
        if ahead == " " and within:  # no statement begins there
            buffer.insert_text("\n")
        else:
            enter(buffer, own_indent=own_indent)

    @keys.add("enter", filter=typing & vi_navigation_mode)
    def _(event: KeyPressEvent) -> None:
        if enter_normal(event.current_buffer):
            event.app.vi_state.input_mode = InputMode.INSERT

    @keys.add("enter", filter=is_searching & emacs_mode)
    def _(event: KeyPressEvent) -> None:
        accept_search()
        event.current_buffer.cursor_position = len(event.current_buffer.text)  # from where Enter runs it

    @keys.add("tab", filter=typing & in_indent)
    def _(event: KeyPressEvent) -> None:
        column = event.current_buffer.document.cursor_position_col
        event.current_buffer.insert_text(" " * (len(INDENT) - column % len(INDENT)))

    indented = Condition(lambda: bool(get_app().current_buffer.document.current_line_before_cursor))

    @keys.add("backspace", filter=typing & in_indent & indented)
    def _(event: KeyPressEvent) -> None:
        column = event.current_buffer.document.cursor_position_col
        event.current_buffer.delete_before_cursor((column - 1) % len(INDENT) + 1)

    @keys.add("c-x", "c-e", filter=typing & emacs_mode & ~has_selection)
    @keys.add("v", filter=typing & vi_navigation_mode)
    def _(event: KeyPressEvent) -> None:
        from tensorcli.repl.editor import edit  # what starts other programs is slow to import

        edit(event)

    return keys


def _is_blank(text: str) -> bool:
    return not text.strip(" ")


def enter(buffer: Buffer, *, own_indent: bool = False) -> None:
    """Take the chosen completion, run a complete input, or begin another line, indented but for its own indentation."""
    document = buffer.document
    if buffer.complete_state and buffer.complete_state.current_completion:
        buffer.apply_completion(buffer.complete_state.current_completion)
    elif (document.line_count == 1 or not document.text_after_cursor.strip()) and is_complete(document.text):
        buffer.validate_and_handle()
    else:
        buffer.insert_text("\n" if own_indent else "\n" + after(document.text_before_cursor))


def enter_normal(buffer: Buffer) -> bool:
    """Enter in vi's normal mode: run a whole input, wherever the cursor is, else go to the next line.

    Behind the last one another begins, to be written: whether that is so.
    """
    document, lines = buffer.document, buffer.document.line_count
    if is_complete(document.text) or (lines > 1 and is_complete(document.text.rstrip() + "\n")):
        buffer.validate_and_handle()
    elif document.cursor_position_row < lines - 1:
        buffer.cursor_down()
        buffer.cursor_position += buffer.document.get_start_of_line_position(after_whitespace=True)
    else:
        buffer.cursor_position = len(document.text)
        buffer.insert_text("\n" + after(document.text))
        return True
    return False


def close_lone(buffer: Buffer) -> None:
    """Close the menu of a single completion that has been taken: Tab would take it back, and goes on behind it now."""
    state = buffer.complete_state
    if state and len(state.completions) == 1 and state.current_completion:
        buffer.complete_state = None


@contextmanager
def keys_kept() -> Iterator[None]:
    """Within it keys pressed while no prompt reads them are kept for the next one, unechoed; Ctrl-C still interrupts.

    Typing ahead is kept on purpose. A terminal left to itself between two prompts would echo each key into the output,
    hold keys back line by line, and make of a Ctrl-D the end of all input.
    """
    try:
        import termios

        number = sys.stdin.fileno()
        before = termios.tcgetattr(number)
    except (ImportError, OSError, ValueError, AttributeError):
        yield
        return
    except termios.error:  # not a terminal
        yield
        return
    quieten(number)
    try:
        yield
    finally:
        with suppress(termios.error):
            termios.tcsetattr(number, termios.TCSANOW, before)


def quieten(number: int, *, lossless: bool = False) -> None:
    """Have a terminal echo no key, and give each at once; Ctrl-C and Ctrl-Z are still signals.

    `lossless` says that they throw no key away that waits to be read.
    """
    import termios

    with suppress(termios.error):
        quiet = termios.tcgetattr(number)
        quiet[3] &= ~(termios.ECHO | termios.ICANON | termios.NOFLSH)
        quiet[3] |= termios.NOFLSH if lossless else 0
        termios.tcsetattr(number, termios.TCSANOW, quiet)


_RUN = 8  # characters that nobody types at once


def together(app: Application[str]) -> None:
    """Have long runs of characters that come at once be one key, as a paste is: each key costs a millisecond.

    Terminals that do not mark what is pasted send it so.
    """
    read = app.input.read_keys

    def read_keys() -> list[KeyPress]:
        keys = read()
        typing = app.editing_mode == EditingMode.EMACS or app.vi_state.input_mode == InputMode.INSERT
        return _together(keys) if typing and len(keys) > _RUN else keys

    app.input.read_keys = read_keys  # type: ignore[method-assign]


def _together(keys: list[KeyPress]) -> list[KeyPress]:
    """Up to the first key that is neither a character nor Enter: behind it other things may be meant."""
    plain = list(takewhile(lambda key: _is_character(key) or key.key in (Keys.ControlM, Keys.ControlJ), keys))
    found: list[KeyPress] = []
    for is_text, group in groupby(plain, _is_character):
        run = list(group)
        long = is_text and len(run) > _RUN
        found += [KeyPress(Keys.BracketedPaste, "".join(key.data for key in run))] if long else run
    return found + keys[len(plain) :]


def _is_character(key: KeyPress) -> bool:
    return len(key.key) == 1 and key.data.isprintable()


def keys_waiting() -> bool:
    """Whether keys were pressed that nothing has read: they are for the next prompt, not for a pager."""
    with suppress(ImportError):
        import msvcrt

        return msvcrt.kbhit()  # type: ignore[attr-defined, no-any-return, unused-ignore]
    try:
        return bool(select.select([sys.stdin], [], [], 0)[0])
    except (OSError, ValueError, TypeError):  # no stdin that could wait
        return False


@contextmanager
def ctrl_c_noted() -> Iterator[threading.Event]:
    """Within it a SIGINT that nobody waits for sets the event given, and raises nothing.

    At the prompt Ctrl-C is a key, and during an evaluation the client takes the signal. In between, prompt_toolkit or
    asyncio would be torn from their work and leave a traceback or a warning behind.
    """
    noted = threading.Event()
    with sigint_to(lambda _number, _frame: noted.set()):
        yield noted


def ctrl_c_raises() -> AbstractContextManager[None]:
    """Within it a SIGINT that the client does not take, or not yet, raises KeyboardInterrupt."""
    return sigint_to(signal.default_int_handler)
