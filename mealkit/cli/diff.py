"""mealkit diff: print the differences between two recipes."""

from typing import TYPE_CHECKING, Any

import typer

from mealkit.cli.changes import grouped_lines
from mealkit.cli.options import AllowFolder, Json, PlainHttp, RecipeSide, session_of, use_plain_http
from mealkit.cli.output import print_json, print_line

if TYPE_CHECKING:
    from mealkit.pipeline.image.comparing import Difference, Digests

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
    """Show the differences between two kits, locks or images.

    They are in three groups: what changes answers, what may change them, such as a library below
    the engine, and what does not. The salt digest covers the first group, the recipe digest the
    first two. A kit's folder is compared as it is now.
    """
    from mealkit.pipeline.image.comparing import diff as difference

    session = session_of(context)
    use_plain_http(plain_http)
    progress = session.progress(as_json=as_json)
    found = difference(before, after, session.home, allow_folder, progress)
    if as_json:
        print_json(_form(found))
        return
    for line in grouped_lines(found.changes):
        print_line(line)
    if found.before and found.after:
        print_line(_digests("salt", str(found.before.salt), str(found.after.salt)))
        print_line(_digests("recipe", str(found.before.recipe), str(found.after.recipe)))


def _digests(name: str, before: str, after: str) -> str:
    return f"{name}: {before}, the same" if before == after else f"{name}: {before} -> {after}"


def _form(found: "Difference") -> dict[str, Any]:
    changes = [item.as_json() for item in found.changes]
    return {"changes": changes, "before": _side(found.before), "after": _side(found.after)}


def _side(digests: "Digests | None") -> dict[str, str] | None:
    if digests is None:
        return None
    return {"salt": str(digests.salt), "recipe": str(digests.recipe)}
