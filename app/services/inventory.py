"""What there is: policies with what they select, endpoints with what restricts them.

Plain functions over a `Picture`. Policies are listed as objects were read, one row each, also
those that Cilium refuses and those that stand in two files.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

from app.core.errors import Ambiguous, NotFound
from app.core.model.cluster import Endpoint
from app.core.model.kinds import SHORT_KINDS
from app.core.model.provenance import Manifest, Notice, ObjectRef
from app.core.model.verdict import Direction
from app.core.policy.rules import ParsedPolicy, RejectedPolicy
from app.core.text import clean
from app.services.picture import Picture
from app.services.rule_tree import RuleNode, rule_items, rule_tree, written_directions
from app.services.wording import place

Scope = Callable[[str], bool]
"""Says whether a namespace is wanted; cluster-wide objects have the empty one."""


def everywhere(_namespace: str) -> bool:
    """The scope that leaves nothing out."""
    return True


@dataclass(frozen=True, slots=True)
class PolicyRow:
    """One policy object. `reason` says why it is not in force, empty when it is.

    `selects` counts the endpoints whose traffic it judges; where no pod was read it is not
    `counted` and means nothing. `shadowed`: another object of the same name is in force. `created`
    is the API server's time stamp, empty for files.
    """

    ref: ObjectRef
    directions: tuple[str, ...]
    selects: int
    rules: int
    l7: bool = False
    fqdn: bool = False
    deny: bool = False
    reason: str = ""
    shadowed: bool = False
    notices: tuple[Notice, ...] = ()
    file: str | None = None
    line: int | None = None
    deployed_by: tuple[str, ...] = ()
    created: str = ""
    manifest: Manifest | None = field(default=None, compare=False, repr=False)
    counted: bool = True

    @property
    def valid(self) -> bool:
        """Whether the object is in force."""
        return not self.reason


@dataclass(frozen=True, slots=True)
class PolicyDetail:
    """A policy in full: `tree` by `app.services.rule_tree`, `yaml` as it stands in the cluster."""

    row: PolicyRow
    tree: tuple[RuleNode, ...]
    yaml: str
    endpoints: tuple[Endpoint, ...]
    description: str = ""


@dataclass(frozen=True, slots=True)
class EndpointRow:
    """One endpoint. `egress` and `ingress` are the policies that judge that direction.

    Without default deny a direction is open to what its policies do not speak of.
    """

    endpoint: Endpoint
    egress: tuple[ObjectRef, ...]
    ingress: tuple[ObjectRef, ...]
    egress_default_deny: bool
    ingress_default_deny: bool


@dataclass(frozen=True, slots=True)
class EndpointDetail:
    """An endpoint in full, with the rows of the policies that select it."""

    row: EndpointRow
    policies: tuple[PolicyRow, ...]
    services: tuple[str, ...]


def policy_rows(picture: Picture, scope: Scope = everywhere) -> tuple[PolicyRow, ...]:
    """Every policy object of the wanted namespaces, by kind, namespace and name."""
    reader = _Policies(picture)
    rows = [reader.row(one) for one in picture.cluster.policies if scope(one.ref.namespace)]
    rows += [reader.shadowed_row(one) for one in picture.shadowed if _is_policy(one, scope)]
    return tuple(sorted(rows, key=lambda row: (row.ref, row.file or "")))


def policy_detail(picture: Picture, row: PolicyRow) -> PolicyDetail:
    """One policy in full."""
    manifest = row.manifest
    if manifest is None:
        raise AssertionError("a row of `policy_rows` has its manifest")
    spec = manifest.body.get("spec")
    description = clean(str(spec.get("description", ""))) if isinstance(spec, dict) else ""
    return PolicyDetail(
        row,
        rule_tree(manifest),
        object_yaml(manifest),
        picture.engine.selected_endpoints(row.ref) if row.valid else (),
        description,
    )


def find_policies(picture: Picture, text: str, scope: Scope = everywhere) -> tuple[PolicyRow, ...]:
    """The policies called `text`: NAME, NS/NAME, KIND/NS/NAME, or CNP/NS/NAME."""
    return tuple(row for row in policy_rows(picture, scope) if text in _names(row.ref))


def one_policy(picture: Picture, text: str) -> ObjectRef:
    """The one policy called `text`, as in `find_policies`; raises `NotFound` or `Ambiguous`."""
    found = tuple(dict.fromkeys(row.ref for row in find_policies(picture, text)))
    if not found:
        raise NotFound(f"no policy is called `{text}`")
    if len(found) > 1:
        choices = tuple(map(str, found))
        raise Ambiguous(f"`{text}` is {len(found)} policies: {', '.join(choices)}", choices=choices)
    return found[0]


def endpoint_rows(picture: Picture, scope: Scope = everywhere) -> tuple[EndpointRow, ...]:
    """Every endpoint of the wanted namespaces, by namespace and name."""
    standings = _Standings(picture)
    chosen = [one for one in picture.cluster.endpoints if scope(one.namespace)]
    return tuple(standings.row(one) for one in sorted(chosen, key=lambda one: one.key))


def endpoint_detail(picture: Picture, endpoint: Endpoint) -> EndpointDetail:
    """One endpoint in full."""
    row = _Standings(picture).row(endpoint)
    refs = {*row.egress, *row.ingress}
    policies = tuple(one for one in policy_rows(picture) if one.ref in refs)
    return EndpointDetail(row, policies, tuple(_services_of(picture, endpoint)))


def object_yaml(manifest: Manifest) -> str:
    """The object as YAML, without the bookkeeping of the API server."""
    import yaml

    metadata = manifest.body.get("metadata")
    kept = {key: value for key, value in manifest.body.items() if key != "status"}
    if isinstance(metadata, dict):
        noise = ("managedFields", "resourceVersion", "uid", "generation", "selfLink")
        kept["metadata"] = {key: value for key, value in metadata.items() if key not in noise}
    return str(yaml.safe_dump(kept, sort_keys=False, allow_unicode=True, width=100))


@dataclass(frozen=True, slots=True)
class _Standing:
    """What endpoints of one identity have in common."""

    policies: tuple[ParsedPolicy, ...]
    egress: tuple[ObjectRef, ...]
    ingress: tuple[ObjectRef, ...]
    egress_default_deny: bool
    ingress_default_deny: bool


@dataclass(slots=True)
class _Standings:
    """Asks the engine once for each identity: pods of one workload have the same answer."""

    picture: Picture
    known: dict[object, _Standing] = field(default_factory=dict)

    def of(self, endpoint: Endpoint) -> _Standing:
        key = (endpoint.namespace, endpoint.labels, endpoint.managed, endpoint.host_network)
        found = self.known.get(key)
        if found is None:
            found = self.known[key] = self._ask(endpoint)
        return found

    def row(self, endpoint: Endpoint) -> EndpointRow:
        standing = self.of(endpoint)
        return EndpointRow(
            endpoint,
            standing.egress,
            standing.ingress,
            standing.egress_default_deny,
            standing.ingress_default_deny,
        )

    def count_selected(self) -> Counter[ObjectRef]:
        """How many endpoints each policy selects."""
        counts: Counter[ObjectRef] = Counter()
        for endpoint in self.picture.cluster.endpoints:
            counts.update({policy.ref for policy in self.of(endpoint).policies})
        return counts

    def _ask(self, endpoint: Endpoint) -> _Standing:
        engine = self.picture.engine
        policies = engine.policies_selecting(endpoint)
        return _Standing(
            policies,
            _speaking_of(policies, Direction.EGRESS),
            _speaking_of(policies, Direction.INGRESS),
            engine.default_deny(endpoint, Direction.EGRESS),
            engine.default_deny(endpoint, Direction.INGRESS),
        )


@dataclass(slots=True)
class _Policies:
    """Reads rows, with the engine's opinion of every object at hand."""

    picture: Picture
    parsed: dict[ObjectRef, ParsedPolicy] = field(init=False)
    rejected: dict[ObjectRef, RejectedPolicy] = field(init=False)
    selected: Counter[ObjectRef] = field(init=False)
    told: dict[ObjectRef, list[Notice]] = field(init=False)

    def __post_init__(self) -> None:
        self.parsed = {one.ref: one for one in self.picture.engine.policies}
        self.rejected = {one.ref: one for one in self.picture.engine.rejected}
        self.selected = _Standings(self.picture).count_selected()
        self.told = {}
        for notice in self.picture.notices:
            if notice.ref is not None:
                self.told.setdefault(notice.ref, []).append(notice)

    def row(self, manifest: Manifest) -> PolicyRow:
        ref = manifest.ref
        if rejected := self.rejected.get(ref):
            return replace(_written(manifest), reason=rejected.reason, notices=self._notices(ref))
        return replace(
            _written(manifest),
            selects=self.selected[ref],
            counted=bool(self.picture.cluster.endpoints),
            notices=self._notices(ref),
        )

    def shadowed_row(self, manifest: Manifest) -> PolicyRow:
        if manifest.source and manifest.source.orphan:
            told = tuple(self.told.get(manifest.ref, ()))
            reason = "nothing deploys it"
            return replace(_written(manifest), reason=reason, shadowed=True, notices=told)
        winner = next(
            (one for one in self.picture.cluster.policies if one.ref == manifest.ref), None
        )
        at = place(winner.file, winner.line_of("")) if winner else ""
        reason = f"the same object stands in {at or 'another place'}, which is in force"
        return replace(_written(manifest), reason=reason, shadowed=True)

    def _notices(self, ref: ObjectRef) -> tuple[Notice, ...]:
        parsed = self.parsed.get(ref)
        return (*self.told.get(ref, ()), *(parsed.warnings if parsed else ()))


