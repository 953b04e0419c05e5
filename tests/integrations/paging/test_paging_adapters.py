"""What pagers are sent, held to Alertmanager's API description and to our own form."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping

import httpx
import jsonschema
import pytest

from app.bootstrap.paging import build_pagers
from app.config import AlertSettings, Settings
from app.core.errors import ConfigError, SourceCause, SourceUnavailable
from app.core.flows.times import NS_PER_S, parse_time
from app.ports import Page, Pager
from app.services.insights import alerts_of
from app.services.paging import page_of
from app.testing.pagers import FakePager
from app.testing.pictures import picture_of, small_tre
from integrations.paging.alertmanager import Alertmanager
from integrations.paging.post import Target
from integrations.paging.webhook import Webhook
from tests.core.insights.sights import START_NS, Pod, refused
from tests.forms import check_form

LABELS = {
    "type": "object",
    "propertyNames": {"pattern": "^[a-zA-Z_][a-zA-Z0-9_]*$"},
    "additionalProperties": {"type": "string", "minLength": 1},
}
POSTABLE_ALERTS = {
    "type": "array",
    "items": {
        "type": "object",
        "required": ["labels"],
        "additionalProperties": False,
        "properties": {
            "labels": LABELS | {"required": ["alertname"]},
            "annotations": LABELS,
            "startsAt": {"type": "string", "format": "date-time"},
            "endsAt": {"type": "string", "format": "date-time"},
            "generatorURL": {"type": "string", "format": "uri"},
        },
    },
}
"""`postableAlerts` of Alertmanager's `api/v2/openapi.yaml`."""

NOW_NS = START_NS + 60 * NS_PER_S
Make = Callable[[httpx.AsyncBaseTransport], Pager]
MAKERS: dict[str, Make] = {
    "alertmanager": lambda t: Alertmanager(Target("http://am.monitoring:9093"), transport=t),
    "webhook": lambda t: Webhook(Target("https://hook.example.org/x?key=1"), transport=t),
}


def pages() -> list[Page]:
    alice = Pod("lung", "jupyter-alice", "10.0.1.1")
    bob = Pod("heart", "jupyter-bob", "10.0.1.2")
    found = alerts_of(picture_of(small_tre()), refused(alice, bob, 8888), now_ns=NOW_NS)
    return [page_of(one, found) for one in found.items]


def sent(make: Make, what: list[Page]) -> httpx.Request:
    requests: list[httpx.Request] = []

    def take(request: httpx.Request) -> httpx.Response:
        requests.append(request)
        return httpx.Response(200)

    asyncio.run(make(httpx.MockTransport(take)).send(what, NOW_NS))
    return requests[0]


def test_alertmanager_is_sent_what_its_api_takes() -> None:
    request = sent(MAKERS["alertmanager"], pages())
    assert str(request.url) == "http://am.monitoring:9093/api/v2/alerts"
    body = json.loads(request.content)
    jsonschema.validate(body, POSTABLE_ALERTS)
    (alert,) = body
    assert alert["labels"]["from"] == "lung/jupyter"
    assert parse_time(alert["startsAt"]) == START_NS
    assert parse_time(alert["endsAt"]) > NOW_NS


def test_alertmanager_when_an_alert_ended_then_its_end_has_passed() -> None:
    from dataclasses import replace

    over = [replace(one, ends_ns=START_NS + 1) for one in pages()]
    (alert,) = json.loads(sent(MAKERS["alertmanager"], over).content)
    assert parse_time(alert["endsAt"]) == START_NS + 1


def test_webhook_is_sent_the_published_form() -> None:
    body = json.loads(sent(MAKERS["webhook"], pages()).content)
    items = body.pop("alerts")
    check_form("alerts", body | {"items": items, "notices": []})


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
@pytest.mark.parametrize(
    ("answer", "cause"),
    [
        (httpx.Response(500, text="boom"), SourceCause.PROTOCOL),
        (httpx.Response(302, headers={"location": "http://elsewhere/"}), SourceCause.PROTOCOL),
        (httpx.Response(401), SourceCause.UNAUTHENTICATED),
        (httpx.ConnectError("refused"), SourceCause.REFUSED),
        (httpx.ReadTimeout("slow"), SourceCause.TIMEOUT),
    ],
)
def test_pager_when_it_does_not_take_alerts_then_the_error_says_so(
    make: Make, answer: httpx.Response | Exception, cause: SourceCause
) -> None:
    def refuse(_request: httpx.Request) -> httpx.Response:
        if isinstance(answer, Exception):
            raise answer
        return answer

    pager = make(httpx.MockTransport(refuse))
    with pytest.raises(SourceUnavailable) as error:
        asyncio.run(pager.send(pages(), NOW_NS))
    assert error.value.cause is cause
    assert "key=1" not in str(error.value)


def test_pager_fake_when_down_then_fails_as_the_real_ones_do() -> None:
    with pytest.raises(SourceUnavailable):
        asyncio.run(FakePager(is_down=True).send(pages(), NOW_NS))


@pytest.mark.parametrize("url", ["ftp://x", "http://", "hook"])
def test_target_when_it_is_no_address_then_it_is_refused(url: str) -> None:
    with pytest.raises(ConfigError):
        Target(url)


def test_target_when_a_token_would_go_in_clear_then_it_is_refused() -> None:
    with pytest.raises(ConfigError, match="https"):
        Target("http://am.monitoring:9093", "t")
    assert "secret" not in repr(Target("http://127.0.0.1:9093", "secret"))


def test_pagers_when_named_on_the_command_line_then_they_go_before_the_settings() -> None:
    settings = Settings(alerts=AlertSettings(alertmanager="http://a", webhook="http://b"))
    environ: Mapping[str, str] = {}
    made = build_pagers(settings, webhook="http://c", environ=environ)
    assert [one.name for one in made] == ["Alertmanager a", "webhook c"]
    assert not build_pagers(Settings(), environ=environ)
