"""From a denied direction to its cause: the one thing to change, and the rule that holds it."""

from __future__ import annotations

from dataclasses import dataclass, replace

from app.core.diagnose import sentences
from app.core.diagnose.ends import ResolvedEnd
from app.core.diagnose.hints import NAMESPACE_NAME_LABEL, Hint, hints_for
from app.core.diagnose.look import Look, look_at
from app.core.diagnose.meant import is_about_others, say_meant, say_service_subject
from app.core.diagnose.question import Leg
from app.core.diagnose.rejected import RejectedRule, rejected_rules
from app.core.diagnose.written import at_path
from app.core.model.answer import Cause, CauseCode, Confidence
from app.core.model.cluster import GatewayRoute, IdentityKind
from app.core.model.provenance import Manifest, ObjectRef, RuleRef
from app.core.model.verdict import (
    Dimension,
    Direction,
    DirectionTrace,
    DnsRequest,
    Effect,
    HttpRequest,
    Miss,
    Outcome,
    Request,
)
from app.core.policy.engine import Engine
from app.core.policy.rules import Entry, Identity, Layer7, PeerSelector
from app.core.policy.selectors import NAMESPACE_KEY

PLAIN = frozenset({CauseCode.EGRESS_DEFAULT_DENY, CauseCode.INGRESS_DEFAULT_DENY})
"""Causes that give way to any other."""

_DIMENSIONS = {
    CauseCode.SERVICE_PORT_NOT_TARGET_PORT: Dimension.PORT,
    CauseCode.NAMED_PORT_UNRESOLVED: Dimension.PORT,
    CauseCode.PEER_IN_OTHER_NAMESPACE: Dimension.NAMESPACE,
    CauseCode.NAMESPACE_LABEL_ON_POD_SELECTOR: Dimension.PEER,
    CauseCode.LABEL_NOT_IN_IDENTITY: Dimension.PEER,
    CauseCode.UNMANAGED_ENDPOINT: Dimension.PEER,
    CauseCode.CIDR_IN_CLUSTER: Dimension.CIDR,
    CauseCode.KUBE_APISERVER_ENTITY: Dimension.PEER,
    CauseCode.FQDN_IN_CLUSTER: Dimension.FQDN,
}
_NEAREST = 1_000_000


@dataclass(frozen=True, slots=True)
class Denial:
    """Why one direction is denied. `rule` is the rule to change, where there is one.

    `trace` is the engine's, with that rule's miss put first.
    """

    cause: Cause
    direction: Direction
    leg: Leg
    trace: DirectionTrace
    rule: RuleRef | None = None
    path: str = ""
    hint: Hint | None = None


def explain_denial(leg: Leg, direction: Direction, engine: Engine) -> Denial:
    """Find the most specific cause for a direction whose outcome is `DENIED`."""
    trace = leg.direction(direction)
    denies = sentences.denies(trace.matched)
    if denies:
        cause = sentences.of_deny(denies[0], leg, direction)
        return _at_rule(cause, denies[0].rule, leg, direction, engine)
    if trace.l4 in (Outcome.REDIRECTED, Outcome.ALLOWED, Outcome.NOT_ENFORCED):
        return _refused_request(leg, direction, engine)
    return _default_denied(look_at(leg, direction, engine), engine)


def _default_denied(look: Look, engine: Engine) -> Denial:
    """No rule matches: which was meant to, and would if one thing of it were otherwise?"""
    hints = hints_for(look)
    best = hints[0] if hints else None
    rejected = rejected_rules(look)
    if rejected and (rejected[0].certain or best is None or not best.complete):
        return _of_rejected(rejected[0], look.leg, look.direction)
    if best is not None:
        return _of_hint(best, look, engine)
    return _plain(look, engine)


