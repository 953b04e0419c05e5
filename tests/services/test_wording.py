import pytest

from app.core.model.provenance import ObjectRef, RuleRef
from app.core.model.verdict import (
    Dimension,
    Direction,
    DirectionTrace,
    Effect,
    Match,
    Miss,
    Outcome,
)
from app.services.wording import (
    counted,
    direction_sentence,
    nearest_sentence,
    place,
    policy_words,
    rule_words,
)

POLICY = ObjectRef("CiliumNetworkPolicy", "lung", "workspace")
RULE = RuleRef(POLICY, "spec.egress[1]", "a.yaml", 12)
DENY = RuleRef(POLICY, "spec.egressDeny[0]", "a.yaml", 30)
OTHER = RuleRef(ObjectRef("NetworkPolicy", "lung", "np"), "spec.egress[0]")


def trace(outcome: Outcome, **more: object) -> DirectionTrace:
    fields: dict[str, object] = {"l4": outcome, **more}
    return DirectionTrace(Direction.EGRESS, outcome, **fields)  # type: ignore[arg-type]


def test_names_are_short() -> None:
    assert policy_words(POLICY) == "CNP workspace"
    assert rule_words(RULE) == "CNP workspace, egress[1] (a.yaml:12)"
    assert rule_words(OTHER) == "KNP np, egress[0]"
    assert place("a.yaml", None) == "a.yaml"
    assert place(None, 3) == ""


def test_numbers_agree_with_their_word() -> None:
    assert [counted(n, "policy", "policies") for n in (0, 1, 2)] == [
        "0 policies",
        "1 policy",
        "2 policies",
    ]
    assert counted(1_204, "drop") == "1,204 drops"


@pytest.mark.parametrize(
    ("direction", "sentence"),
    [
        (trace(Outcome.NOT_APPLICABLE), "not applicable: no policy can apply at lung/a"),
        (trace(Outcome.NOT_ENFORCED), "not enforced: no policy selects lung/a for egress"),
        (
            trace(Outcome.NOT_ENFORCED, implicit="allow-localhost"),
            "not enforced: allow-localhost",
        ),
        (
            trace(Outcome.NOT_ENFORCED, selected_by=(POLICY,)),
            "not enforced: CNP workspace selects lung/a without default deny",
        ),
        (
            trace(Outcome.ALLOWED, matched=(Match(RULE, Effect.ALLOW),)),
            "allowed by CNP workspace, egress[1] (a.yaml:12)",
        ),
        (
            trace(Outcome.ALLOWED, matched=(Match(RULE, Effect.ALLOW), Match(OTHER, Effect.ALLOW))),
            "allowed by CNP workspace, egress[1] (a.yaml:12) and 1 more",
        ),
        (trace(Outcome.ALLOWED, implicit="allow-localhost"), "allowed by allow-localhost"),
        (
            trace(Outcome.REDIRECTED, matched=(Match(RULE, Effect.ALLOW, l7=True),)),
            "allowed by CNP workspace, egress[1] (a.yaml:12), subject to its layer 7 rules",
        ),
        (
            trace(Outcome.DENIED, matched=(Match(DENY, Effect.DENY), Match(RULE, Effect.ALLOW))),
            "denied by CNP workspace, egressDeny[0] (a.yaml:30)",
        ),
        (
            trace(
                Outcome.DENIED, l4=Outcome.REDIRECTED, matched=(Match(RULE, Effect.ALLOW, l7=True),)
            ),
            (
                "the connection is let through by CNP workspace, egress[1] (a.yaml:12), "
                "the request is refused"
            ),
        ),
        (
            trace(Outcome.DENIED, default_deny_by=(RULE, RULE), selected_by=(POLICY, OTHER.policy)),
            "default deny (selected by CNP workspace)",
        ),
        (trace(Outcome.DENIED, implicit="enforcement-always"), "default deny (enforcement-always)"),
    ],
)
def test_direction_is_one_sentence(direction: DirectionTrace, sentence: str) -> None:
    assert direction_sentence(direction, "lung/a") == sentence


def test_nearest_rule_is_an_allow_rule() -> None:
    missed = (
        Miss(DENY, Dimension.CIDR, "169.254.169.254/32", "10.0.0.1", nearness=9),
        Miss(RULE, Dimension.PORT, "80", "8080/TCP", nearness=3),
    )
    denied = trace(Outcome.DENIED, selected_by=(POLICY,), missed=missed)
    nearest = (
        "nearest CNP workspace, egress[1] (a.yaml:12) fails on port: "
        "it names 80, the connection has 8080/TCP"
    )
    assert nearest_sentence(denied) == nearest
    assert direction_sentence(denied, "lung/a").endswith(f" · {nearest}")
    assert nearest not in direction_sentence(denied, "lung/a", nearest=False)
    assert nearest_sentence(trace(Outcome.DENIED, missed=missed[:1])) == ""


def test_many_policies_are_counted() -> None:
    refs = tuple(ObjectRef("NetworkPolicy", "lung", f"p{at}") for at in range(5))
    sentence = direction_sentence(trace(Outcome.DENIED, selected_by=refs), "lung/a")
    assert sentence == "default deny (selected by KNP p0, KNP p1, KNP p2 and 2 more)"
