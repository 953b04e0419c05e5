from __future__ import annotations

from collections.abc import Callable

import pytest
from textual.app import App, ComposeResult
from textual.widget import Widget


class Stage(App[None]):
    """Shows one widget that fills the screen."""

    def __init__(self, widget: Widget) -> None:
        super().__init__(watch_css=False)
        self._widget = widget
        self.heard: list[object] = []

    def on_grid_opened(self) -> None:
        self.heard.append("opened")

    def compose(self) -> ComposeResult:
        yield self._widget


def screen_text(widget: Widget) -> list[str]:
    return [widget.render_line(y).text.rstrip() for y in range(widget.size.height)]


@pytest.fixture
def stage() -> Callable[[Widget], Stage]:
    return Stage
