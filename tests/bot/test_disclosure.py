import pytest

from app.bot.access import Level, Rules
from app.bot.disclosure import ANOTHER_PROJECT, Disclosure, disclosure_for
from app.core.model.chat import Caller, Choice, Fact, Reply, ReplyKind, Table
from app.services.picture import Picture

CALLER = Caller("U1", "C1", "T1")
LUNG_ONLY = {"project-*": frozenset[str](), "project-lung": frozenset({"U1"})}


def disclosure(picture: Picture, level: Level, *, hide: bool = False) -> Disclosure:
    return disclosure_for(CALLER, Rules(projects=LUNG_ONLY if hide else {}, level=level), picture)


@pytest.mark.parametrize(
    "text",
    [
        "project-heart",
        "project-heart/jupyter-bob",
        "jupyter-bob",
        "cohort-db",
        "gitops/projects/heart/workspace.yaml",
        "project-heart/workspace",
    ],
)
def test_what_belongs_to_another_project_is_not_named(picture: Picture, text: str) -> None:
    told = disclosure(picture, Level.FULL, hide=True).text(f"pod {text}: 8888, or {text}.")
    assert "heart" not in told
    assert "bob" not in told
    assert ANOTHER_PROJECT in told


def test_addresses_of_another_projects_pods_are_not_named(picture: Picture) -> None:
    bob = next(one for one in picture.cluster.endpoints if one.name == "jupyter-bob")
    told = disclosure(picture, Level.FULL, hide=True).text(f"from {bob.addresses[0]}:51000")
    assert told == f"from {ANOTHER_PROJECT}:51000"


def test_own_project_and_shared_services_are_named(picture: Picture) -> None:
    text = "project-lung/jupyter-alice to mirror/mirror-1, gitops/projects/lung/workspace.yaml:23"
    assert disclosure(picture, Level.FULL, hide=True).text(text) == text


def test_longer_names_that_only_begin_alike_are_left_alone(picture: Picture) -> None:
    text = "project-hearts and my-project-heart and jupyter-bobby"
    assert disclosure(picture, Level.FULL, hide=True).text(text) == text


def test_everything_is_named_where_nothing_is_restricted(picture: Picture) -> None:
    text = "project-heart/jupyter-bob 198.51.100.77 telemetry.example.net GET /secret?token=1"
    assert disclosure(picture, Level.FULL).text(text) == text


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("keycloak/keycloak-0", "keycloak/keycloak"),
        ("mirror-1:8080", "mirror:8080"),
        ("project-lung/jupyter-alice", "project-lung/jupyter-\u2026#53d0"),
        ("asked 198.51.100.77 once", "asked 198.51.100.0/24 once"),
        ("gateway 10.7.0.9:443", "gateway 10.7.0.9:443"),
        ("cidr 198.51.100.0/28", "cidr 198.51.100.0/28"),
        ("packages.example.org", "packages.example.org"),
        ("keycloak.tre.example.org", "keycloak.tre.example.org"),
        ("k8s:io.kubernetes.pod.namespace=mirror", "k8s:io.kubernetes.pod.namespace=mirror"),
        ("app.kubernetes.io/name=x", "app.kubernetes.io/name=x"),
        ("gitops/apps/gitea/base/gitea-in.yaml:20", "gitops/apps/gitea/base/gitea-in.yaml:20"),
        ("POST /upload?patient=7 to x", "POST \u2026 to x"),
        ("999.1.1.1", "999.1.1.1"),
    ],
)
def test_minimal_level_keeps_what_operators_wrote(picture: Picture, text: str, told: str) -> None:
    assert disclosure(picture, Level.MINIMAL).text(text) == told


def test_minimal_level_shortens_names_that_no_policy_lists(picture: Picture) -> None:
    told = disclosure(picture, Level.MINIMAL).text("asked c2VjcmV0.exfil.example.net. twice")
    assert "c2VjcmV0" not in told
    assert told.startswith("asked \u2026.example.net (sha256:")


def test_every_part_of_a_reply_is_rewritten(picture: Picture) -> None:
    secret = "project-heart/jupyter-bob"
    reply = Reply(
        ReplyKind.ANSWER,
        secret,
        (Fact("Cause", secret),),
        Table(("Pod",), ((secret,),)),
        (Choice(secret, f"why {secret}"),),
        (secret,),
    )
    told = disclosure(picture, Level.FULL, hide=True).reply(reply)
    assert told == Reply(
        ReplyKind.ANSWER,
        ANOTHER_PROJECT,
        (Fact("Cause", ANOTHER_PROJECT),),
        Table(("Pod",), ((ANOTHER_PROJECT,),)),
        (Choice(ANOTHER_PROJECT, f"why {secret}"),),
        (ANOTHER_PROJECT,),
    )


def test_choices_that_read_the_same_are_one(picture: Picture) -> None:
    pods = [one.key for one in picture.cluster.endpoints if "guacamole-web" in one.key]
    choices = tuple(Choice(pod, f"why {pod}") for pod in pods)
    told = disclosure(picture, Level.MINIMAL).reply(Reply(ReplyKind.CHOICES, "x", choices=choices))
    assert [one.label for one in told.choices] == ["guacamole/guacamole-web"]
