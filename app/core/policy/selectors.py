"""From written label selectors to requirements, by the rules of the agent's version.

Inside the agent a key carries its source: `app` becomes `any.app` up to 1.19 and `any:app` from
1.20 on, and what may be written depends on when the check happens. Source: Cilium
`pkg/policy/api/selector.go`, `pkg/labels/labels.go` `parseSource`, `GetExtendedKeyFrom`,
`NewSourceEncodedLabelKey`, `pkg/labels/validation.go` (1.20).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from app.core.model.labels import ANY_SOURCE, K8S_SOURCE, RESERVED_SOURCE
from app.core.policy.decode import Reader, Refused, items, text, text_map, texts
from app.core.policy.rules import (
    GROUP_SOURCE,
    NAMESPACE_LABELS,
    LabelSelector,
    Operator,
    Requirement,
)

NAMESPACE_KEY = "io.kubernetes.pod.namespace"
NAMESPACE_LABELS_KEY = NAMESPACE_LABELS
CLUSTER_KEY = "io.cilium.k8s.policy.cluster"
SERVICE_ACCOUNT_KEY = "io.cilium.k8s.policy.serviceaccount"

FIRST_WITH_COLON_KEYS = (1, 20, 0)
"""From here on keys keep `:` inside the agent, and are checked before the source is added."""

OPERATORS = frozenset(str(operator) for operator in Operator)
MAX_NAME = 63
MAX_PREFIX = 253
_NAME = re.compile(r"(?:[A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]\Z")
_SUBDOMAIN = re.compile(r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?(?:\.[a-z0-9](?:[-a-z0-9]*[a-z0-9])?)*\Z")
_SOURCE = re.compile(r"[A-Za-z0-9]+\Z")

Version = tuple[int, int, int]


def is_label_value(value: str) -> bool:
    """Say whether Kubernetes takes `value` as a label's value."""
    return not value or (len(value) <= MAX_NAME and _NAME.match(value) is not None)


def is_qualified_name(key: str) -> bool:
    """Say whether Kubernetes takes `key` as a label's key: a name, behind a DNS prefix or not."""
    prefix, slash, name = key.rpartition("/")
    if slash and (len(prefix) > MAX_PREFIX or not _SUBDOMAIN.match(prefix)):
        return False
    return 0 < len(name) <= MAX_NAME and _NAME.match(name) is not None


def is_subdomain(value: str) -> bool:
    """Say whether `value` is a DNS-1123 subdomain, as object names are."""
    return 0 < len(value) <= MAX_PREFIX and _SUBDOMAIN.match(value) is not None


@dataclass(frozen=True, slots=True)
class Expression:
    """One item of `matchExpressions` as written; `operator` may be unknown."""

    key: str
    operator: str
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Written:
    """A label selector as written in an object."""

    labels: Mapping[str, str]
    expressions: tuple[Expression, ...]
    path: str


def read_selector(reader: Reader, value: Any, path: str) -> Written:
    """Read a Kubernetes LabelSelector; `null` counts as `{}`."""
    fields = reader.fields(value, path, ("matchLabels", "matchExpressions"))
    labels = text_map(fields.get("matchLabels"), f"{path}.matchLabels")
    expressions = tuple(
        _read_expression(reader, item, where)
        for item, where in items(fields.get("matchExpressions"), f"{path}.matchExpressions")
    )
    return Written(labels, expressions, path)


def _read_expression(reader: Reader, value: Any, path: str) -> Expression:
    fields = reader.fields(value, path, ("key", "operator", "values"))
    return Expression(
        text(fields.get("key"), f"{path}.key"),
        text(fields.get("operator"), f"{path}.operator"),
        texts(fields.get("values"), f"{path}.values"),
    )


