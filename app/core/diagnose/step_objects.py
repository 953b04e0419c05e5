"""The steps that look at objects: both ends, and the Service between them."""

from __future__ import annotations

from dataclasses import replace

from app.core.cluster import commands
from app.core.cluster.pods import FINISHED_PHASES
from app.core.diagnose.arrival import comes_from_outside, entry_node
from app.core.diagnose.case import Case
from app.core.diagnose.ends import ResolvedEnd
from app.core.diagnose.finding import Finding, skipped
from app.core.diagnose.redirect import finds_nothing, in_words, why_nothing
from app.core.diagnose.routed import why_missing
from app.core.diagnose.sentences import sentence
from app.core.diagnose.services import no_such_port, selected_by
from app.core.model.answer import (
    Cause,
    CauseCode,
    Confidence,
    Evidence,
    NextStep,
    StepStatus,
)
from app.core.model.asked import EndKind
from app.core.model.cluster import Endpoint, IdentityKind, Service, ServicePort

_RUNNING = "Running"


def look_at_ends(case: Case) -> Finding:
    """Are both ends known and ready?"""
    ends = (case.sources[0], *case.destinations[:1])
    evidence = tuple(Evidence("object", _describe(end), end.text) for end in ends)
    shown = tuple(
        NextStep(f"show {end.endpoint.key}", commands.get_pod(end.endpoint))
        for end in ends
        if end.endpoint is not None and not end.endpoint.template
    )
    unknown = (*_not_seen(ends), *_others(case))
    if (cause := _ended(ends)) is not None:
        return Finding(StepStatus.PROBLEM, cause.summary, evidence, shown, cause, unknown=unknown)
    unready = [end for end in ends if not _is_ready(end)]
    if not unready:
        return Finding(StepStatus.FINE, "both ends are known", evidence, shown, unknown=unknown)
    text = f"{unready[0].text} is not ready"
    cause = _cause_of_unready(case, unready[0])
    return Finding(StepStatus.PROBLEM, text, evidence, shown, cause, unknown=unknown)


def _ended(ends: tuple[ResolvedEnd, ...]) -> Cause | None:
    """A pod that has ended is nobody any more, whatever policies say.

    Source: Cilium `pkg/k8s/watchers/pod.go`: addresses of a finished pod are given up.
    """
    for end in ends:
        pod = end.endpoint
        if pod is not None and pod.phase in FINISHED_PHASES:
            text = (
                f"{pod.key} has ended ({pod.phase}): it has neither an address nor an identity any "
                f"more, so nothing comes from it or reaches it; ask about a pod that runs, or by "
                f"label:{pod.namespace}/KEY=VALUE about the next one"
            )
            return Cause(CauseCode.UNMANAGED_ENDPOINT, sentence(text))
    return None


def _is_ready(end: ResolvedEnd) -> bool:
    pod = end.endpoint
    return pod is None or pod.template or (pod.ready and pod.phase == _RUNNING)


def _cause_of_unready(case: Case, end: ResolvedEnd) -> Cause | None:
    """A pod that is not up explains a failure only when policies allow it."""
    phase = end.endpoint.phase if end.endpoint else ""
    if case.denials or end.service is not None:
        return None
    if end is case.sources[0]:
        if phase == _RUNNING:
            return None
        text = f"policies allow this, but {end.text} is {phase}: Cilium does not manage it yet"
        return Cause(CauseCode.UNMANAGED_ENDPOINT, sentence(text), confidence=Confidence.LIKELY)
    state = "is not ready" if phase == _RUNNING else f"is {phase}"
    text = f"policies allow this, but {end.text} {state}, so nothing answers there"
    return Cause(CauseCode.BACKEND_NOT_READY, sentence(text), confidence=Confidence.LIKELY)


