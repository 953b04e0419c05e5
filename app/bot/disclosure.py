"""What of an answer may be written into a chat, which is outside the TRE.

An answer is made from what its caller may see (`app.services.view`). Two things remain: names of
closed namespaces in texts about objects that may be seen (`app.bot.closed`), and, at the level
`minimal`, what researchers choose: pods, addresses and names outside, paths. Each word of an answer
is looked up among what the picture knows; a name or address that it does not know to be an
operator's is shortened. What the caller wrote is written as it came.
"""

from __future__ import annotations

import hashlib
import re
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from ipaddress import ip_address, ip_network

from app.bot.access import Level, Rules
from app.bot.closed import ANOTHER_PROJECT, closed_names
from app.core.diagnose.services import service_names
from app.core.model.asked import Asked
from app.core.model.chat import Caller, Fact, Reply, Table
from app.core.model.cluster import Cluster, Endpoint
from app.core.model.verdict import DnsRequest, HttpRequest, SniRequest
from app.services.picture import Picture

__all__ = ["ANOTHER_PROJECT", "Disclosure", "disclosure_for", "echo"]

_WORD = re.compile(r"[^\s`'\"(),;=|<>{}*…]+")
_REQUEST = re.compile(r"\b(GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS|CONNECT|TRACE) (\S+)")
_TAIL = re.compile(r"(?::\d+(?:/\w+)?)?[.:!?]*\Z")
"""A port or a line behind a word, and what ends a sentence."""
_NAME = re.compile(r"(?i)[a-z0-9_](?:[-a-z0-9_]*\.)+(?=[-a-z0-9_]*[a-z])[-a-z0-9_]+\Z")
_QUANTITY = re.compile(r"\d+\.\d+[a-zA-Z]{1,2}\Z")
_FIELDS = frozenset(
    re.findall(
        r"\w+",
        """
        spec specs metadata status rules dns http egress ingress egressDeny ingressDeny toPorts
        ports port toFQDNs matchName matchPattern endpointSelector podSelector namespaceSelector
        labels namespace matchLabels matchExpressions fromEndpoints toEndpoints serverNames toCIDR
        toCIDRSet fromCIDR fromCIDRSet toServices toEntities fromEntities from to
        """,
    )
)
"""Fields that our own sentences name by their path, as `rules.dns`."""
_DIGEST_LENGTH = 8
_BLOCKS = {4: 24, 6: 48}
_LABELS_KEPT = 2


@dataclass(frozen=True, slots=True)
class Disclosure:
    """Rewrites strings for one caller, one picture and one question."""

    steps: tuple[Callable[[str], str], ...] = ()
    own: tuple[str, ...] = ()
    """What the caller wrote, which is told as it came."""

    def text(self, text: str) -> str:
        """The string as it may be written."""
        if not self.own:
            return self._rewrite(text)
        kept = "|".join(map(re.escape, sorted(self.own, key=len, reverse=True)))
        parts = re.split(rf"(?<![\w.-])({kept})(?![\w-]|\.\w)", text)
        return "".join(part if at % 2 else self._rewrite(part) for at, part in enumerate(parts))

    def _rewrite(self, text: str) -> str:
        for step in self.steps:
            text = step(text)
        return text

    def reply(self, reply: Reply) -> Reply:
        """The reply as it may be written. The footer is the settings' and ours alone."""
        table, attached = reply.table, reply.attachment
        return replace(
            reply,
            summary=self.text(reply.summary),
            facts=tuple(Fact(one.label, self.text(one.text), one.code) for one in reply.facts),
            table=table
            and Table(table.head, tuple(tuple(map(self.text, row)) for row in table.rows)),
            attachment=attached and replace(attached, text=self.lines(attached.text)),
        )

    def lines(self, text: str) -> str:
        """A text of several lines as it may be written."""
        return "\n".join(map(self.text, text.splitlines()))


def disclosure_for(
    caller: Caller,
    rules: Rules,
    picture: Picture,
    *,
    asked: Asked | None = None,
    chosen: frozenset[str] = frozenset(),
) -> Disclosure:
    """What this caller may be told of this picture, which is what they may see of it.

    What they asked is theirs, but for the ends that they chose from what was offered.
    """
    steps: list[Callable[[str], str]] = []
    if patterns := rules.closed_to(caller):
        steps.append(closed_names(lambda name: not rules.may_read(caller, name), patterns))
    if rules.level is Level.MINIMAL:
        steps.append(_minimal_of(picture).text)
    return Disclosure(tuple(steps), tuple(_own_words(asked, chosen)) if asked else ())


def echo(disclosure: Disclosure, *words: str) -> Disclosure:
    """The same, where these words of the caller are told back to them, too."""
    return replace(disclosure, own=(*disclosure.own, *filter(None, words)))


def _own_words(asked: Asked, chosen: frozenset[str]) -> Iterator[str]:
    """The ends as they were named, and the request."""
    for name, end in (("from", asked.source), ("to", asked.destination)):
        if name in chosen:
            continue
        yield from filter(None, (end.text, f"{end.namespace}/{end.name}" * bool(end.namespace)))
        yield from (end.name,) if "." in end.name else ()
        yield from (str(end.address),) if end.address else ()
    match asked.request:
        case HttpRequest(method, path, host):
            yield f"{method} {path}"
            yield from (f"{method} http://{host}{path}", host) if host else ()
        case DnsRequest(name) | SniRequest(name):
            yield name


