"""One flow: the verdict first, then everything that is known of it."""

from __future__ import annotations

import json
from typing import ClassVar

from textual.binding import BindingType

from app.core.errors import K8treError
from app.core.model.cluster import Cluster
from app.core.model.flow import Flow
from app.services.picture import Picture
from app.tui.actions import Scope, bindings
from app.tui.links import place_of, rule_to_change
from app.tui.places import Place
from app.tui.questions import observe_command, words_of
from app.tui.screens.document import DocumentScreen
from app.tui.screens.frame import Frame
from app.tui.session import judges_alike
from app.tui.views import flows as views
from app.tui.views.why import question_of, short_answer
from widgets.document import Paragraph, paragraph
from widgets.frame import StatusView


class FlowScreen(DocumentScreen):
    """The flow is the place's subject; `args` may hold `json`."""

    SCOPES: ClassVar[tuple[Scope, ...]] = (Scope.FLOW, Scope.TEXT)
    BINDINGS: ClassVar[list[BindingType]] = [*bindings(Scope.FLOW)]

    _judged_by: Cluster | None = None

    @property
    def flow(self) -> Flow:
        """What is shown."""
        flow = self.place.subject
        if not isinstance(flow, Flow):
            raise TypeError(flow)
        return flow

    def show_picture(self, picture: Picture) -> None:
        """Draw the flow, with what the policies as read now say of it."""
        if "json" in self.place.args:
            self.document.show(json_paragraphs(self.flow))
            return
        if judges_alike(picture.cluster, self._judged_by):
            return
        self._judged_by = picture.cluster
        look = views.FlowLook(self.session.marks, self.session.zone)
        said = short_answer(picture, self.session, self.flow)
        first, *rest = views.describe(self.flow, look)
        self.document.show((first, *said, *rest))

    def status(self) -> StatusView:
        """Say which flow."""
        view = (self.filter_text,) if self.filter_text else ()
        return StatusView(("flows", views.connection_text(self.flow)), view=view)

    def do_open(self) -> None:
        """Open the policy, rule or endpoint under the cursor; else say why."""
        if not self.follow():
            self.do_why()

    def do_why(self) -> None:
        """Ask why it was judged so."""
        self.go(why_of(self.flow))

    def do_rule(self) -> None:
        """Go to the rule that decides, or would have to change."""
        go_to_rule(self, self.flow)

    def do_draft(self) -> None:
        """Draft a rule: first the answer, with its fixes."""
        self.do_why()

    def do_json(self) -> None:
        """Show Hubble's JSON, or the explanation."""
        args = () if "json" in self.place.args else ("json",)
        self.place = Place("flow", args, subject=self.flow)
        self._judged_by = None
        self.show_picture(self.session.picture)

    def do_copy_command(self) -> None:
        """Copy a command that shows such flows."""
        self.copy(observe_command(self.flow), "the command")


def why_of(flow: Flow) -> Place:
    """Ask why a flow was judged as it was."""
    words = words_of(flow)
    return Place("why", (words.source, words.destination, words.port, words.request), subject=flow)


def go_to_rule(screen: Frame, flow: Flow) -> None:
    """Go to the rule that decides a flow's connection, or would have to change; else say why not.

    It is that of the policies as they are now, as every answer is.
    """
    from app.services.ask import explain_flow

    picture = screen.session.picture
    try:
        answer = explain_flow(picture, flow, question_of(words_of(flow)))
    except K8treError as error:
        screen.say(str(error), bad=True)
        return
    place = place_of(rule_to_change(answer), picture)
    if place is None:
        screen.say(f"no rule decides this: {answer.cause.summary or 'no policy restricts it'}")
        return
    screen.go(place)


def json_paragraphs(flow: Flow) -> tuple[Paragraph, ...]:
    """A flow in Hubble's own form."""
    from app.core.flows.encode import encode

    text = json.dumps(encode(flow), indent=2, ensure_ascii=False)
    return tuple(paragraph(row, indent=4) for row in text.splitlines())
