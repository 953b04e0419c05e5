"""The application: one workspace, a history of places, one timer, one watcher of pictures.

Background work never touches a widget: it ends in `_watch_pictures`, which hands each new picture
to the screen that is shown. The timer lets that screen draw at most five times a second; a screen
that is not shown draws nothing. Nothing a source does ends the application.
"""

from __future__ import annotations

import gc
import os
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, tzinfo
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual import events, on
from textual.binding import Binding, BindingType
from textual.command import Provider
from textual.filter import LineFilter

from app.config import Settings
from app.core.errors import ConfigError, K8treError, UsageError
from app.ports import Clock
from app.services.contexts import Contexts
from app.services.doctor import Surroundings
from app.services.picture import Picture
from app.services.tasks import Caught, guard
from app.services.workspace import Workspace
from app.tui.actions import all_clashes, unknown_ids
from app.tui.clipboard import fits_osc52, native_tool, run_tool
from app.tui.key_order import OrderedKeys
from app.tui.messages import Copy, Go, Repaint, Save, Wander
from app.tui.places import ALL, History, Place
from app.tui.screens.frame import COMMAND, Frame
from app.tui.session import ReadDrafts, ReadLines, Session, no_drafter, no_files, no_lines
from app.tui.themes import THEMES
from widgets.ascii import AsciiOnly
from widgets.marks import ASCII, UNICODE, Marks
from widgets.painting import Painting
from widgets.sturdy import Sturdy

if TYPE_CHECKING:
    from app.services.drafting import Drafter

FRAME_S = 0.2
"""Seconds between paints of what moves; what a key does is painted at once."""
HEADER_S = 1.0
"""Seconds between paints of ages and countdowns."""
ROOMY = 120
"""Columns from which the detail stands beside the table."""
STDIN = 0
HUNG_UP = 128 + 1
"""The exit code of SIGHUP."""
AGAIN_S = 2.0
"""Seconds in which a second ctrl+c quits."""
SILENT_S = 2.0
"""Seconds between two sentences about keys that do nothing."""
STORM, STORM_S = 20, 10.0
"""So many unforeseen errors within so many seconds end the program: it cannot draw any more."""
UNFORESEEN = 70
"""`EX_SOFTWARE` of sysexits.h, as on the command line."""


def find_palette() -> type[Provider]:
    """What the palette offers, imported when it is first opened."""
    from app.tui.palette import PaletteProvider

    return PaletteProvider


