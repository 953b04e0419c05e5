"""`insights` over the demo."""

from tests.cli.conftest import Run


def test_performance_of_the_demo_measures_http_and_says_what_it_cannot(run: Run) -> None:
    ran = run("insights", "performance", "--demo", "-o", "json")
    items = ran.json["items"]
    assert any(item["http"] and item["http"]["p50_ms"] > 0 for item in items)
    assert all(item["bytes"] is None for item in items)
    assert "no byte counts" in ran.err


def test_performance_as_a_table_draws_what_was_not_measured_as_a_dash(run: Run) -> None:
    ran = run("insights", "performance", "--demo", "-n", "mirror")
    assert ran.code == 0
    assert " - " in ran.out


def test_coverage_of_the_demo_claims_nothing_from_a_quarter_of_an_hour(run: Run) -> None:
    ran = run("insights", "coverage", "--demo")
    assert "what nobody used is not said" in ran.out
    found = run("insights", "coverage", "--demo", "--days", "0", "-o", "json").json
    assert found["idle"]
    assert found["unused"] is not None
