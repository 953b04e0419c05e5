"""Writes docs/troubleshooting.md: `python docs/troubleshooting.py`.

One story of the demo per cause, asked of the program itself, with seed and clock fixed. A test
holds the page to what the program says now.
"""

# ruff: noqa: INP001
from __future__ import annotations

import asyncio
import io
import shlex
import sys
from dataclasses import replace
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from app.cli.output import Output  # noqa: E402  # the checkout comes first on the path
from app.cli.render.why import print_answer  # noqa: E402
from app.core.diagnose.boundaries import parse_boundaries  # noqa: E402
from app.core.diagnose.evidence import FlowEvidence  # noqa: E402
from app.core.model.flow import Flow, FlowBatch  # noqa: E402
from app.ports import FlowRequest  # noqa: E402
from app.services.ask import make_question, why  # noqa: E402
from app.services.names import NameBook  # noqa: E402
from app.services.picture import Ingredients, Picture, make_picture  # noqa: E402
from app.testing.clock import START_NS  # noqa: E402
from integrations.demo.cluster import BOUNDARIES, DemoCluster  # noqa: E402
from integrations.demo.flows import DemoFlows  # noqa: E402
from tests.integrations.test_demo import STORIES  # noqa: E402

PAGE = ROOT / "docs" / "troubleshooting.md"
COLUMNS = 110
UPLOAD = ("project-gene/jupyter-carol", "mirror/mirror-1", "8080", "POST /upload")

HEAD = """\
# Troubleshooting

One story per cause, from the demo cluster (`make demo`; every command below works with `--demo`).
Written by the program (`python docs/troubleshooting.py`): it says the same of your cluster.
"""


async def look() -> tuple[Picture, FlowEvidence]:
    """The demo with the flows of its last quarter of an hour."""
    read = await DemoCluster(lambda: START_NS).read()
    items = DemoFlows(now_ns=lambda: START_NS).flows(FlowRequest(follow=False))
    flows: list[Flow] = [
        flow async for item in items if isinstance(item, FlowBatch) for flow in item.flows
    ]
    names = NameBook()
    names.learn(flows)
    picture = make_picture(
        Ingredients(read.manifests, read.settings, (1, 19, 3), names.names(), read.notices)
    )
    boundaries = parse_boundaries(BOUNDARIES.read_text(encoding="utf-8"), BOUNDARIES.name)
    picture = replace(picture, boundaries=boundaries)
    return picture, FlowEvidence(tuple(flows), policies_as_of_ns=START_NS)


def write_page() -> str:
    """The page's text."""
    picture, flows = asyncio.run(look())
    parts = [HEAD]
    for asked in (*(story[0] for story in STORIES), UPLOAD):
        request = asked[3] if len(asked) > len(STORIES[0][0]) else ""
        answer = why(picture, flows, make_question(*asked[:3], http=request))
        printed = io.StringIO()
        print_answer(Output(printed, printed, columns=COLUMNS), answer, explain=False)
        words = [word for word in asked[:3] if word]
        words += ["--http", request] if request else []
        command = f"k8tre-tui why {shlex.join(words)}"
        body = "\n".join(line.rstrip() for line in printed.getvalue().splitlines())
        parts.append(f"## {answer.cause.code.value}\n\n```\n$ {command}\n{body}\n```\n")
    return "\n".join(parts)


if __name__ == "__main__":
    PAGE.write_text(write_page(), encoding="utf-8")