def _at_rule(cause: Cause, rule: RuleRef, leg: Leg, direction: Direction, engine: Engine) -> Denial:
    placed = sentences.place(cause, manifest_of(rule.policy, engine), rule.path)
    if placed.file is None and rule.file is not None:
        placed = replace(placed, file=rule.file, line=rule.line)
    return Denial(
        cause=placed,
        direction=direction,
        leg=leg,
        trace=leg.direction(direction),
        rule=rule,
        path=rule.path,
    )


def manifest_of(ref: ObjectRef, engine: Engine) -> Manifest | None:
    """The object a policy was read from."""
    for policy in engine.policies:
        if policy.ref == ref:
            return policy.manifest
    return None


def _of_hint(hint: Hint, look: Look, engine: Engine) -> Denial:
    cause = sentences.of_hint(hint, look, manifest_of(hint.entry.rule.policy, engine))
    trace = look.leg.direction(look.direction)
    miss = Miss(
        hint.entry.rule,
        _DIMENSIONS[hint.code],
        hint.wanted,
        hint.got,
        hint.path,
        nearness=_NEAREST,
    )
    others = tuple(one for one in trace.missed if one.rule != hint.entry.rule)
    first = replace(trace, missed=(miss, *others))
    return Denial(
        cause=cause,
        direction=look.direction,
        leg=look.leg,
        trace=first,
        rule=hint.entry.rule,
        path=hint.path,
        hint=hint,
    )


def _of_rejected(rule: RejectedRule, leg: Leg, direction: Direction) -> Denial:
    policy = rule.policy
    ref = RuleRef(policy.ref, rule.path, policy.file, policy.line)
    by = "the API server" if policy.refused_by == "api-server" else "Cilium"
    text = (
        f"{sentences.rule_name(ref)} would allow this, but {by} refuses the object, "
        f"so nothing of it is enforced: {policy.reason}"
    )
    detail = "if an older version of it was valid, agents keep that until they restart"
    confidence = Confidence.CERTAIN if rule.certain else Confidence.LIKELY
    code = CauseCode.POLICY_REJECTED
    cause = Cause(code, sentences.sentence(text), sentences.sentence(detail), confidence)
    placed = sentences.place(cause, policy.manifest, policy.path or rule.path)
    trace = leg.direction(direction)
    miss = Miss(ref, Dimension.PEER, "an object that is accepted", policy.reason, policy.path,
                nearness=_NEAREST)  # fmt: skip
    first = replace(trace, missed=(miss, *trace.missed))
    return Denial(cause=placed, direction=direction, leg=leg, trace=first, rule=ref, path=rule.path)


def _plain(look: Look, engine: Engine) -> Denial:
    """Default deny, in the words of what stands at the other end."""
    leg = look.leg
    cause = _of_entity(sentences.of_default_deny(leg, look.direction), look)
    trace = leg.direction(look.direction)
    near = sentences.near(trace.nearest)
    meant = say_meant(near, look, engine) if near is not None else ""
    detail = cause.detail
    if near is not None and not meant and is_about_others(near, look, engine):
        detail = sentences.of_others(near, look.direction)
    said = [detail, _only_denies(look, engine), sentences.sentence(meant) if meant else ""]
    said += map(sentences.sentence, say_service_subject(look))
    cause = replace(cause, detail=" ".join(one for one in said if one))
    if near is not None:
        path = near.path or near.rule.path
        placed = sentences.place(cause, manifest_of(near.rule.policy, engine), path)
        return Denial(
            cause=placed, direction=look.direction, leg=leg, trace=trace, rule=near.rule, path=path
        )
    if not trace.default_deny_by:
        return Denial(cause, look.direction, leg, trace)
    rule = _list_of(trace.default_deny_by[0], look.direction, engine)
    return _at_rule(cause, rule, leg, look.direction, engine)


