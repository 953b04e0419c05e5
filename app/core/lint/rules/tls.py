"""Server names, TLS interception, and what Envoy refuses."""

from __future__ import annotations

import re
from collections.abc import Iterator

from app.core.drafts.edits import SetScalar, parse_path
from app.core.lint.cover import is_every_port
from app.core.lint.finding import Hit, Knowledge, Severity
from app.core.lint.rule import Book
from app.core.lint.scope import Scope
from app.core.lint.view import View, mapping
from app.core.policy import expressions

BOOK = Book()

_TLS_PORTS = {"443": True, "6443": True, "8443": True, "9443": True, "10250": True, "https": True}
_PLAIN_PORTS = frozenset({22, 25, 53, 80, 587, 3306, 5432, 6379, 8080, 11211})
_PROXY_PORTS = frozenset({3128, 8118})
_META = re.compile(r"[][\\*+?(){}|^$]")
_OWN_PATHS = re.compile(r"/(healthz?|livez?|readyz?|ready|live|metrics|status|ping|version)\Z")
_LOOSE_DOT = re.compile(r"(?<=[A-Za-z0-9])\.(?=[A-Za-z])")
_FIRST_WITHOUT_KAFKA = (1, 20, 0)


@BOOK.check(
    "NP034",
    "server-names-without-tls",
    Severity.WARNING,
    why="""`serverNames` asks for a TLS client hello with one of the names. A client that speaks
    plaintext, or starts TLS later, is cut off before its first byte.""",
    bad="""
    egress:
    - toEntities: [world]
      toPorts:
      - ports: [{port: "80", protocol: TCP}]
        serverNames: [pypi.org]
    """,
    good="""
    egress:
    - toEntities: [world]
      toPorts:
      - ports: [{port: "443", protocol: TCP}]
        serverNames: [pypi.org]
    """,
)
def server_names_without_tls(view: View, _scope: Scope) -> Iterator[Hit]:
    """Server names on a port that is not used with TLS."""
    for entry in view.entries:
        for rule in entry.ports:
            plain = [one.number for one in rule.ports if one.number in _PLAIN_PORTS]
            if rule.layer7.server_names and plain:
                yield Hit(
                    f"{rule.path}.serverNames",
                    f"port {plain[0]} is not used with TLS: such connections are cut off",
                    "name the port of TLS",
                )


@BOOK.check(
    "NP036",
    "secret-missing",
    Severity.WARNING,
    needs=Knowledge.CLUSTER,
    why="""TLS interception and header values read a Secret. Without it the pod's policy cannot be
    computed, or the header never matches.""",
    bad="""
    # with Secrets in namespace a, none of which is called tls-web
    egress:
    - toEntities: [world]
      toPorts:
      - ports: [{port: "443", protocol: TCP}]
        terminatingTLS: {secret: {namespace: a, name: tls-web}}
        rules: {http: [{method: GET}]}
    """,
    good="""
    # with a Secret a/tls-web
    egress:
    - toEntities: [world]
      toPorts:
      - ports: [{port: "443", protocol: TCP}]
        terminatingTLS: {secret: {namespace: a, name: tls-web}}
        rules: {http: [{method: GET}]}
    """,
)
def secret_missing(view: View, scope: Scope) -> Iterator[Hit]:
    """A Secret that is not among those read of its namespace."""
    made = {
        (one.ref.namespace, one.ref.name)
        for kind in ("Secret", "ExternalSecret", "SealedSecret")
        for one in scope.of_kind.get(kind, ())
    }
    made |= {
        (one.ref.namespace, str(mapping(one.body.get("spec")).get("secretName")))
        for one in scope.of_kind.get("Certificate", ())
    }
    spaces = {space for space, _ in made}
    for item in view.items if made else ():
        for rule, path in item.port_rules():
            for name in ("terminatingTLS", "originatingTLS"):
                secret = mapping(mapping(mapping(rule).get(name)).get("secret"))
                space = str(secret.get("namespace") or view.ref.namespace)
                if secret and space in spaces and (space, str(secret.get("name"))) not in made:
                    place = f"{space}/{secret.get('name')}"
                    yield Hit(f"{path}.{name}.secret", f"there is no Secret {place}")


