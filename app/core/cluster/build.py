"""Raw Kubernetes objects to a `Cluster`.

Policies stay raw; everything else is read here once. An object that cannot be read becomes a
notice with its file and line, and the rest is used.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TypeVar

from app.core.cluster import kinds, network, nodes, pods, redirects, resolvers, routes
from app.core.cluster import settings as agent
from app.core.cluster.book import PodBook, PodReader
from app.core.cluster.identity import bare_namespace
from app.core.cluster.tree import BrokenObject, Tree, pairs, section
from app.core.model.cluster import (
    Address,
    CidrGroup,
    Cluster,
    ClusterConfig,
    Endpoint,
    GatewayRoute,
    Namespace,
    Node,
    Service,
)
from app.core.model.kinds import POLICY_KINDS
from app.core.model.labels import Label, LabelSet
from app.core.model.provenance import Manifest, Notice
from app.core.text import clean

ROUTE_KINDS = ("HTTPRoute", "TLSRoute", "GRPCRoute")

_NUMBER = re.compile(r"[0-9]{1,10}", re.ASCII)
"""An identity is 24 bits wide, or 32 with its scope."""

_UNFORESEEN = (TypeError, ValueError, LookupError, AttributeError, ArithmeticError, RecursionError)

T = TypeVar("T")


def build_cluster(
    manifests: Iterable[Manifest],
    config: ClusterConfig | None = None,
    settings: Mapping[str, str] | None = None,
    *,
    version: tuple[int, int, int] | None = None,
    before: Cluster | None = None,
) -> Cluster:
    """Build the cluster as policies see it; pods that are as they were `before` are shared with it.

    `config`, when given, is used as it is; otherwise the agent's ConfigMap, the DaemonSet's image
    tag, `settings` (keys of `cilium-config`, which win) and `version`, which wins over the image,
    say how the agent is set up.
    """
    book = before.book if before is not None else None
    builder = _Builder(_sorted_by_kind(manifests), book if isinstance(book, PodBook) else None)
    return builder.build(config or builder.config(settings or {}, version))


def _sorted_by_kind(manifests: Iterable[Manifest]) -> dict[str, list[Manifest]]:
    found: dict[str, list[Manifest]] = {}
    for manifest in manifests:
        found.setdefault(manifest.ref.kind, []).append(manifest)
    return found


@dataclass(slots=True)
class _Builder:
    by_kind: Mapping[str, list[Manifest]]
    before: PodBook | None = None
    book: PodBook | None = None
    notices: list[Notice] = field(default_factory=list)

    def build(self, config: ClusterConfig) -> Cluster:
        found = [manifest for kind in sorted(POLICY_KINDS) for manifest in self._of(kind)]
        policies = tuple(manifest for manifest in found if kinds.is_policy(manifest))
        others = [manifest for manifest in found if not kinds.is_policy(manifest)]
        others += self._of(*kinds.UNMODELLED_KINDS)
        self.notices += kinds.unmodelled(others, config)
        namespaces = self._namespaces()
        services, api_server = self._services()
        led = tuple(self._routes(namespaces))
        return Cluster(
            config=config,
            namespaces=namespaces,
            endpoints=tuple(self._endpoints(namespaces, config)),
            services=services,
            nodes=self._nodes(),
            cidr_groups=tuple(self._cidr_groups()),
            routes=tuple(one for one in led if not one.controller and one.parent == "Gateway"),
            other_routes=tuple(one for one in led if one.controller or one.parent != "Gateway"),
            redirects=tuple(
                self._read(self._of("CiliumLocalRedirectPolicy"), redirects.read_redirect)
            ),
            apiserver_addresses=tuple(sorted(api_server, key=str)),
            local_addresses=self._local_addresses(services),
            policies=policies,
            dns_addresses=self._dns_addresses(),
            notices=tuple(self.notices),
            book=self.book,
        )

    def _of(self, *kinds: str) -> Iterator[Manifest]:
        return (manifest for kind in kinds for manifest in self.by_kind.get(kind, ()))

    def _read(self, manifests: Iterable[Manifest], read: Callable[[Manifest], T]) -> Iterator[T]:
        """Yield what each object is read as; a broken one becomes a notice.

        The named supervisor of objects: one of a shape that nobody foresaw costs itself only.
        """
        for manifest in manifests:
            try:
                found = read(manifest)
            except BrokenObject as error:
                broken = error.within(manifest.body)
                self._leave_out(manifest, str(broken), broken.path)
                continue
            except _UNFORESEEN as error:
                self._leave_out(manifest, f"of a shape not foreseen ({error})", "")
                continue
            yield found

    def _leave_out(self, manifest: Manifest, why: str, path: str) -> None:
        said = clean(f"{manifest.ref} is left out: {why}")
        line = manifest.line_of(path)
        self.notices.append(Notice(said, manifest.file, line, manifest.ref, "error"))

    def config(
        self, given: Mapping[str, str], version: tuple[int, int, int] | None
    ) -> ClusterConfig:
        config = ClusterConfig()
        daemonsets = (item for item in self._of("DaemonSet") if _is_agent(item))
        read = self._read(daemonsets, lambda item: agent.version_of_daemonset(item.body))
        for known in (*read, version):
            if known is not None:
                config = replace(config, cilium_version=known)
        found: dict[str, str] = {}
        maps = (item for item in self._of("ConfigMap") if item.ref.name == agent.CONFIG_MAP)
        for data in self._read(maps, lambda item: pairs(item.body, "data")):
            found.update(data)
        found.update(given)
        return agent.apply_settings(config, found)

    def _namespaces(self) -> dict[str, Namespace]:
        found = {
            namespace.name: namespace
            for namespace in self._read(self._of("Namespace"), _read_namespace)
        }
        missing = sorted(
            {
                manifest.ref.namespace
                for manifests in self.by_kind.values()
                for manifest in manifests
                if manifest.ref.namespace and manifest.ref.namespace not in found
            }
        )
        if missing:
            named = ", ".join(missing)
            text = f"no Namespace object for {named}: only the name is known of its labels"
            self.notices.append(Notice(text, severity="info"))
        found.update((name, bare_namespace(name)) for name in missing)
        return found

    def _services(self) -> tuple[tuple[Service, ...], frozenset[Address]]:
        backends: network.Backends = {}
        for kind, read in (
            ("EndpointSlice", network.read_endpoint_slice),
            ("Endpoints", network.read_endpoints),
        ):
            for _ in self._read(self._of(kind), partial(read, backends=backends)):
                pass
        services = self._read(self._of("Service"), network.read_service)
        api_server = backends.get(network.API_SERVER_SERVICE, [])
        return (
            network.with_backends(services, backends),
            frozenset(backend.address for backend in api_server),
        )

    def _nodes(self) -> tuple[Node, ...]:
        parts: dict[str, list[nodes.NodePart]] = {}
        for kind, read in (("Node", nodes.read_node), ("CiliumNode", nodes.read_cilium_node)):
            for name, part in self._read(self._of(kind), partial(_named, read=read)):
                parts.setdefault(name, []).append(part)
        return tuple(nodes.make_node(name, known) for name, known in parts.items())

    def _local_addresses(self, services: tuple[Service, ...]) -> tuple[Address, ...]:
        """Give what nodes have for themselves; a Service's address among them is translated."""
        virtual = {ip for service in services for ip in service.cluster_ips}
        found: dict[Address, None] = {}
        known = self.book.pods if self.book is not None else {}
        for manifest in self._of("Pod", "DaemonSet"):
            if (read := known.get(id(manifest))) is not None:
                if read.local:
                    found.update(dict.fromkeys(read.local))
                continue
            with suppress(BrokenObject):  # the reader of pods says what is wrong with it
                found.update(dict.fromkeys(nodes.local_addresses(manifest)))
        return tuple(ip for ip in found if ip not in virtual)

    def _dns_addresses(self) -> tuple[Address, ...]:
        maps = (one for one in self._of("ConfigMap") if resolvers.is_kubelet_config(one))
        found = self._read(maps, lambda one: tuple(resolvers.cluster_dns(one)))
        return tuple(dict.fromkeys(address for several in found for address in several))

    def _cidr_groups(self) -> Iterator[CidrGroup]:
        for group, notices in self._read(self._of("CiliumCIDRGroup"), network.read_cidr_group):
            self.notices += notices
            yield group

    def _routes(self, namespaces: Mapping[str, Namespace]) -> Iterator[GatewayRoute]:
        classes = {name: controller for name, controller, _ in self._classes("GatewayClass")}
        gateways = dict(
            self._read(
                self._of("Gateway"),
                lambda item: (
                    (item.ref.namespace, item.ref.name),
                    routes.read_gateway(item.body, classes),
                ),
            )
        )
        grants = self._read(self._of("ReferenceGrant"), routes.read_grant)
        known = tuple(grant for several in grants for grant in several)
        given = known if self.by_kind.get("ReferenceGrant") else None
        around = routes.Surroundings(gateways, namespaces, given)
        for found in self._read(
            self._of(*ROUTE_KINDS), lambda item: list(routes.read_route(item, around))
        ):
            yield from found
        yield from self._ingresses()

    def _ingresses(self) -> Iterator[GatewayRoute]:
        known = list(self._classes("IngressClass"))
        classes = {name: controller for name, controller, _ in known}
        default = next((name for name, _, is_default in known if is_default), "")
        for found in self._read(
            self._of("Ingress"),
            lambda item: routes.read_ingress(
                item, routes.is_own_ingress(item.body, classes, default)
            ),
        ):
            yield from found

    def _classes(self, kind: str) -> Iterator[tuple[str, str, bool]]:
        return self._read(self._of(kind), routes.read_class)

    def _endpoints(
        self, namespaces: Mapping[str, Namespace], config: ClusterConfig
    ) -> Iterator[Endpoint]:
        owners = pods.Owners()
        for _ in self._read(self._of("ReplicaSet", "Job"), owners.add):
            pass
        published = self._published()
        numbers = dict(self._read(self._of("CiliumIdentity"), _read_identity))
        reader = PodReader(PodBook(config, owners, namespaces), self.before)
        seen = reader.seen(self._read(self._of("Pod"), reader.plain), published, numbers)
        self.book = reader.finished()
        yield from seen
        present = frozenset(
            (pod.namespace, pod.workload) for pod in seen if pod.workload is not None
        )
        templates = self._read(
            self._of(*pods.TEMPLATE_KINDS),
            lambda item: pods.template_endpoint(item, present, namespaces, config),
        )
        yield from (template for template in templates if template is not None)

    def _published(self) -> dict[tuple[str, str], pods.CiliumEndpoint]:
        found = dict(
            pair
            for slices in self._read(
                self._of("CiliumEndpointSlice"),
                lambda item: list(pods.read_endpoint_slice(item.body)),
            )
            for pair in slices
        )
        for manifest, endpoint in self._read(
            self._of("CiliumEndpoint"),
            lambda item: (item, pods.read_cilium_endpoint(item.body)),
        ):
            found[manifest.ref.namespace, manifest.ref.name] = endpoint
        return found


def _named(
    manifest: Manifest, read: Callable[[Tree], nodes.NodePart]
) -> tuple[str, nodes.NodePart]:
    return manifest.ref.name, read(manifest.body)


def _is_agent(manifest: Manifest) -> bool:
    return manifest.ref.name == agent.AGENT_DAEMONSET


def _read_namespace(manifest: Manifest) -> Namespace:
    """Read a Namespace; the API server adds the label with its name."""
    name = manifest.ref.name
    labels = pairs(section(manifest.body, "metadata"), "labels")
    return Namespace(name, {**bare_namespace(name).labels, **labels})


def _read_identity(manifest: Manifest) -> tuple[int, LabelSet]:
    labels = []
    for key, value in pairs(manifest.body, "security-labels").items():
        source, colon, name = key.partition(":")
        labels.append(Label(source, name, value) if colon else Label("unspec", key, value))
    if not _NUMBER.fullmatch(manifest.ref.name):
        raise BrokenObject("metadata.name", "an identity's number")
    return int(manifest.ref.name), LabelSet(labels)
