"""What of an answer may be written into a chat, which is outside the TRE.

Two things happen to every string of a reply. Whatever belongs to a namespace the caller may not
read (pods, addresses, files, the namespace itself) becomes `another project`. At the level
`minimal`, names that researchers choose are shortened: a workspace's pod to a digest, an address
outside to its block, a name outside that no policy lists to its last two labels and a digest.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from ipaddress import ip_address, ip_network

from app.bot.access import Level, Rules
from app.core.model.chat import Caller, Choice, Fact, Reply, Table
from app.core.model.cluster import Cluster, Endpoint
from app.services.picture import Picture

ANOTHER_PROJECT = "another project"

_ADDRESS = re.compile(r"(?<![\w.])(?:\d{1,3}\.){3}\d{1,3}(?![\w.]|/\d)")
_NAME = re.compile(
    r"(?<![\w./-])(?<!k8s:)(?<!any:)"  # label keys have dots too, and a source before them
    r"(?:[a-z0-9_](?:[-a-z0-9_]*[a-z0-9_])?\.)+[a-z]{2,}(?![\w/-]|\.\w)",
    re.IGNORECASE,
)
_URL_PATH = re.compile(r"\b(GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS) \S+")
_FILE_ENDINGS = (".yaml", ".yml", ".json")
_DIGEST_LENGTH = 8
_IPV4_BLOCK = 24
_IPV6_BLOCK = 48


@dataclass(frozen=True, slots=True)
class Disclosure:
    """Rewrites strings for one caller and one picture."""

    steps: tuple[Callable[[str], str], ...]
    hides: Callable[[str], bool]
    """Says whether a namespace must not be named."""

    def text(self, text: str) -> str:
        """The string as it may be written."""
        for step in self.steps:
            text = step(text)
        return text

    def reply(self, reply: Reply) -> Reply:
        """The reply as it may be written. What a choice asks for is not text and stays."""
        table = reply.table
        return replace(
            reply,
            summary=self.text(reply.summary),
            facts=tuple(Fact(one.label, self.text(one.text), one.code) for one in reply.facts),
            table=table
            and Table(table.head, tuple(tuple(map(self.text, row)) for row in table.rows)),
            choices=self._choices(reply.choices),
            footer=tuple(map(self.text, reply.footer)),
        )

    def _choices(self, choices: Iterable[Choice]) -> tuple[Choice, ...]:
        """Choices that read the same are one: pods of a workload have the same policies."""
        by_label: dict[str, Choice] = {}
        for choice in choices:
            label = self.text(choice.label)
            by_label.setdefault(label, Choice(label, choice.command))
        return tuple(by_label.values())


def disclosure_for(caller: Caller, rules: Rules, picture: Picture) -> Disclosure:
    """What this caller may read of this picture."""
    cluster = picture.cluster
    hidden = frozenset(
        namespace for namespace in cluster.namespaces if not rules.may_read(caller, namespace)
    )
    steps: list[Callable[[str], str]] = []
    if hidden:
        steps.append(_replacer(dict.fromkeys(_tokens(cluster, hidden), ANOTHER_PROJECT)))
    if rules.level is Level.MINIMAL:
        steps += [_replacer(_short_names(cluster)), _without_paths, _shorten_outside(cluster)]

    def hides(namespace: str) -> bool:
        return not rules.may_read(caller, namespace)

    return Disclosure(tuple(steps), hides)


def _tokens(cluster: Cluster, hidden: frozenset[str]) -> Iterator[str]:
    """Everything that names something of a hidden namespace.

    A bare name that something readable has too tells nothing, and stays.
    """
    named = list(_named(cluster))
    readable = {name for namespace, name in named if namespace not in hidden}
    yield from hidden
    for namespace, name in named:
        if namespace in hidden:
            yield f"{namespace}/{name}"
            if name not in readable:
                yield name
    for endpoint in cluster.endpoints:
        if endpoint.namespace in hidden:
            yield from map(str, endpoint.addresses)
    for service in cluster.services:
        if service.namespace in hidden:
            yield from map(str, service.cluster_ips)
    for policy in cluster.policies:
        if policy.ref.namespace in hidden:
            yield f"{policy.ref.namespace}/{policy.ref.name}"
            yield policy.file or policy.ref.namespace


def _named(cluster: Cluster) -> Iterator[tuple[str, str]]:
    """Namespace and name of every pod, workload and Service."""
    for endpoint in cluster.endpoints:
        yield endpoint.namespace, endpoint.name
        if endpoint.workload is not None:
            yield endpoint.namespace, endpoint.workload.name
    for service in cluster.services:
        yield service.namespace, service.name


def _replacer(names: Mapping[str, str]) -> Callable[[str], str]:
    """Replace whole names; the longest that fits wins, with a port or line behind it kept off."""
    if not names:
        return str
    longest_first = sorted(names, key=len, reverse=True)
    pattern = re.compile(
        r"(?<![\w.-])(?:" + "|".join(map(re.escape, longest_first)) + r")(?![\w-]|\.\w)"
    )
    return lambda text: pattern.sub(lambda match: names[match.group()], text)


def _short_names(cluster: Cluster) -> Mapping[str, str]:
    """Pods by what made them; those that nothing made are people's, so they get a digest."""
    names: dict[str, str] = {}
    for endpoint in cluster.endpoints:
        if (short := _short_name(endpoint)) != endpoint.name:
            names[endpoint.name] = short
            names[endpoint.key] = f"{endpoint.namespace}/{short}"
    return names


