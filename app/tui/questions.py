"""From a flow to the question "why?", in the words of docs/forms.md §3."""

from __future__ import annotations

import shlex
from dataclasses import dataclass

from app.core.flows.asking import end_asked
from app.core.model.flow import Flow


@dataclass(frozen=True, slots=True)
class Words:
    """A question as typed: two ends, a port, and a request if one was seen."""

    source: str = ""
    destination: str = ""
    port: str = ""
    request: str = ""

    def command(self) -> str:
        """The command line that asks the same."""
        words = ["k8tre-tui", "why", self.source, self.destination]
        words += [self.port] if self.port else []
        kind, text = split_request(self.request)
        words += [f"--{kind}", text] if text else []
        return shlex.join(words)


def split_request(text: str) -> tuple[str, str]:
    """Tell the kind of a request from its text: `dns NAME`, `sni NAME`, or HTTP."""
    kind, _, rest = text.strip().partition(" ")
    if kind in ("dns", "sni"):
        return kind, rest.strip()
    return "http", text.strip()


def words_of(flow: Flow) -> Words:
    """Ask about the connection a flow belongs to; a reply is turned around."""
    source = end_asked(flow.source, flow.source_ip, flow.source_names)
    destination = end_asked(flow.destination, flow.destination_ip, flow.destination_names)
    number = flow.destination_port
    if flow.is_reply:
        source, destination, number = destination, source, flow.source_port
    protocol = {"ICMPv4": "ICMP"}.get(flow.protocol, flow.protocol)
    port = f"{number}/{protocol}" if protocol else ""
    return Words(source, destination, port, _request(flow))


def _request(flow: Flow) -> str:
    if flow.l7 is None:
        return ""
    if flow.l7.http is not None and flow.l7.http.method:
        return f"{flow.l7.http.method} {flow.l7.http.url}"
    if flow.l7.dns is not None and flow.l7.dns.query:
        return f"dns {flow.l7.dns.query}"
    return ""


def observe_command(flow: Flow) -> str:
    """The `hubble` command that shows flows like this one."""
    words = ["hubble", "observe"]
    for side, end, ip in (
        ("from", flow.source, flow.source_ip),
        ("to", flow.destination, flow.destination_ip),
    ):
        if end.pod:
            words += [f"--{side}-pod", f"{end.namespace}/{end.pod}"]
        elif ip:
            words += [f"--{side}-ip", ip]
    if flow.protocol in ("TCP", "UDP", "SCTP"):
        words += ["--protocol", flow.protocol.lower(), "--to-port", str(flow.destination_port)]
    words += ["--verdict", flow.verdict, "--last", "20"]
    return shlex.join(words)
