"""mealkit dashboard writes what Grafana and Prometheus read."""

import subprocess

import yaml
from fakes.served import need

from mealkit.deploy.prometheus_rules import prometheus_rules


def test_the_files_are_written_and_promtool_accepts_the_rules(mealkit, tmp_path):
    """mealkit dashboard writes three files, names them, and a second run writes the same bytes."""
    folder = tmp_path / "monitoring"
    first = mealkit("dashboard", "--output", str(folder))
    written = {path: path.read_bytes() for path in folder.iterdir()}
    mealkit("dashboard", "--output", str(folder))

    assert sorted(first.stdout.split()) == sorted(map(str, written))
    assert {path: path.read_bytes() for path in folder.iterdir()} == written
    rules = folder / "prometheus-rules.yml"
    assert yaml.safe_load(rules.read_text()) == prometheus_rules("runbooks.md")
    checked = subprocess.run(
        [need("promtool"), "check", "rules", rules], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