def deny_only_policies(look: Look, engine: Engine) -> tuple[ObjectRef, ...]:
    """The policies that close a direction, where all of them only deny in it; else none."""
    closing = {rule.policy for rule in look.leg.direction(look.direction).default_deny_by}
    if not engine.cluster.config.non_default_deny_policies:
        return ()
    effects = {
        entry.effect
        for policy in engine.policies
        for entry in (policy.entries if policy.ref in closing else ())
        if entry.direction is look.direction and look.selects_subject(entry)
    }
    return tuple(sorted(closing)) if effects == {Effect.DENY} else ()


def _only_denies(look: Look, engine: Engine) -> str:
    refs = deny_only_policies(look, engine)
    return sentences.only_denies(refs, look.direction) if refs else ""


def _of_entity(cause: Cause, look: Look) -> Cause:
    """Name the entity at the other end, unless a rule names it and only its port fails."""
    ingress = look.direction is Direction.INGRESS
    if look.named_by_a_rule:
        return cause
    if look.is_apiserver:
        text = "the API server reaches pods as the entity kube-apiserver"
        if not ingress:
            text = "to a pod the API server is the entity kube-apiserver"
        return _said_also(cause, CauseCode.KUBE_APISERVER_ENTITY, text)
    if look.peer.kind is not IdentityKind.INGRESS:
        return cause
    if ingress:
        return gateway_cause(cause, look.leg)
    return _said_also(cause, CauseCode.INGRESS_ENTITY, "the gateway is the entity ingress")


def _said_also(cause: Cause, code: CauseCode, text: str) -> Cause:
    summary = sentences.sentence(f"{cause.summary[:-1]}; {text}")
    return replace(cause, code=code, summary=summary)


def _list_of(rule: RuleRef, direction: Direction, engine: Engine) -> RuleRef:
    """The list of rules that lacks one, in the policy that closes the direction."""
    head = rule.path.partition(".")[0]
    path = f"{head}.{direction.value}"
    manifest = manifest_of(rule.policy, engine)
    if manifest is None or at_path(manifest.body, path) is None:
        return rule
    return RuleRef(rule.policy, path, *manifest.place_of(path))


def gateway_cause(cause: Cause, leg: Leg, direction: Direction = Direction.INGRESS) -> Cause:
    """Traffic of the gateway carries the identity `ingress`, never a namespace or a client's.

    On the way in the backend must admit that entity, or the gateway's own policy the client; on
    the way out the gateway's own policy must allow the backend.
    """
    policies = sentences.names_of(
        [rule.policy for rule in leg.direction(direction).default_deny_by]
    )
    if direction is Direction.EGRESS:
        text = f"{policies} does not let the gateway (entity ingress) reach {_place(leg)}"
    elif leg.destination.peer.kind is IdentityKind.INGRESS:
        text = f"{policies} does not let {leg.source.text} enter the gateway (entity ingress)"
    else:
        text = f"{policies} does not admit the entity ingress at {_place(leg)}; {_NOT_THE_CLIENT}"
    return replace(cause, code=CauseCode.INGRESS_ENTITY, summary=sentences.sentence(text))


_NOT_THE_CLIENT = (
    "traffic of the gateway carries that identity, neither a namespace nor the client's"
)


def meant_for_gateway(denial: Denial, client: ResolvedEnd, engine: Engine) -> Denial:
    """Point at the rule of a backend that admits the client or the gateway's namespace instead."""
    subject = denial.leg.destination.peer.endpoint
    route = client.route or denial.leg.destination.route
    if subject is None or denial.direction is not Direction.INGRESS:
        return denial
    question = denial.leg.question
    seen = engine.identity_of(client.peer, seen_from=subject)
    for entry in engine.entries_selecting(subject):
        fits = engine.fits_port(entry, subject, question.port, question.protocol)
        if entry.direction is not Direction.INGRESS or not fits or entry.effect is Effect.DENY:
            continue
        for selector in entry.peers or ():
            admitted = _admitted(selector, seen, route)
            if admitted:
                return _instead(denial, entry, selector.path, admitted, engine)
    return denial


