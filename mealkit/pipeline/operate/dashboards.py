"""Writes what Grafana and Prometheus read: a dashboard, rules, and the page of runbooks."""

import json
from collections.abc import Mapping
from pathlib import Path

import yaml

from mealkit.deploy.grafana_dashboard import grafana_dashboard
from mealkit.deploy.prometheus_rules import prometheus_rules, runbooks_page
from mealkit.files.whole import write_whole

DASHBOARD, RULES, RUNBOOKS = "grafana-dashboard.json", "prometheus-rules.yml", "runbooks.md"


def monitoring_files(runbooks: str | None) -> Mapping[str, str]:
    """Return the files by name.

    Args:
        runbooks: The address at which the runbooks are published; None: the file beside the rules.
    """
    rules = prometheus_rules(runbooks or RUNBOOKS)
    return {
        DASHBOARD: json.dumps(grafana_dashboard(), indent=2) + "\n",
        RULES: yaml.safe_dump(rules, sort_keys=False, width=100),
        RUNBOOKS: runbooks_page(),
    }


def write_monitoring(folder: Path, runbooks: str | None) -> tuple[Path, ...]:
    """Write the files into a folder, which is created; each is replaced whole."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name, text in monitoring_files(runbooks).items():
        write_whole(folder / name, text.encode())
        written.append(folder / name)
    return tuple(written)
