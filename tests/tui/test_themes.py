"""Verdicts are told apart in every theme, also where the terminal has few colours."""

from __future__ import annotations

from itertools import combinations

import pytest
from rich.color import ColorSystem
from rich.style import Style

from app.tui.places import Place
from app.tui.themes import THEMES
from tests.tui.lab import driven, make_app, with_ui
from widgets.cells import ink_of
from widgets.grid import Grid
from widgets.spans import Tone, tone_styles

VERDICTS = (Tone.GOOD, Tone.BAD, Tone.WARN)


async def styles_in(theme: str) -> dict[Tone, Style]:
    app = make_app(start=Place("policies"), settings=with_ui(theme=theme))
    async with driven(app):
        return tone_styles(app.screen.query_one("#main", Grid))


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("colors", [ColorSystem.TRUECOLOR, ColorSystem.EIGHT_BIT])
async def test_verdicts_when_the_terminal_has_many_colours_then_each_has_its_own(
    theme: str, colors: ColorSystem
) -> None:
    styles = await styles_in(theme)
    inks = {tone: ink_of(styles[tone], colors) for tone in (*VERDICTS, Tone.PLAIN)}
    for one, other in combinations(inks, 2):
        assert inks[one].foreground != inks[other].foreground, (one, other)


async def test_verdicts_when_there_are_eight_colours_then_the_ansi_theme_tells_them() -> None:
    styles = await styles_in("k8tre-ansi")
    inks = [ink_of(styles[tone], ColorSystem.STANDARD).foreground for tone in VERDICTS]
    assert inks == ["32", "31", "33"]  # green, red, yellow: ECMA-48, 8.3.117


def luminance(hexadecimal: str) -> float:
    """Source: WCAG 2.2, "relative luminance"."""
    parts = [int(hexadecimal[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("theme", [name for name in THEMES if name != "k8tre-ansi"])
async def test_verdicts_when_read_then_they_stand_out_from_the_ground(theme: str) -> None:
    styles = await styles_in(theme)
    for tone in (*VERDICTS, Tone.PLAIN, Tone.DIM):
        style = styles[tone]
        assert style.color is not None
        assert style.bgcolor is not None
        pair = [
            luminance(one.get_truecolor().hex if one.triplet is None else one.triplet.hex)
            for one in (style.color, style.bgcolor)
        ]
        assert (max(pair) + 0.05) / (min(pair) + 0.05) >= 4.5, tone