def _admitted(selector: PeerSelector, client: Identity, route: GatewayRoute | None) -> str:
    if selector.selects(client):
        return "the client"
    namespace = route.gateway.partition("/")[0] if route else ""
    words = (f"{NAMESPACE_KEY}={namespace}", f"{NAMESPACE_NAME_LABEL}={namespace}")
    if namespace and any(word in selector.text for word in words):
        return f"namespace {namespace}"
    return ""


def _instead(denial: Denial, entry: Entry, path: str, admitted: str, engine: Engine) -> Denial:
    text = (
        f"{sentences.rule_name(entry.rule)} admits {admitted}, but traffic of the gateway carries "
        f"the identity ingress, neither a namespace nor the client's"
    )
    cause = replace(denial.cause, summary=sentences.sentence(text), detail="")
    placed = sentences.place(cause, manifest_of(entry.rule.policy, engine), path)
    return replace(denial, cause=placed, rule=entry.rule, path=path)


def client_cause(cause: Cause, leg: Leg) -> Cause:
    """The client may reach the gateway, but its egress policy is asked about the backend."""
    policies = sentences.names_of(leg.trace.egress.selected_by)
    text = (
        f"{policies} {'let' if ',' in policies else 'lets'} {leg.source.text} reach the entity "
        f"ingress, but the gateway asks its egress policy about the backend, {_place(leg)}, which "
        f"no rule allows"
    )
    return replace(cause, code=CauseCode.INGRESS_ENTITY, summary=sentences.sentence(text))


def _place(leg: Leg) -> str:
    return sentences.destination_text(leg)


def _refused_request(leg: Leg, direction: Direction, engine: Engine) -> Denial:
    trace = leg.direction(direction)
    request = leg.question.request
    tried = [one for one in trace.requests if not one.allowed]
    code = CauseCode.L7_REQUEST_REFUSED
    if isinstance(request, DnsRequest):
        code = CauseCode.DNS_NAME_REFUSED
    rule = tried[0].rule if tried else next((one.rule for one in trace.matched), None)
    policy = f"`{rule.policy.name}`" if rule else sentences.names_of(trace.selected_by)
    only = ", ".join(dict.fromkeys(one.text for one in tried[:3]))
    text = f"{policy} does not let {leg.source.text} {request_text(request)}"
    text += f"; it allows {only}" if only else ""
    detail = (
        "paths, methods and hosts are matched whole" if isinstance(request, HttpRequest) else ""
    )
    cause = Cause(code, sentences.sentence(text), sentences.sentence(detail) if detail else "")
    if rule is None:
        return Denial(cause, direction, leg, trace)
    denial = _at_rule(cause, rule, leg, direction, engine)
    path = _requests_path(rule, engine)
    placed = sentences.place(denial.cause, manifest_of(rule.policy, engine), path)
    return replace(denial, cause=placed, path=path)


def _requests_path(rule: RuleRef, engine: Engine) -> str:
    """Where a rule says which requests it lets through: the very item where there is but one."""
    for policy in engine.policies:
        for entry in policy.entries if policy.ref == rule.policy else ():
            for ports in entry.ports if entry.rule == rule else ():
                if path := _layer7_path(ports.layer7):
                    return f"{ports.path}.{path}"
    return rule.path


def _layer7_path(layer7: Layer7) -> str:
    for kind, items in (("http", layer7.http), ("dns", layer7.dns)):
        if items:
            return f"rules.{kind}[0]" if len(items) == 1 else f"rules.{kind}"
    if layer7.has_rules:
        return "rules"
    return "serverNames" if layer7.server_names else ""


def request_text(request: Request | None) -> str:
    """Say what is asked above layer 4, as a verb phrase."""
    if isinstance(request, HttpRequest):
        return f"send {request.method} {request.path}"
    if isinstance(request, DnsRequest):
        return f"ask DNS for {request.name}"
    return f"open TLS for {request.name}" if request is not None else "send this request"