def _describe(end: ResolvedEnd) -> str:
    endpoint, peer = end.endpoint, end.peer
    if endpoint is None:
        return f"{end.text} is {_kind(peer.kind)}"
    parts = [f"{endpoint.key} is {'a pod template' if endpoint.template else 'a pod'}"]
    if endpoint.host_network:
        parts.append("on the host network, so it has the node's identity and no policy of its own")
    elif not endpoint.managed:
        parts.append("that Cilium does not manage (started before it, or not ready yet)")
    else:
        labels = [text for text in peer.labels.texts() if "io.cilium.k8s" not in text]
        parts.append(f"with identity labels {', '.join(labels)}")
    if endpoint.node:
        parts.append(f"on node {endpoint.node}")
    return " ".join(parts)


def _kind(kind: IdentityKind) -> str:
    if kind is IdentityKind.WORLD:
        return "outside the cluster"
    return f"the identity {kind.value}"


def _not_seen(ends: tuple[ResolvedEnd, ...]) -> tuple[str, ...]:
    return tuple(
        f"answered for the template of {end.endpoint.key}: no running pod of it was in the picture"
        for end in ends
        if end.endpoint is not None and end.endpoint.template
    )


def _others(case: Case) -> tuple[str, ...]:
    if len(case.sources) < 2:  # noqa: PLR2004  # one source needs no remark
        return ()
    return (f"{case.asked.source.text} has {len(case.sources)} identities; all of them were asked",)


def look_at_service(case: Case) -> Finding:
    """Does the Service lead to ready backends, and to which port of them?"""
    if (refused := _refused_redirect(case)) is not None:
        return refused
    if case.service is None:
        found = _redirected(case) or _no_node_port(case)
        return found or skipped("no Service is between them")
    return _look_between(case, case.service)


def _look_between(case: Case, service: Service) -> Finding:
    show = (NextStep("show the backends", commands.get_backends(service)),)
    missing = no_such_port(service, case.asked.port, case.engine.cluster)
    if missing and not case.destinations:
        return _without_port(service, missing, show)
    if service.external_name:
        text = f"Service {service.key} is another name for {service.external_name}"
        return Finding(StepStatus.FINE, text, (Evidence("object", text, service.key),), show)
    if not case.destinations:
        return _without_backends(case, service, show)
    end = case.destinations[0]
    if cause := _not_sent_to(case, service, end):
        return Finding(StepStatus.PROBLEM, cause.summary, (), show, cause)
    if end.service_port is None:
        return Finding(StepStatus.FINE, f"Service {service.key} declares no port", (), show)
    text = (
        f"Service {service.key}:{end.service_port.port} → pod port {end.port}/"
        f"{end.service_port.protocol}, {_count(case)}"
    )
    if end.redirect is not None:
        text = in_words(end.redirect, f"{end.text}:{end.port}/{end.service_port.protocol}")
    proof = (Evidence("object", text, service.key),)
    return Finding(StepStatus.FINE, text, proof, show, unknown=_untranslated(service, end))


def _untranslated(service: Service, end: ResolvedEnd) -> tuple[str, ...]:
    """What a headless Service leaves to the client: which port it connects to.

    Source: Kubernetes DNS specification 1.1.0 section 2.4: the name gives the pods' addresses.
    """
    own = end.service_port
    if not service.is_headless or own is None or own.port == end.port:
        return ()
    said = (
        f"which port clients use: Service {service.key} is headless, so its port {own.port} is not "
        f"translated and the pod itself must be asked for at {end.port}"
    )
    return (said,)


def _redirected(case: Case) -> Finding | None:
    """An address whose connections a redirect policy takes elsewhere."""
    end = next((one for one in case.destinations if one.redirect is not None), None)
    if end is None or end.redirect is None:
        return None
    text = in_words(end.redirect, f"{end.text}:{end.port}")
    return Finding(StepStatus.FINE, text, (Evidence("object", text, end.redirect.key),))


