"""The port part of a Cilium rule item: `toPorts` and `icmps`.

Source: Cilium `pkg/policy/api/rule_validation.go` (`PortRule.sanitize`, `PortProtocol.sanitize`),
`pkg/policy/api/l4.go`, `pkg/policy/api/icmp.go`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from app.core.model.verdict import Direction, Effect
from app.core.policy import ports
from app.core.policy.context import ParseContext
from app.core.policy.decode import Reader, Refused, items, number, text
from app.core.policy.layer7 import read_layer7
from app.core.policy.rules import Layer7, PortRule, PortSpec

MAX_PORTS = 40
"""Source: Cilium `pkg/policy/api/rule_validation.go` `maxPorts`, `maxICMPFields`."""

FIRST_WITH_TUNNEL_PROTOCOLS = (1, 20, 0)
FIRST_FILED_BY_NUMBER = (1, 20, 0)


@dataclass(frozen=True, slots=True)
class PortScope:
    """What port rules are allowed to say where they stand. `host`: the subject is a node."""

    context: ParseContext
    direction: Direction
    effect: Effect
    host: bool = False


def read_ports(
    reader: Reader, fields: Mapping[str, Any], path: str, scope: PortScope
) -> tuple[PortRule, ...]:
    """Read `toPorts` and `icmps` of one item; `()` when neither restricts anything."""
    written = [
        _read_port_rule(reader, value, where, scope)
        for value, where in items(fields.get("toPorts"), f"{path}.toPorts")
    ]
    icmps = [
        _read_icmp_rule(reader, value, where)
        for value, where in items(fields.get("icmps"), f"{path}.icmps")
    ]
    if icmps and not scope.context.config.icmp_rules:
        raise Refused("`icmps` needs the agent option enable-icmp-rules", f"{path}.icmps")
    if icmps and written:
        raise Refused("`icmps` and `toPorts` cannot stand in one item", path)
    return (*written, *icmps)


def _read_port_rule(reader: Reader, value: Any, path: str, scope: PortScope) -> PortRule:
    allow = scope.effect is Effect.ALLOW
    extras = ("terminatingTLS", "originatingTLS", "serverNames", "listener", "rules")
    fields = reader.fields(value, path, ("ports", *(extras if allow else ())))
    written = list(items(fields.get("ports"), f"{path}.ports"))
    layer7 = read_layer7(reader, fields, path, scope.context) if allow else Layer7()
    _check_layer7_place(layer7, path, scope)
    if len(written) > MAX_PORTS:
        raise Refused(f"{len(written)} ports, at most {MAX_PORTS} fit in one item", f"{path}.ports")
    specs = tuple(_read_port(reader, item, where, scope) for item, where in written)
    if layer7.has_rules:
        _check_layer7_ports(layer7, specs, path)
    if layer7.server_names and not layer7.has_rules:
        _warn_server_names(reader, specs, path)
    return PortRule(specs, layer7, path)


def _check_layer7_place(layer7: Layer7, path: str, scope: PortScope) -> None:
    """Refuse layer 7 rules where the proxy cannot take them."""
    where = f"{path}.rules"
    if layer7.has_rules and not scope.context.config.l7_proxy:
        raise Refused("layer 7 rules need the agent option enable-l7-proxy", where)
    if scope.direction is Direction.INGRESS:
        if layer7.dns:
            raise Refused("DNS rules exist for egress only", where)
        if layer7.has_rules and scope.host:
            raise Refused("a host policy takes no layer 7 rules on ingress", where)
        if layer7.listener:
            raise Refused("`listener` exists for egress only", f"{path}.listener")
    elif scope.host and (layer7.http or layer7.kafka):
        raise Refused("a host policy takes only DNS rules on egress", where)


def _check_layer7_ports(layer7: Layer7, specs: tuple[PortSpec, ...], path: str) -> None:
    for spec in specs:
        if layer7.dns:
            if not spec.name and spec.end > spec.number:
                raise Refused("DNS rules take no port range", spec.path)
        elif spec.protocols != ("TCP",):
            raise Refused("rules other than DNS need `protocol: TCP` on every port", spec.path)
        if not spec.name and not spec.number:
            raise Refused("layer 7 rules cannot stand on port 0", spec.path)
    if layer7.dns and not specs:
        raise Refused("DNS rules need a port", path)


def _warn_server_names(reader: Reader, specs: tuple[PortSpec, ...], path: str) -> None:
    if any(not spec.number and not spec.name for spec in specs):
        reader.warn("serverNames on port 0 are not enforced", path)


def _read_port(reader: Reader, value: Any, path: str, scope: PortScope) -> PortSpec:
    fields = reader.fields(value, path, ("port", "endPort", "protocol"))
    written = text(fields.get("port"), f"{path}.port")
    end = number(fields.get("endPort"), f"{path}.endPort")
    protocol = text(fields.get("protocol"), f"{path}.protocol")
    if not written and not scope.context.config.extended_ip_protocols:
        raise Refused("a port is needed", path)
    extended = protocol in _portless_protocols(scope)
    if extended and written not in ("", "0") and not ports.is_service_name(written):
        raise Refused(f"`{protocol}` has no ports", path)
    spec = port_spec(written, end, _protocols(protocol, path, scope), path, scope.context)
    _warn_port(reader, written, protocol, end, path)
    if spec.spills:
        reader.warn(
            f"`port: {written}` up to `endPort: {end}` holds for every port: the datapath's key of"
            " a range that begins at 0 has no port",
            path,
        )
    return spec


def _warn_port(reader: Reader, written: str, protocol: str, end: int, path: str) -> None:
    if protocol != protocol.upper():
        reader.warn(f"the API server refuses `{protocol}`, which it wants in capitals", path)
    if not 0 <= end <= ports.MAX_PORT:
        reader.warn(f"the API server refuses `endPort: {end}`", path)
    if written[:1] == "0" and written != "0" and written.isdigit():
        read_as = ports.parse_number(written)
        reader.warn(f"`{written}` begins with 0 and is read as octal, which is {read_as}", path)


def port_spec(
    written: str, end: int, protocols: tuple[str, ...], path: str, context: ParseContext
) -> PortSpec:
    """Read a port as the agent does: what may be an IANA service name is a name."""
    end &= ports.MAX_PORT
    if ports.is_service_name(written):
        return PortSpec(
            text=written,
            number=0,
            end=end,
            name=written.lower(),
            protocols=protocols,
            table_number=0,
            path=path,
        )
    parsed = ports.parse_number(written) if written else 0
    if parsed is None:
        raise Refused(f"`{written}` is neither a port number nor a port name", path)
    filed = ports.table_number(written)
    if context.version >= FIRST_FILED_BY_NUMBER:
        filed = parsed
        # From 1.20 on port 0 is every port, whatever endPort says.
        end = 0 if parsed == 0 else end
    is_from_zero = parsed == 0 and 0 < end < ports.MAX_PORT
    return PortSpec(
        text=written,
        number=parsed,
        end=end,
        name="",
        protocols=protocols,
        table_number=filed,
        path=path,
        spills=is_from_zero and not context.config.engine_alone,
    )


def _protocols(protocol: str, path: str, scope: PortScope) -> tuple[str, ...]:
    """Expand a protocol; ANY means TCP, UDP and SCTP, never ICMP."""
    upper = protocol.upper()
    if upper in ("", "ANY"):
        return ports.TRANSPORT_PROTOCOLS
    if upper in ports.TRANSPORT_PROTOCOLS or upper in _portless_protocols(scope):
        return (upper,)
    raise Refused(f"`{protocol}` is no protocol of a port", path)


def _portless_protocols(scope: PortScope) -> frozenset[str]:
    if scope.context.version >= FIRST_WITH_TUNNEL_PROTOCOLS:
        return ports.EXTENDED_PROTOCOLS | ports.TUNNEL_PROTOCOLS
    return ports.EXTENDED_PROTOCOLS


def _read_icmp_rule(reader: Reader, value: Any, path: str) -> PortRule:
    fields = reader.fields(value, path, ("fields",))
    written = list(items(fields.get("fields"), f"{path}.fields"))
    if len(written) > MAX_PORTS:
        raise Refused(f"{len(written)} types, at most {MAX_PORTS} fit in one item", path)
    specs = tuple(_read_icmp_field(reader, item, where) for item, where in written)
    return PortRule(specs, Layer7(), path)


def _read_icmp_field(reader: Reader, value: Any, path: str) -> PortSpec:
    fields = reader.fields(value, path, ("family", "type"))
    family = text(fields.get("family"), f"{path}.family")
    written = fields.get("type")
    if written is None or isinstance(written, bool) or not isinstance(written, int | str):
        raise Refused("`type` must be a number or a name", path)
    if family not in ("", "IPv4", "IPv6"):
        raise Refused(f"`{family}` is no family, IPv4 and IPv6 are", path)
    kind = _icmp_type(str(written), family, path)
    if kind == 0:
        reader.warn("type 0 is read as every type", path)
    protocol = "ICMPv6" if family == "IPv6" else "ICMP"
    return PortSpec(
        text=str(written),
        number=kind,
        end=0,
        name="",
        protocols=(protocol,),
        table_number=kind,
        path=path,
    )


def _icmp_type(written: str, family: str, path: str) -> int:
    names = ports.ICMPV6_TYPES if family == "IPv6" else ports.ICMP_TYPES
    if written in names:
        return names[written]
    kind = ports.parse_number(written)
    if kind is None:
        raise Refused(f"`{written}` is no ICMP type of {family or 'IPv4'}", path)
    return kind
