"""Stand-ins of names, label keys, DNS names and requests: the same text, the same stand-in.

A stand-in is of the form its text was of (a text that Kubernetes refuses becomes another that it
refuses), so what was refused stays refused. Names with a meaning of Kubernetes or Cilium stay.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable

import re2

from app.core.cluster.identity import is_identity_label

KEPT_NAMES = frozenset(
    {
        "",
        "*",
        "cilium",
        "cilium-agent",
        "cilium-config",
        "cluster",
        "core-dns",
        "coredns",
        "default",
        "dns",
        "dns-default",
        "dns-tcp",
        "false",
        "hubble-relay",
        "http",
        "https",
        "kube-dns",
        "kube-node-lease",
        "kube-public",
        "kube-system",
        "kubernetes",
        "local",
        "node-local-dns",
        "nodelocaldns",
        "openshift-dns",
        "rke2-coredns",
        "rke2-coredns-rke2-coredns",
        "svc",
        "true",
    }
)
"""Names whose meaning is Kubernetes' or Cilium's, not the site's."""

KEPT_KEYS = frozenset(
    {
        "app",
        "app.kubernetes.io/component",
        "app.kubernetes.io/instance",
        "app.kubernetes.io/managed-by",
        "app.kubernetes.io/name",
        "app.kubernetes.io/part-of",
        "app.kubernetes.io/version",
        "batch.kubernetes.io/job-name",
        "component",
        "controller-revision-hash",
        "dns.operator.openshift.io/daemonset-dns",
        "gateway.networking.k8s.io/gateway-name",
        "host",
        "init",
        "io.cilium.k8s.policy.cluster",
        "io.cilium.k8s.policy.serviceaccount",
        "io.kubernetes.pod.namespace",
        "job-name",
        "k8s-app",
        "kubernetes.io/arch",
        "kubernetes.io/hostname",
        "kubernetes.io/metadata.name",
        "kubernetes.io/os",
        "kubernetes.io/service-name",
        "name",
        "node-role.kubernetes.io/control-plane",
        "node-role.kubernetes.io/master",
        "node-role.kubernetes.io/worker",
        "pod-template-hash",
        "statefulset.kubernetes.io/pod-name",
        "tier",
        "topology.kubernetes.io/region",
        "topology.kubernetes.io/zone",
    }
)
"""Label keys that say nothing of the site; every other becomes a stand-in."""

_KEY_PREFIXES = ("io.cilium.k8s.namespace.labels.", "io.kubernetes.pod.namespace.labels.")
_SOURCES = frozenset({"k8s", "any", "reserved", "cidr", "cidrgroup", "fqdn", "node", "unspec"})
_RESERVED = frozenset(
    {
        "all",
        "cluster",
        "health",
        "host",
        "ingress",
        "init",
        "kube-apiserver",
        "none",
        "remote-node",
        "unmanaged",
        "world",
        "world-ipv4",
        "world-ipv6",
    }
)
_ENDINGS = frozenset({"arpa", "com", "edu", "example", "gov", "int", "internal", "net", "org"})
_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?", re.ASCII)
_DNS_LABEL = re.compile(r"[-_A-Za-z0-9*]*", re.ASCII)
_WORD = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)
_PLAIN_PATH = re.compile(r"/(?:[A-Za-z0-9_/-]|\\?\.(?![*+])|\.[*+]|\[\^/\][*+])*\$?", re.ASCII)
_PATH_PART = re.compile(r"[A-Za-z0-9_-]{2,}|[A-Za-z]", re.ASCII)
_LONGEST = 63
_DIGITS = 10


class Aliases:
    """Stand-ins under one key; `patterns` are the DNS patterns that stand-ins must go on to match.

    `label_filter` is the agent's, whose work is done here, so that it need not be written down.
    """

    def __init__(
        self, key: bytes, *, patterns: Iterable[str] = (), label_filter: tuple[str, ...] = ()
    ) -> None:
        self._key = key
        self._filter = label_filter
        parts = {part.lower() for one in patterns for part in one.split(".") if part.strip("*")}
        self._starred = tuple(
            re2.compile(re2.escape(part).replace(r"\*", ".*"))
            for part in sorted(parts)
            if "*" in part
        )

    def name(self, text: str) -> str:
        """The stand-in of a name or a label's value; as long as it where it is too long."""
        if text in KEPT_NAMES:
            return text
        alias = self._hash(text)
        if len(text) > _LONGEST:
            alias = alias.ljust(min(len(text), 4 * _LONGEST), "0")
        return alias if _NAME.fullmatch(text) else f"{alias}!"

    def key(self, text: str) -> str:
        """The stand-in of a label's key, with its source; it makes an identity as it did before."""
        source, colon, rest = text.partition(":")
        if colon and source in _SOURCES:
            if source == "reserved" and rest in _RESERVED:
                return text
            return f"{source}:{self.key(rest)}"
        counts = is_identity_label(text, self._filter)
        if text in KEPT_KEYS and counts == is_identity_label(text):
            return text
        for prefix in _KEY_PREFIXES:
            if text.startswith(prefix):
                return prefix + self.key(text.removeprefix(prefix))
        plain = all(_NAME.fullmatch(part) for part in text.split("/", 1))
        alias = self.name(text) if plain else f"{self._hash(text)}!"
        return alias if counts else f"k8s.io/{alias}"

    def printed_label(self, text: str) -> str:
        """The stand-in of `source:key=value`."""
        key, equals, value = text.partition("=")
        return f"{self.key(key)}{equals}{self.name(value)}"

    def dns(self, text: str) -> str:
        """The stand-in of a DNS name or pattern, part by part; stars stay."""
        if text.endswith(".") and text != ".":
            return f"{self.dns(text[:-1])}."
        *parts, last = text.split(".")
        final = last if last.lower() in _ENDINGS and parts else self._dns_label(last)
        return ".".join([*map(self._dns_label, parts), final])

    def _dns_label(self, text: str) -> str:
        if text.lower() in KEPT_NAMES or not text.strip("*"):
            return text
        if not _DNS_LABEL.fullmatch(text):
            return f"{self._hash(text)}!"
        lower = text.lower()
        if "*" in text or any(pattern.fullmatch(lower) for pattern in self._starred):
            return "".join(one if one == "*" else self._letter(one) for one in lower)
        return self.name(lower if _NAME.fullmatch(text) else text).replace("!", "")

    def _letter(self, letter: str) -> str:
        """A letter for itself, so that a star between letters goes on to match what it did.

        It begins with `y`, which no other stand-in holds.
        """
        digest = hashlib.blake2s(letter.encode(), key=self._key, person=b"letter").hexdigest()
        return f"y{digest[:3]}"

    def path(self, text: str) -> str:
        """The stand-in of an HTTP path or its expression; one that is not plain becomes a path."""
        if not _PLAIN_PATH.fullmatch(text):
            return f"/{self._hash(text)}" if text else text
        return _PATH_PART.sub(lambda part: self.name(part[0]), text)

    def host(self, text: str) -> str:
        """The stand-in of the expression of an HTTP host."""
        plain = text.replace("\\.", ".")
        return self.dns(plain) if _WORD.sub("", plain).strip(".*:") == "" else self._hash(text)

    def _hash(self, text: str) -> str:
        digest = hashlib.blake2s(text.encode(errors="replace"), key=self._key).hexdigest()
        return f"x{digest[:_DIGITS]}"
