"""The file a log is written to; apart, because the library's handlers cost imports."""

from __future__ import annotations

import contextlib
import logging
import logging.handlers
import os
import stat
from typing import Any


class PrivateFile(logging.handlers.RotatingFileHandler):
    """A file that only its owner can read; a full disk loses lines and never the program."""

    def _open(self) -> Any:
        descriptor = os.open(self.baseFilename, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        with contextlib.suppress(OSError):  # one that was there before; a device keeps its own
            if stat.S_ISREG(os.fstat(descriptor).st_mode):
                os.fchmod(descriptor, 0o600)
        return os.fdopen(descriptor, "a", encoding=self.encoding, errors="backslashreplace")

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  # the library's name
        """Lose the line: there is no better place to tell it."""

    def close(self) -> None:
        """Close; what a full disk did not take is lost."""
        with contextlib.suppress(OSError):
            super().close()
