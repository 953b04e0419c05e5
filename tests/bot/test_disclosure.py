import pytest

from app.bot.access import Level, Rules
from app.bot.disclosure import ANOTHER_PROJECT, Disclosure, disclosure_for
from app.core.model.chat import Caller, Fact, Reply, ReplyKind, Table
from app.services.ask import make_question
from app.services.picture import Picture

CALLER = Caller("U1", "C1", "T1")
LUNG_ONLY = {"project-*": frozenset[str](), "project-lung": frozenset({"U1"})}


def disclosure(picture: Picture, level: Level, *, hide: bool = False) -> Disclosure:
    return disclosure_for(CALLER, Rules(projects=LUNG_ONLY if hide else {}, level=level), picture)


@pytest.mark.parametrize(
    "text",
    ["project-heart", "project-heart/workspace", "from-project-heart", "ns=project-heart-2"],
)
def test_what_belongs_to_another_project_is_not_named(picture: Picture, text: str) -> None:
    told = disclosure(picture, Level.FULL, hide=True).text(f"policy {text}: 8888, or `{text}`.")
    assert "heart" not in told
    assert ANOTHER_PROJECT in told


def test_what_is_replaced_does_not_depend_on_what_there_is(picture: Picture) -> None:
    rewrite = disclosure(picture, Level.FULL, hide=True).text
    assert rewrite("project-heart/x") == rewrite("project-nope/x") == f"{ANOTHER_PROJECT}/x"


def test_own_project_and_shared_services_are_named(picture: Picture) -> None:
    text = "project-lung/jupyter-alice to mirror/mirror-1, gitops/projects/lung/workspace.yaml:23"
    assert disclosure(picture, Level.FULL, hide=True).text(text) == text


def test_pattern_of_everything_leaves_our_own_words_alone(picture: Picture) -> None:
    rules = Rules(projects={"*": frozenset[str](), "default": frozenset[str]()}, level=Level.FULL)
    text = "default deny of default/web"
    told = disclosure_for(CALLER, rules, picture).text(text)
    assert told == f"default deny of {ANOTHER_PROJECT}/web"


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


@pytest.mark.parametrize(
    "text",
    [
        "asked 2001:db8:1:2::77 once",
        "asked [2001:db8:1:2::77]:443",
        "asked c2vjcmv0.dev",
        "asked c2vjcmv0.json",
        "asked https://c2vjcmv0.example.net/c2vjcmv0",
        "asked c2vjcmv0.example.net:443/TCP",
        "GET /c2vjcmv0",
    ],
)
def test_minimal_level_knows_names_and_addresses_of_every_form(picture: Picture, text: str) -> None:
    told = disclosure(picture, Level.MINIMAL).text(text)
    assert "c2vjcmv0" not in told
    assert "::77" not in told


def test_minimal_level_leaves_our_own_words_alone(picture: Picture) -> None:
    text = "add `rules.dns` at spec.egress[1].toPorts[0], as toFQDNs.matchName, in 1.5 s"
    assert disclosure(picture, Level.MINIMAL).text(text) == text


def test_what_the_caller_wrote_is_told_as_it_came(picture: Picture) -> None:
    asked = make_question(
        "project-lung/jupyter-alice", "c2vjcmv0.example.net", "443", http="GET /mine"
    )
    rewrite = disclosure_for(CALLER, Rules(), picture, asked=asked).text
    text = "GET /mine project-lung/jupyter-alice → c2vjcmv0.example.net:443"
    assert rewrite(text) == text
    assert "other" not in rewrite("other.example.net")


def test_every_part_of_a_reply_is_rewritten(picture: Picture) -> None:
    secret = "project-heart"
    reply = Reply(
        ReplyKind.ANSWER,
        secret,
        (Fact("Cause", secret),),
        Table(("Pod",), ((secret,),)),
    )
    told = disclosure(picture, Level.FULL, hide=True).reply(reply)
    assert told == Reply(
        ReplyKind.ANSWER,
        ANOTHER_PROJECT,
        (Fact("Cause", ANOTHER_PROJECT),),
        Table(("Pod",), ((ANOTHER_PROJECT,),)),
    )
