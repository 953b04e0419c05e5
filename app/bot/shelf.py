"""What the bot remembers over restarts: small records by kind and key, in one file.

Several bots may share the file; each change is one transaction. The file is its owner's alone.
"""

from __future__ import annotations

import json
import os
import sqlite3
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_TABLE = """
create table if not exists shelf (
  kind text, key text, body text not null, primary key (kind, key)
) without rowid;
"""

Record = Mapping[str, Any]


class Shelf:
    """Keeps records, in a file or, without one, as long as the program runs. From any thread."""

    def __init__(self, file: Path | None = None) -> None:
        if file is not None:
            file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            os.close(os.open(file, os.O_WRONLY | os.O_CREAT, 0o600))
        self._lock = threading.Lock()
        self._file = sqlite3.connect(
            file or ":memory:", isolation_level=None, timeout=5.0, check_same_thread=False
        )
        self._file.execute("pragma journal_mode = wal")
        self._file.execute(_TABLE)

    def put(self, kind: str, key: str, record: Record) -> None:
        """Keep a record, in the place of one with the same key."""
        text = json.dumps(record, separators=(",", ":"))
        with self._lock:
            self._file.execute("insert or replace into shelf values (?, ?, ?)", (kind, key, text))

    def get(self, kind: str, key: str) -> Record | None:
        """Give a record; None when there is none."""
        with self._lock:
            row = self._file.execute(
                "select body from shelf where kind = ? and key = ?", (kind, key)
            ).fetchone()
        return None if row is None else json.loads(row[0])

    def all(self, kind: str) -> tuple[Record, ...]:
        """Give every record of a kind."""
        with self._lock:
            rows = self._file.execute("select body from shelf where kind = ?", (kind,)).fetchall()
        return tuple(json.loads(body) for (body,) in rows)

    def drop(self, kind: str, key: str) -> bool:
        """Forget a record; whether there was one."""
        with self._lock:
            gone = self._file.execute("delete from shelf where kind = ? and key = ?", (kind, key))
        return bool(gone.rowcount)

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()
