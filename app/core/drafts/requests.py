"""The changes that let a request through which only layer 7 rules refuse.

One item joins the list of a rule that admits the connection, or a rule for this peer brings it
alone, as narrow as the request: method and path of HTTP (and its host, if one was given), the name
of a DNS question or of a TLS server. A rule without such a list would let every request through, so
none is drafted. Everyone whom an extended rule admits gets the request too; who that is, the engine
is asked, and the change that lets through least comes first.
Source: Cilium `pkg/policy/api/{l4,http,fqdn}.go`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from app.core.drafts.candidates import (
    Side,
    add_rules,
    change_of,
    entries_of,
    is_editable,
    list_of,
    rule_for,
)
from app.core.drafts.change import Change, ChangeKind
from app.core.drafts.edits import Append, Path, parse_path
from app.core.drafts.rules import check_name
from app.core.model.cluster import Endpoint
from app.core.model.verdict import (
    Direction,
    DnsRequest,
    HttpRequest,
    Question,
    Request,
    SniRequest,
    Verdict,
)
from app.core.policy.difference import PairChange
from app.core.policy.engine import Engine
from app.core.policy.index import members_of
from app.core.policy.rules import PortRule

_SPECIAL = re.compile(r"[.^$*+?()\[\]{}|\\]")
"""What RE2 does not take literally; paths and hosts of rules are RE2 expressions."""


def request_changes(side: Side, request: Request, engine: Engine) -> Iterator[Change]:
    """Yield an extension for each list of layer 7 rules that is asked about this request."""
    identity = engine.identity_of(side.peer, seen_from=side.subject)
    manifests = {policy.ref: policy.manifest for policy in engine.policies}
    for entry in entries_of(side, engine):
        manifest = manifests[entry.rule.policy]
        selected = entry.peers == () or any(one.selects(identity) for one in entry.peers or ())
        if not selected or not is_editable(manifest):
            continue
        for ports in entry.ports:
            alone = replace(entry, ports=(ports,))
            if not engine.fits_port(alone, side.subject, side.port, side.protocol):
                continue
            if (place := _place(ports, request)) is not None:
                path, how = place
                edits = (Append(path, _item(request)),)
                title = f"let {_words(request)} through, {side.what}"
                yield change_of(manifest, ChangeKind.EXTEND_RULE, title, how, edits)
                if (rule := rule_for(side, manifest)) is not None:
                    how = "one more rule, for this peer and this request alone"
                    only = [_only(rule, request)]
                    yield add_rules(title, how, manifest, list_of(entry), only)


def _place(ports: PortRule, request: Request) -> tuple[Path, str] | None:
    """The list that the request belongs to, and what joins it; None where the rule has none."""
    path, layer7 = parse_path(ports.path), ports.layer7
    match request:
        case HttpRequest() if layer7.http:
            return (*path, "rules", "http"), "one more HTTP rule beside those that refuse it"
        case DnsRequest() if layer7.dns:
            return (*path, "rules", "dns"), "one more name beside those that may be asked for"
        case SniRequest() if layer7.server_names:
            return (*path, "serverNames"), "one more server name beside those that are admitted"
    return None


def _only(rule: dict[str, Any], request: Request) -> dict[str, Any]:
    """Narrow a rule down to the request."""
    (ports,) = rule["toPorts"]
    match request:
        case HttpRequest():
            narrow: dict[str, Any] = {"rules": {"http": [_item(request)]}}
        case DnsRequest():
            narrow = {"rules": {"dns": [_item(request)]}}
        case SniRequest():
            narrow = {"serverNames": [_item(request)]}
    return {**rule, "toPorts": [{**ports, **narrow}]}


def _item(request: Request) -> Any:
    match request:
        case HttpRequest(method, path, host):
            named = {"host": _literally(host)} if host else {}
            return {"method": method, "path": _literally(path), **named}
        case DnsRequest(name):
            return {"matchName": check_name(name)}
        case SniRequest(name):
            return check_name(name)


def _literally(text: str) -> str:
    return _SPECIAL.sub(lambda match: f"\\{match.group()}", text)


def _words(request: Request) -> str:
    match request:
        case HttpRequest(method, path):
            return f"{method} {path}"
        case DnsRequest(name):
            return f"the question for {name}"
        case SniRequest(name):
            return f"TLS to {name}"


def opened_requests(
    change: Change, question: Question, direction: Direction, before: Engine, after: Engine
) -> Iterator[PairChange]:
    """Yield the pairs whose same request was refused before the change and is not after it."""
    ends = (question.source, question.destination)
    pairs = before.reachability(tuple(peer for peer in ends if peer.endpoint is None))
    port = (question.protocol, question.port)
    for number, own in enumerate(pairs.groups):
        if not _is_selected(own.subject, change, before):
            continue
        for other in members_of(pairs.row(direction, number, port).redirected):
            two = (own, pairs.groups[other])
            source, destination = two if direction is Direction.EGRESS else reversed(two)
            same = replace(question, source=source.peer, destination=destination.peer)
            was, now = before.decide(same).verdict, after.decide(same).verdict
            if was is Verdict.DENIED and now is not was:
                yield PairChange(source, destination, *port, was, now)


def _is_selected(subject: Endpoint | None, change: Change, engine: Engine) -> bool:
    if subject is None:
        return False
    return any(policy.ref == change.policy for policy in engine.policies_selecting(subject))
