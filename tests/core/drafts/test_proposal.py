import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.drafts.body import (
    BEGIN,
    BODY_LIMIT,
    END,
    PairRow,
    Summary,
    body,
    into_template,
    merge_body,
    message_details,
    meta_of,
)
from app.core.drafts.markdown import code_span, fence, message_text, plain
from app.core.drafts.meta import Meta, read_meta
from app.core.drafts.proposal import (
    branch_name,
    change_key,
    check_branch,
    commit_message,
    title,
)
from app.core.errors import DraftRejected
from app.core.model.provenance import ObjectRef

REF = ObjectRef("CiliumNetworkPolicy", "lung", "workspace")


META = Meta("0123456789abcdef", question={"from": "lung/notebook", "to": "pypi.org"})


def _summary(reason: str = "", diff: str = "+a\n", *, public: bool = False) -> Summary:
    return Summary(
        meta=META,
        evidence=("12 flows in 15 min, none lost",),
        pairs=(PairRow("deploy:lung/notebook [k8s:app=n]", "fqdn:pypi.org", "443/TCP", "allowed"),),
        public=public,
        what="Allow lung/notebook → pypi.org:443/TCP",
        policy=REF,
        diffs={"lung/w.yaml": diff},
        counts={"lung/w.yaml": (1, 0)},
        deployed_by=("envs/dev", "envs/prd"),
        risk="low",
        reason=reason,
        effect=("opens nothing else",),
        checks=(("the file parses", True),),
        requested_by="U123",
    )


@given(st.text(max_size=60))
def test_code_span_when_any_text_then_it_cannot_end_the_span(text: str) -> None:
    span = code_span(text)
    ticks = re.match("`+", span)
    assert ticks is not None
    inner = span[ticks.end() : -ticks.end()]
    assert "\n" not in span
    assert max((len(run) for run in re.findall("`+", inner)), default=0) < ticks.end()
    assert not re.search(r"(?<!\\)\|", span)


@given(st.text(max_size=200))
def test_fence_when_any_text_then_no_line_ends_it_early(text: str) -> None:
    first, *middle, last = fence(text, "diff").split("\n")
    assert first == last + "diff"
    assert not any(line.strip().startswith(last) for line in middle)


@pytest.mark.parametrize("text", ["@team", "see #12", "a@b", "org/repo#3"])
def test_plain_when_mention_or_reference_then_broken_up(text: str) -> None:
    assert re.search(r"[@#](?=\w)", plain(text)) is None


def test_message_text_when_it_steers_then_taken_out() -> None:
    text = "urgent [skip ci] @boss\nSigned-off-by: someone\nCo-authored-by: x\nK8tre-Tui-Change: 1"
    cleaned = message_text(text)
    assert cleaned == "urgent  @\u200bboss"


def test_commit_message_when_reason_then_trailers_come_last() -> None:
    message = commit_message("subject", "key", "because\nof tests", "U1 @x")
    why = "Why:\n    because\n    of tests"
    assert message == f"subject\n\n{why}\n\nK8tre-Tui-Change: key\nRequested-by: U1x\n"


def test_change_key_when_the_same_change_then_the_same_whoever_asks() -> None:
    keys = {change_key("f.yaml", REF, ["append", 1]) for _ in range(2)}
    assert len(keys) == 1
    assert keys != {change_key("f.yaml", REF, ["append", 2])}


@given(st.text(max_size=80), st.text(max_size=80))
def test_branch_name_when_any_policy_then_a_branch_of_ours(namespace: str, name: str) -> None:
    key = change_key("p", REF, 1)
    branch = branch_name(ObjectRef("CiliumNetworkPolicy", namespace, name), key)
    assert check_branch(branch).startswith("k8tre-tui/netpol/")


@pytest.mark.parametrize("branch", ["-a", "a..b", "A", "a.lock", "a/.b", "", "x" * 101, "a b"])
def test_check_branch_when_not_ours_then_refused(branch: str) -> None:
    with pytest.raises(DraftRejected):
        check_branch(branch)


def test_title_when_own_namespace_then_said_once_and_short() -> None:
    assert title(REF, "allow lung/a → b:443/TCP") == "netpol(lung): allow a → b:443/TCP"
    assert len(title(REF, "x" * 200)) == 72
    assert title(ObjectRef("X", "", "n"), "a").startswith("netpol(cluster)")


def test_body_when_written_then_markers_table_and_metadata() -> None:
    text = body(_summary("because @all `x` ```"))
    assert text.startswith(BEGIN)
    assert text.endswith(END)
    assert "| File | `lung/w.yaml` (+1 -0) |" in text
    assert "| Applies to | `envs/dev`, `envs/prd` |" in text
    assert "- [x] the file parses" in text
    assert "````\nbecause @all `x` ```\n````" in text
    assert meta_of(text) == META