def _short_name(endpoint: Endpoint) -> str:
    if endpoint.template or endpoint.host_network:
        return endpoint.name
    if endpoint.workload is not None:
        return endpoint.workload.name
    stem = endpoint.name.partition("-")[0]
    return f"{stem}-…#{_digest(endpoint.key)[:4]}"


def _without_paths(text: str) -> str:
    return _URL_PATH.sub(r"\1 …", text)


def _shorten_outside(cluster: Cluster) -> Callable[[str], str]:
    inside = {str(address) for address in _inside_addresses(cluster)}
    listed = frozenset(_listed_names(cluster))

    def shorten_address(match: re.Match[str]) -> str:
        text = match.group()
        try:
            address = ip_address(text)
        except ValueError:
            return text
        if text in inside:
            return text
        bits = _IPV4_BLOCK if address.version == 4 else _IPV6_BLOCK  # noqa: PLR2004  # IP versions
        return str(ip_network(f"{address}/{bits}", strict=False))

    def shorten_name(match: re.Match[str]) -> str:
        name = match.group().lower()
        if name in listed or name.endswith(_FILE_ENDINGS):
            return match.group()
        return f"….{'.'.join(name.split('.')[-2:])} (sha256:{_digest(name)})"

    def shorten(text: str) -> str:
        return _NAME.sub(shorten_name, _ADDRESS.sub(shorten_address, text))

    return shorten


def _inside_addresses(cluster: Cluster) -> Iterator[object]:
    for endpoint in cluster.endpoints:
        yield from endpoint.addresses
    for service in cluster.services:
        yield from service.cluster_ips
    for node in cluster.nodes:
        yield from node.addresses
    for route in cluster.routes:
        yield from route.addresses


def _listed_names(cluster: Cluster) -> Iterator[str]:
    """Names that operators wrote themselves: in policies and labels, and on the gateway."""
    for route in cluster.routes:
        yield from route.hostnames
    for endpoint in cluster.endpoints:
        yield from endpoint.labels
    for policy in cluster.policies:
        for text in _strings(policy.body):
            yield text.rpartition(":")[2].lower()


def _strings(tree: object) -> Iterator[str]:
    if isinstance(tree, str):
        yield tree
    elif isinstance(tree, Mapping):
        for key, value in tree.items():
            yield str(key)
            yield from _strings(value)
    elif isinstance(tree, Iterable):
        for item in tree:
            yield from _strings(item)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:_DIGEST_LENGTH]
