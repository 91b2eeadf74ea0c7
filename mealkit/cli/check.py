"""mealkit check: report all problems of a kit at once."""

import typer

from mealkit.cli.options import HERE, AllowFolder, Json, KitPath, session_of
from mealkit.cli.output import print_json, print_line, print_problem, say

EXAMPLES = ("mealkit check", "mealkit check kits/sbert-minilm", "mealkit check my-kit --json")


def check(
    context: typer.Context,
    path: KitPath = HERE,
    *,
    allow_folder: AllowFolder = [],  # noqa: B006  typer copies it
    as_json: Json = False,
) -> None:
    """Check a kit and every file it names, without the network."""
    from mealkit.pipeline.kit.checking import check_kit

    session = session_of(context)
    progress = session.progress(as_json=as_json)
    report = check_kit(path, session.home, allow_folder, progress)
    if as_json:
        warnings = [item.as_json() for item in report.warnings]
        lock = {"missing": report.stale is None, "stale": list(report.stale or ())}
        form = {"name": report.name, "version": report.version, "warnings": warnings, "lock": lock}
        print_json({**form, "excluded": report.excluded})
        return
    for warning in report.warnings:
        print_problem(warning, warning=True)
    for who, names in report.excluded.items():
        if names:
            say(f"left out of the lock by {who}: {', '.join(names)}")
    if report.stale is None:
        say("the kit has no lock yet; write it with: mealkit lock")
    print_line(f"{report.name} {report.version} is valid")
