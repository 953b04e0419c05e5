"""A YAML document as the JSON tree kubectl makes of it, with the line of every path.

PyYAML's C parser composes nodes; values are made here, because PyYAML's own constructors follow
YAML 1.1 where go-yaml does not (dates, base 60), and let duplicate keys pass.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

import yaml
from yaml._yaml import CParser
from yaml.composer import Composer
from yaml.events import Event
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from app.core.documents.limits import READING, Limits
from app.core.documents.scalars import key_text, kustomize_text, resolve_plain
from app.core.errors import BadInput

_PLAIN: Final = "plain"
"""Tag given to unquoted scalars without a tag of their own; no YAML tag looks like it."""

_QUOTED: Final = "tag:yaml.org,2002:str"
_CORE: Final = "tag:yaml.org,2002:"
_RESOLVABLE: Final = frozenset(
    _CORE + name for name in ("bool", "int", "float", "null", "timestamp")
)
_MAY_ALIAS = re.compile(r"(?:^|[\s\[{,:-])\*[^\s*]", re.MULTILINE)


class _Composer(CParser):
    """libyaml's composer without PyYAML's resolvers, which cost more than the parsing."""

    def resolve(self, kind: type[Node], _value: str | None, implicit: Any) -> str:
        if kind is ScalarNode:
            return _PLAIN if implicit[0] else _QUOTED
        return _CORE + ("map" if kind is MappingNode else "seq")

    def descend_resolver(self, _parent: Node | None, _index: Any) -> None:
        return

    def ascend_resolver(self) -> None:
        return


class _Redefining(Composer):
    """Composes from libyaml's events where an anchor is defined again, which YAML allows.

    Source: YAML 1.2 §3.2.2.2 (an alias means the anchor most recently defined); PyYAML refuses it.
    """

    def __init__(self, text: str) -> None:
        super().__init__()
        self._events = _Composer(text)

    def compose_node(self, parent: Node | None, index: Any) -> Node | None:
        event: Event = self.peek_event()
        if not isinstance(event, yaml.AliasEvent):
            self.anchors.pop(getattr(event, "anchor", None), None)
        return super().compose_node(parent, index)

    def peek_event(self) -> Any:
        return self._events.peek_event()

    def get_event(self) -> Any:
        return self._events.get_event()

    def check_event(self, *choices: Any) -> bool:
        return bool(self._events.check_event(*choices))

    def resolve(self, kind: type[Node], value: str | None, implicit: Any) -> str:
        return self._events.resolve(kind, value, implicit)

    def descend_resolver(self, _parent: Node | None, _index: Any) -> None:
        return

    def ascend_resolver(self) -> None:
        return


def compose(text: str, first_line: int = 1, limits: Limits = READING) -> Node | None:
    """Give the node of the only document of `text`, None when it is empty.

    Raises BadInput with the line that YAML objects to; `first_line` is the text's own.
    """
    if _least_nodes(text) > limits.nodes:
        raise BadInput(f"more than {limits.nodes:,} values in one document", line=first_line)
    try:
        return _Composer(text).get_single_node()
    except yaml.MarkedYAMLError as error:
        if "duplicate anchor" in str(error.context or error.problem):
            return _compose_again(text, first_line)
        raise _not_yaml(error, first_line) from error
    except yaml.YAMLError as error:
        raise BadInput(f"not YAML: {str(error).splitlines()[0]}", line=first_line) from error


def _compose_again(text: str, first_line: int) -> Node | None:
    try:
        return _Redefining(text).get_single_node()
    except RecursionError as error:
        raise BadInput("nested too deeply", line=first_line) from error
    except yaml.MarkedYAMLError as error:
        raise _not_yaml(error, first_line) from error


def _not_yaml(error: yaml.MarkedYAMLError, first_line: int) -> BadInput:
    mark = error.problem_mark or error.context_mark
    line = first_line + (mark.line if mark else 0)
    return BadInput(f"not YAML: {_problem(error)}", line=line)


def _least_nodes(text: str) -> int:
    """About how many values a text holds: one to a line or a comma, never half of them."""
    return text.count("\n") + text.count(",")


def _problem(error: yaml.MarkedYAMLError) -> str:
    parts = [part for part in (error.problem, error.context) if part]
    return ", ".join(parts) or "malformed"


def may_alias(text: str) -> bool:
    """Say whether `text` could hold an alias; quoted `"*"` does not count."""
    return _MAY_ALIAS.search(text) is not None


class TreeBuilder:
    """Turns composed nodes into values, within limits that hold for all it builds.

    `aliases` False says that the text has none (`may_alias`), which saves counting them.
    `fill` replaces placeholders in every scalar before it is resolved, as envsubst would have.
    `lines`, when given, receives `spec.egress[1]` → 1-based line for every path, and `words` the
    text of those scalars that kustomize reads as text and others do not.
    """

    def __init__(
        self,
        limits: Limits,
        *,
        aliases: bool = True,
        first_line: int = 1,
        fill: Callable[[str], str] | None = None,
        lines: dict[str, int] | None = None,
        words: dict[str, str] | None = None,
    ) -> None:
        self._limits = limits
        self._first_line = first_line
        self._fill = fill
        self._lines = lines
        self._words = words
        self._nodes_left = limits.nodes
        self._repeated_left = limits.repeated
        self._seen: set[int] | None = set() if aliases else None
        self._in_alias = False

    def build(self, node: Node | None) -> Any:
        """Give the JSON value of a root node; BadInput with line and path when it has none."""
        return None if node is None else self._value(node, "", 0)

    def _value(self, node: Node, path: str, depth: int) -> Any:
        self._nodes_left -= 1
        if self._nodes_left < 0:
            raise self._bad(f"more than {self._limits.nodes:,} values", node, path)
        if self._seen is None:
            return self._unfold(node, path, depth)
        if self._in_alias:
            self._repeated_left -= 1
            if self._repeated_left < 0:
                most = f"{self._limits.repeated:,}"
                raise self._bad(f"aliases stand for more than {most} values", node, path)
            return self._unfold(node, path, depth)
        if id(node) not in self._seen:
            self._seen.add(id(node))
            return self._unfold(node, path, depth)
        self._in_alias = True
        value = self._unfold(node, path, depth)
        self._in_alias = False
        return value

    def _unfold(self, node: Node, path: str, depth: int) -> Any:
        if isinstance(node, ScalarNode):
            return self._scalar(node, path)
        if depth >= self._limits.nesting:
            raise self._bad(f"nested deeper than {self._limits.nesting} levels", node, path)
        self._check_tag(node, path)
        if isinstance(node, MappingNode):
            return self._mapping(node, path, depth)
        return self._sequence(node, path, depth)

    def _sequence(self, node: Node, path: str, depth: int) -> list[Any]:
        items = []
        for index, child in enumerate(node.value):
            child_path = ""
            if self._lines is not None:
                child_path = f"{path}[{index}]"
                self._lines[child_path] = self._line(child)
            items.append(self._value(child, child_path, depth + 1))
        return items

    def _mapping(self, node: MappingNode, path: str, depth: int) -> dict[str, Any]:
        own: dict[str, Any] = {}
        merged: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if key_node.value == "<<" and key_node.tag == _PLAIN:
                merged |= self._merge(value_node, path, depth)
                continue
            key = self._key(key_node, path)
            if key in own:
                raise self._bad(f"key `{key}` stands twice", key_node, path)
            child_path = ""
            if self._lines is not None:
                child_path = f"{path}.{key}" if path else key
                self._lines[child_path] = self._line(key_node)
            own[key] = self._value(value_node, child_path, depth + 1)
        return merged | own if merged else own

    def _merge(self, node: Node, path: str, depth: int) -> dict[str, Any]:
        sources = node.value if isinstance(node, SequenceNode) else [node]
        merged: dict[str, Any] = {}
        for source in reversed(sources):
            value = self._value(source, path, depth + 1)
            if not isinstance(value, dict):
                raise self._bad("a merge key takes mappings only", source, path)
            merged |= value
        return merged

    def _key(self, node: Node, path: str) -> str:
        if not isinstance(node, ScalarNode):
            raise self._bad("a key is not a plain value", node, path)
        key = key_text(self._scalar(node, path))
        if key is None:
            raise self._bad("a key is empty", node, path)
        if len(key) > self._limits.key or len(key) + len(path) > self._limits.path:
            raise self._bad(f"a key is longer than {self._limits.key:,} characters", node, path)
        return key

    def _scalar(self, node: ScalarNode, path: str) -> Any:
        text: str = node.value
        if self._fill is not None and "$" in text:
            text = self._fill(text)
        tag = node.tag
        if tag == _QUOTED:
            return text
        if tag == _PLAIN or tag in _RESOLVABLE:
            if self._words is not None and (word := kustomize_text(text)) is not None:
                self._words[path] = word
            try:
                return resolve_plain(text)
            except ValueError:
                raise self._bad(f"`{text}` has no JSON form", node, path) from None
        raise self._bad(f"tag `{tag}` is not supported", node, path)

    def _check_tag(self, node: Node, path: str) -> None:
        if not node.tag.startswith(_CORE):
            raise self._bad(f"tag `{node.tag}` is not supported", node, path)

    def _line(self, node: Node) -> int:
        return int(node.start_mark.line) + self._first_line

    def _bad(self, message: str, node: Node, path: str) -> BadInput:
        return BadInput(message, line=self._line(node), path=path)


def scalar_of(node: Node | None, key: str) -> str:
    """Give the text of a scalar directly under a mapping, empty when there is none."""
    if isinstance(node, MappingNode):
        for key_node, value_node in node.value:
            if key_node.value == key and isinstance(value_node, ScalarNode):
                return str(value_node.value)
    return ""
