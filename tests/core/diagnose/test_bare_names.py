"""Ends named without a prefix: a pod alone, a pod before its namespace, a name with a path."""

import pytest

from app.core.diagnose.ends import parse_end, resolve
from app.core.errors import Ambiguous, NotFound
from app.core.model.asked import EndKind
from app.services.picture import Picture
from app.testing.builders import namespace, pod
from app.testing.pictures import picture_of, small_tre


@pytest.fixture(name="picture", scope="module")
def _picture() -> Picture:
    twin = pod("mirror/jupyter-alice", "10.0.2.9")
    return picture_of(small_tre(), namespace("org"), twin)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("jupyter-bob", "heart/jupyter-bob"),
        ("jupyter-b", "heart/jupyter-bob"),
        ("jupyter-bob.heart", "heart/jupyter-bob"),
        ("jupyter-b.heart", "heart/jupyter-bob"),
    ],
)
def test_pod_is_found_by_what_people_call_it(picture: Picture, text: str, found: str) -> None:
    (end,) = resolve(parse_end(text), picture.engine)
    assert end.text == found


def test_name_that_pods_of_two_namespaces_have_is_ambiguous(picture: Picture) -> None:
    with pytest.raises(Ambiguous) as caught:
        resolve(parse_end("jupyter-alice"), picture.engine)
    assert caught.value.choices == ("lung/jupyter-alice", "mirror/jupyter-alice")


@pytest.mark.parametrize("text", ["nobody", "nobody.heart"])
def test_pod_that_is_not_there_is_no_name_outside(picture: Picture, text: str) -> None:
    with pytest.raises(NotFound, match="nobody"):
        resolve(parse_end(text), picture.engine)


@pytest.mark.parametrize("text", ["fqdn:nobody.heart", "www.example.net", "nobody.nowhere"])
def test_other_names_stay_names(picture: Picture, text: str) -> None:
    (end,) = resolve(parse_end(text), picture.engine)
    assert end.name == text.removeprefix("fqdn:")


def test_path_behind_a_name_is_no_pod() -> None:
    end = parse_end("pypi.org/simple/")
    assert (end.kind, end.name) == (EndKind.NAME, "pypi.org")


WEB = """
apiVersion: v1
kind: Service
metadata: {name: web, namespace: heart}
spec: {selector: {app: jupyter}, ports: [{port: 80}]}
"""


@pytest.mark.parametrize("domain", ["cluster.lokal", "cluster", "clusterlocal"])
def test_name_of_a_service_under_a_misspelt_domain_is_no_name_outside(domain: str) -> None:
    engine = picture_of(small_tre(), WEB).engine
    with pytest.raises(NotFound, match="not the domain of this cluster"):
        resolve(parse_end(f"web.heart.svc.{domain}"), engine)
    (end,) = resolve(parse_end(f"fqdn:web.heart.svc.{domain}"), engine)
    assert end.name == f"web.heart.svc.{domain}"
    (other,) = resolve(parse_end(f"gone.heart.svc.{domain}"), engine)
    assert other.name == f"gone.heart.svc.{domain}"