class K8treApp(Sturdy, OrderedKeys, Painting, inherit_bindings=False):
    """The terminal face of a workspace. `context` is what to call the cluster on screen."""

    TITLE = "k8tre-tui"
    ENABLE_COMMAND_PALETTE = True
    COMMANDS: ClassVar[set[type[Provider] | Callable[[], type[Provider]]]] = {find_palette}
    HORIZONTAL_BREAKPOINTS = [  # noqa: RUF012  # Textual declares it for instances
        (0, "-narrow"),
        (ROOMY, "-roomy"),
    ]
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+c", "interrupt", "Copy the selection, or quit if pressed twice", show=False)
    ]
    CSS = """
    * {
        scrollbar-background: $background; scrollbar-background-hover: $background;
        scrollbar-background-active: $background; scrollbar-color: $foreground 20%;
        scrollbar-corner-color: $background;
    }
    Toast { max-width: 100%; }
    """

    def __init__(  # noqa: PLR0913  # what it shows and how, by name
        self,
        workspace: Workspace,
        settings: Settings,
        *,
        clock: Clock,
        context: str = "",
        start: Place | None = None,
        surroundings: Surroundings | None = None,
        make_drafter: Callable[[], Drafter | None] = no_drafter,
        contexts: Contexts | None = None,
        read_drafts: ReadDrafts = no_files,
        read_lines: ReadLines = no_lines,
        zone: tzinfo | None = None,
    ) -> None:
        super().__init__(watch_css=False)
        check_keys(settings)
        self.session = Session(
            workspace,
            settings,
            clock,
            context or "?",
            zone=zone or local_zone(),
            marks=choose_marks(settings.ui.glyphs, os.environ),
            surroundings=surroundings or Surroundings(),
            make_drafter=make_drafter,
            contexts=contexts or Contexts(),
            read_drafts=read_drafts,
            read_lines=read_lines,
        )
        self._history = History()
        self._start = start or self._first_place()
        self._last_interrupt = -AGAIN_S
        self._last_silent = -SILENT_S
        self.survives = False
        """Whether unforeseen errors are only shown also where nobody sees the screen: in tests."""
        self._errors_s: deque[float] = deque(maxlen=STORM)
        self.animation_level = "none"
        for theme in THEMES.values():
            self.register_theme(theme)
        self.theme = check_theme(settings.ui.theme)
        self.set_keymap(dict(settings.keys))

    # Life

    def on_mount(self) -> None:
        """Show the first screen, then begin to read."""
        self._open(self._start, visit=True)
        self.set_interval(FRAME_S, self.tick)
        self.set_interval(HEADER_S, self.draw_frame)
        if not self.is_headless:
            self.set_interval(HEADER_S, self._end_with_terminal)
        self.call_after_refresh(self._begin)

    async def _end_with_terminal(self) -> None:
        """End when the terminal went without the signal that says so, as the signal would.

        Textual would read the end of its input for ever, and cannot tidy a terminal that is gone.
        """
        if not os.isatty(STDIN):
            await self.session.workspace.close()
            os._exit(HUNG_UP)

    def _handle_exception(self, error: Exception) -> None:
        """Show what nobody foresaw and live on; end with one line where it comes again and again.

        Overrides Textual's, which ends the program with a page of traceback.
        """
        if self.is_headless and not self.survives:
            super()._handle_exception(error)
            return
        caught = Caught("screen", error)
        self.session.workspace.report(caught)
        now_s = self.session.clock.monotonic()
        self._errors_s.append(now_s)
        if len(self._errors_s) == STORM and now_s - self._errors_s[0] < STORM_S:
            self.exit(return_code=UNFORESEEN, message=f"k8tre-tui: unforeseen: {caught}")
            return
        self.notify(f"{caught} (! shows more)", severity="error", markup=False)

    def _first_place(self) -> Place:
        return Place("pulse")

    def _begin(self) -> None:
        settle_memory()
        workspace = self.session.workspace
        self.run_worker(guard("workspace", workspace.run(), workspace.report), group="workspace")
        self.run_worker(self._watch_pictures(), group="pictures", exit_on_error=False)

    async def _watch_pictures(self) -> None:
        revision, workspace = 0, self.session.workspace
        while True:
            picture = await workspace.newer_than(revision)
            if not revision:
                settle_memory()
            revision = picture.revision
            await guard("screen", self._show(picture), workspace.report)

    async def _show(self, picture: Picture) -> None:
        if (screen := self.frame) is not None:
            screen.show_picture(picture)
            screen.draw_frame()

    @property
    def frame(self) -> Frame | None:
        """The screen under any dialog, while its widgets are there."""
        if not self.is_running:
            return None
        frames = (one for one in reversed(self.screen_stack) if isinstance(one, Frame))
        frame = next(frames, None)
        return frame if frame is not None and frame.is_ready else None

    @property
    def has_settled(self) -> bool:
        """Whether the screen on top has its widgets, so that keys find them."""
        return not isinstance(self.screen, Frame) or self.screen.is_ready

    def tick(self) -> None:
        """Let what moves be drawn; the timer calls it five times a second."""
        self.renew_echo()
        self.session.meter.update(self.session.workspace.ring)
        if (screen := self.frame) is not None:
            screen.tick()

    def draw_frame(self) -> None:
        """Let ages and countdowns be drawn; the timer calls it once a second."""
        if (screen := self.frame) is not None:
            screen.draw_frame()

    def take_key(self, event: events.Key | events.Paste) -> bool:
        """Open the command line from a field, which Textual would give every character."""
        screen = self.screen
        if not isinstance(event, events.Key) or not isinstance(screen, Frame):
            return False
        begins = screen.begins_command(event.aliases)
        if begins:
            screen.action_run(COMMAND)
        return begins

    def on_key(self, event: events.Key) -> None:
        """Say that a key does nothing here, at most once in a while."""
        screen, now_s = self.screen, self.session.clock.monotonic()
        if not isinstance(screen, Frame) or not event.is_printable:
            return
        bound = screen.active_bindings
        if any(key in bound for key in event.aliases) or now_s - self._last_silent < SILENT_S:
            return
        self._last_silent = now_s
        screen.say(f"`{event.character}` does nothing here; `?` lists the keys")

    # Places

    @on(Go)
    def _go(self, event: Go) -> None:
        place = event.place
        if place.context and not self._use_context(place.context):
            return
        named = place.args[0] if place.screen == "ns" else place.namespace
        if named and (unknown := self.session.unknown_namespace(named)):
            self.notify(unknown, severity="error", markup=False)
            return
        if place.screen == "quit":
            self.exit()
        elif place.screen == "help" and self.frame is not None:
            self.frame.do_help()
        elif place.screen == "theme":
            self._use_theme(place.args[0])
        elif place.screen == "ns":
            self._use_namespace(place.args[0])
        elif place.screen == "ctx":
            self._choose_context(place.args[0])
        else:
            self._remember()
            self._open(place, visit=True)

    @on(Wander)
    def _wander(self, event: Wander) -> None:
        self._remember()
        moves: dict[str, Callable[[], Place | None]] = {
            "back": self._history.back,
            "forward": self._history.forward,
            "last": self._history.swap,
        }
        place = moves[event.where]()
        if place is None:
            self.notify(f"nowhere to go {event.where}; `ctrl+q` quits", markup=False)
            return
        self._open(place, visit=False)

    def _remember(self) -> None:
        if (screen := self.frame) is not None and self._history.now is not None:
            self._history.update(replace(screen.memo(), namespace=self.session.namespace))

    def _open(self, place: Place, *, visit: bool) -> None:
        if place.namespace is not None:
            self.session.look_at(place.namespace)
        if visit:
            self._history.visit(place)
        screen = make_screen(self.session, place)
        if len(self.screen_stack) > 1:
            self.switch_screen(screen)
        else:
            self.push_screen(screen)
        self.renew_echo()

    def _use_namespace(self, name: str) -> None:
        self.session.look_at("" if name == ALL else name)
        if (screen := self.frame) is not None:
            screen.show_picture(self.session.picture)
            screen.draw_frame()

    def _choose_context(self, name: str) -> None:
        if self._use_context(name):
            self._open(self._first_place(), visit=True)

    def _use_context(self, name: str) -> bool:
        """Read another cluster; what the old one still does is cancelled and not waited for."""
        session = self.session
        try:
            if (names := session.contexts.names()) and name not in names:
                raise UsageError(f"no context `{name}`", hint=f"there are: {', '.join(names)}")
            workspace = session.contexts.open(name)
        except K8treError as error:
            said = f"{error}; {error.hint}" if error.hint else str(error)
            self.notify(said, severity="error", markup=False)
            return False
        for group in ("workspace", "pictures"):
            self.workers.cancel_group(self, group)
        session.switch(workspace, name)
        self._history = History()
        self._begin()
        return True

    def _use_theme(self, name: str) -> None:
        if name not in THEMES:
            self.notify(f"no theme `{name}`; there are: {', '.join(THEMES)}", markup=False)
            return
        self.theme = name

    # Doing

    @on(Copy)
    async def _copy(self, event: Copy) -> None:
        tool = native_tool(os.environ)
        if tool is not None and await run_tool(tool, event.text):
            self.notify(f"copied {event.what} with {tool[0]}", markup=False)
        elif fits_osc52(event.text):
            self.copy_to_clipboard(event.text)
            self.notify(f"sent {event.what} to the terminal's clipboard (OSC 52)", markup=False)
        else:
            self.notify(f"{event.what} is too long for a terminal's clipboard", markup=False)

    @on(Repaint)
    def _repaint(self) -> None:
        self.forget_terminal()

    @on(Save)
    def _save(self, event: Save) -> None:
        from app.tui.saving import content_of, write_new

        if (screen := self.frame) is None:
            return
        name = event.name.strip()
        try:
            text = event.text or content_of(screen, Path(name).suffix.lower())
            path = write_new(name, text)
        except UsageError as error:
            self.notify(f"{error}; {error.hint}", severity="error", markup=False)
        except (OSError, ValueError) as error:
            said = getattr(error, "strerror", None) or str(error)
            self.notify(f"could not save `{name}`: {said}", severity="error", markup=False)
        else:
            self.notify(f"saved {path}", markup=False)

    def get_line_filters(self) -> Sequence[LineFilter]:
        """Add the filter for terminals that draw nothing but ASCII."""
        filters = super().get_line_filters()
        return (*filters, AsciiOnly()) if self.session.marks.ascii else filters

    def action_command_palette(self) -> None:
        """Open the palette; Textual binds a key of its own to this."""
        from app.tui.palette import open_palette

        open_palette(self)

    def action_interrupt(self) -> None:
        """Copy a selection; without one, quit when pressed twice."""
        if selected := self.screen.get_selected_text():
            self.post_message(Copy(selected, "the selection"))
            return
        now = self.session.clock.monotonic()
        if now - self._last_interrupt < AGAIN_S:
            self.exit()
            return
        self._last_interrupt = now
        self.notify("press ctrl+c again to quit", markup=False)


