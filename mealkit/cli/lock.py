"""mealkit lock: pin every input of a kit."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from mealkit.cli.changes import grouped_lines
from mealkit.cli.options import (
    HERE,
    AllowFolder,
    Json,
    KitPath,
    PlainHttp,
    session_of,
    use_plain_http,
)
from mealkit.cli.output import print_json, print_line, say
from mealkit.errors import failure, failures

EXAMPLES = (
    "mealkit lock",
    "mealkit lock --upgrade python --upgrade base",
    "mealkit lock --check",
)


class LockPart(StrEnum):
    """The parts that can be upgraded: ``lock.resolve.Upgrade`` without its imports."""

    BASE = "base"
    PYTHON = "python"
    WEIGHTS = "weights"
    DATASETS = "datasets"


def lock(  # noqa: PLR0913  one parameter for each option
    context: typer.Context,
    path: KitPath = HERE,
    *,
    check: Annotated[
        bool,
        typer.Option("--check", help="Only print the differences; exit with 4 if there are any."),
    ] = False,
    upgrade: Annotated[
        list[LockPart] | None,
        typer.Option(help="Resolve this part to its newest version; may be repeated."),
    ] = None,
    plain_http: PlainHttp = [],  # noqa: B006
    allow_folder: AllowFolder = [],  # noqa: B006  typer copies it
    as_json: Json = False,
) -> None:
    """Resolve every input of a kit to a digest, and write kit.lock."""
    if check:
        if upgrade:
            raise failure("USAGE", "--check changes nothing, --upgrade does")
        _check(context, path, allow_folder, as_json=as_json)
        return
    from mealkit.lock.resolve import Upgrade
    from mealkit.pipeline.kit.locking import lock_kit

    session = session_of(context)
    use_plain_http(plain_http)
    report = lock_kit(
        path,
        upgrade=frozenset(Upgrade(part.value) for part in upgrade or ()),
        home=session.home,
        progress=session.progress(as_json=as_json),
        allowed=allow_folder,
    )
    if as_json:
        changes = [item.as_json() for item in report.changes]
        form = {
            "lock": str(report.path),
            "recipe": str(report.recipe),
            "salt": str(report.salt),
            "created": report.created,
        }
        print_json({**form, "changes": changes})
        return
    for line in grouped_lines(report.changes):
        say(line)
    say(f"{report.path}: {_verdict(created=report.created, changed=bool(report.changes))}")
    print_line(str(report.recipe))


def _check(context: typer.Context, path: KitPath, allowed: list[Path], *, as_json: bool) -> None:
    from mealkit.pipeline.kit.locking import check_lock

    session = session_of(context)
    found = check_lock(path, session.home, allowed, session.progress(as_json=as_json))
    if as_json:
        print_json({"changes": [item.as_json() for item in found.changes]})
    else:
        for line in grouped_lines(found.changes):
            print_line(line)
    if found.stale:
        raise failures([found.stale])


def _verdict(*, created: bool, changed: bool) -> str:
    if created:
        return "written"
    return "updated" if changed else "already up to date"