def _refused_redirect(case: Case) -> Finding | None:
    """A redirect policy that takes connections over and has no backend for them."""
    end = next((one for one in case.destinations if finds_nothing(one)), None)
    if end is None or end.redirect is None:
        return None
    text = why_nothing(end)
    cause = Cause(CauseCode.SERVICE_WITHOUT_BACKENDS, sentence(text))
    if end.redirect.source is not None:
        file, line = end.redirect.source.place_of("spec.redirectBackend")
        cause = replace(cause, file=file, line=line)
    proof = (Evidence("object", text, end.redirect.key),)
    return Finding(StepStatus.PROBLEM, cause.summary, proof, (), cause)


def _no_node_port(case: Case) -> Finding | None:
    """A node asked for at a port that only Services hand out, and no Service has.

    What a process of the node itself listens on is not to be seen, so it is likely, not certain.
    Source: Kubernetes `--service-node-port-range` (30000-32767 unless told otherwise).
    """
    main, end = case.main, case.asked.destination
    if main is None or case.denials or end.kind is not EndKind.ADDRESS:
        return None
    node = next((one for one in case.engine.cluster.nodes if end.address in one.addresses), None)
    port, protocol = main.question.port, main.question.protocol.value
    if node is None or port not in NODE_PORTS or protocol not in ("TCP", "UDP", "SCTP"):
        return None
    own = (one for one in case.engine.cluster.endpoints if one.node == node.name)
    if any((port, protocol) in _taken(pod) for pod in own):
        return None
    text = (
        f"no Service has the node port {port}/{protocol}, and no pod of {node.name} takes it: "
        f"ports {NODE_PORTS.start}-{NODE_PORTS.stop - 1} of a node are those of Services, so most "
        "likely nothing listens there, whatever policies allow"
    )
    cause = Cause(CauseCode.SERVICE_WITHOUT_BACKENDS, sentence(text), confidence=Confidence.LIKELY)
    return Finding(StepStatus.PROBLEM, cause.summary, (Evidence("object", text),), (), cause)


NODE_PORTS = range(30000, 32768)


def _taken(pod: Endpoint) -> set[tuple[int, str]]:
    """The ports of its node that a pod takes."""
    if pod.host_network:
        return {(one.port, one.protocol) for one in pod.ports}
    return {(one.host_port, one.protocol) for one in pod.ports if one.host_port}


def _not_sent_to(case: Case, service: Service, end: ResolvedEnd) -> Cause | None:
    """Why the Service sends nothing to the backends that it has."""
    if cause := _refused_entry(case, service, end):
        return _placed(cause, service)
    if not any(one.ready for one in case.destinations):
        return _not_ready(service, len(case.destinations), denied=bool(case.denials))
    if service.is_node_local and (elsewhere := _not_on_its_node(case, service)):
        return elsewhere
    if end.service_port is not None and end.port is None:
        return _unnamed_target(service, end.service_port, end)
    return None


def _without_port(service: Service, missing: str, show: tuple[NextStep, ...]) -> Finding:
    text = f"no such Service port: {missing}. Nothing listens there, whatever policies allow"
    cause = Cause(CauseCode.SERVICE_WITHOUT_BACKENDS, sentence(text))
    cause = _placed(cause, service, "spec.ports")
    return Finding(StepStatus.PROBLEM, missing, (Evidence("object", missing, service.key),), show,
                   cause)  # fmt: skip


