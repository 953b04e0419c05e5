"""How people name the ends of a connection, its port and its request (docs/forms.md §3).

Parsing only: what a name means in a cluster is `app.core.diagnose.ends`.
"""

from __future__ import annotations

import re
from dataclasses import replace
from ipaddress import ip_address

from app.core.errors import UsageError
from app.core.model.asked import AskedPort, End, EndKind
from app.core.model.cluster import Address, IdentityKind
from app.core.model.verdict import DnsRequest, HttpRequest, Protocol, Request, SniRequest
from app.core.text import clean

FORMS = (
    "NS/POD, deploy:NS/NAME, sts:, ds:, job:, label:NS/k=v, svc:NS/NAME[:PORT], ip:ADDR, "
    "fqdn:NAME[=ADDR], entity:NAME"
)
MAX_PORT = 65535
MAX_ICMP_TYPE = 255

_NAME = re.compile(r"(?=.{1,253}\Z)[A-Za-z0-9_]([-A-Za-z0-9_]*)(\.[A-Za-z0-9_][-A-Za-z0-9_]*)*\Z")
_OBJECT = re.compile(r"[a-z0-9]([-a-z0-9.]*)\Z")
_PREFIX = re.compile(r"[a-z0-9][-a-z0-9.]*\Z")
_BARE = re.compile(r"[a-z0-9][-a-z0-9]{0,252}\Z")
_PORT_NAME = re.compile(r"(?=.{1,63}\Z)[a-z0-9]+(-[a-z0-9]+)*\Z")
_LABEL = re.compile(r"([A-Za-z0-9$:_][-A-Za-z0-9_.:/]*)=([-A-Za-z0-9_.]*)\Z")
_LONGEST_SHOWN = 120
_PLACE = re.compile(
    r"(?:(?P<scheme>[a-z][a-z0-9+]*)://)?(?P<host>\[[0-9A-Fa-f:.]+\]|[^][:/@\s]*\.[^][:/@\s]*)"
    r"(?::(?P<port>\d{1,5}))?(?(scheme)(?:[/?#].*)?)\Z"
)
_SCHEME_PORTS = {
    "http": "80",
    "https": "443",
    "ldap": "389",
    "ldaps": "636",
    "postgres": "5432",
    "postgresql": "5432",
    "redis": "6379",
}
"""Ports that a URL leaves out. Source: IANA service names."""


WORKLOAD_PREFIXES = {
    "deploy": ("Deployment",),
    "sts": ("StatefulSet",),
    "ds": ("DaemonSet",),
    "job": ("Job", "CronJob"),
}
"""Prefix to the kinds it stands for; a CronJob's template is a job's."""

ENTITIES = {
    "host": IdentityKind.HOST,
    "remote-node": IdentityKind.REMOTE_NODE,
    "kube-apiserver": IdentityKind.KUBE_APISERVER,
    "health": IdentityKind.HEALTH,
    "ingress": IdentityKind.INGRESS,
    "world": IdentityKind.WORLD,
}

_PROTOCOLS = {protocol.value.upper(): protocol for protocol in Protocol}


def parse_end(text: str) -> End:
    """Read one end of a connection. Raises `UsageError`, whose hint lists the forms."""
    text = text.strip()
    if (address := _address(text)) is not None:
        return End(EndKind.ADDRESS, str(address), address=address)
    prefix, colon, rest = text.partition(":")
    if colon and (reader := _READERS.get(prefix)) is not None:
        return reader(text, rest)
    if colon and prefix in WORKLOAD_PREFIXES:
        namespace, name = _two_parts(text, rest)
        kinds = WORKLOAD_PREFIXES[prefix]
        return End(EndKind.WORKLOAD, text, namespace, name, workload_kinds=kinds)
    return _read_bare(text) if not colon else _read_place(text)


def _read_bare(text: str) -> End:
    """An end without a prefix: `NS/POD`, a name with or without a path behind it, `POD`."""
    host, slash, _ = text.partition("/")
    if "." in host and not (slash and _address(host)):  # no namespace has a dot in its name
        return _read_name(text, host)
    if slash:
        return _read_pod(text, text)
    if not _BARE.match(text):
        raise _not_an_end(text)
    return End(EndKind.POD, text, name=text)


def _read_place(text: str) -> End:
    """`ADDR:PORT`, `NAME:PORT` and URLs, as people copy them from logs."""
    if (found := _PLACE.match(text)) is None:
        raise _not_an_end(text)
    scheme, host, port = found["scheme"], found["host"], found["port"]
    written = port or _SCHEME_PORTS.get(scheme or "", "")
    if not written:
        raise UsageError(
            f"which port does `{_shown(text)}` mean?", hint="give the port as the third argument"
        )
    end = parse_end(host)
    if end.kind not in (EndKind.ADDRESS, EndKind.NAME):
        raise _not_an_end(text)
    return replace(end, port=parse_port(written))


