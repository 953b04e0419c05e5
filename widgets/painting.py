"""An app that sends its terminal only what changed.

Source: Textual 8.2.8 `app.py` (`App._display`) and `_compositor.py` (`ChopsUpdate`,
`LayoutUpdate`), whose pieces are read here instead of rendered. Where Textual draws on the lines
below a prompt (`inline`), it does so as ever.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

from rich.color import ColorSystem
from rich.console import Console, RenderableType
from textual import events
from textual._compositor import ChopsUpdate, CompositorUpdate, LayoutUpdate
from textual.app import App
from textual.screen import Screen

from widgets.cells import Piece, Terminal


class Painting(App[None]):
    """An app that knows what its terminal shows."""

    def __init__(self, *, watch_css: bool = False) -> None:
        super().__init__(watch_css=watch_css)
        self._terminal: Terminal | None = None

    def forget_terminal(self) -> None:
        """Send everything anew: something else may have written to the terminal."""
        self._terminal = None
        if self._screen_stack:
            self.screen.refresh()

    def on_resize(self, _event: events.Resize) -> None:
        """Forget what was sent: terminals arrange it anew, and lose it while one is suspended."""
        self.forget_terminal()

    def _display(self, screen: Screen[object], renderable: RenderableType | None) -> None:
        if isinstance(renderable, (ChopsUpdate, LayoutUpdate)):
            renderable = cast("RenderableType", Changes(self, renderable))
        super()._display(screen, renderable)

    def paint(self, update: ChopsUpdate | LayoutUpdate, console: Console) -> str:
        """Give what must be sent for an update of the screen."""
        width, height = self.screen.size
        terminal, self._terminal = self._terminal, None  # whatever fails, all is sent the next time
        if terminal is None or (terminal.width, terminal.height) != (width, height):
            colors = console._color_system or ColorSystem.TRUECOLOR  # noqa: SLF001  # as Textual's strips
            terminal = Terminal(width, height, colors)
        pieces = of_chops(update) if isinstance(update, ChopsUpdate) else of_layout(update)
        sent = terminal.paint(pieces)
        self._terminal = terminal
        return sent


class Changes(CompositorUpdate):
    """An update of the screen, as what must be sent for it."""

    def __init__(self, app: Painting, update: ChopsUpdate | LayoutUpdate) -> None:
        self._app = app
        self._update = update

    def render_segments(self, console: Console) -> str:
        """Give what the driver writes."""
        return self._app.paint(self._update, console)


def of_layout(update: LayoutUpdate) -> Iterator[Piece]:
    """Give the pieces of a whole screen."""
    for y, strips in enumerate(update.strips, update.region.y):
        x = update.region.x
        for strip in strips:
            yield x, y, strip
            x += strip.cell_length


def of_chops(update: ChopsUpdate) -> Iterator[Piece]:
    """Give the pieces that changed."""
    for y, left, right in update.spans:
        for end, (x, strip) in zip(update.chop_ends[y], update.chops[y].items(), strict=False):
            if strip is not None and x <= right and end > left:
                yield x, y, strip if end <= right else strip.crop(0, right - x)
