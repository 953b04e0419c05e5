"""The keys of a screen and the commands, from the registry."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import ModalScreen

from app.tui.actions import Action, Scope
from app.tui.places import COMMANDS
from app.tui.session import Session
from widgets.document import Document, Paragraph, heading, paragraph
from widgets.lines import Lines
from widgets.motion import Motion
from widgets.spans import Span, Tone
from widgets.sturdy import Sturdy

KEY_WIDTH = 18


class Help(Sturdy, ModalScreen[None], inherit_bindings=False):
    """A page over the screen; any of the keys for leaving closes it."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,?", "close", "Close", show=False),
        Binding("ctrl+q", "quit", "Quit", show=False),
        *(
            Binding(keys, f"move('{motion}')", motion, show=False)
            for keys, motion in (
                ("j,down", Motion.DOWN),
                ("k,up", Motion.UP),
                ("g,home", Motion.TOP),
                ("G,end", Motion.BOTTOM),
                ("ctrl+f,pagedown,space", Motion.PAGE_DOWN),
                ("ctrl+b,pageup", Motion.PAGE_UP),
            )
        ),
    ]
    DEFAULT_CSS = """
    Help {
        align: center middle;
        Document { width: 90%; max-width: 92; height: 90%; background: $surface; padding: 1 2; }
        Lines { width: 90%; max-width: 92; height: 1; background: $panel; }
    }
    """

    def __init__(self, session: Session, actions: tuple[Action, ...]) -> None:
        super().__init__()
        self._session = session
        self._actions = actions

    def compose(self) -> ComposeResult:
        """Lay out the page."""
        yield Lines(((Span(" Keys and commands", Tone.HEADING), Span("   <esc> closes")),))
        yield Document(tuple(help_page(self._actions)), id="help")

    def on_mount(self) -> None:
        """Give the page the keyboard."""
        self.query_one(Document).focus()

    def action_close(self) -> None:
        """Close the page."""
        self.dismiss()

    def action_move(self, motion: str) -> None:
        """Scroll."""
        self.query_one(Document).move(Motion(motion))


def help_page(actions: Iterable[Action]) -> Iterator[Paragraph]:
    """Keys by scope, in the order of the screen; then the commands."""
    scope: Scope | None = None
    groups: set[str] = set()
    for action in actions:
        if action.scope is not scope:
            if scope is not None:
                yield paragraph()
            scope = action.scope
            yield heading(scope.value.capitalize())
        keys = action.group or " ".join(action.keys)
        if action.group:
            if f"{scope}{action.name}" in groups:
                continue
            groups.add(f"{scope}{action.name}")
        yield Paragraph(
            (Span(f"{keys:<{KEY_WIDTH}}", Tone.KEY), Span(action.help)), indent=KEY_WIDTH
        )
    yield paragraph()
    yield heading("Commands")
    for command in COMMANDS:
        words = f":{command.name} {' '.join(command.takes)}".strip()
        also = f"  (also {', '.join(command.aliases)})" if command.aliases else ""
        yield Paragraph(
            (Span(f"{words:<28}", Tone.KEY), Span(command.help), Span(also, Tone.DIM)), indent=28
        )
