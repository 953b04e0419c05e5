"""Colours. Every theme keeps the meaning in glyph and word, so none of them carries it alone.

`k8tre-deuter` tells good from bad by blue and orange, which red-green colour blindness leaves
apart, `k8tre-tritan` by teal and red, which blue-yellow blindness leaves apart. `k8tre-ansi` takes
the terminal's own colours, where there are sixteen or eight of them, or the operator chose them.
Source: Okabe and Ito, "Color Universal Design" palette.
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

TRITAN = Theme(
    name="k8tre-tritan",
    primary="#e69fb8",
    secondary="#cc79a7",
    accent="#f2c6d5",
    foreground="#dde0e4",
    background="#121416",
    surface="#181b1e",
    panel="#212529",
    success="#1fb5ad",
    warning="#f5b8c4",
    error="#ff4b4b",
    variables={
        "block-cursor-background": "#e6e6e6",
        "block-cursor-foreground": "#101010",
        "foreground-muted": "#9ba1a8",
    },
)

ANSI = Theme(
    name="k8tre-ansi",
    ansi=True,
    primary="ansi_blue",
    secondary="ansi_magenta",
    accent="ansi_cyan",
    foreground="ansi_default",
    background="ansi_default",
    surface="ansi_default",
    panel="ansi_default",
    boost="ansi_default",
    success="ansi_green",
    warning="ansi_yellow",
    error="ansi_red",
    variables={
        "ansi-background": "ansi_black",
        "ansi-foreground": "ansi_white",
        "border-blurred": "ansi_black",
        "block-cursor-background": "ansi_white",
        "block-cursor-foreground": "ansi_black",
        "input-cursor-background": "ansi_white",
        "input-cursor-foreground": "ansi_black",
        "input-cursor-text-style": "none",
        "input-selection-background": "ansi_blue",
        "input-selection-foreground": "ansi_white",
        "screen-selection-background": "ansi_blue",
        "screen-selection-foreground": "ansi_white",
        "foreground-muted": "ansi_default",
        "text-success": "ansi_green",
        "text-warning": "ansi_yellow",
        "text-error": "ansi_red",
        "text-accent": "ansi_cyan",
        "text-primary": "ansi_blue",
    },
)

THEMES = {theme.name: theme for theme in (DARK, LIGHT, DEUTER, TRITAN, ANSI)}
