"""What DNS names look like: whose they are, how random, and what a search list made of them."""

from __future__ import annotations

import re
from collections import Counter
from math import log2

_CLUSTER = re.compile(r"(?:\.[a-z0-9-]+)?(?:\.svc)?\.cluster\.local$")
_SERVICE = re.compile(r"(?:\.[a-z0-9-]+)?\.svc(?:\.[a-z0-9-]+)*$")
_SHORT_LABEL = 3
_VOWELS = frozenset("aeiou")


def registered_domain(name: str) -> str:
    """The domain somebody registered, near enough: two labels, three under `co.uk` and its like."""
    labels = name.split(".")
    country = len(labels) > 2 and len(labels[-1]) == 2 and len(labels[-2]) <= _SHORT_LABEL  # noqa: PLR2004  # labels of a name
    return ".".join(labels[-3 if country else -2 :])


def without_search_list(name: str) -> str:
    """A name without what a pod's search list appended to it for the cluster.

    `pypi.org.project-lung.svc.cluster.local` is a question for `pypi.org`: with `ndots:5` a pod
    asks for that first. Source: Kubernetes DNS for Services and Pods, `resolv.conf(5)`.
    """
    stripped = _CLUSTER.sub("", name)
    if stripped == name:
        stripped = _SERVICE.sub("", name)
    return stripped or name


def is_of_cluster(name: str) -> bool:
    """Whether a name ends in the cluster's own domain, written out or by a search list."""
    return name.endswith((".cluster.local", ".svc")) or ".svc." in name


def is_reverse(name: str) -> bool:
    """Whether it asks for the name of an address: long by nature (RFC 1035 §3.5, RFC 3596)."""
    return name.endswith(".arpa")


def entropy(text: str) -> float:
    """Shannon's entropy of a text, in bits a character."""
    total = len(text)
    return -sum(n / total * log2(n / total) for n in Counter(text).values()) if total else 0.0


def looks_random(label: str) -> bool:
    """Whether a label reads like encoded bytes: many different characters, and no words.

    Sixteen characters of hex or base32 have 3.1 to 4 bits each; words of that length come near, but
    have vowels in a quarter to a half of their letters, and no digits among them.
    """
    if len(label) < 16 or entropy(label) < 3.0:  # noqa: PLR2004  # said above
        return False
    letters = [one for one in label if one.isalpha()]
    digits = sum(one.isdigit() for one in label)
    vowels = sum(one in _VOWELS for one in letters)
    mixed = digits >= 3 and bool(letters)  # noqa: PLR2004  # a year or a version has fewer runs
    wordless = len(letters) >= 10 and not 0.22 <= vowels / len(letters) <= 0.55  # noqa: PLR2004
    return mixed or wordless
