"""One policy: summary, rules as a tree, YAML, the endpoints it selects, their flows."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType

from app.core.cluster.commands import get_policy
from app.services.effect import apart
from app.services.inventory import PolicyDetail, policy_detail, policy_rows
from app.services.picture import Picture
from app.services.rule_use import RuleUse, rule_use
from app.tui.actions import Scope, bindings
from app.tui.places import Place
from app.tui.screens.document import DocumentScreen
from app.tui.screens.policies import why_about
from app.tui.times import clock_time
from app.tui.views import policies as views
from app.tui.views.findings import notices
from app.tui.views.text_file import file_paragraphs
from app.tui.views.words import ref_text
from widgets.document import Paragraph, paragraph
from widgets.frame import StatusView
from widgets.lines import Lines
from widgets.spans import Span, Tone

TABS = ("summary", "rules", "file", "yaml", "selects", "flows")
MOST_NAMED = 20
"""Workloads that a filter of flows names; for more it is the namespace alone."""


class Policy(DocumentScreen):
    """A policy known by its row's key; `args` name the tab."""

    SCOPES: ClassVar[tuple[Scope, ...]] = (Scope.POLICY, Scope.TEXT)
    BINDINGS: ClassVar[list[BindingType]] = [*bindings(Scope.POLICY)]

    _detail: PolicyDetail | None = None
    _changed = False
    _use: RuleUse | None = None
    _judged: object = None

    @property
    def tab(self) -> str:
        """The tab that is open."""
        return self.place.args[0] if self.place.args else TABS[0]

    def begin(self) -> None:
        """Go to the rule that is meant, if one is."""
        super().begin()
        if len(self.place.args) > 1 and self.place.cursor is None:
            self.call_after_refresh(self.document.select, self.place.args[1])

    def compose_body(self) -> ComposeResult:
        """Lay out the tabs and the text."""
        yield Lines(id="tabs")
        yield from super().compose_body()

    def show_picture(self, picture: Picture) -> None:
        """Look the policy up again; a change is marked."""
        rows = (row for row in policy_rows(picture) if views.policy_key(row) == self.place.subject)
        row = next(rows, None)
        if row is None:
            self._changed = self._detail is not None
        else:
            before = self._detail.yaml if self._detail else None
            self._detail = policy_detail(picture, row)
            self._changed = self._changed or before not in (None, self._detail.yaml)
            if self._judged is not picture.engine and self.session.ring.seen:
                self._judged = picture.engine
                self.work("use", self._judge_flows(picture))
        self.show_tab()

    def show_tab(self) -> None:
        """Draw the open tab."""
        spans = [Span(" ")]
        for at, name in enumerate(TABS, 1):
            tone = Tone.BADGE if name == self.tab else Tone.DIM
            spans += [Span(f" {at} {name} ", tone), Span(" ")]
        self.query_one("#tabs", Lines).show((tuple(spans),))
        self.document.show(self._paragraphs())

    def _paragraphs(self) -> tuple[Paragraph, ...]:
        detail, marks = self._detail, self.session.marks
        if detail is None:
            return (paragraph("This policy is not there (any more)."),)
        if self.tab == "rules":
            tree = views.tree_paragraphs(detail.tree, marks, told=self._told_of)
            return (*tree, *self._use_told()) if tree else (paragraph("It has no rules."),)
        if self.tab == "file":
            return self._file(detail)
        if self.tab == "yaml":
            return views.yaml_paragraphs(detail.yaml)
        if self.tab == "selects":
            return views.selected(detail)
        told = notices(self.session.lint_of(detail.row.ref), marks)
        return (*views.summary(detail, marks), *told)

    def _told_of(self, path: str) -> str:
        """What flows say of a rule; nothing where they say nothing."""
        if self._use is None or self._detail is None:
            return ""
        use = self._use.of(self._detail.row.ref, path)
        if not use.last_ns:
            return "not seen"
        last = clock_time(use.last_ns, self.session.zone)
        counts = [(use.hits, "let through"), (use.drops, "refused")]
        said = ", ".join(f"{count:,} {word}" for count, word in counts if count)
        return f"{said}, last {last}"

    def _use_told(self) -> tuple[Paragraph, ...]:
        """What the figures rest on, and what default deny refused."""
        if self._detail is None:
            return ()
        if self._use is None:
            words = "no flows are at hand: how often a rule is hit is not known"
            return (paragraph(), paragraph(Span(words, Tone.DIM)))
        refused = self._use.of(self._detail.row.ref, "")
        lines = [paragraph()]
        if refused.drops:
            last = clock_time(refused.last_ns, self.session.zone)
            words = f"{refused.drops:,} refused by its default deny, last {last}"
            lines.append(paragraph(Span(words, Tone.BAD)))
        of = f"of {self._use.judged:,} connections seen, judged by the policies of now"
        left = f"; {self._use.left_out:,} could not be judged" if self._use.left_out else ""
        return (*lines, paragraph(Span(of + left, Tone.DIM)))

    def _file(self, detail: PolicyDetail) -> tuple[Paragraph, ...]:
        """The file as it is written, with what lint finds in it; the policy's lines are marked."""
        row = detail.row
        lines = self.session.read_lines(row.file)
        if not lines:
            where = "no file: it was read from a cluster" if not row.file else f"{row.file}: unread"
            return (paragraph(f"There is {where}. `4` shows it as it is in force."),)
        found = tuple(one for one in self.session.lint_of(row.ref) if one.file == row.file)
        return tuple(file_paragraphs(lines, range(row.line or 0, (row.line or 0) + 1), found))

    async def _judge_flows(self, picture: Picture) -> None:
        flows = list(self.session.ring)
        self._use = await asyncio.to_thread(lambda: rule_use(apart(picture), flows))
        if self.tab == "rules":
            self.show_tab()

    def status(self) -> StatusView:
        """Say which policy, and whether it changed while one looked."""
        name = ref_text(self._detail.row.ref) if self._detail else "?"
        notes = (Span("changed meanwhile", Tone.WARN),) if self._changed else ()
        view = (self.filter_text,) if self.filter_text else ()
        return StatusView(("policies", name, self.tab), view=view, notes=notes)

    @on(Lines.Clicked, "#tabs")
    def _tab_clicked(self, event: Lines.Clicked) -> None:
        event.stop()
        word = event.lines.lines[event.line][event.span].text.split()
        if word and word[-1] in TABS:
            self._open_tab(word[-1])

    def _open_tab(self, name: str) -> None:
        if name == "flows":
            self.do_flows()
            return
        self.place = replace(self.place, args=(name,))
        self.show_tab()
        if name == "file" and self._detail is not None:
            at = max((self._detail.row.line or 1) - 3, 0)
            self.call_after_refresh(self.document.show_paragraph, at)

    def do_tab(self, digit: int) -> None:
        """Open a tab by its number."""
        self._open_tab(TABS[digit - 1])

    def do_next_tab(self) -> None:
        """Open the next tab."""
        self._open_tab(TABS[(TABS.index(self.tab) + 1) % (len(TABS) - 1)])

    def do_last_tab(self) -> None:
        """Open the tab before."""
        self._open_tab(TABS[(TABS.index(self.tab) - 1) % (len(TABS) - 1)])

    def do_open(self) -> None:
        """From a rule to its line; from whatever else leads on, there."""
        target = self.document.target
        if self._detail is None or not target or self.follow():
            return
        if self.tab == "rules":
            self._open_rule(self._detail, target)

    def _open_rule(self, detail: PolicyDetail, path: str) -> None:
        """Go to a rule where it is written; in no file, in the YAML as it is in force."""
        manifest = detail.row.manifest
        file, line = manifest.place_of(path) if manifest else (None, None)
        if self.session.read_lines(file):
            self.go(Place("file", (str(file), str(line))))
            return
        self._open_tab("yaml")
        at = views.yaml_line_of(detail.yaml, path)
        self.call_after_refresh(self.document.show_paragraph, at)

    def do_yaml(self) -> None:
        """Open the YAML."""
        self._open_tab("yaml")

    def do_used_by(self) -> None:
        """Open the selected endpoints."""
        self._open_tab("selects")

    def do_flows(self) -> None:
        """Show flows of what it selects, of its namespace where that is too much to name."""
        if self._detail is None:
            return
        ends = {
            f"{one.namespace}/{one.workload.name if one.workload else one.name}"
            for one in self._detail.endpoints
        }
        sought = f"pod:{','.join(sorted(ends))}" if 0 < len(ends) <= MOST_NAMED else ""
        self.go(Place("flows", namespace=self._detail.row.ref.namespace, filter=sought))

    def do_why(self) -> None:
        """Ask about a connection that it governs."""
        if self._detail is not None:
            self.go(why_about(self.session.picture, self._detail.row))

    def do_what_if(self) -> None:
        """Ask what would change without it."""
        if self._detail is not None:
            self.go(Place("what-if", (str(self._detail.row.ref),)))

    def do_copy_command(self) -> None:
        """Copy a kubectl command."""
        if self._detail is not None:
            self.copy(get_policy(self._detail.row.ref), "the command")
