"""A running driver: one case in, one answer out."""

from __future__ import annotations

import json
import subprocess
from types import TracebackType
from typing import Any, Self

from tests.oracle.build import Driver, build

Case = dict[str, Any]
Answers = dict[str, Any]

GIVES_UP = "the engine gives up"
"""How a driver begins when Cilium's engine itself has no answer (rules it cannot merge)."""


class DriverFailed(Exception):
    """A driver ended, or failed on a case for a reason that is not Cilium's."""


class Oracle:
    """Cilium's engine of one version, as a child process for the length of a `with` block."""

    def __init__(self, driver: Driver) -> None:
        self.driver = driver
        self._process = subprocess.Popen(
            [build(driver)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._process.kill()
        self._process.communicate()

    def ask(self, case: Case) -> Answers | None:
        """Give the engine's answers; None where it gives up on the case."""
        stdin, stdout = self._process.stdin, self._process.stdout
        if stdin is None or stdout is None:
            raise DriverFailed("the driver has no pipes")
        question = {key: case[key] for key in ("name", "config", "objects", "queries")}
        stdin.write(json.dumps(question).encode() + b"\n")
        stdin.flush()
        line = stdout.readline()
        if not line:
            raise DriverFailed(f"cilium {self.driver.version} ended on case {case['name']}")
        answers: Answers = json.loads(line)
        error = answers.get("error", "")
        if error.startswith(GIVES_UP):
            return None
        if error:
            raise DriverFailed(f"cilium {self.driver.version}, {case['name']}: {error}")
        return answers
