"""Domain names and their patterns, as toFQDNs and DNS rules read them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

import re2

MAX_NAME_LENGTH = 255
"""Source: Cilium `pkg/fqdn/matchpattern/matchpattern.go` `MaxFQDNLength`."""

_LABEL_CHAR = "[-a-zA-Z0-9_]"
_WHOLE_LABELS = f"({_LABEL_CHAR}+([.]{_LABEL_CHAR}+)*)[.]"
_ANY_NAME = rf"(?:(?:{_LABEL_CHAR}+[.])+|[.])\z"
_ONLY_STARS = re.compile(r"[*]+[.]?\Z")
_NAME_CHARS = re.compile(r"[-a-zA-Z0-9_.]+\Z")
_PATTERN = re.compile(r"[-a-zA-Z0-9_.*]+\Z")
_LEADING_STARS = re.compile(r"[*]{2,}\[\.\]")
_STARS = re.compile(r"[*]+")
_NOTHING = re2.compile(r"[^\x00-\x{10FFFF}]")
_PLACEHOLDER = re.compile(r"\$\{[A-Za-z_][A-Za-z0-9_]*\}")

FIRST_WITH_WHOLE_LABELS = (1, 19, 0)
"""The first release in which a leading `**.` means whole labels."""


def is_match_name(text: str) -> bool:
    """Say whether the agent takes `text` as a `matchName`.

    Source: Cilium `pkg/policy/api/fqdn.go` `allowedMatchNameChars`. A placeholder that nobody
    filled, as `${DOMAIN}`, stands for a name that is not known: it is taken and matches nothing.
    """
    return _NAME_CHARS.match(_PLACEHOLDER.sub("x", text)) is not None


def is_crd_name(text: str) -> bool:
    """Say whether the API server takes a name too: it also refuses misplaced dots.

    Source: Cilium `pkg/policy/api/fqdn.go` `FQDNMatchNameRegexString`. Written without repeated
    groups that overlap, unlike the original, so that a hostile name costs linear time.
    """
    return not text.startswith(".") and ".." not in text


def is_match_pattern(text: str) -> bool:
    """Say whether the agent takes `text` as a `matchPattern`; an empty one passes.

    Source: Cilium `pkg/fqdn/matchpattern/matchpattern.go` `prevalidate`.
    Placeholders are taken as in `is_match_name`.
    """
    if len(text.strip()) > MAX_NAME_LENGTH:
        return False
    return not text or _PATTERN.match(_PLACEHOLDER.sub("x", text)) is not None


def with_final_dot(name: str) -> str:
    """Give the name as DNS writes it, with its final dot."""
    return name if name.endswith(".") else name + "."


@lru_cache(maxsize=4096)
def fqdn_expression(name: str, pattern: str, *, whole_labels: bool) -> Any:
    """Give the expression of a toFQDNs element over a lower-case name with its final dot.

    `*.cilium.io` matches one label in front, `**.cilium.io` (`whole_labels`, since 1.19) one or
    more, a lone `*` every name. Source: Cilium `pkg/policy/api/fqdn.go` `ToRegex`,
    `pkg/fqdn/matchpattern/matchpattern.go` `ToAnchoredRegexp`. The engine is RE2, as the agent's
    is: stars between stars take a backtracking one for ever.
    """
    text = name or pattern
    if _PLACEHOLDER.search(text):
        return _NOTHING
    if not name and _ONLY_STARS.match(pattern):
        return re2.compile(_ANY_NAME)
    translated = _translate_stars(with_final_dot(text).lower(), whole_labels=whole_labels)
    return re2.compile(rf"(?:{translated})\z")


def _translate_stars(text: str, *, whole_labels: bool) -> str:
    """Dots are literal; a leading run of stars before a dot is labels, other runs stay in one."""
    text = text.replace(".", "[.]")
    leading = _LEADING_STARS.match(text) if whole_labels else None
    if leading is None:
        return _STARS.sub(lambda _: f"{_LABEL_CHAR}*", text)
    return _WHOLE_LABELS + _STARS.sub(lambda _: f"{_LABEL_CHAR}*", text[leading.end() :])


def dns_rules_allow(
    rules: Iterable[tuple[str, str]], asked: str, *, whole_labels: bool = True
) -> bool:
    """Say whether DNS rules, (name, pattern) each, let the proxy answer a question.

    A pattern of stars alone lets any text through, unlike in toFQDNs; an element with neither
    field matches nothing. Source: Cilium `pkg/fqdn/dnsproxy/proxy.go` `GeneratePattern`,
    `CheckAllowed`.
    """
    question = with_final_dot(asked).lower()
    return any(_dns_rule_allows(*rule, question, whole_labels=whole_labels) for rule in rules)


def _dns_rule_allows(name: str, pattern: str, question: str, *, whole_labels: bool) -> bool:
    if name and fqdn_expression(name, "", whole_labels=whole_labels).match(question):
        return True
    if not pattern:
        return False
    if _ONLY_STARS.match(pattern):
        return True
    return fqdn_expression("", pattern, whole_labels=whole_labels).match(question) is not None
