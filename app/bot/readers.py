"""From the arguments of a command, by name, to the command itself."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping

from app.bot.command import (
    CHOSEN,
    AboutConnection,
    ChatCommand,
    Delete,
    FlowsOf,
    Inventory,
    LintOf,
    Mute,
    Requests,
    Watch,
)
from app.core.diagnose.naming import parse_end
from app.core.errors import UsageError
from app.core.flows.terms import parse_span
from app.core.lint.finding import Severity
from app.services.ask import make_question

_NAMESPACE = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?\Z")
_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?\Z")
_POLICY = re.compile(r"(?:[A-Za-z]+/)?[a-z0-9]([-a-z0-9./]{0,300}[a-z0-9])?\Z")
_PORT_AFTER_END = re.compile(r"(.+):([0-9]{1,5}(?:/[A-Za-z0-9]+)?)\Z")
_VERDICTS = ("dropped", "forwarded", "audit", "error", "redirected")
_END_FORMS = ("pod:", "fqdn:", "ip:", "entity:", "deploy:", "sts:", "ds:", "job:")
FLOWS_MAX = 50
LONGEST_S = 366 * 24 * 3600


def read_question(given: Mapping[str, str], verb: str) -> ChatCommand:
    """A question about a connection; `in` is the namespace of a FROM that names none."""
    target, port = _split_port(given["to"])
    if port and "port" in given:
        raise UsageError("the port is given twice")
    source, namespace = given["from"], given.get("in", "")
    if namespace and not re.search(r"[/:.]", source):
        source = f"{_namespace(namespace)}/{source}"
    words = {name: value for name, value in given.items() if name not in ("in", "public")}
    words = {**words, "from": source, "to": target, "port": given.get("port", port)}
    asked = make_question(
        source,
        target,
        words["port"],
        http=given.get("http", ""),
        dns=given.get("dns", ""),
        sni=given.get("sni", ""),
    )
    if not set(words.get(CHOSEN, "").split(",")) <= {"", "from", "to"}:
        raise UsageError(f"`--{CHOSEN}` is ours")
    return AboutConnection(asked, words, verb=verb, is_public=_public(given))


def _split_port(text: str) -> tuple[str, str]:
    """`NS/POD:8080` and `NAME:443` as people write them; `svc:NS/NAME:80` is an end as it is."""
    match = _PORT_AFTER_END.match(text)
    if match is None or text.startswith("svc:"):
        return text, ""
    try:
        parse_end(text)
    except UsageError:
        return match.group(1), match.group(2)
    return text, ""


def read_flows(given: Mapping[str, str]) -> ChatCommand:
    """Flows by their ends, verdict and age."""
    limit = given.get("limit", "10")
    if not limit.isdecimal() or not 0 < int(limit) <= FLOWS_MAX:
        raise UsageError(f"`--limit` is a number from 1 to {FLOWS_MAX}")
    return FlowsOf(tuple(_terms(given)), int(limit), is_public=_public(given))


def _terms(given: Mapping[str, str]) -> Iterator[str]:
    for name, key in (("end", "pod"), ("from", "from"), ("to", "to")):
        if name in given:
            yield from _end_terms(key, given[name])
    if "port" in given:
        number = given["port"].partition("/")[0]
        if not number.isdecimal():
            raise UsageError(f"`{given['port']}` is not the number of a port")
        yield f"port:{number}"
    if (verdict := given.get("verdict", "any").lower()) != "any":
        if verdict not in _VERDICTS:
            raise UsageError(f"`{verdict}` is no verdict", hint=f"any, {', '.join(_VERDICTS)}")
        yield f"verdict:{verdict}"
    if "since" in given:
        span_s(given["since"])
        yield f"since:{given['since']}"


def _end_terms(key: str, text: str) -> Iterator[str]:
    """An end of a question as terms of the filter language."""
    if re.search(r'[\s",]', text):
        raise UsageError(f"`{text}` is no end that flows are looked up by")
    if text.startswith("svc:"):
        raise UsageError("flows are seen at pods: name one, or the namespace")
    if text.startswith("ns:"):
        yield f"{key if key != 'pod' else 'ns'}:{text.removeprefix('ns:')}"
        return
    for form in _END_FORMS:
        text = text.removeprefix(form)
    host, port = _split_port(text.rpartition("://")[2])
    yield f"{key}:{host}"
    if port:
        yield f"port:{port.partition('/')[0]}"


def read_inventory(given: Mapping[str, str]) -> ChatCommand:
    """The policies of a namespace."""
    namespace = _namespace(given["namespace"].removeprefix("ns:"))
    return Inventory(namespace, is_public=_public(given))


def read_lint(given: Mapping[str, str]) -> ChatCommand:
    """What is wrong with a namespace, one of its policies, or all."""
    severity = given.get("severity", "info").lower()
    if severity not in [one.value for one in Severity]:
        raise UsageError(f"`{severity}` is no severity", hint=f"one of {', '.join(Severity)}")
    namespace, _, policy = given.get("namespace", "").removeprefix("ns:").partition("/")
    if namespace:
        _namespace(namespace)
    if policy and not _NAME.match(policy):
        raise UsageError(f"`{policy}` is not the name of a policy")
    return LintOf(namespace, policy, severity, is_public=_public(given))


def read_delete(given: Mapping[str, str]) -> ChatCommand:
    """What if a policy were gone."""
    if not _POLICY.match(given["policy"]):
        raise UsageError(f"`{given['policy']}` is not the name of a policy", hint="NS/NAME")
    return Delete(given["policy"], is_public=_public(given))


def reads(action: str) -> Callable[[Mapping[str, str]], ChatCommand]:
    """A command about a request for a change."""

    def read(given: Mapping[str, str]) -> ChatCommand:
        return Requests(
            action,
            given.get("id", ""),
            given.get("reason", ""),
            given.get("expires", ""),
            accepts_risk=bool(given.get("accept-risk")),
        )

    return read


def read_watches(_given: Mapping[str, str]) -> ChatCommand:
    """The watches of a channel."""
    return Watch("list")


def read_watch(given: Mapping[str, str]) -> ChatCommand:
    """A new watch."""
    every = given.get("every", "")
    if every:
        span_s(every)
    return Watch("add", _namespace(given["namespace"].removeprefix("ns:")), every)


def read_watch_end(given: Mapping[str, str]) -> ChatCommand:
    """The end of a watch."""
    return Watch("rm", key=given["id"])


def read_mute(given: Mapping[str, str]) -> ChatCommand:
    """A watch that is silent for a while."""
    span_s(given["span"])
    return Mute(given["id"], given["span"])


def read_nothing(_given: Mapping[str, str]) -> ChatCommand:
    """A command that is nothing without the word after it. Always raises."""
    raise UsageError("a word is missing")


def span_s(text: str) -> float:
    """A span of time as `15m`, `2h`, `30d`, in seconds. Raises `UsageError`."""
    seconds = parse_span(text)
    if not 0 < seconds <= LONGEST_S:
        raise UsageError(f"`{text}` is not between a second and a year")
    return seconds


def _namespace(text: str) -> str:
    if not _NAMESPACE.match(text):
        raise UsageError(f"`{text}` is not the name of a namespace")
    return text


def _public(given: Mapping[str, str]) -> bool:
    return bool(given.get("public"))
