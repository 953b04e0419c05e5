"""The demo, read once: what questions in chat are asked about here."""

import asyncio
from dataclasses import replace

import pytest

from app.core.diagnose.evidence import FlowEvidence
from app.core.model.flow import Flow, FlowBatch
from app.ports import FlowRequest
from app.services.names import NameBook
from app.services.picture import Ingredients, Picture, make_picture
from app.testing.clock import START_NS
from integrations.demo.cluster import DemoCluster
from integrations.demo.flows import DemoFlows


async def _history() -> tuple[Flow, ...]:
    items = DemoFlows(now_ns=lambda: START_NS).flows(FlowRequest(follow=False))
    return tuple(
        [flow async for item in items if isinstance(item, FlowBatch) for flow in item.flows]
    )


@pytest.fixture(scope="session")
def flows() -> FlowEvidence:
    return FlowEvidence(asyncio.run(_history()), policies_as_of_ns=START_NS)


@pytest.fixture(scope="session")
def picture(flows: FlowEvidence) -> Picture:
    read = asyncio.run(DemoCluster(lambda: START_NS).read())
    names = NameBook()
    names.learn(flows.flows)
    ingredients = Ingredients(
        read.manifests,
        read.settings,
        (1, 19, 3),
        names.names(),
        read.notices,
        shadowed=read.shadowed,
    )
    return replace(make_picture(ingredients), as_of_ns=START_NS)
