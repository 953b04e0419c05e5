"""Digests by which a change is known again, whoever asks for it and whenever."""

from __future__ import annotations

import hashlib
import json


def digest(value: object) -> str:
    """The SHA-256 of a value of JSON's types, whatever the order of its keys."""
    canonical = json.dumps(value, sort_keys=True, ensure_ascii=True, default=repr)
    return hashlib.sha256(canonical.encode()).hexdigest()
