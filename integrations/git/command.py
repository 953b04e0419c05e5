"""The git command over a repository's objects, run so that nothing in that repository runs.

Git takes programs to run from a repository's own configuration: `gpg.program`, a promisor remote's
`uploadpack`, hooks, filters, `core.fsmonitor`. So it is never run in one: it runs in a scratch
repository made for it, and the other's objects are lent to it as data (`GIT_OBJECT_DIRECTORY`,
git(1)). The scratch repository has no remote, so that nothing can be fetched either.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from app.core.errors import BadInput, SourceCause, SourceUnavailable
from app.core.text import clean
from integrations.git.storage import Storage

_HARDENING = (
    "-c", "core.hooksPath=/dev/null",
    "-c", "core.fsmonitor=false",
    "-c", "core.quotePath=false",
    "-c", "log.showSignature=false",
    "-c", "commit.gpgSign=false",
    "-c", "gc.auto=0",
    "-c", "protocol.allow=never",
    "--no-replace-objects",
    "--literal-pathspecs",
    "--no-optional-locks",
)  # fmt: skip
_KEPT = ("PATH", "HOME", "XDG_CONFIG_HOME", "SYSTEMROOT", "TMPDIR")
"""Of the environment; above all no `GIT_DIR`, `GIT_EXTERNAL_DIFF` and the like."""

_TIMEOUT_S = 30.0

_log = logging.getLogger("k8tre_tui.git")


@asynccontextmanager
async def borrowed(storage: Storage, *, limit_s: float = _TIMEOUT_S) -> AsyncIterator[Git]:
    """Git over the objects of a repository, in a scratch repository that is gone afterwards.

    Raises SourceUnavailable when git cannot be run.
    """
    with tempfile.TemporaryDirectory(prefix="k8tre-tui-git-") as name:
        folder = Path(name)
        scratch = folder / "scratch.git"
        template = folder / "template"
        template.mkdir()
        alone = Git(folder, {}, limit_s)
        form = f"--object-format={storage.object_format}"
        await alone.run("init", "--quiet", "--bare", form, f"--template={template}", str(scratch))
        if storage.shallow:
            (scratch / "shallow").write_bytes(storage.shallow)
        lent = {"GIT_DIR": str(scratch), "GIT_OBJECT_DIRECTORY": str(storage.objects)}
        yield Git(folder, lent, limit_s, source=str(storage.folder))


class Git:
    """Runs git in one folder; arguments are lists, never a shell's line."""

    def __init__(
        self, folder: Path, env: Mapping[str, str], limit_s: float, *, source: str = ""
    ) -> None:
        self._folder = folder
        self._env = env
        self._limit_s = limit_s
        self._source = source or str(folder)

    @property
    def scratch(self) -> Path:
        """A folder for files of the moment."""
        return self._folder

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
            raise SourceUnavailable(f"git {args[0]} failed: {reason}", source=self._source)
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
                env={**_environment(), **self._env, **(env or {})},
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                start_new_session=True,
            )
        except OSError as error:
            raise SourceUnavailable(
                "the git command cannot be run",
                source=self._source,
                cause=SourceCause.NOT_FOUND,
                hint="install git, or print the patch instead",
            ) from error
        try:
            async with asyncio.timeout(self._limit_s):
                out, err = await process.communicate(stdin)
        except TimeoutError as error:
            raise SourceUnavailable(
                f"git {args[0]} took longer than {self._limit_s:g} s",
                source=self._source,
                cause=SourceCause.TIMEOUT,
            ) from error
        finally:
            await _end(process)
        _log.debug("git ran", extra={"command": args[0], "code": process.returncode})
        return process.returncode or 0, out, err


async def _end(process: asyncio.subprocess.Process) -> None:
    """End git and whatever it started, if it still runs: at the limit, or when nobody waits."""
    if process.returncode is not None:
        return
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    await process.wait()


def _environment() -> dict[str, str]:
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    return {
        **kept,
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_NO_LAZY_FETCH": "1",
        "GIT_NO_REPLACE_OBJECTS": "1",
        "GIT_ALLOW_PROTOCOL": "none",
        "LC_ALL": "C",
    }
