from __future__ import annotations

import pytest

from app.core.errors import UsageError
from app.core.flows.selectors import compile_selectors, parse_selector

LABELS = ("k8s:app=web", "k8s:io.kubernetes.pod.namespace=shop", "reserved:world", "k8s:rev=7")


@pytest.mark.parametrize(
    ("selector", "selects"),
    [
        ("app=web", True),
        ("app==web", True),
        ("app = web", True),
        ("app=db", False),
        ("app!=web", False),
        ("missing!=web", True),
        ("app in (web, db)", True),
        ("app notin (web)", False),
        ("missing notin (web)", True),
        ("missing in (web)", False),
        ("app", True),
        ("!app", False),
        ("! missing", True),
        ("k8s:app", True),
        ("any:app", True),
        ("unspec:app", True),
        ("container:app", False),
        ("reserved:world", True),
        ("app=web,rev>6", True),
        ("rev>7", False),
        ("rev<8", True),
        ("app>1", False),
        ("missing<1", False),
        ("app=web,!rev", False),
    ],
)
def test_selector_when_applied_then_it_selects_as_kubernetes_does(
    selector: str, *, selects: bool
) -> None:
    assert compile_selectors([selector])(LABELS) is selects


def test_selectors_when_there_are_several_then_any_will_do() -> None:
    assert compile_selectors(["app=db", "rev=7"])(LABELS)


@pytest.mark.parametrize("selector", ["", "=", "a=b=c", "a in b", "a in (b", "rev>x", "a,,b"])
def test_selector_when_it_is_wrong_then_it_is_a_usage_error(selector: str) -> None:
    with pytest.raises(UsageError, match="label selector"):
        parse_selector(selector)
