"""Random layer 7 rules, and requests that hit or narrowly miss them."""

from __future__ import annotations

from typing import Any

from tests.oracle.clusters.dice import Dice
from tests.oracle.clusters.words import NAMES, PATTERNS

Rule = dict[str, Any]

METHODS = ("GET", "POST", "GET|HEAD", "P.*", "")
PATHS = (
    "/simple/.*",
    "/public",
    "/",
    "/api/v[0-9]+/.*",
    "/a|/b",
    "/x(\\?.*)?",
    "/[[:alpha:]]+",
    "",
)
HOSTS = ("mirror.example.org", ".*[.]example[.]org", "mirror", "(?i)Mirror.*", "")
HEADERS = (
    "X-Token: a",
    "X-Token",
    "X-Token a",
    "X-Token:a",
    "X-Token  a",
    "x-token: a",
    "Host: mirror",
)
HEADER_MATCHES: tuple[Rule, ...] = (
    {"name": "X-Token", "value": "a"},
    {"name": "X-Token"},
    {"name": "X-Token", "value": "a", "mismatch": "LOG"},
    {"name": "X-Token", "value": "b", "mismatch": "ADD"},
    {"name": "X-Token", "value": "b", "mismatch": "REPLACE"},
    {"name": "X-Token", "value": "b", "mismatch": "DELETE"},
)
SERVER_NAMES = ("pypi.org", "*.pypi.org", "**.example.org", "Github.com", "example.org")

ASKED_METHODS = ("GET", "POST", "HEAD", "PUT", "get")
ASKED_PATHS = ("/", "/simple/", "/simple/x?y=1", "/public", "/public?x", "/api/v12/", "/b", "/x?1")
ASKED_HOSTS = ("mirror.example.org", "mirror", "MIRROR.example.org", "mirror:8080", "")
ASKED_TOKENS = ("a", "b", " a ", ":a")
ASKED_NAMES = (
    *NAMES,
    "www.pypi.org",
    "a.b.pypi.org",
    "x.example.org",
    "PYPI.ORG",
    "pypi.org.",
    "c.b.example.org",
    "a.example.org",
    "evil.net",
    ".",
)


def http_rule(dice: Dice) -> Rule:
    """Give one HTTP rule; an empty one matches every request."""
    fields = {"method": METHODS, "path": PATHS, "host": HOSTS}
    rule: Rule = {}
    for name in dice.some(list(fields), 0, 2):
        if value := dice.pick(fields[name]):
            rule[name] = value
    if dice.chance(0.2):
        rule["headers"] = dice.some(HEADERS, 1, 2)
    if dice.chance(0.15):
        rule["headerMatches"] = dice.some(HEADER_MATCHES, 1, 2)
    return rule


def dns_rule(dice: Dice) -> Rule:
    """Give one DNS rule."""
    if dice.chance(0.35):
        return {"matchName": dice.pick(NAMES)}
    return {"matchPattern": dice.pick(PATTERNS)}


def request(dice: Dice, kind: str) -> Rule:
    """Give a request as a question carries it: `http`, `dns` or `sni`."""
    if kind == "dns":
        return {"dns": dice.pick(ASKED_NAMES)}
    if kind == "sni":
        return {"sni": dice.pick(ASKED_NAMES[:-1])}
    http: Rule = {
        "method": dice.pick(ASKED_METHODS[:2] if dice.chance(0.8) else ASKED_METHODS),
        "path": dice.pick(ASKED_PATHS),
        "host": dice.pick(ASKED_HOSTS),
    }
    if dice.chance(0.4):
        http["headers"] = {dice.pick(["X-Token", "x-token"]): dice.pick(ASKED_TOKENS)}
    return {"http": http}