def settle_memory() -> None:
    """Take what lives as long as the program out of the garbage collector's sight.

    A full collection over modules, styles and the first picture takes 30 ms, which is a stutter.
    """
    gc.unfreeze()
    gc.collect()
    gc.freeze()


def make_screen(session: Session, place: Place) -> Frame:
    """Make the screen of a place; each is imported when it is first shown."""
    from importlib import import_module

    module, name = SCREENS[place.screen]
    kind: Callable[[Session, Place], Frame] = getattr(
        import_module(f"app.tui.screens.{module}"), name
    )
    return kind(session, place)


SCREENS: dict[str, tuple[str, str]] = {
    "policies": ("policies", "Policies"),
    "policy": ("policy", "Policy"),
    "endpoints": ("endpoints", "Endpoints"),
    "endpoint": ("endpoints", "Endpoint"),
    "flows": ("flows", "Flows"),
    "flow": ("flow", "FlowScreen"),
    "why": ("why", "Why"),
    "draft": ("draft", "DraftScreen"),
    "what-if": ("what_if", "WhatIf"),
    "lint": ("findings", "Findings"),
    "finding": ("findings", "FindingScreen"),
    "boundaries": ("boundaries", "Boundaries"),
    "boundary": ("boundaries", "BoundaryScreen"),
    "pulse": ("pulse", "Pulse"),
    "alerts": ("alerts", "AlertsScreen"),
    "pick": ("picker", "Picker"),
    "services": ("services", "Services"),
    "workloads": ("services", "Workloads"),
    "drafts": ("drafts", "Drafts"),
    "kept-draft": ("drafts", "KeptDraftScreen"),
    "matrix": ("spaces", "Matrix"),
    "file": ("text_file", "FileScreen"),
    "sources": ("sources", "Sources"),
    "can-i": ("sources", "Rights"),
    "log": ("sources", "Log"),
    "doctor": ("sources", "Doctor"),
}


