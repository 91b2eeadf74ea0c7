"""mealkit diff: print the differences between two recipes."""

import typer

from mealkit.cli.changes import change_lines
from mealkit.cli.options import AllowFolder, Json, PlainHttp, RecipeSide, session_of, use_plain_http
from mealkit.cli.output import print_json, print_line

EXAMPLES = (
    "mealkit diff my-kit:1.0.0 my-kit:1.1.0",
    "mealkit diff my-kit my-kit:1.0.0",
    "mealkit diff old/kit.lock my-kit/kit.lock --json",
)


def diff(
    context: typer.Context,
    before: RecipeSide,
    after: RecipeSide,
    *,
    plain_http: PlainHttp = [],  # noqa: B006
    allow_folder: AllowFolder = [],  # noqa: B006  typer copies it
    as_json: Json = False,
) -> None:
    """Show the differences between two kits, locks or images."""
    from mealkit.pipeline.image.comparing import diff as changes_between

    session = session_of(context)
    use_plain_http(plain_http)
    progress = session.progress(as_json=as_json)
    changes = changes_between(before, after, session.home, allow_folder, progress)
    if as_json:
        print_json({"changes": [item.as_json() for item in changes]})
        return
    for line in change_lines(changes):
        print_line(line)
