"""The prompt: read an input, have it answered, until the user leaves.

What the first prompt does not need is imported, and the engine started, once it is drawn: every import before it is
felt. So this module imports nothing of requests and reports.
"""

import gc
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prompt_toolkit import PromptSession
from prompt_toolkit.application import create_app_session
from prompt_toolkit.auto_suggest import AutoSuggestFromHistory
from prompt_toolkit.completion import Completer, DynamicCompleter
from prompt_toolkit.cursor_shapes import DynamicCursorShapeConfig, ModalCursorShapeConfig
from prompt_toolkit.enums import EditingMode
from prompt_toolkit.filters import Condition, vi_mode
from prompt_toolkit.key_binding import DynamicKeyBindings, merge_key_bindings
from prompt_toolkit.layout.processors import HighlightMatchingBracketProcessor, TabsProcessor
from prompt_toolkit.output import ColorDepth, create_output
from prompt_toolkit.output.plain_text import PlainTextOutput
from prompt_toolkit.styles import BaseStyle, DynamicStyle
from prompt_toolkit.utils import is_dumb_terminal

from tensorcli.config import Preferences, background
from tensorcli.repl.below import Source, below
from tensorcli.repl.dumb import echo
from tensorcli.repl.gently import ANSWERS, ENGINE, gently
from tensorcli.repl.history import Inputs
from tensorcli.repl.keys import bindings, close_lone, ctrl_c_noted, ctrl_c_raises, keys_kept, together
from tensorcli.repl.toolbar import AWAY, ENDED, STARTING, banner, toolbar
from tensorcli.repl.typeahead import Waiting, reading
from tensorcli.repl.typed import CONTINUATION, PROMPT
from tensorcli.repl.watch import BringBack, Watch

if TYPE_CHECKING:
    from tensorcli.client import Client
    from tensorcli.repl.answer import Answers
    from tensorcli.repl.signatures import SignatureLine
    from tensorcli.report import Settings
    from tensorcli.show import Screen

REST_SECONDS = 0.2  # without a key: then there is time for imports, which would hold keys up
_VI_WAITS = 0.05, 0.5  # seconds after Escape, and within keys such as gg, for the next one
_EMACS_WAITS = 0.5, 1.0
FAREWELL = "tensorcli repl --resume goes on with this session\n"
_LEAVING = {"exit", "quit", "exit()", "quit()"}


@dataclass
class _Room:
    """What comes after the first prompt."""

    client: "Client"
    screen: "Screen"
    answers: "Answers"


@dataclass
class _Extras:
    """What the prompt can do without, each from the moment it is there."""

    preferences: Preferences
    needed: threading.Event = field(default_factory=threading.Event)  # set once they are waited for
    room: _Room | None = None
    completer: Completer | None = None
    style: Callable[[], BaseStyle | None] = lambda: None
    signatures: "SignatureLine | None" = None
    sources: list[Source] = field(default_factory=list)  # of the line below the input


@contextmanager
def terminal() -> Iterator[None]:
    """Within it prompts are drawn on the terminal: on stderr where stdout is none, and as plain text on a dumb one."""
    output = PlainTextOutput(sys.stdout) if is_dumb_terminal() else create_output(always_prefer_tty=True)
    with create_app_session(output=output):
        yield


