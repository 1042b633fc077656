"""Colours can be read on the background they are for."""

import re
from itertools import product

import pytest
from prompt_toolkit.styles import Style

from tensorcli.render.theme import PROMPT, STYLES

# Of xterm, VS Code, Solarized and Dracula.
BACKGROUNDS = {"dark": ["#000000", "#1e1e1e", "#002b36", "#282a36"], "light": ["#ffffff", "#fdf6e3", "#f3f3f3"]}
READABLE = 4.5  # the contrast that WCAG asks of text


def luminance(color: str) -> float:
    """The relative luminance, as WCAG defines it."""
    channels = [int(color[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def test_contrast_is_as_defined() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("background", BACKGROUNDS)
def test_every_colour_can_be_read(background: str) -> None:
    styles = [*STYLES[background].values(), *PROMPT[background].values()]
    plain = {color for style in styles if "bg:" not in style for color in re.findall("#[0-9a-f]{6}", style)}
    assert len(plain) >= 5
    pairs = product(plain, BACKGROUNDS[background])
    assert [(color, ground) for color, ground in pairs if contrast(color, ground) < READABLE] == []


@pytest.mark.parametrize("background", BACKGROUNDS)
def test_what_has_a_background_of_its_own_can_be_read_on_it(background: str) -> None:
    owned = [re.findall("#[0-9a-f]{6}", style) for style in PROMPT[background].values() if "bg:" in style]
    assert owned
    assert [pair for pair in owned if contrast(*pair) < READABLE] == []


def test_both_backgrounds_style_the_same_roles() -> None:
    assert STYLES["dark"].keys() == STYLES["light"].keys()
    assert PROMPT["dark"].keys() == PROMPT["light"].keys()


@pytest.mark.parametrize("background", BACKGROUNDS)
def test_the_prompt_takes_its_styles(background: str) -> None:
    style = Style.from_dict(PROMPT[background])
    for name, wanted in PROMPT[background].items():
        attrs = style.get_attrs_for_style_str(f"class:{name}")
        assert f"#{attrs.color}" in wanted