@dataclass(frozen=True, slots=True)
class _Minimal:
    """Knows the words of a picture that may be told, and what stands for the others."""

    pods: Mapping[str, str]
    operators: frozenset[str]
    """Names, label keys, paths and files that operators wrote, in lower case."""
    inside: frozenset[str]
    parts: frozenset[str] = field(default=_FIELDS)

    @staticmethod
    def of(picture: Picture) -> _Minimal:
        cluster = picture.cluster
        inside = frozenset(map(str, _inside_addresses(cluster)))
        words = frozenset(word.lower() for word in (*_operators(picture), *_files(picture)))
        return _Minimal(_short_names(cluster), words, inside)

    def text(self, text: str) -> str:
        return _WORD.sub(self._word, _REQUEST.sub(self._request, text))

    def _request(self, match: re.Match[str]) -> str:
        method, target = match.groups()
        if target.rstrip(".,;`'\")").lower() in self.operators:
            return match.group()
        return f"{method} …"

    def _word(self, match: re.Match[str]) -> str:
        word = match.group()
        if "://" in word:
            scheme, _, rest = word.partition("://")
            host, slash, _ = rest.partition("/")
            return f"{scheme}://{self._without_tail(host)}{'/…' if slash else ''}"
        return self._without_tail(word)

    def _without_tail(self, word: str) -> str:
        if (found := self._address(word.rstrip(".:"))) is not None:
            return found + word[len(word.rstrip(".:")) :]
        tail = _TAIL.search(word)
        at = tail.start() if tail else len(word)
        return self._thing(word[:at]) + word[at:]

    def _thing(self, word: str) -> str:
        """A pod, an address, a name, or a word like any other."""
        if (pod := self.pods.get(word)) is not None:
            return pod
        if (address := self._address(word)) is not None:
            return address
        if self._is_ours(word):
            return word
        return "/".join(self._name(part) for part in word.split("/"))

    def _address(self, word: str) -> str | None:
        bare = word.strip("[]")
        try:
            address = ip_address(bare)
        except ValueError:
            return None
        if str(address) in self.inside:
            return word
        return str(ip_network(f"{address}/{_BLOCKS[address.version]}", strict=False))

    def _is_ours(self, word: str) -> bool:
        bare = word.lower()
        if bare in self.operators or bare.rpartition(":")[2] in self.operators:
            return True
        return all(re.sub(r"\[\d+\]", "", part) in self.parts for part in word.split("."))

    def _name(self, word: str) -> str:
        if not _NAME.match(word) or _QUANTITY.match(word) or self._is_ours(word):
            return word
        labels = word.lower().split(".")
        shown = labels[-_LABELS_KEPT:] if len(labels) > _LABELS_KEPT else labels[-1:]
        return f"….{'.'.join(shown)} (sha256:{_digest(word.lower())})"


_MADE: OrderedDict[int, tuple[Picture, _Minimal]] = OrderedDict()
_MADE_KEPT = 4


def _minimal_of(picture: Picture) -> _Minimal:
    """Made once for a cluster: it looks at every word of every policy and label."""
    key = id(picture.cluster)
    found = _MADE.get(key)
    if (
        found is None
        or found[0].cluster is not picture.cluster
        or found[0].shadowed is not picture.shadowed
    ):
        found = _MADE[key] = picture, _Minimal.of(picture)
        while len(_MADE) > _MADE_KEPT:
            _MADE.popitem(last=False)
    return found[1]


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


def _inside_addresses(cluster: Cluster) -> Iterator[object]:
    for endpoint in cluster.endpoints:
        yield from endpoint.addresses
    for service in cluster.services:
        yield from service.cluster_ips
    for node in cluster.nodes:
        yield from node.addresses
    for route in cluster.routes:
        yield from route.addresses


def _operators(picture: Picture) -> Iterator[str]:
    """What operators wrote themselves: in policies and labels, on the gateway, as Services."""
    cluster = picture.cluster
    for route in cluster.routes:
        yield from route.hostnames
    for service in cluster.services:
        yield from service_names(service)
        yield f"{service.name}.{service.namespace}"
        yield f"{service.name}.{service.namespace}.svc"
    for namespace in cluster.namespaces.values():
        yield from namespace.labels
    for endpoint in cluster.endpoints:
        for label in endpoint.labels:
            yield str(label).rpartition(":")[2]
        yield from endpoint.pod_labels
    for policy in cluster.policies:
        yield policy.ref.name
        for text in _strings(policy.body):
            yield text
            yield text.rpartition(":")[2]


def _files(picture: Picture) -> Iterator[str]:
    for manifest in (*picture.cluster.policies, *picture.shadowed):
        if manifest.source is not None:
            yield manifest.source.file
            yield from (file for file, _ in manifest.source.elsewhere.values())


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
