"""The filter language: one parser for the screen, the command line and the chat.

Terms joined by spaces must all hold, commas in a value are alternatives, `!` before a term turns
it round::

    gitea                         a substring of anything shown, without regard to case
    from:prj-a/jupyter*           a source pod; also a namespace, address, name or `world`
    port:53,443 verdict:dropped   see `KEYS`
    -l app=web   -f jupgit        a label selector; letters in this order

A filter has two parts. What Hubble can apply goes to Relay as allow and deny lists (`to_hubble`),
and what it lets through is a superset; `matches` then decides exactly. Nothing typed can be slow:
expressions run in RE2, and lists have an end.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Any

from app.core.errors import UsageError
from app.core.flows.match import Test, all_of, http_conflict
from app.core.flows.observe_flags import Filters
from app.core.flows.terms import KEYS, Term, fuzzy_term, label_term, parse_span, text_term
from app.core.flows.times import NS_PER_S

LONGEST_FILTER = 2_000
MOST_ALTERNATIVES = 64
"""FlowFilters sent to Relay; a filter that would need more is applied here."""

_TOKEN = re.compile(r'(?:"[^"]*"|\S)+')
_KEY = re.compile(r"([a-z][a-z-]*):(?!:)(.*)", re.DOTALL | re.IGNORECASE)
_OPTIONS: Mapping[str, Callable[[str], Term]] = {"-l": label_term, "-f": fuzzy_term}


@dataclass(frozen=True, slots=True)
class Filter:
    """A parsed filter. `since_ns` is the oldest time it lets through; None when it has none."""

    text: str
    terms: tuple[Term, ...] = ()
    since_ns: int | None = None
    matches: Test = lambda _flow: True

    @property
    def is_empty(self) -> bool:
        """Whether everything passes."""
        return not self.terms and self.since_ns is None

    def to_hubble(self) -> Filters:
        """The part that Relay can apply: never less than what `matches` lets through."""
        allow: list[dict[str, Any]] = [{}]
        deny: list[dict[str, Any]] = []
        for term in self.terms:
            if term.negated and term.is_exact:
                deny.extend(map(dict, term.alternatives))
            elif not term.negated and term.alternatives:
                allow = _narrow(allow, term.alternatives)
        return Filters(() if allow == [{}] else tuple(allow), tuple(deny))


def parse_filter(text: str, *, now_ns: int = 0) -> Filter:
    """Read a filter. `since:` counts back from `now_ns`, which may be the newest flow's time.

    Raises `UsageError` that names the column and the nearest key.
    """
    if len(text) > LONGEST_FILTER:
        raise UsageError(f"a filter has at most {LONGEST_FILTER} characters")
    terms, since_ns = [], None
    for column, token, argument in _tokens(text):
        try:
            if span := _since(token):
                since_ns = now_ns - int(span * NS_PER_S)
            else:
                terms.append(_term(token, argument))
        except UsageError as error:
            raise UsageError(f"{error.message} (column {column})", hint=error.hint) from error
    tests = [term.test for term in terms]
    if since_ns is not None:
        oldest = since_ns
        tests.append(lambda flow: flow.time_ns >= oldest)
    return Filter(text, tuple(terms), since_ns, all_of(tests))


def _tokens(text: str) -> Iterator[tuple[int, str, str]]:
    """Column (from 1), token, and for `-l` and `-f` the word after it."""
    found = _TOKEN.finditer(text)
    for match in found:
        token = match.group()
        if token.removeprefix("!") not in _OPTIONS:
            yield match.start() + 1, token, ""
            continue
        argument = next(found, None)
        if argument is None:
            raise UsageError(f"`{token}` needs a value (column {match.start() + 1})")
        yield match.start() + 1, token, argument.group()


def _since(token: str) -> float | None:
    match = _KEY.fullmatch(token)
    return parse_span(match[2]) if match and match[1].lower() == "since" else None


def _term(token: str, argument: str) -> Term:
    negated = token.startswith("!")
    body = token.removeprefix("!").replace('"', "")
    if not body:
        raise UsageError("`!` needs a term after it")
    term = _plain_term(body, argument.replace('"', ""), quoted='"' in token)
    if not negated:
        return term
    test = term.test
    return replace(term, negated=True, test=lambda flow: not test(flow))


def _plain_term(body: str, argument: str, *, quoted: bool) -> Term:
    if body in _OPTIONS:
        return _OPTIONS[body](argument)
    match = _KEY.fullmatch(body)
    if match is None or (quoted and match[1].lower() not in KEYS):
        return text_term(body)
    key, value = match[1].lower(), match[2]
    if key not in KEYS:
        near = get_close_matches(key, (*KEYS, "since"), 1)
        raise UsageError(
            f"`{key}` is not a filter key",
            hint=f"did you mean `{near[0]}:`" if near else f"keys are {', '.join(KEYS)}, since",
        )
    values = [each for each in value.split(",") if each]
    if not values:
        raise UsageError(f"`{key}:` needs a value")
    return KEYS[key].parse(values)


def _narrow(
    allow: list[dict[str, Any]], alternatives: tuple[Mapping[str, Any], ...]
) -> list[dict[str, Any]]:
    """Join two lists of alternatives by AND; left as it was where a FlowFilter cannot say that."""
    if len(allow) * len(alternatives) > MOST_ALTERNATIVES:
        return allow
    joined = []
    for one in allow:
        for other in alternatives:
            both = {**one, **other}
            if not one.keys().isdisjoint(other) or http_conflict(both):
                return allow
            joined.append(both)
    return joined