def run(
    client: "Callable[[], Client]",
    screen: "Callable[[], Screen]",
    *,
    seed: int,
    pretend: str | None = None,
    resume: bool = False,
    color: bool | None,
    history: Path | None,
    preferences: Preferences | None = None,
) -> int:
    """Prompt until the user leaves; the exit code. To `resume`, the client's earlier session is brought back first."""
    extras = _Extras(preferences or Preferences())
    prompt = _prompt(extras, color=color, history=history)
    waiting = Waiting(prompt.output, dim=lambda: prompt.app.color_depth != ColorDepth.DEPTH_1_BIT)
    furnished: Future[_Room] = Future()

    def furnish() -> None:
        try:
            gently(prompt.app, extras.needed, ENGINE)
            furnished.set_result(_furnish(client(), screen, prompt, extras, waiting))
        except BaseException as error:
            furnished.set_exception(error)
        gc.freeze()  # what is imported stays
        gc.enable()

    thread = threading.Thread(target=furnish, daemon=True)

    def begin(_sender: object = None) -> None:
        if not thread.ident:
            thread.start()

    prompt.app.after_render += begin
    with keys_kept():
        prompt.output.write(banner(seed, pretend=pretend, problems=extras.preferences.problems))
        prompt.output.flush()
        try:
            with ctrl_c_noted() as noted:
                if resume:
                    _resume(prompt, extras, begin, furnished, waiting)
                code = _until_left(prompt, extras, begin, furnished, waiting, noted)
                if extras.room and extras.room.client.is_lasting():
                    prompt.output.write(FAREWELL)
                return code
        finally:
            extras.needed.set()
            prompt.output.disable_bracketed_paste()
            prompt.output.flush()
            if thread.ident:
                furnished.result().client.close()


def _resume(
    prompt: PromptSession[str],
    extras: _Extras,
    begin: Callable[[], None],
    furnished: "Future[_Room]",
    waiting: Waiting,
) -> None:
    begin()
    extras.needed.set()
    with suppress(KeyboardInterrupt), reading(prompt.input, waiting), ctrl_c_raises():
        _answer(None, furnished, waiting)


def _until_left(
    prompt: PromptSession[str],
    extras: _Extras,
    begin: Callable[[], None],
    furnished: "Future[_Room]",
    waiting: Waiting,
    noted: threading.Event,
) -> int:
    prompt.app.after_render += lambda _: noted.clear()  # while it is drawn, the terminal makes no signal of the key
    while True:
        noted.clear()
        try:
            _prefer(prompt, extras.preferences)
            with echo(prompt, CONTINUATION) if is_dumb_terminal() else nullcontext():
                text = prompt.prompt(default=waiting.take_text(), handle_sigint=False).rstrip()
            prompt.output.enable_bracketed_paste()  # what is pasted meanwhile does not run line by line either
            prompt.output.flush()
            begin()  # a dumb terminal renders nothing
            if text.strip() in _LEAVING:
                return 0
            if text:
                extras.needed.set()
                with reading(prompt.input, waiting), ctrl_c_raises():
                    if noted.is_set():  # pressed between Enter and here
                        waiting.hold()
                    else:
                        _answer(text, furnished, waiting)
        except BringBack:
            prompt.app.erase_when_done = False
            _resume(prompt, extras, begin, furnished, waiting)
        except KeyboardInterrupt:  # the key at the prompt, or before the engine was asked: it cancels the line
            continue
        except EOFError:
            return 0


def _prefer(prompt: PromptSession[str], preferences: Preferences) -> None:
    """Edit the next input as the user prefers."""
    vi = preferences.config.keys == "vi"
    prompt.editing_mode = EditingMode.VI if vi else EditingMode.EMACS
    prompt.app.ttimeoutlen, prompt.app.timeoutlen = _VI_WAITS if vi else _EMACS_WAITS


def _mode(prompt: PromptSession[str]) -> str:
    """What the keys of vi do at the moment."""
    if prompt.editing_mode == EditingMode.EMACS:
        return ""
    if prompt.default_buffer.selection_state:
        return "visual"
    mode = prompt.app.vi_state.input_mode.value.removeprefix("vi-")
    return "normal" if mode == "navigation" else mode


def _answer(text: str | None, furnished: "Future[_Room]", waiting: Waiting) -> None:
    """Answer an input, or without one bring an earlier session back."""
    try:
        if not furnished.done() or furnished.result().client.settings is None:
            waiting.show(STARTING)
        room = furnished.result()
        if text is None:
            room.answers.look(room.client, room.screen, waiting)
        else:
            room.answers.answer(text.strip("\n"), room.client, room.screen, waiting)
    finally:
        waiting.clear()


