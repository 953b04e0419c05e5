"""Colours. Every theme keeps the meaning in glyph and word, so none of them carries it alone.

`k8tre-deuter` tells good from bad by blue and orange, which red-green colour blindness leaves
apart. Source: Okabe and Ito, "Color Universal Design" palette.
"""

from __future__ import annotations

from textual.theme import Theme

DARK = Theme(
    name="k8tre-dark",
    primary="#7aa2f7",
    secondary="#9d7cd8",
    accent="#7dcfff",
    foreground="#c8d0e0",
    background="#11151c",
    surface="#161b24",
    panel="#1e2530",
    success="#9ece6a",
    warning="#e0af68",
    error="#f7768e",
    variables={
        "block-cursor-background": "#3d59a1",
        "block-cursor-foreground": "#ffffff",
        "foreground-muted": "#8b95a8",
    },
)

LIGHT = Theme(
    name="k8tre-light",
    primary="#1f4fa3",
    secondary="#6b3fa0",
    accent="#006b8f",
    foreground="#1d2430",
    background="#f6f7f9",
    surface="#ffffff",
    panel="#e6e9ef",
    success="#2f6d1a",
    warning="#8a5a00",
    error="#b3183a",
    dark=False,
    variables={
        "block-cursor-background": "#1f4fa3",
        "block-cursor-foreground": "#ffffff",
        "foreground-muted": "#5a6475",
    },
)

DEUTER = Theme(
    name="k8tre-deuter",
    primary="#56b4e9",
    secondary="#cc79a7",
    accent="#f0e442",
    foreground="#d8dee6",
    background="#10141a",
    surface="#151a22",
    panel="#1d242e",
    success="#56b4e9",
    warning="#f0e442",
    error="#ff8c42",
    variables={
        "block-cursor-background": "#e6e6e6",
        "block-cursor-foreground": "#101010",
        "foreground-muted": "#939eae",
    },
)

THEMES = {theme.name: theme for theme in (DARK, LIGHT, DEUTER)}
