"""mealkit dashboard: write a dashboard for Grafana, and rules for Prometheus."""

from pathlib import Path
from typing import Annotated

import typer

from mealkit.cli.output import print_line

EXAMPLES = (
    "mealkit dashboard",
    "mealkit dashboard --runbooks https://wiki.example.org/mealkit",
)


def dashboard(
    *,
    output: Annotated[
        Path,
        typer.Option("--output", "-o", metavar="FOLDER", help="The folder to write into."),
    ] = Path("monitoring"),
    runbooks: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="Where you publish runbooks.md; the alerts link to it.",
            show_default="the file itself",
        ),
    ] = None,
) -> None:
    """Write a dashboard for Grafana, and rules for Prometheus.

    They are the same for all kits: the dashboard shows those that Prometheus scrapes. Each alert
    names its owner, and links to its section of runbooks.md.
    """
    from mealkit.pipeline.operate.dashboards import write_monitoring

    for path in write_monitoring(output, runbooks):
        print_line(str(path))
