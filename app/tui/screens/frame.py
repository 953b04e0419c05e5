"""The frame around every screen: header, body, status line, prompt, footer, and the keys.

A screen says which scopes its keys come from and implements a `do_…` method for each action. It
draws on three occasions only: a new picture, a tick (at most five a second), and a key.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Awaitable, Iterable
from datetime import datetime
from typing import TYPE_CHECKING, ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.screen import Screen
from textual.widget import Widget
from textual.widgets import Input

from app.core.errors import UsageError
from app.core.flows.times import NS_PER_S
from app.services.picture import Picture
from app.services.tasks import Caught, guard
from app.tui.actions import (
    BY_ID,
    COMMON,
    PROMPTS,
    Action,
    Need,
    Scope,
    bindings,
    of_scopes,
    remapped,
)
from app.tui.messages import Copy, Go, Repaint, Save, Wander
from app.tui.places import Place, complete, parse_command
from app.tui.session import Session
from app.tui.themes import THEMES
from app.tui.views.frame import header_view
from widgets.frame import KeyHint, StatusView, draw_footer, draw_header, draw_status
from widgets.grid import Grid
from widgets.lines import Lines
from widgets.motion import Motion, Movable
from widgets.prompt import Prompt
from widgets.spans import Line, Span, Tone
from widgets.sturdy import Sturdy

if TYPE_CHECKING:
    from app.services.sheets import Sheet

COMMAND = "everywhere.command"
SAVE = ">"
"""The mark of the prompt that asks for a file's name."""


def shown_key(key: str) -> str:
    """Give a key as it is written on keyboards."""
    return {"escape": "esc"}.get(key, key)