@dataclass(slots=True)
class SelectorDraft:
    """A selector under construction; keys carry their source, joined by `delimiter`.

    `implied` are the keys that nobody wrote.
    """

    delimiter: str
    path: str
    labels: dict[str, str] = field(default_factory=dict)
    expressions: list[Expression] = field(default_factory=list)
    implied: set[str] = field(default_factory=set)

    def key(self, source: str, name: str) -> str:
        """Write a key with its source."""
        return f"{source}{self.delimiter}{name}"

    def has_key(self, source: str, name: str) -> bool:
        """Say whether exactly this key is named, in either part."""
        key = self.key(source, name)
        return key in self.labels or any(item.key == key for item in self.expressions)

    def has_prefix(self, source: str, prefix: str = "") -> bool:
        """Say whether a key begins with the source and prefix."""
        start = self.key(source, prefix)
        return any(key.startswith(start) for key in self._keys())

    def _keys(self) -> list[str]:
        return [*self.labels, *(item.key for item in self.expressions)]

    def add(self, source: str, name: str, value: str) -> None:
        """Ask for a value."""
        self.labels[self.key(source, name)] = value

    def imply(self, name: str, value: str | None) -> None:
        """Ask for a label of the agent's own that nobody wrote; None: for its key."""
        self.implied.add(self.key(K8S_SOURCE, name))
        if value is None:
            self.add_exists(K8S_SOURCE, name)
        else:
            self.add(K8S_SOURCE, name, value)

    def add_exists(self, source: str, name: str) -> None:
        """Ask for a key."""
        self.expressions.append(Expression(self.key(source, name), Operator.EXISTS, ()))

    def finish(self, *, broken: bool = False) -> LabelSelector:
        """Give the selector; a `broken` one has no requirement left and matches everybody."""
        requirements = () if broken else tuple(self._requirements())
        shown = "everyone" if broken else self._text(requirements)
        return LabelSelector(self._identity(), requirements, shown, broken, self.path)

    def _text(self, requirements: tuple[Requirement, ...]) -> str:
        """Say what is asked for, the implied namespace last and the implied cluster not at all."""
        written = [
            item.words
            for item in requirements
            if self.key(item.source, item.key) not in self.implied
        ]
        namespace = self.key(K8S_SOURCE, NAMESPACE_KEY)
        if namespace not in self.implied:
            return " and ".join(written) or ("every pod" if self.implied else "everyone")
        shown = " and ".join(written) or "every pod"
        return (
            f"{shown} in namespace {self.labels[namespace]}" if namespace in self.labels else shown
        )

    def _identity(self) -> str:
        labels = ",".join(f"{key}={self.labels[key]}" for key in sorted(self.labels))
        expressions = ",".join(
            f"{item.key} {item.operator} {list(item.values)}" for item in self.expressions
        )
        return f"{{{labels}}}|[{expressions}]"

    def _requirements(self) -> list[Requirement]:
        wanted = [
            Requirement(*self._split(key), Operator.IN, frozenset((value,)))
            for key, value in self.labels.items()
        ]
        wanted += [
            Requirement(*self._split(item.key), Operator(item.operator), frozenset(item.values))
            for item in self.expressions
            if item.operator in OPERATORS
        ]
        return wanted

    def _split(self, key: str) -> tuple[str, str]:
        source, name = parse_source(key, self.delimiter)
        return source or ANY_SOURCE, name


def parse_source(key: str, delimiter: str) -> tuple[str, str]:
    """Split a key at its source; the source is empty when none is written.

    A leading `$` stands for `reserved`. Source: Cilium `pkg/labels/labels.go` `parseSource`.
    """
    if key.startswith("$"):
        return RESERVED_SOURCE, key[1:]
    source, found, name = key.partition(delimiter)
    return (source, name) if found else ("", key)


def delimiter_of(version: Version) -> str:
    """Say what joins source and name inside this version."""
    return ":" if version >= FIRST_WITH_COLON_KEYS else "."


def cilium_draft(written: Written, version: Version) -> SelectorDraft:
    """Check a selector of a Cilium policy and give its keys their sources; may raise `Refused`."""
    if version >= FIRST_WITH_COLON_KEYS:
        return _colon_draft(written, ANY_SOURCE)
    return check_draft(_draft(written, ".", lambda key: _dotted(key, version)))


def group_draft(written: Written, version: Version) -> SelectorDraft:
    """Check a selector over labels of CIDR groups; may raise `Refused`.

    Up to 1.19 the source is put in front of whatever is written, so a key that already has one is
    no valid name any more.
    """
    if version >= FIRST_WITH_COLON_KEYS:
        return _colon_draft(written, GROUP_SOURCE)
    return check_draft(_draft(written, ".", lambda key: f"{GROUP_SOURCE}.{key}"))


