"""What was offered to be pressed: opaque ids in messages, and the commands they stand for.

A message carries nothing that could be read or forged: an id says nothing, cannot be guessed, and
is known here only, for a day at most and while it is among the newest. In a file they outlive a
restart, and several bots that share it know each other's: Slack delivers a press to any of them.
"""

from __future__ import annotations

import os
import secrets
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

KEPT_MAX = 5000
KEPT_S = 24 * 3600.0
ANYBODY = ""
_BETWEEN_SWEEPS = 200
_TABLE = """
create table if not exists offers (
  token text primary key, user text, command text, once integer, until_s real
) without rowid"""


class Offers:
    """Remembers offers by id, in memory or in a file that is its owner's alone."""

    def __init__(
        self,
        file: Path | None = None,
        *,
        kept_max: int = KEPT_MAX,
        now_s: Callable[[], float] = time.time,
    ) -> None:
        self._kept_max = kept_max
        self._now_s = now_s
        self._made = 0
        if file is not None:
            file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            os.close(os.open(file, os.O_WRONLY | os.O_CREAT, 0o600))
        self._kept = sqlite3.connect(file or ":memory:", isolation_level=None, timeout=5.0)
        self._kept.execute("pragma journal_mode = wal")
        self._kept.execute("pragma synchronous = off")  # a lost offer costs a question
        self._kept.execute(_TABLE)

    def __len__(self) -> int:
        (count,) = self._kept.execute("select count(*) from offers").fetchone()
        return int(count)

    def make(self, user: str, command: str, *, counts_once: bool) -> str:
        """Give the id of a new offer: to a user, or to `ANYBODY` where the command decides.

        One that `counts_once` is gone when it was pressed.
        """
        token = f"c1.{secrets.token_urlsafe(16)}"
        row = (token, user, command, counts_once, self._now_s() + KEPT_S)
        self._kept.execute("insert into offers values (?, ?, ?, ?, ?)", row)
        self._made += 1
        if self._made % _BETWEEN_SWEEPS == 0:
            self._sweep()
        return token

    def redeem(self, token: str, user: str) -> str | None:
        """Give the command of an offer, or None: it is gone, used, or another user's."""
        found = self._kept.execute(
            "select command, once from offers where token = ? and until_s >= ? and user in (?, ?)",
            (token, self._now_s(), user, ANYBODY),
        ).fetchone()
        if found is None:
            return None
        if found[1]:
            gone = self._kept.execute("delete from offers where token = ?", (token,))
            if not gone.rowcount:
                return None  # another bot was quicker
        return str(found[0])

    def close(self) -> None:
        """Let go of the file."""
        self._kept.close()

    def _sweep(self) -> None:
        self._kept.execute("delete from offers where until_s < ?", (self._now_s(),))
        self._kept.execute(
            "delete from offers where token in"
            " (select token from offers order by until_s desc limit -1 offset ?)",
            (self._kept_max,),
        )