def _refused_entry(case: Case, service: Service, end: ResolvedEnd) -> Cause | None:
    """Why a client outside gets no further than the node or load balancer it asks.

    Source: Kubernetes `ServiceSpec.externalTrafficPolicy`, `loadBalancerSourceRanges`; Cilium
    `bpf/lib/lb.h` (`lb4_src_range_ok`, DROP_NOT_IN_SRC_RANGE; load balancers' addresses only).
    """
    client = case.sources[0]
    if not comes_from_outside(client, end):
        return None
    node, address = entry_node(end, case.engine.cluster), client.peer.address
    if service.external_is_local and node is not None and not end.ready:
        text = (
            f"{node.name} has no ready backend of Service {service.key}, and its "
            f"externalTrafficPolicy is Local, so that node drops what comes in at {end.frontend}"
        )
        return Cause(CauseCode.SERVICE_WITHOUT_BACKENDS, sentence(text))
    ranges = service.source_ranges if node is None else ()
    if address is None or not ranges or any(address in block for block in ranges):
        return None
    text = (
        f"the loadBalancerSourceRanges of Service {service.key} do not hold {address}, so the load "
        "balancer drops it; look there, not at policies"
    )
    return Cause(CauseCode.NOT_A_POLICY_DROP, sentence(text))


def _count(case: Case) -> str:
    ready = sum(end.ready for end in case.destinations)
    return f"{ready} ready backend{'' if ready == 1 else 's'}"


def _without_backends(case: Case, service: Service, show: tuple[NextStep, ...]) -> Finding:
    selected = selected_by(service, case.engine.cluster)
    sure = service in case.engine.cluster.services
    if not sure:
        why = why_missing(service, case.engine.cluster)
    elif service.selector and not selected:
        chosen = ", ".join(f"{key}={value}" for key, value in sorted(service.selector.items()))
        why = f"no pod of `{service.namespace}` has the labels {chosen} that it selects"
    elif selected:
        why = "its EndpointSlices are empty"
    else:
        why = "it selects no pods and no EndpointSlice was made for it"
    text = f"Service {service.key} has no backends: {why}"
    confidence = Confidence.CERTAIN if sure else Confidence.LIKELY
    found = Cause(CauseCode.SERVICE_WITHOUT_BACKENDS, sentence(text), confidence=confidence)
    cause = _placed(found, service)
    return Finding(StepStatus.PROBLEM, text, (Evidence("object", text, service.key),), show, cause)


def _not_on_its_node(case: Case, service: Service) -> Cause | None:
    """With `internalTrafficPolicy: Local` a pod reaches the backends of its own node only.

    Source: Kubernetes `ServiceSpec.internalTrafficPolicy`.
    """
    pod = case.sources[0].endpoint
    nodes = {end.endpoint.node if end.endpoint else "" for end in case.destinations if end.ready}
    if pod is None or not pod.node or "" in nodes or pod.node in nodes:
        return None
    text = (
        f"Service {service.key} has no backend on {pod.node}, the node of {pod.key}, and its "
        f"internalTrafficPolicy is Local"
    )
    return _placed(Cause(CauseCode.SERVICE_WITHOUT_BACKENDS, sentence(text)), service)


def _not_ready(service: Service, count: int, *, denied: bool) -> Cause:
    """No backend is ready; that policies are not to blame is said only where they allow it."""
    pods, whose, them = "none of the {} backends", "pods'", "them"
    if count == 1:
        pods, whose, them = "the only backend", "pod's", "it"
    state = f"{pods.format(count)} of Service {service.key} is {'not ' * (count == 1)}ready"
    look = "policies deny it, too" if denied else f"look at the {whose} readiness, not at policies"
    text = f"{state}, so it sends nothing to {them}; {look}"
    return _placed(Cause(CauseCode.BACKEND_NOT_READY, sentence(text)), service)


def _unnamed_target(service: Service, port: ServicePort, end: ResolvedEnd) -> Cause:
    text = (
        f"Service {service.key} sends port {port.port} to the pod port named `{port.target}`, "
        f"which {end.text} does not declare"
    )
    return _placed(Cause(CauseCode.NAMED_PORT_UNRESOLVED, sentence(text)), service)


def _placed(cause: Cause, service: Service, path: str = "spec.selector") -> Cause:
    source = service.source
    if source is None:
        return cause
    file, line = source.place_of(path)
    return Cause(cause.code, cause.summary, cause.detail, cause.confidence, file, line, "spec")
