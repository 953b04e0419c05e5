"""Commands that are copied: they name what stands at an end as the tools do, and quote it."""

from dataclasses import replace

import pytest

from app.core.cluster import commands
from app.core.diagnose.ends import resolve
from app.core.diagnose.naming import parse_end
from app.core.model.cluster import Workload
from app.core.model.verdict import Peer, Protocol
from app.core.policy.engine import Engine
from tests.core.diagnose.bank import Fault


@pytest.fixture(scope="module")
def engine() -> Engine:
    return Fault("healthy", {}, {}).engine()


def peer_of(text: str, engine: Engine) -> Peer:
    return resolve(parse_end(text), engine)[0].peer


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("lab/scheduler-0", "--from-pod lab/scheduler-0"),
        ("label:lab/app=new", "--from-namespace lab"),
        ("entity:ingress", "--from-label reserved:ingress"),
        ("entity:world", "--from-label reserved:world"),
        ("203.0.113.5", "--from-ip 203.0.113.5"),
        ("pypi.org", "--from-fqdn pypi.org"),
    ],
)
def test_observe_when_an_end_is_of_any_kind_names_it_as_hubble_does(
    source: str, words: str, engine: Engine
) -> None:
    hub = peer_of("hub/hub-0", engine)
    shown = commands.observe(peer_of(source, engine), hub, 8000, Protocol.TCP)
    assert shown.startswith(f"hubble observe {words} --to-pod hub/hub-0 --to-port 8000")


def test_observe_when_there_is_only_a_template_names_its_workload(engine: Engine) -> None:
    peer = peer_of("label:lab/app=new", engine)
    assert peer.endpoint is not None
    template = replace(peer.endpoint, workload=Workload("Deployment", "new; ls"))
    shown = commands.observe_dns(replace(peer, endpoint=template))
    assert shown.startswith("hubble observe --namespace lab --workload 'new; ls' --protocol dns")
