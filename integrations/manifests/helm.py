"""Charts that lie in a checkout, rendered by Helm's own program where it is installed.

A checkout is only looked at, so the program runs with as little as it needs: an empty home and no
plug-ins, no kubeconfig, proxies that lead nowhere, bounds of time and output; a chart with a link
that leaves the checkout is not rendered at all.
Source: helm.sh/helm `cmd/helm/template.go`, `pkg/cli/environment.go` (the variables).
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO

from app.core.errors import BadInput
from app.core.text import clean
from integrations.manifests.deploy.deployment import Chart
from integrations.manifests.files import is_file, real_path

ONE_S = 30.0
"""Seconds for one chart; large ones take two."""

ALL_S = 180.0
"""Seconds for all charts of a checkout."""

_OUTPUT_MAX = 64 << 20
"""Bytes that one chart may print."""

_FILES_MAX = 20_000
"""Files of a chart; more is no chart."""

_POLL_S = 0.02
_ERROR_MAX = 300
_NAME = re.compile(r"[a-z0-9](?:[-a-z0-9.]{0,61}[a-z0-9])?")
_NOWHERE = "http://127.0.0.1:9"
"""The discard port: what a chart would fetch over HTTP (a schema's `$ref`) fails at once."""


class Helm:
    """One helm program, for one checkout; every chart is rendered once for all who ask."""

    def __init__(self, program: str, root: Path, *, deadline_s: float = ONE_S) -> None:
        """`program` is a name on PATH or a file, empty for none. Charts lie under `root`.

        Raises BadInput when a program that was named by its path is not there.
        """
        self._program = shutil.which(program) if program else None
        if self._program is None and os.sep in program:
            raise BadInput(
                f"no such program: `{clean(program)}`", hint="--helm takes a helm 3 or 4"
            )
        self._root = root
        self._deadline_s = deadline_s
        self._left_s = ALL_S
        self._printed: dict[str, str | BadInput] = {}

    @property
    def is_there(self) -> bool:
        """Whether charts can be rendered."""
        return self._program is not None

    def template(self, chart: Chart) -> str:
        """Give what `helm template` prints; BadInput with the reason when it prints nothing."""
        key = repr((chart.folder, chart.release, chart.namespace, chart.values, chart.options))
        if key not in self._printed:
            try:
                self._printed[key] = self._template(chart)
            except BadInput as error:
                self._printed[key] = error
        printed = self._printed[key]
        if isinstance(printed, BadInput):
            raise printed
        return printed

    def _template(self, chart: Chart) -> str:
        if self._program is None or chart.folder is None:
            raise BadInput("no helm program was found")
        self._check(chart)
        if self._left_s <= 0:
            raise BadInput(f"rendering charts took more than {ALL_S:.0f} s")
        started = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="k8tre-tui-helm-") as home:
            words = [self._program, "template", chart.release, str(chart.folder)]
            words += [f"--namespace={chart.namespace}"] if chart.namespace else []
            words += [f"--values={file}" for file in _value_files(chart, Path(home))]
            words += chart.options
            try:
                return self._run(words, home)
            finally:
                self._left_s -= time.monotonic() - started

    def _check(self, chart: Chart) -> None:
        """Raise BadInput for what would let it read outside, or take a name for a flag."""
        for name in (chart.release, chart.namespace or "default"):
            if not _NAME.fullmatch(name):
                raise BadInput(f"`{clean(name)}` is no name that Helm takes")
        inside = [file for file in chart.values if isinstance(file, Path)]
        for count, path in enumerate((*_files_of(chart.folder or self._root), *inside)):
            real = real_path(path)
            if real is None or not real.is_relative_to(self._root):
                raise BadInput(f"`{clean(path.name)}` is a link out of the checkout")
            if count > _FILES_MAX:
                raise BadInput(f"the chart has more than {_FILES_MAX:,} files")
        for file in inside:
            if not is_file(file):
                raise BadInput(f"values file `{clean(file.name)}` is not in this checkout")

    def _run(self, words: list[str], home: str) -> str:
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            try:
                process = subprocess.Popen(  # noqa: S603  # the operator's own helm, no shell
                    words,
                    cwd=home,
                    env=_environment(home),
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=err,
                    start_new_session=True,
                )
            except OSError as error:
                raise BadInput(f"helm cannot be run: {error.strerror}") from error
            try:
                self._await(process, out, err)
            finally:
                with suppress(ProcessLookupError, PermissionError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
            if process.returncode:
                raise BadInput(_reason(err))
            out.seek(0)
            return out.read().decode(errors="replace")

    def _await(self, process: subprocess.Popen[bytes], *outputs: IO[bytes]) -> None:
        limit_s = min(self._deadline_s, max(self._left_s, 0))
        ends = time.monotonic() + limit_s
        while process.poll() is None:
            if time.monotonic() > ends:
                raise BadInput(f"helm took longer than {limit_s:.0f} s")
            _check_size(outputs)
            time.sleep(_POLL_S)
        _check_size(outputs)


def _check_size(outputs: tuple[IO[bytes], ...]) -> None:
    if any(os.fstat(one.fileno()).st_size > _OUTPUT_MAX for one in outputs):
        raise BadInput(f"helm printed more than {_OUTPUT_MAX >> 20} MiB")


def _reason(err: IO[bytes]) -> str:
    err.seek(0)
    lines = err.read(1 << 16).decode(errors="replace").strip().splitlines()
    errors = [line for line in lines if line.startswith("Error:")] or lines[-1:]
    words = errors[0].removeprefix("Error:").strip() if errors else "it ended without a word"
    return f"helm: {clean(words, _ERROR_MAX)}"


def _files_of(folder: Path) -> Iterator[Path]:
    """Everything in a chart; folders that are links too, which the walk does not enter."""
    for place, folders, names in os.walk(folder):
        for name in (*folders, *names):
            yield Path(place, name)


def _value_files(chart: Chart, home: Path) -> Iterator[Path]:
    """The files of values in their order; those that stand in an object are written first."""
    for index, values in enumerate(chart.values):
        if isinstance(values, Path):
            yield values
            continue
        file = home / f"values-{index}.yaml"
        file.write_text(values if isinstance(values, str) else json.dumps(values), "utf-8")
        yield file


def _environment(home: str) -> Mapping[str, str]:
    folders = ("XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "TMPDIR", "HOME")
    helm = ("HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME")
    proxies = ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy")
    return {
        **dict.fromkeys((*folders, *helm), home),
        **dict.fromkeys(proxies, _NOWHERE),
        "HELM_PLUGINS": f"{home}/plugins",
        "HELM_NO_PLUGINS": "1",
        "KUBECONFIG": os.devnull,
        "PATH": os.defpath,
        "LC_ALL": "C",
        "GOMEMLIMIT": "1GiB",
    }