@BOOK.check(
    "NP120",
    "server-names-not-enforced",
    Severity.ERROR,
    why="""`serverNames` on port 0 is accepted and dropped on the way to Envoy: every name and plaintext
    pass, on all ports (Cilium pkg/envoy/xds_server.go, getWildcardNetworkPolicyRules).""",
    bad="""
    egress:
    - toEntities: [world]
      toPorts:
      - ports: [{port: "0", protocol: TCP}]
        serverNames: [pypi.org]
    """,
    good="""
    egress:
    - toEntities: [world]
      toPorts:
      - ports: [{port: "443", protocol: TCP}]
        serverNames: [pypi.org]
    """,
)
def server_names_not_enforced(view: View, _scope: Scope) -> Iterator[Hit]:
    """Server names on every port."""
    for entry in view.entries:
        for rule in entry.ports:
            if rule.layer7.server_names and any(map(is_every_port, rule.ports)):
                yield Hit(
                    f"{rule.path}.serverNames",
                    "on port 0 they are not enforced: every server is allowed",
                    "name the port",
                )


@BOOK.check(
    "NP121",
    "server-names-black-hole-udp",
    Severity.WARNING,
    why="""With server names every protocol of the port is sent to the proxy, which is told of TCP
    only: UDP (QUIC) and SCTP are swallowed (Cilium pkg/policy/l4.go, createL4Filter).""",
    bad="""
    egress:
    - toEntities: [world]
      toPorts:
      - ports: [{port: "443"}]
        serverNames: [pypi.org]
    """,
    good="""
    egress:
    - toEntities: [world]
      toPorts:
      - ports: [{port: "443", protocol: TCP}]
        serverNames: [pypi.org]
    """,
)
def server_names_udp(view: View, _scope: Scope) -> Iterator[Hit]:
    """Server names on a port that is not TCP alone."""
    for entry in view.entries:
        for rule in entry.ports:
            other = [one for one in rule.ports if one.protocols != ("TCP",)]
            if rule.layer7.server_names and other:
                yield Hit(
                    other[0].path,
                    f"UDP on port {other[0].text} is swallowed: the proxy knows TCP only",
                    "write `protocol: TCP`",
                )


@BOOK.check(
    "NP124",
    "proxy-refuses-policy",
    Severity.ERROR,
    why="""Envoy refuses an update with one expression that it cannot take: a `host` that does not
    compile, an RE2 program over 100, a server name with a final dot. Every pod of the node keeps its
    old policy, and new pods have none (issues 41314, 48773).""",
    bad="""
    egress:
    - toEntities: [world]
      toPorts:
      - ports: [{port: "443", protocol: TCP}]
        serverNames: [pypi.org.]
    """,
    good="""
    egress:
    - toEntities: [world]
      toPorts:
      - ports: [{port: "443", protocol: TCP}]
        serverNames: [pypi.org]
    """,
)
def proxy_refuses(view: View, _scope: Scope) -> Iterator[Hit]:
    """What the agent takes and Envoy does not."""
    for entry in view.entries:
        for rule in entry.ports:
            for index, name in enumerate(rule.layer7.server_names):
                if name.endswith("."):
                    where = f"{rule.path}.serverNames[{index}]"
                    yield Hit(
                        where,
                        f"Envoy refuses `{name}` for its final dot, and every update with it",
                        f"write `{name.rstrip('.')}`",
                        edits=(SetScalar(parse_path(where), name.rstrip(".")),),
                        certain=True,
                    )
            for one in rule.layer7.http:
                if one.host and not expressions.compiles(one.host):
                    yield Hit(f"{one.where}.host", f"Envoy cannot compile `{one.host}`")
                for field in ("path", "method", "host"):
                    size = expressions.program_size(getattr(one, field))
                    if size > expressions.MAX_PROGRAM_SIZE:
                        yield Hit(
                            f"{one.where}.{field}",
                            f"Envoy refuses the expression: RE2 program size {size} is over "
                            f"{expressions.MAX_PROGRAM_SIZE}",
                            "write it shorter, or as several rules",
                        )