def check_theme(name: str) -> str:
    """Give the name of a theme; raises `ConfigError` with the list for an unknown one."""
    if name in THEMES:
        return name
    raise ConfigError(f"no theme `{name}`", hint=f"themes: {', '.join(THEMES)}", key="ui.theme")


def check_keys(settings: Settings) -> None:
    """Check the `[keys]` table; raises `ConfigError` for unknown actions and double keys."""
    if unknown := unknown_ids(settings.keys):
        raise ConfigError(
            f"no action `{unknown[0]}`", hint="`?` and docs/keys.md list them", key="keys"
        )
    if found := all_clashes(settings.keys):
        raise ConfigError(found[0], hint="give one of them another key", key="keys")


def choose_marks(glyphs: str, environ: dict[str, str] | os._Environ[str]) -> Marks:
    """Choose glyphs: as told, or by whether the locale speaks UTF-8."""
    if glyphs == "ascii":
        return ASCII
    if glyphs == "unicode":
        return UNICODE
    locale = environ.get("LC_ALL") or environ.get("LC_CTYPE") or environ.get("LANG") or ""
    return UNICODE if "utf" in locale.lower() or not locale else ASCII


def local_zone() -> tzinfo:
    """The zone of this machine."""
    zone = datetime.now().astimezone().tzinfo
    assert zone is not None  # noqa: S101  # astimezone always sets it
    return zone