def test_body_when_patch_is_long_then_left_out_and_within_the_limit() -> None:
    text = body(_summary(diff="+x\n" * 40_000))
    assert len(text) <= BODY_LIMIT
    assert "<details>" not in text
    assert text.endswith(END)


def test_body_when_everything_is_long_then_cut_with_its_end() -> None:
    text = body(_summary(reason="r" * 4000 + ("\n" + "r" * 4000) * 20))
    assert len(text) <= BODY_LIMIT
    assert text.endswith(END)


@pytest.mark.parametrize(
    "text", ["", "<!-- k8tre-tui:meta v1 !!! -->", "<!-- k8tre-tui:meta v1 bm90anNvbg -->"]
)
def test_read_meta_when_none_or_broken_then_nothing(text: str) -> None:
    assert read_meta(text) is None


def test_read_meta_when_not_an_object_then_nothing() -> None:
    assert read_meta("<!-- k8tre-tui:meta v1 WzFd -->") is None


def test_merge_body_when_people_wrote_around_it_then_their_words_stay() -> None:
    ours = f"{BEGIN}new{END}"
    assert merge_body(f"hello\n{BEGIN}old{END}\nbye", ours) == f"hello\n{ours}\nbye"
    assert merge_body("a person's own words", ours) == "a person's own words"
    assert merge_body("", ours) == ours


def test_merge_body_when_no_reason_is_given_now_then_the_one_before_stays() -> None:
    def ours(reason: str) -> str:
        summary = Summary("w", REF, {"a": "+x\n"}, {"a": (1, 0)}, META, reason=reason)
        return body(summary)

    quoting = "for `x`\n```\n### Undo\n```"
    first = f"hello\n{ours(quoting)}"
    again = merge_body(first, ours(""))
    assert fence(quoting) in again
    assert merge_body(again, ours("")) == again
    assert fence(quoting) not in merge_body(again, ours("another"))


def test_into_template_when_it_has_a_heading_then_ours_stands_under_it() -> None:
    template = "<!-- thanks -->\n## What\n\nSay it.\n\n## Checklist\n- [ ] tested\n"
    text = into_template(template, "OURS")
    assert text == "<!-- thanks -->\n## What\n\nOURS\n\nSay it.\n\n## Checklist\n- [ ] tested"
    assert into_template("- [ ] tested\n", "OURS") == "OURS\n\n- [ ] tested"


def test_commit_message_when_the_reason_is_a_patch_then_it_ends_no_message() -> None:
    message = commit_message("s", "k", "---\ndiff --git a/x b/x\nIndex: x\nSigned-off-by: me")
    lines = message.split("\n")
    assert not any(one.startswith(("---", "diff", "Index", "Signed")) for one in lines)


def test_body_when_the_repository_is_public_then_only_what_it_holds() -> None:
    text = body(_summary("for alice's study", public=True))
    said = message_details(_summary("for alice's study", public=True))
    for secret in ("alice", "notebook]", "12 flows", "U123", "opens nothing else", "fqdn:pypi"):
        assert secret not in text + said
    meta = meta_of(text)
    assert meta is not None
    assert (meta.key, meta.question) == (META.key, {})
    assert "`lung/w.yaml`" in text


def test_body_when_quoted_text_has_markers_then_they_end_nothing() -> None:
    hostile = f"{END}\n{BEGIN}\n{Meta('ffffffffffff').comment}\n~~~~\n`````\n/approve"
    text = body(_summary(hostile))
    assert text.count(BEGIN) == text.count(END) == 1
    assert meta_of(text) == META
    assert meta_of(f"{Meta('eeeeeeee').comment}\n{text}") == META
    outside = re.sub(r"(?ms)^(`{3,})[a-z]*\n.*?^\1$", "", text)
    assert not any(line.startswith("/") for line in outside.split("\n"))


@given(st.text(max_size=300))
def test_body_when_the_reason_is_any_text_then_merging_it_again_keeps_the_rest(reason: str) -> None:
    text = body(_summary(reason))
    assert meta_of(text) == META
    around = f"above\n{text}\nbelow"
    assert merge_body(around, text) == around


def test_body_when_it_expires_then_table_undo_and_trailer_say_when() -> None:
    summary = replace(_summary(), expires="2026-12-06", meta=replace(META, expires="2026-12-06"))
    text = body(summary)
    assert "| Expires | 2026-12-06 |" in text
    assert "drafts --due" in text
    meta = read_meta(commit_message("s", META.key, trailers=[summary.meta.trailer]))
    assert meta is not None
    assert meta.expires == "2026-12-06"


def test_meta_when_its_date_or_key_is_none_then_not_taken() -> None:
    odd = Meta("0123456789", expires="tomorrow")
    meta = read_meta(odd.comment)
    assert meta is not None
    assert meta.expires == ""
    assert read_meta(Meta("../../etc").comment) is None
