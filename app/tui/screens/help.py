"""The keys of a screen and the commands, from the registry."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import ModalScreen
from textual.widgets import Input

from app.tui.actions import Action, Scope
from app.tui.places import COMMANDS
from app.tui.session import Session
from widgets.document import Document, Paragraph, heading, paragraph
from widgets.lines import Lines
from widgets.motion import Motion
from widgets.spans import Span, Tone, plain
from widgets.sturdy import Sturdy

KEY_WIDTH = 18


class Help(Sturdy, ModalScreen[None], inherit_bindings=False):
    """A page over the screen; any of the keys for leaving closes it."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,?", "close", "Close", show=False),
        Binding("/", "seek", "Search", show=False),
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
        Input {
            width: 90%; max-width: 92; height: 1; border: none; padding: 0 1; background: $panel;
            display: none;
        }
    }
    """

    def __init__(self, session: Session, actions: tuple[Action, ...]) -> None:
        super().__init__()
        self._session = session
        self._actions = actions

    def compose(self) -> ComposeResult:
        """Lay out the page."""
        yield Lines(
            ((Span(" Keys and commands", Tone.HEADING), Span("   </> searches  <esc> closes")),)
        )
        yield Input(placeholder="what to look for", compact=True)
        yield Document(tuple(help_page(self._actions)), id="help")

    def on_mount(self) -> None:
        """Give the page the keyboard."""
        self.query_one(Document).focus()

    def action_close(self) -> None:
        """Show all again; the whole page is closed."""
        entry = self.query_one(Input)
        if entry.display:
            entry.display = False
            entry.value = ""
            self.query_one(Document).focus()
            return
        self.dismiss()

    def action_seek(self) -> None:
        """Open the field for what to look for."""
        entry = self.query_one(Input)
        entry.display = True
        entry.focus()

    @on(Input.Changed)
    def _sought(self, event: Input.Changed) -> None:
        event.stop()
        page = sift_page(help_page(self._actions), event.value)
        self.query_one(Document).show(tuple(page), keep_place=False)

    @on(Input.Submitted)
    def _found(self, event: Input.Submitted) -> None:
        event.stop()
        self.query_one(Document).focus()

    def action_move(self, motion: str) -> None:
        """Scroll."""
        self.query_one(Document).move(Motion(motion))


def sift_page(page: Iterable[Paragraph], text: str) -> Iterator[Paragraph]:
    """Leave the lines that hold a text, each under its heading."""
    wanted = text.casefold().strip()
    above: Paragraph | None = None
    for one in page:
        if one.spans and one.spans[0].tone is Tone.HEADING:
            above = one
        elif not wanted or wanted in plain(one.spans).casefold():
            if above is not None:
                yield above
                above = None
            yield one


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