def _dotted(key: str, version: Version) -> str:
    source, name = parse_source(key, ":")
    if not source and key.startswith(f"{RESERVED_SOURCE}.") and version < FIRST_WITH_COLON_KEYS:
        source, name = RESERVED_SOURCE, key[len(RESERVED_SOURCE) + 1 :]
    return f"{source or ANY_SOURCE}.{name.partition('=')[0]}"


def _colon_draft(written: Written, source: str) -> SelectorDraft:
    _check(written, _is_colon_key)
    return _draft(written, ":", lambda key: key if ":" in key else f"{source}:{key}")


def _is_colon_key(key: str) -> bool:
    source, found, name = key.partition(":")
    if not found:
        return is_qualified_name(key)
    return _SOURCE.match(source) is not None and ":" not in name and is_qualified_name(name)


def add_knp(draft: SelectorDraft, written: Written, prefix: str = "") -> None:
    """Add what a NetworkPolicy writes; every key there has the source `k8s`."""
    for key, value in written.labels.items():
        draft.labels[_knp_key(draft, prefix + key)] = value
    draft.expressions += [
        Expression(_knp_key(draft, prefix + item.key), item.operator, item.values)
        for item in written.expressions
    ]


def _knp_key(draft: SelectorDraft, key: str) -> str:
    if draft.delimiter == ":" and parse_source(key, ":")[0]:
        return key
    return draft.key(K8S_SOURCE, key)


def finish_knp(draft: SelectorDraft) -> LabelSelector:
    """Give a NetworkPolicy's selector.

    Up to 1.19 a key or value that is no valid label after the source was added leaves no
    requirement at all, so the selector matches everybody (issue 43771); 1.20 takes it as written.
    Source: Cilium `pkg/policy/types/requirements.go` `LabelSelectorToRequirements`.
    """
    if draft.delimiter == ":":
        return draft.finish()
    return draft.finish(broken=_complaint(draft.labels, draft.expressions, is_qualified_name) != "")


def _draft(written: Written, delimiter: str, extend: Any) -> SelectorDraft:
    draft = SelectorDraft(delimiter, written.path)
    draft.labels = {extend(key): value for key, value in written.labels.items()}
    draft.expressions = [
        Expression(extend(item.key), item.operator, item.values) for item in written.expressions
    ]
    return draft


def check_draft(draft: SelectorDraft) -> SelectorDraft:
    """Refuse keys and values that are no labels any more once their source is added."""
    is_key = _is_colon_key if draft.delimiter == ":" else is_qualified_name
    complaint = _complaint(draft.labels, draft.expressions, is_key)
    if complaint:
        raise Refused(f"the selector is not valid: {complaint}", draft.path)
    return draft


def is_selector_valid(written: Written) -> bool:
    """Say whether Kubernetes itself takes the selector as written."""
    return not _complaint(written.labels, written.expressions, is_qualified_name)


def _check(written: Written, is_key: Any) -> None:
    complaint = _complaint(written.labels, written.expressions, is_key)
    if complaint:
        raise Refused(f"the selector is not valid: {complaint}", written.path)


def _complaint(labels: Mapping[str, str], expressions: Any, is_key: Any) -> str:
    for key, value in labels.items():
        if not is_key(key):
            return f"`{key}` is no label key (name part of at most {MAX_NAME} characters)"
        if not is_label_value(value):
            return f"`{value}` is no label value"
    for item in expressions:
        complaint = _expression_complaint(item, is_key)
        if complaint:
            return complaint
    return ""


def _expression_complaint(item: Expression, is_key: Any) -> str:
    takes_values = item.operator in (Operator.IN, Operator.NOT_IN)
    if item.operator not in OPERATORS:
        return f"`{item.operator}` is no operator"
    if takes_values and not item.values:
        return f"`{item.operator}` needs values"
    if item.values and not takes_values:
        return f"`{item.operator}` takes no values"
    if not is_key(item.key):
        return f"`{item.key}` is no label key (name part of at most {MAX_NAME} characters)"
    wrong = [value for value in item.values if not is_label_value(value)]
    return f"`{wrong[0]}` is no label value" if wrong else ""
