"""The dashboard and the rules fit what a kit prints, and each alert has its runbook."""

import re
from pathlib import Path

import pytest

from mealkit.deploy.grafana_dashboard import grafana_dashboard
from mealkit.deploy.prometheus_rules import ALERTS, RECORDINGS, prometheus_rules, runbooks_page
from mealkit.errors import Owner

REFERENCE = Path(__file__).parents[2] / "docs" / "reference" / "metrics.md"
NAMES = re.compile(r"\b((?:mealkit|gen_ai|process)_[a-z_]+?)(?:_bucket|_sum|_count)?\b(?![\w(])")


def expressions():
    for panel in grafana_dashboard()["panels"]:
        yield from (target["expr"] for target in panel["targets"])
    yield from (item.expression for item in (*ALERTS, *RECORDINGS))


def test_only_documented_metrics_are_used():
    """Each metric in a query is on the reference page."""
    known = set(re.findall(r"^\| `([a-z_]+)` \|", REFERENCE.read_text(), re.MULTILINE))
    used = {name for text in expressions() for name in NAMES.findall(text)}

    assert len(used) > 10
    assert used <= known


def test_panels_lie_side_by_side():
    """No panel overlaps another, none is wider than the dashboard, and each has its own number."""
    panels = grafana_dashboard()["panels"]
    cells = [
        (x, y)
        for place in (panel["gridPos"] for panel in panels)
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]

    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) < 24
    assert len({panel["id"] for panel in panels}) == len(panels)


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert.name)
def test_each_alert_names_an_owner_and_has_a_runbook(alert):
    """An alert says who can act, and its link leads to its section of the runbooks."""
    (rule,) = [
        item
        for item in prometheus_rules("https://wiki.example.org/runbooks")["groups"][0]["rules"]
        if item.get("alert") == alert.name
    ]
    address, _, anchor = rule["annotations"]["runbook_url"].partition("#")

    assert rule["labels"]["owner"] in {*Owner, "{{ $labels.owner }}"}
    assert address == "https://wiki.example.org/runbooks"
    assert f"\n## {alert.name}\n" in runbooks_page()
    assert anchor == alert.name.lower()