def _furnish(
    client: "Client", screen: "Callable[[], Screen]", prompt: PromptSession[str], extras: _Extras, waiting: Waiting
) -> _Room:
    """Import the rest, the engine being started, while the user thinks about what to type."""
    _rest(prompt, extras.needed)
    gently(prompt.app, extras.needed, ANSWERS)
    from tensorcli.repl.answer import Answers
    from tensorcli.repl.completion import EngineCompleter
    from tensorcli.repl.outlook import Outlook
    from tensorcli.repl.signatures import SignatureLine

    room = _Room(client, screen(), Answers(extras.preferences))
    waiting.is_free = lambda: room.screen.at_line_start
    watch = Watch(prompt, room.client, room.screen)

    def on_hello(_settings: "Settings") -> None:
        waiting.clear()
        _redraw(prompt)
        watch.hello()

    room.client.on_hello = on_hello
    extras.room = room
    extras.completer = EngineCompleter(room.client, lambda: prompt.output.get_size().columns)
    extras.signatures = SignatureLine(prompt, room.client, room.screen)
    extras.sources.append(extras.signatures)
    if not is_dumb_terminal():
        extras.sources.append(Outlook(prompt, room.client, lambda: extras.preferences.config.outlook))
    threading.Thread(target=_load_colors, args=(prompt, extras), daemon=True).start()
    return room


def _rest(prompt: PromptSession[str], needed: threading.Event) -> None:
    """Wait while keys come, unless what is waited with is needed."""
    pressed = threading.Event()
    prompt.app.key_processor.before_key_press += lambda _: pressed.set()
    while not needed.wait(REST_SECONDS) and pressed.is_set():
        pressed.clear()


def _load_colors(prompt: PromptSession[str], extras: _Extras) -> None:
    from tensorcli.repl import colors

    extras.style = lambda: colors.STYLES[background(extras.preferences.config.theme)]
    prompt.lexer = colors.LEXER
    _redraw(prompt)


def _redraw(prompt: PromptSession[str]) -> None:
    """Draw the prompt again, asked from another thread; one that has just ended has no event loop to draw in."""
    with suppress(RuntimeError):
        prompt.app.invalidate()


def _prompt(extras: _Extras, *, color: bool | None, history: Path | None) -> PromptSession[str]:
    def bar() -> str:
        room, width, mode = extras.room, prompt.output.get_size().columns, _mode(prompt)
        if room is None:
            return toolbar(None, width=width, mode=mode)
        client, seconds = room.client, room.answers.seconds
        state = ENDED if client.ended else AWAY if client.goes_on else ""
        about: dict[str, Any] = {"number": client.input + 1, "seconds": seconds, "mode": mode, "state": state}
        return toolbar(client.settings, width=width, **about)

    unasked = Condition(lambda: extras.preferences.config.complete_while_typing)
    prompt: PromptSession[str] = PromptSession(
        PROMPT,
        multiline=True,
        prompt_continuation=lambda _width, _line, wrapped: "" if wrapped else CONTINUATION,
        history=Inputs(history),
        auto_suggest=AutoSuggestFromHistory(),
        completer=DynamicCompleter(lambda: extras.completer),
        complete_while_typing=unasked,
        enable_history_search=~unasked,
        enable_suspend=True,
        key_bindings=merge_key_bindings(
            [bindings(), DynamicKeyBindings(lambda: extras.signatures.keys if extras.signatures else None)]
        ),
        style=DynamicStyle(lambda: extras.style()),
        include_default_pygments_style=False,
        input_processors=[TabsProcessor(char1=" ", char2=" "), HighlightMatchingBracketProcessor()],
        cursor=DynamicCursorShapeConfig(lambda: ModalCursorShapeConfig() if vi_mode() else None),
        color_depth=ColorDepth.DEPTH_1_BIT if color is False else None,
        bottom_toolbar=bar,
    )
    if not is_dumb_terminal():
        together(prompt.app)
    prompt.app.before_render += lambda _: close_lone(prompt.default_buffer)
    prompt.app.renderer.cpr_not_supported_callback = None  # its warning would be in the way, and helps nobody
    below(prompt, extras.sources)
    return prompt
