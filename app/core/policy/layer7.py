"""The part of a port rule above layer 4: requests, server names, TLS, listeners.

Source: Cilium `pkg/policy/api/l7.go`, `pkg/policy/api/http.go`, `pkg/policy/api/l4.go`,
`pkg/policy/api/rule_validation.go` (`L7Rules.sanitize`, `PortRule.sanitize`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from app.core.policy import expressions
from app.core.policy.context import ParseContext
from app.core.policy.decode import Reader, Refused, items, number, text, text_map, texts
from app.core.policy.peers import check_name
from app.core.policy.rules import DnsRule, HeaderMatch, HttpRule, Layer7

FIRST_WITHOUT_KAFKA = (1, 20, 0)
"""From here on Kafka rules and `l7proto` are unknown fields: what is left is a plain allow."""

MISMATCH_ACTIONS = frozenset({"", "LOG", "ADD", "DELETE", "REPLACE"})


def read_layer7(
    reader: Reader, fields: Mapping[str, Any], path: str, context: ParseContext
) -> Layer7:
    """Read everything of a `toPorts` item but its ports; may raise `Refused`."""
    rules = _read_rules(reader, fields.get("rules"), f"{path}.rules", context)
    server_names = texts(fields.get("serverNames"), f"{path}.serverNames")
    terminating = _read_tls(reader, fields.get("terminatingTLS"), f"{path}.terminatingTLS")
    if server_names and rules.has_rules and not terminating:
        raise Refused("serverNames beside layer 7 rules need terminatingTLS", path)
    if "" in server_names:
        raise Refused("an empty server name", f"{path}.serverNames")
    listener, priority = _read_listener(reader, fields.get("listener"), f"{path}.listener")
    if listener and rules.has_rules:
        raise Refused("`listener` cannot stand beside layer 7 rules", path)
    return Layer7(
        http=rules.http,
        dns=rules.dns,
        kafka=rules.kafka,
        protocol=rules.protocol,
        protocol_rules=rules.protocol_rules,
        server_names=server_names,
        terminating_tls=terminating,
        originating_tls=_read_tls(reader, fields.get("originatingTLS"), f"{path}.originatingTLS"),
        listener=listener,
        listener_priority=priority,
    )


def _read_rules(reader: Reader, value: Any, path: str, context: ParseContext) -> Layer7:
    old = context.version < FIRST_WITHOUT_KAFKA
    known = ("http", "dns", "kafka", "l7proto", "l7") if old else ("http", "dns")
    fields = reader.fields(value, path, known)
    lists = {
        kind: list(items(fields.get(kind), f"{path}.{kind}"))
        for kind in ("http", "dns", "kafka", "l7")
    }
    protocol = text(fields.get("l7proto"), f"{path}.l7proto")
    http = tuple(_read_http(reader, item, where) for item, where in lists["http"])
    dns = tuple(_read_dns(reader, item, where) for item, where in lists["dns"])
    for item, where in lists["l7"]:
        text_map(item, where)
    rules = Layer7(http, dns, len(lists["kafka"]), protocol, len(lists["l7"]))
    if rules.has_rules:
        _check_kinds(fields, rules, path)
    return rules


def _check_kinds(fields: Mapping[str, Any], rules: Layer7, path: str) -> None:
    """Refuse two kinds; an empty list counts as one as soon as another is filled."""
    kinds = [kind for kind in ("http", "dns", "kafka") if fields.get(kind) is not None]
    if rules.protocol:
        kinds.append("l7proto")
    elif fields.get("l7") is not None:
        raise Refused("`l7` needs `l7proto`", path)
    if len(kinds) > 1:
        raise Refused(f"{' and '.join(kinds)} rules cannot stand in one item", path)


def _read_http(reader: Reader, value: Any, path: str) -> HttpRule:
    known = ("path", "method", "host", "headers", "headerMatches")
    fields = reader.fields(value, path, known)
    rule = HttpRule(
        method=text(fields.get("method"), f"{path}.method"),
        path=text(fields.get("path"), f"{path}.path"),
        host=text(fields.get("host"), f"{path}.host"),
        headers=texts(fields.get("headers"), f"{path}.headers"),
        header_matches=tuple(
            _read_header_match(reader, item, where)
            for item, where in items(fields.get("headerMatches"), f"{path}.headerMatches")
        ),
        where=path,
    )
    for name, expression in (("path", rule.path), ("method", rule.method)):
        if expression and not expressions.compiles(expression):
            raise Refused(f"`{expression}` is no expression", f"{path}.{name}")
    _warn_envoy(reader, rule, path)
    return rule


def _warn_envoy(reader: Reader, rule: HttpRule, path: str) -> None:
    """Say what Envoy would refuse, with the whole update for every endpoint of the node."""
    if rule.host and not expressions.compiles(rule.host):
        reader.warn(f"Envoy refuses the host expression `{rule.host}`", f"{path}.host")
    for expression in filter(None, (rule.path, rule.method, rule.host)):
        size = expressions.program_size(expression)
        if size > expressions.MAX_PROGRAM_SIZE:
            reader.warn(f"Envoy refuses `{expression}`: RE2 program size {size} is over 100", path)


def _read_header_match(reader: Reader, value: Any, path: str) -> HeaderMatch:
    fields = reader.fields(value, path, ("name", "value", "secret", "mismatch"))
    name = text(fields.get("name"), f"{path}.name")
    mismatch = text(fields.get("mismatch"), f"{path}.mismatch")
    if not name:
        raise Refused("a header match needs a name", path)
    if mismatch not in MISMATCH_ACTIONS:
        raise Refused(f"`{mismatch}` is no mismatch action", f"{path}.mismatch")
    secret = fields.get("secret")
    parts = reader.fields(secret, f"{path}.secret", ("namespace", "name"))
    if secret is not None and not text(parts.get("name"), f"{path}.secret.name"):
        raise Refused("a secret needs a name", f"{path}.secret")
    return HeaderMatch(name, text(fields.get("value"), path), mismatch, secret is not None)


def _read_dns(reader: Reader, value: Any, path: str) -> DnsRule:
    fields = reader.fields(value, path, ("matchName", "matchPattern"))
    name = text(fields.get("matchName"), f"{path}.matchName")
    pattern = text(fields.get("matchPattern"), f"{path}.matchPattern")
    check_name(reader, name, pattern, path)
    if bool(name) is bool(pattern):
        reader.warn("the API server wants exactly one of matchName and matchPattern", path)
    return DnsRule(name, pattern, path)


def _read_tls(reader: Reader, value: Any, path: str) -> str:
    """Give a TLS context as a text that two equal ones share; empty when there is none."""
    fields = reader.fields(value, path, ("secret", "trustedCA", "certificate", "privateKey"))
    return json.dumps(fields, sort_keys=True, default=str) if fields else ""


def _read_listener(reader: Reader, value: Any, path: str) -> tuple[str, int]:
    if value is None:
        return "", 0
    fields = reader.fields(value, path, ("envoyConfig", "name", "priority"))
    config = reader.fields(fields.get("envoyConfig"), f"{path}.envoyConfig", ("kind", "name"))
    parts = (config.get("kind"), config.get("name"), fields.get("name"))
    name = "/".join(text(part, path) for part in parts)
    return name, number(fields.get("priority"), f"{path}.priority")