def _is_policy(manifest: Manifest, scope: Scope) -> bool:
    return manifest.ref.kind in SHORT_KINDS and scope(manifest.ref.namespace)


def _written(manifest: Manifest) -> PolicyRow:
    """A row of what stands in the object, before anybody is asked what it does."""
    source = manifest.source
    items = list(rule_items(manifest))
    return PolicyRow(
        manifest.ref,
        written_directions(manifest),
        selects=0,
        rules=len(items),
        l7=any("rules" in entry for _, _, item in items for entry in _port_entries(item)),
        fqdn=any("toFQDNs" in item for _, _, item in items),
        deny=any(name.endswith("Deny") for name, _, _ in items),
        file=manifest.file,
        line=source.line if source else None,
        deployed_by=source.deployed_by if source else (),
        created=_created(manifest),
        manifest=manifest,
    )


def _port_entries(item: object) -> Iterator[dict[str, object]]:
    entries = item.get("toPorts") if isinstance(item, dict) else None
    listed = entries if isinstance(entries, list) else ()
    yield from (one for one in listed if isinstance(one, dict))


def _created(manifest: Manifest) -> str:
    metadata = manifest.body.get("metadata")
    return str(metadata.get("creationTimestamp") or "") if isinstance(metadata, dict) else ""


def _names(ref: ObjectRef) -> tuple[str, ...]:
    short = SHORT_KINDS.get(ref.kind, ref.kind)
    tail = f"{ref.namespace}/{ref.name}" if ref.namespace else ref.name
    return ref.name, tail, str(ref), f"{ref.kind}/{tail}", f"{short}/{tail}", f"{short} {tail}"


def _speaking_of(policies: tuple[ParsedPolicy, ...], direction: Direction) -> tuple[ObjectRef, ...]:
    return tuple(dict.fromkeys(one.ref for one in policies if direction in one.directions))


def _services_of(picture: Picture, endpoint: Endpoint) -> Iterator[str]:
    for service in picture.cluster.services:
        if service.namespace != endpoint.namespace or not service.selector:
            continue
        if all(endpoint.pod_labels.get(key) == value for key, value in service.selector.items()):
            yield service.key


def find_endpoints(picture: Picture, text: str) -> tuple[Endpoint, ...]:
    """The endpoints that an end of a connection means. Raises `NotFound`, `Ambiguous`."""
    from app.core.diagnose.ends import parse_end, resolve

    ends = resolve(parse_end(text), picture.engine)
    return tuple(end.peer.endpoint for end in ends if end.peer.endpoint is not None)
