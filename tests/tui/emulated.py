"""An app whose bytes go to an emulated terminal, to be compared with what it means to show."""

from __future__ import annotations

import pyte
from rich.console import RenderableType
from textual._compositor import ChopsUpdate, LayoutUpdate
from textual.screen import Screen

from app.tui.app import K8treApp


class EmulatedApp(K8treApp):
    """The app, on a terminal made of Python; `sent` counts what it was sent."""

    emulator: pyte.Screen | None = None
    sent = 0

    def _display(self, screen: Screen[object], renderable: RenderableType | None) -> None:
        if isinstance(renderable, (ChopsUpdate, LayoutUpdate)) and not self._batch_count:
            width, height = self.screen.size
            if self.emulator is None or (width, height) != (
                self.emulator.columns,
                self.emulator.lines,
            ):
                self.emulator = pyte.Screen(width, height)
            sent = self.paint(renderable, self.console)
            self.sent += len(sent)
            pyte.Stream(self.emulator).feed(sent)
        super()._display(screen, renderable)

    def seen(self) -> list[str]:
        """The lines that the terminal shows."""
        assert self.emulator is not None
        return [line.rstrip() for line in self.emulator.display]

    def meant(self) -> list[str]:
        """The lines of a screen drawn from nothing."""
        return [strip.text.rstrip() for strip in self.screen._compositor.render_strips()]
