"""The git command, run so that a repository cannot make it run anything else."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Mapping
from pathlib import Path

from app.core.errors import BadInput, SourceCause, SourceUnavailable
from app.core.text import clean

_HARDENING = (
    "-c", "core.hooksPath=/dev/null",
    "-c", "core.fsmonitor=false",
    "-c", "protocol.ext.allow=never",
    "-c", "core.quotePath=false",
    "--literal-pathspecs",
    "--no-optional-locks",
)  # fmt: skip
_KEPT = ("PATH", "HOME", "XDG_CONFIG_HOME", "SYSTEMROOT", "TMPDIR")
"""Of the environment; above all no `GIT_DIR`, `GIT_EXTERNAL_DIFF` and the like."""

_TIMEOUT_S = 30

_log = logging.getLogger("k8tre_tui.git")


class Git:
    """Runs git in one repository; arguments are lists, never a shell's line."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def run(
        self, *args: str, stdin: bytes = b"", env: Mapping[str, str] | None = None
    ) -> str:
        """Give git's standard output; SourceUnavailable when it fails or takes too long.

        Raises BadInput when the output is not UTF-8.
        """
        try:
            return (await self.read(*args, stdin=stdin, env=env)).decode()
        except UnicodeDecodeError as error:
            raise BadInput(f"git {args[0]} gave text that is not UTF-8") from error

    async def read(
        self, *args: str, stdin: bytes = b"", env: Mapping[str, str] | None = None
    ) -> bytes:
        """Give git's standard output as it is; SourceUnavailable as `run`."""
        code, out, err = await self._communicate(args, stdin, env)
        if code:
            reason = clean(err.decode(errors="replace").strip().rpartition("\n")[2])
            raise SourceUnavailable(f"git {args[0]} failed: {reason}", source=str(self._folder))
        return out

    async def ok(self, *args: str) -> bool:
        """Say whether a git command succeeds."""
        code, _, _ = await self._communicate(args, b"", None)
        return code == 0

    async def _communicate(
        self, args: tuple[str, ...], stdin: bytes, env: Mapping[str, str] | None
    ) -> tuple[int, bytes, bytes]:
        try:
            process = await asyncio.create_subprocess_exec(
                "git",
                *_HARDENING,
                *args,
                cwd=self._folder,
                env={**_environment(), **(env or {})},
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
            )
        except OSError as error:
            raise SourceUnavailable(
                "the git command cannot be run",
                source=str(self._folder),
                cause=SourceCause.NOT_FOUND,
                hint="install git, or print the patch instead",
            ) from error
        try:
            async with asyncio.timeout(_TIMEOUT_S):
                out, err = await process.communicate(stdin)
        except TimeoutError as error:
            process.kill()
            await process.wait()
            raise SourceUnavailable(
                f"git {args[0]} took longer than {_TIMEOUT_S} s",
                source=str(self._folder),
                cause=SourceCause.TIMEOUT,
            ) from error
        _log.debug("git ran", extra={"command": args[0], "code": process.returncode})
        return process.returncode or 0, out, err


def _environment() -> dict[str, str]:
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    return {
        **kept,
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_OPTIONAL_LOCKS": "0",
        "LC_ALL": "C",
    }
