"""Quiet hours: when only what is severe is told at once."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from app.core.errors import ConfigError
from app.core.flows.times import NS_PER_S

_FORM = re.compile(r"(\d\d:\d\d)-(\d\d:\d\d)(?: (\S+))?\Z")


@dataclass(frozen=True, slots=True)
class QuietHours:
    """From one time of the day to another, which may be on the next day; equal: never."""

    begins: time = time()
    ends: time = time()
    zone: tzinfo = field(default=UTC)

    def holds(self, now_ns: int) -> bool:
        """Whether it is quiet now (UTC nanoseconds)."""
        now = datetime.fromtimestamp(now_ns / NS_PER_S, self.zone).time()
        if self.begins <= self.ends:
            return self.begins <= now < self.ends
        return now >= self.begins or now < self.ends


def parse_quiet(text: str, key: str) -> QuietHours:
    """Read `22:00-07:00 Europe/London`; without a zone UTC. Raises `ConfigError`."""
    if not text:
        return QuietHours()
    try:
        return _read(text)
    except (ValueError, ZoneInfoNotFoundError) as error:
        raise ConfigError(
            f"`{text}` are no quiet hours", hint="as 22:00-07:00 Europe/London", key=key
        ) from error


def _read(text: str) -> QuietHours:
    found = _FORM.match(text)
    if found is None:
        raise ValueError(text)
    zone = ZoneInfo(found[3]) if found[3] else UTC
    return QuietHours(time.fromisoformat(found[1]), time.fromisoformat(found[2]), zone)