def parse_port(text: str) -> AskedPort:
    """Read `443`, `443/TCP`, `53/UDP`, `https` or `8/ICMP`. Raises `UsageError`."""
    head, slash, tail = text.strip().partition("/")
    protocol = _PROTOCOLS.get(tail.upper()) if slash else None
    if slash and protocol is None:
        choices = ", ".join(_PROTOCOLS[key].value for key in _PROTOCOLS)
        raise UsageError(f"unknown protocol in `{_shown(text)}`", hint=f"one of {choices}")
    if head.isascii() and head.isdigit():
        return AskedPort(_port_number(text, head, protocol), protocol=protocol)
    if not _PORT_NAME.match(head.lower()):
        raise UsageError(f"`{_shown(text)}` is no port", hint="443, 443/TCP, https or 8/ICMP")
    return AskedPort(name=head.lower(), protocol=protocol)


def parse_request(http: str = "", dns: str = "", sni: str = "") -> Request | None:
    """Read the request flags; at most one may be given. Raises `UsageError`."""
    given = [flag for flag in (http, dns, sni) if flag]
    if len(given) > 1:
        raise UsageError("only one request can be asked at a time", hint="--http, --dns or --sni")
    if http:
        return _read_http(http)
    if dns:
        return DnsRequest(_dns_name(dns))
    return SniRequest(_dns_name(sni)) if sni else None


def _read_http(text: str) -> HttpRequest:
    method, _, target = text.strip().partition(" ")
    target = target.strip() or "/"
    host = ""
    if "://" in target:
        host, slash, path = target.partition("://")[2].partition("/")
        target = f"{slash or '/'}{path}"
    if not method.isalpha() or not target.startswith("/"):
        raise UsageError(f"`{_shown(text)}` is no request", hint='as in --http "GET /simple/"')
    return HttpRequest(method.upper(), target, host)


def _dns_name(text: str) -> str:
    name = text.strip().rstrip(".").lower()
    if not _NAME.match(name):
        raise UsageError(f"`{_shown(text)}` is no name", hint="letters, digits, `-`, `_` and dots")
    return name


def _port_number(text: str, digits: str, protocol: Protocol | None) -> int:
    icmp = protocol in (Protocol.ICMP, Protocol.ICMPV6)
    lowest, highest = (0, MAX_ICMP_TYPE) if icmp else (1, MAX_PORT)
    number = int(digits[:7])
    if not lowest <= number <= highest:
        what = "an ICMP type" if icmp else "a port"
        raise UsageError(f"`{_shown(text)}` is out of range", hint=f"{what} is {lowest}-{highest}")
    return number


def _read_pod(text: str, rest: str) -> End:
    namespace, name = _two_parts(text, rest)
    return End(EndKind.POD, text, namespace, name)


def _read_service(text: str, rest: str) -> End:
    rest, colon, port = rest.partition(":")
    namespace, name = _two_parts(text, rest)
    spec = parse_port(port) if colon else None
    return End(EndKind.SERVICE, text, namespace, name, port=spec)


def _read_labels(text: str, rest: str) -> End:
    namespace, slash, pairs = rest.partition("/")
    if not slash or not _OBJECT.match(namespace):
        raise _not_an_end(text)
    matches = [_LABEL.match(pair.strip()) for pair in pairs.split(",")]
    labels = tuple((found[1], found[2]) for found in matches if found)
    if len(labels) != len(matches):
        raise UsageError(f"`{_shown(text)}` is no label end", hint="as in label:NS/app=web,tier=db")
    return End(EndKind.LABEL, text, namespace, labels=labels)


def _read_address(text: str, rest: str) -> End:
    if (address := _address(rest)) is None:
        raise UsageError(f"`{_shown(text)}` is no IP address")
    return End(EndKind.ADDRESS, text, address=address)


def _read_name(text: str, rest: str) -> End:
    name, equals, tail = rest.partition("=")
    address = _address(tail) if equals else None
    if equals and address is None:
        raise UsageError(f"`{_shown(text)}` names no IP address", hint="as in fqdn:NAME=ADDR")
    return End(EndKind.NAME, text, name=_dns_name(name), address=address)


def _read_entity(text: str, rest: str) -> End:
    if rest not in ENTITIES:
        raise UsageError(f"unknown entity `{_shown(rest)}`", hint=f"one of {', '.join(ENTITIES)}")
    return End(EndKind.ENTITY, text, name=rest)


_READERS = {
    "pod": _read_pod,
    "svc": _read_service,
    "label": _read_labels,
    "ip": _read_address,
    "fqdn": _read_name,
    "entity": _read_entity,
}


def _two_parts(text: str, rest: str) -> tuple[str, str]:
    namespace, slash, name = rest.partition("/")
    if not slash or not _OBJECT.match(namespace) or not _PREFIX.match(name):
        raise _not_an_end(text)
    return namespace, name


def _address(text: str) -> Address | None:
    try:
        return ip_address(text.strip("[]"))
    except ValueError:
        return None


def _not_an_end(text: str) -> UsageError:
    return UsageError(f"`{_shown(text)}` names no end of a connection", hint=FORMS)


def _shown(text: str) -> str:
    return clean(text, _LONGEST_SHOWN).replace("`", "'")
