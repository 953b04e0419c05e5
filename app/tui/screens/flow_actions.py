"""What can be done with one flow of a list: open it, ask why, go to its rule or its ends, copy."""

from __future__ import annotations

from abc import abstractmethod

from app.core.model.flow import Flow
from app.tui.places import Place
from app.tui.questions import observe_command
from app.tui.screens.flow import go_to_rule, why_of
from app.tui.screens.frame import Frame
from app.tui.views import flows as views


class FlowActions(Frame):
    """Base of a screen whose cursor stands on a flow."""

    @property
    @abstractmethod
    def flow(self) -> Flow | None:
        """The flow under the cursor."""

    def do_open(self) -> None:
        """Open the flow."""
        self.go(Place("flow", subject=self.flow))

    def do_json(self) -> None:
        """Open the flow as Hubble's JSON."""
        self.go(Place("flow", ("json",), subject=self.flow))

    def do_why(self) -> None:
        """Ask why it was judged so."""
        if (flow := self.flow) is not None:
            self.go(why_of(flow))

    def do_rule(self) -> None:
        """Go to the rule that decides, or would have to change."""
        if (flow := self.flow) is not None:
            go_to_rule(self, flow)

    def do_draft(self) -> None:
        """Draft a rule: first the answer, with its fixes."""
        self.do_why()

    def do_used_by(self) -> None:
        """Open the destination, where its policies are."""
        if (flow := self.flow) is not None:
            self._open_end(flow.destination.namespace, flow.destination.pod)

    def do_source(self) -> None:
        """Open the source, where its policies are."""
        if (flow := self.flow) is not None:
            self._open_end(flow.source.namespace, flow.source.pod)

    def _open_end(self, namespace: str, pod: str) -> None:
        if not pod:
            self.say("that end is not a pod: no policy selects it")
            return
        self.go(Place("endpoint", (f"{namespace}/{pod}",)))

    def do_copy_name(self) -> None:
        """Copy the connection."""
        if (flow := self.flow) is not None:
            self.copy(views.connection_text(flow), "the connection")

    def do_copy_namespace(self) -> None:
        """Copy the destination's namespace."""
        if (flow := self.flow) is not None:
            self.copy(flow.destination.namespace or flow.source.namespace, "the namespace")

    def do_copy_command(self) -> None:
        """Copy a command that shows such flows."""
        if (flow := self.flow) is not None:
            self.copy(observe_command(flow), "the command")
