"""This side of the attached product: a child process that is asked over its pipes."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Self

from tests.testbed.cilium.cluster import RELAY, Cluster
from tests.testbed.cilium.node import TestbedFailed

ROOT = Path(__file__).parents[3]
Question = dict[str, str]
Answer = dict[str, Any]


class Product:
    """The product in a process of its own; use as a context manager."""

    def __init__(self, command: Sequence[str], folder: Path = ROOT) -> None:
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=folder
        )

    @classmethod
    def attached(cls, cluster: Cluster) -> Self:
        """Attach to a cluster from its first node, as an operator beside the API server would."""
        words = (sys.executable, "-m", "tests.testbed.cilium.attached")
        asked = (*words, str(cluster.kube.kubeconfig), RELAY)
        inside = cluster.nodes[0].command(*asked, folder=ROOT)
        return cls(inside)

    @classmethod
    def alone(cls, folder: Path = ROOT) -> Self:
        """Answer from recordings; `folder` holds the program, which may be a changed copy."""
        return cls([sys.executable, "-m", "tests.testbed.cilium.attached"], folder)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()

    def tell(self, do: str, **command: Any) -> Answer:
        """Send one command and give its answer; raises `TestbedFailed` when it failed."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"do": do, **command}).encode() + b"\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise TestbedFailed("the attached product ended")
        answer: Answer = json.loads(line)
        if "failed" in answer:
            raise TestbedFailed(f"{do}: {answer['failed']}")
        return answer

    def why(self, questions: Iterable[Question], *, of: str, flows: bool = False) -> list[Answer]:
        """Ask `why`, of the `live` picture or the `recorded` one."""
        told = self.tell("why", questions=list(questions), of=of, flows=flows)
        answers: list[Answer] = told["answers"]
        return answers

    def judge(self, questions: Iterable[Question], *, of: str) -> list[tuple[str, str]]:
        """Ask for verdict and cause alone, of the `live` picture or the `recorded` one."""
        told = self.tell("judge", questions=list(questions), of=of)
        return [(verdict, cause) for verdict, cause in told["answers"]]

    def know(self, there: Iterable[str], gone: Iterable[str] = ()) -> None:
        """Wait until it knows objects by uid; raises `TestbedFailed` when it does not."""
        answer = self.tell("know", there=sorted(there), gone=sorted(gone))
        if answer["missing"] or answer["left"]:
            raise TestbedFailed(f"the product's picture lags: {answer}")
