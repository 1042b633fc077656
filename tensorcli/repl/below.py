"""The line below the input: the first of its sources that has something to say has it.

It is always there, blank where there is nothing to say, so that the input does not move when there is. A menu of
completions comes between the two.
"""

from collections.abc import Callable, Sequence

from prompt_toolkit import PromptSession
from prompt_toolkit.filters import is_done, to_filter
from prompt_toolkit.formatted_text import AnyFormattedText, fragment_list_to_text, to_formatted_text
from prompt_toolkit.layout import (
    ConditionalContainer,
    Dimension,
    FloatContainer,
    FormattedTextControl,
    HSplit,
    Window,
    walk,
)
from prompt_toolkit.layout.menus import CompletionsMenuControl

Source = Callable[[int], AnyFormattedText]  # of the width there is: what to draw in it, or nothing

STYLE = "fg:ansibrightblack class:below"
MENU_ROWS = 7  # that a menu of completions has at most


def below(prompt: PromptSession[str], sources: Sequence[Source]) -> None:
    """Put the line into a prompt's layout. `sources` may grow later."""

    def text() -> AnyFormattedText:
        width = prompt.output.get_size().columns
        found = (to_formatted_text(source(width), style=STYLE) for source in sources)
        return next((each for each in found if fragment_list_to_text(each)), "")

    def rows_of_menu() -> Dimension:
        state = prompt.default_buffer.complete_state
        return Dimension.exact(min(len(state.completions), MENU_ROWS) if state else 0)

    line = Window(FormattedTextControl(text), height=1)
    floats = next(each for each in walk(prompt.layout.container) if isinstance(each, FloatContainer))
    area = floats.content
    assert isinstance(area, HSplit)
    for menu in (each for each in walk(floats) if isinstance(each, Window)):
        if isinstance(menu.content, CompletionsMenuControl):
            menu.height = Dimension(min=1, max=MENU_ROWS)
    prompt.layout.current_window.dont_extend_height = to_filter(True)
    prompt.reserve_space_for_menu = 0
    rows = Window(height=rows_of_menu), line, Window()
    area.children += [ConditionalContainer(each, ~is_done) for each in rows]
