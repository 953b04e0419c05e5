"""The product, attached to a running cluster: questions in, answers out, one JSON line each.

It runs inside a node's network namespace, where API server and Relay are, as a process of its own,
with the same workspace that the screen has: it reads and watches the API server, follows Relay, and
answers from what it then knows. Beside that it answers from a snapshot that it wrote itself, and
from recorded flows, so that the same question can be put to all three.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.bootstrap.sources import Sources
from app.bootstrap.workspace import build_workspace, save_snapshot
from app.config import FlowSettings, Settings
from app.core.diagnose.evidence import FlowEvidence
from app.core.diagnose.why import diagnose
from app.core.errors import K8treError
from app.ports import FlowRequest
from app.services.ask import make_question, why
from app.services.contract import why_form
from app.services.picture import Picture
from app.services.workspace import Workspace

Command = dict[str, Any]
Answer = dict[str, Any]

SETTINGS = Settings(flows=FlowSettings(history=False))
KNOWN_WITHIN_S, SEEN_WITHIN_S = 30.0, 5.0


@dataclass(slots=True)
class Recorded:
    """A snapshot with its flows, read as `--snapshot` and `--flows` do."""

    picture: Picture
    flows: FlowEvidence | None


class Attached:
    """Answers commands; `live` is None where only recordings are asked."""

    def __init__(self, live: Workspace | None) -> None:
        self.live = live
        self.recorded: Recorded | None = None

    async def obey(self, command: Command) -> Answer:
        """Answer one command."""
        match command["do"]:
            case "know":
                answer = await self._know(set(command["there"]), set(command["gone"]))
            case "snapshot":
                answer = await self._snapshot(command["path"])
            case "open":
                answer = await self._open(command["snapshot"], command.get("flows", ""))
            case "why":
                answer = {"answers": [self._why(one, command) for one in command["questions"]]}
            case "judge":
                answer = {"answers": [self._judge(one, command) for one in command["questions"]]}
            case "state":
                answer = self._state()
            case "see":
                answer = await self._see(set(command["uuids"]))
            case unknown:
                raise ValueError(unknown)
        return answer

    @property
    def _workspace(self) -> Workspace:
        assert self.live is not None
        return self.live

    @property
    def _opened(self) -> Recorded:
        assert self.recorded is not None
        return self.recorded

    async def _know(self, there: set[str], gone: set[str]) -> Answer:
        """Wait until the picture has some objects by uid, and has others no longer."""
        live, deadline = self._workspace, time.monotonic() + KNOWN_WITHIN_S
        while True:
            known = set(_uids(live))
            revision = live.picture.revision
            if there <= known and not gone & known:
                break
            if time.monotonic() > deadline:
                return {"missing": sorted(there - known), "left": sorted(gone & known)}
            await asyncio.sleep(0.05)
        if not await self._is_built(revision):
            await asyncio.sleep(0.3)
        return {"missing": [], "left": []}

    async def _see(self, uuids: set[str]) -> Answer:
        """Wait until the ring has flows by uuid, and give those that do not come."""
        deadline = time.monotonic() + SEEN_WITHIN_S
        while missing := uuids - {flow.uuid for flow in self._workspace.ring}:
            if time.monotonic() > deadline:
                break
            await asyncio.sleep(0.05)
        return {"missing": sorted(missing)}

    async def _is_built(self, revision: int) -> bool:
        """Wait for a picture after the objects were there; none comes when one was made already."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(1):
                await self._workspace.newer_than(revision)
                return True
        return False

    async def _snapshot(self, path: str) -> Answer:
        count = save_snapshot(self._workspace.manifests(), path)
        return {"objects": count, **await self._open(path, "")}

    async def _open(self, snapshot: str, flows: str) -> Answer:
        sources = Sources(snapshots=(snapshot,), flows=flows)
        workspace = build_workspace(sources, SETTINGS, follow=False, flows=bool(flows))
        picture = await workspace.load()
        if flows:
            await workspace.load_flows(FlowRequest(follow=False))
            picture = workspace.picture
        self.recorded = Recorded(picture, workspace.evidence() if flows else None)
        return {"policies": len(picture.cluster.policies)}

    def _why(self, question: Command, command: Command) -> Answer:
        if command["of"] == "live":
            picture, flows = self._workspace.picture, self._workspace.evidence()
        else:
            picture, flows = self._opened.picture, self._opened.flows
        flows = flows if command["flows"] else None
        request = {key: question[key] for key in ("http", "dns", "sni") if question.get(key)}
        try:
            asked = make_question(question["from"], question["to"], question["port"], **request)
            return why_form(why(picture, flows, asked))
        except K8treError as error:
            return {"verdict": "error", "error": str(error)}

    def _judge(self, question: Command, command: Command) -> list[str]:
        """Verdict and cause alone, from policies, with no fix looked for."""
        picture = self._workspace.picture if command["of"] == "live" else self._opened.picture
        try:
            asked = make_question(question["from"], question["to"], question["port"])
            answer = diagnose(asked, picture.engine)
        except K8treError as error:
            return ["error", str(error)]
        return [answer.verdict.value, answer.cause.code.value]

    def _state(self) -> Answer:
        live = self._workspace
        sources = {
            name: {"phase": one.phase, "reason": one.reason, "detail": dict(one.detail)}
            for name, one in live.picture.sources.items()
        }
        ring = live.ring
        return {
            "sources": sources,
            "seen": ring.seen,
            "verdicts": dict(ring.verdicts),
            "lost": ring.lost.total(),
            "dropped": ring.dropped,
            "unreadable": ring.unreadable,
            "unknown": dict(ring.unknown),
            "away": {node: one.state for node, one in ring.away.items()},
            "gaps": [one.message for one in ring.gaps],
            "unexpected": [str(one) for one in live.diagnostics],
            "notices": [one.text for one in live.picture.notices],
            "version": list(live.picture.cluster.config.cilium_version),
            "revision": live.picture.revision,
        }


def _uids(workspace: Workspace) -> Iterable[str]:
    for manifest in workspace.manifests():
        yield manifest.body.get("metadata", {}).get("uid", "")


async def serve(attached: Attached) -> None:
    """Read commands from standard input until it ends."""
    reader = asyncio.StreamReader(limit=1 << 24)
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        try:
            answer = await attached.obey(json.loads(line))
        except Exception as error:  # noqa: BLE001  # the caller is to see whatever it is
            answer = {"failed": repr(error)}
        sys.stdout.write(json.dumps(answer, default=str) + "\n")
        sys.stdout.flush()


async def main(words: list[str]) -> None:
    """`KUBECONFIG RELAY` to attach, nothing to answer from recordings alone."""
    if not words:
        await serve(Attached(None))
        return
    kubeconfig, relay = words
    assert Path(kubeconfig).exists(), kubeconfig
    workspace = build_workspace(Sources(kubeconfig=kubeconfig, hubble_address=relay), SETTINGS)
    running = asyncio.ensure_future(workspace.run())
    await serve(Attached(workspace))
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