class Frame(Sturdy, Screen[None], inherit_bindings=False):
    """Base of all screens. `SCOPES` come before the common ones in the footer."""

    SCOPES: ClassVar[tuple[Scope, ...]] = ()
    BINDINGS: ClassVar[list[BindingType]] = [*bindings(*COMMON)]
    DEFAULT_CSS = """
    Frame {
        #header { background: $panel; }
        #status { background: $panel; height: 1; }
        #footer { height: 1; }
        #body { height: 1fr; }
    }
    """

    def __init__(self, session: Session, place: Place) -> None:
        super().__init__()
        self.session = session
        self.place = place
        self.filter_text = place.filter
        self._filter_before = ""
        self._typed_in: Input | None = None
        self.is_ready = False
        """Whether the widgets are there; before that nothing may be drawn."""

    # What a screen is

    @abstractmethod
    def compose_body(self) -> ComposeResult:
        """Lay out what is between header and status line; the main widget has the id `main`."""

    def show_picture(self, picture: Picture) -> None:
        """Draw a new picture, or the same one for another namespace or filter."""

    def begin(self) -> None:
        """Draw the first time, when all widgets are there."""
        self.show_picture(self.session.picture)

    def tick(self) -> None:
        """Draw what changed since the last tenth of a second."""

    def status(self) -> StatusView:
        """Say where one is, what is filtered, how much is shown."""
        return StatusView((self.place.screen,))

    def digits(self) -> tuple[tuple[tuple[str, str], ...], str]:
        """Say what the digits do here, as (digit, meaning) pairs, and which is in force."""
        return (), ""

    def missing(self, need: Need) -> str:
        """Say why something an action needs is not there; empty when it is."""
        del need
        return ""

    def apply_filter(self, text: str) -> str:
        """Filter or search; gives what is wrong with the text, or nothing."""
        del text
        return "nothing to filter here"

    def memo(self) -> Place:
        """Give the place with what must be restored when one comes back."""
        return self.place

    @property
    def main(self) -> Widget:
        """The widget that has the keyboard."""
        return self.query_one("#main")

    # The frame

    def compose(self) -> ComposeResult:
        """Lay out the frame around the body."""
        yield Lines(id="header")
        yield from self.compose_body()
        yield Lines(id="status")
        yield Prompt(id="prompt")
        yield Lines(id="footer")

    def on_mount(self) -> None:
        """Draw everything once."""
        self.main.focus()
        self.begin()
        self.is_ready = True
        self.draw_frame()

    def on_resize(self, _event: events.Resize) -> None:
        """Fit header and footer to the new width."""
        self.draw_frame()

    def draw_frame(self) -> None:
        """Draw header, status line and footer."""
        if not self.is_ready:
            return
        width = self.size.width
        header = header_view(self.session, *self.digits())
        lines = draw_header(header, width, self.session.marks, folded=self.session.folded)
        self.query_one("#header", Lines).show(lines)
        self.query_one("#status", Lines).show((draw_status(self.status(), width),))
        self.query_one("#footer", Lines).show((self._foot(width),))

    def _foot(self, width: int) -> Line:
        """The keys; while a filter is typed, what it may be made of."""
        prompt = self.query_one(Prompt)
        if prompt.is_open and prompt.mode == "/":
            return (Span(f" {self.filter_hint()}", Tone.DIM),)
        return draw_footer(self.hints(), width)

    def filter_hint(self) -> str:
        """Say what a filter may be made of."""
        return "text to look for"

    def actions(self) -> tuple[Action, ...]:
        """Give this screen's actions with the user's keys, its own scopes first."""
        return remapped(of_scopes((*self.SCOPES, *COMMON)), self.session.settings.keys)

    def hints(self) -> tuple[KeyHint, ...]:
        """Give the keys for the footer."""
        hints = tuple(
            KeyHint(shown_key(action.keys[0]), action.label, enabled=not self.why_not(action))
            for action in self.actions()
            if action.label and action.keys
        )
        helps = remapped((BY_ID["everywhere.help"],), self.session.settings.keys)
        return (*hints, *(KeyHint(shown_key(one.keys[0]), "help") for one in helps if one.keys))

    def why_not(self, action: Action) -> str:
        """Say why an action cannot be done now; empty when it can."""
        return next((reason for need in action.needs if (reason := self.missing(need))), "")

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Leave the keys of the prompts to whoever is being typed into."""
        typing = isinstance(self.focused, Input)
        return not (typing and action == "run" and parameters[0] in PROMPTS)

    def begins_command(self, keys: Iterable[str]) -> bool:
        """Whether a key typed into a field opens the command line: where it cannot be text."""
        entry = self.focused
        if not isinstance(entry, Input) or self.query_one(Prompt).is_open:
            return False
        (command,) = remapped((BY_ID[COMMAND],), self.session.settings.keys)
        names = {"colon" if key == ":" else key for key in command.keys}
        return not names.isdisjoint(keys) and self.is_command(entry)

    def is_command(self, entry: Input) -> bool:
        """Whether a `:` typed into a field begins a command: no end and no request begins so."""
        return entry.cursor_position == 0

    def action_run(self, action_id: str) -> None:
        """Do an action of the registry, or say why it cannot be done."""
        action = BY_ID[action_id]
        if reason := self.why_not(action):
            self.say(reason)
            return
        handler = getattr(self, action.handler)
        if action.argument is None:
            handler()
        else:
            handler(action.argument)
        self.draw_frame()

    def say(self, text: str, *, bad: bool = False) -> None:
        """Show a short message; never markup."""
        severity = "error" if bad else "information"
        self.notify(text, severity="error" if severity == "error" else "information", markup=False)

    def work(self, name: str, task: Awaitable[None]) -> None:
        """Run something in the background; a later one of the same name takes its place.

        An unexpected error is shown and kept for the diagnostics; it ends nothing else.
        """
        self.run_worker(
            guard(name, task, self._caught), group=name, exclusive=True, exit_on_error=False
        )

    def _caught(self, caught: Caught) -> None:
        self.session.workspace.report(caught)
        self.say(f"{caught} (! shows more)", bad=True)

    def go(self, place: Place) -> None:
        """Ask the app to go somewhere."""
        self.post_message(Go(place))

    def copy(self, text: str, what: str) -> None:
        """Ask the app to copy."""
        self.post_message(Copy(text, what))

    # Prompt

    def do_command(self) -> None:
        """Open the command line."""
        self._typed_in = self.focused if isinstance(self.focused, Input) else None
        past = tuple(self.session.commands)
        self.query_one(Prompt).open(":", "", self._complete_command, past=past)

    def do_filter(self) -> None:
        """Open the filter with what it is now."""
        self._filter_before = self.filter_text
        self.query_one(Prompt).open("/", self.filter_text, self.complete_filter)
        self.draw_frame()

    def complete_filter(self, text: str) -> str | None:
        """Complete a filter; screens with a filter language say more."""
        del text
        return None

    def _complete_command(self, text: str) -> str | None:
        cluster = self.session.picture.cluster
        ends = sorted({endpoint.key for endpoint in cluster.endpoints})
        values = {
            "namespace": ("all", *sorted(cluster.namespaces)),
            "theme": tuple(THEMES),
            "end": ends,
            "policy": [str(one.ref) for one in cluster.policies],
            "context": self.session.contexts.names(),
        }
        return complete(text, values)

    @on(Prompt.Changed)
    def _prompt_changed(self, event: Prompt.Changed) -> None:
        event.stop()
        self.set_filter(event.text, quietly=True)

    @on(Prompt.Cancelled)
    def _prompt_cancelled(self, event: Prompt.Cancelled) -> None:
        event.stop()
        (self._typed_in or self.main).focus()
        self._typed_in = None
        if event.mode == "/":
            self.set_filter(self._filter_before)
        self.draw_frame()

    @on(Prompt.Submitted)
    def _prompt_submitted(self, event: Prompt.Submitted) -> None:
        event.stop()
        self.main.focus()
        if event.mode == "/":
            self.set_filter(event.text)
            self.draw_frame()
        elif event.mode == SAVE:
            self.post_message(Save(event.text))
        elif event.mode != ":":
            self.answered(event.mode, event.text)
        elif event.text.strip():
            self._run_command(event.text)

    def answered(self, mode: str, text: str) -> None:
        """Take what was typed in a mode of the screen's own."""

    def _run_command(self, text: str) -> None:
        try:
            place = parse_command(text, self.session.settings.aliases)
        except UsageError as error:
            self.say(f"{error}: {error.hint}", bad=True)
            return
        if text in self.session.commands:
            self.session.commands.remove(text)
        self.session.commands.append(text)
        self.go(place)

    def set_filter(self, text: str, *, quietly: bool = False) -> None:
        """Filter; a text that cannot be used is refused with its reason."""
        problem = self.apply_filter(text)
        if problem:
            if not quietly:
                self.say(problem, bad=True)
            return
        self.filter_text = text
        self.draw_frame()

    # Everywhere

    def do_back(self) -> None:
        """Clear the filter; without one, go back."""
        if self.filter_text:
            self.set_filter("")
            return
        self.post_message(Wander("back"))

    def do_history_back(self) -> None:
        """Go to the place before."""
        self.post_message(Wander("back"))

    def do_history_forward(self) -> None:
        """Go forward again."""
        self.post_message(Wander("forward"))

    def do_history_last(self) -> None:
        """Swap with the last place."""
        self.post_message(Wander("last"))

    def do_help(self) -> None:
        """Show the keys of this screen."""
        from app.tui.screens.help import Help

        self.app.push_screen(Help(self.session, self.actions()))

    def do_palette(self) -> None:
        """Open the palette."""
        self.app.action_command_palette()

    def do_diagnostics(self) -> None:
        """Show what went wrong lately."""
        self.go(Place("log"))

    def do_header(self) -> None:
        """Fold or unfold the header."""
        self.session.folded = not self.session.folded

    def do_retry(self) -> None:
        """Try every waiting source again, and paint the screen anew."""
        self.session.workspace.retry()
        self.post_message(Repaint())
        self.say("trying the sources again")

    def do_save(self) -> None:
        """Ask where to save what is shown; enter takes the name that is proposed."""
        self._typed_in = self.focused if isinstance(self.focused, Input) else None
        suffix = ".csv" if isinstance(self.main, Grid) else ".txt"
        self.query_one(Prompt).open(SAVE, self.proposed_name(suffix), self.complete_nothing)

    def proposed_name(self, suffix: str) -> str:
        """Name a file of what is shown now."""
        session = self.session
        now = datetime.fromtimestamp(session.clock.now_ns() / NS_PER_S, session.zone)
        return f"k8tre-tui-{self.place.screen}-{now:%Y%m%d-%H%M%S}{suffix}"

    def complete_nothing(self, text: str) -> None:
        """Complete nothing: a file's name is the user's."""
        del text

    def sheet(self) -> Sheet | None:
        """Give the table that is shown; None where there is none."""
        from app.tui.saving import grid_sheet

        return grid_sheet(self.main) if isinstance(self.main, Grid) else None

    def do_quit(self) -> None:
        """Quit."""
        self.app.exit()

    @on(Lines.Clicked)
    def _hint_clicked(self, event: Lines.Clicked) -> None:
        """Do what the hint that was clicked stands for: in the footer, or a digit above."""
        for action in self.actions():
            if event.key and action.keys and shown_key(action.keys[0]) == event.key:
                self.action_run(action.id)
                return

    # Moving

    def move(self, motion: Motion) -> None:
        """Move in whatever widget has the keyboard, or in the main one."""
        for target in (self.focused, self.main):
            if isinstance(target, Movable):
                target.move(motion)
                return

    def do_down(self) -> None:
        """One down."""
        self.move(Motion.DOWN)

    def do_up(self) -> None:
        """One up."""
        self.move(Motion.UP)

    def do_top(self) -> None:
        """Go to the first line."""
        self.move(Motion.TOP)

    def do_bottom(self) -> None:
        """Go to the last line."""
        self.move(Motion.BOTTOM)

    def do_page_down(self) -> None:
        """A page down."""
        self.move(Motion.PAGE_DOWN)

    def do_page_up(self) -> None:
        """A page up."""
        self.move(Motion.PAGE_UP)

    def do_left(self) -> None:
        """Scroll left."""
        self.move(Motion.LEFT)

    def do_right(self) -> None:
        """Scroll right."""
        self.move(Motion.RIGHT)
