"""mealkit build: a kit becomes an image in the local store."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from mealkit.cli.options import HERE, AllowFolder, Json, KitPath, Locked, session_of
from mealkit.cli.output import print_json, print_line, say, table

if TYPE_CHECKING:
    from mealkit.pipeline.image.building import BuildReport

EXAMPLES = (
    "mealkit build",
    "mealkit build my-kit --locked --load",
    "mealkit build --output oci-archive:my-kit.tar",
    "mealkit build --push registry.example.org/team/my-kit:1.0.0",
)


def build(  # noqa: PLR0913  one parameter for each option
    context: typer.Context,
    path: KitPath = HERE,
    *,
    locked: Locked = False,
    load: Annotated[bool, typer.Option("--load", help="Load the image into Docker too.")] = False,
    output: Annotated[
        str | None,
        typer.Option(metavar="oci:DIR|oci-archive:FILE", help="Write the image there too."),
    ] = None,
    push: Annotated[
        str | None, typer.Option(metavar="REF", help="Push the image to a registry too.")
    ] = None,
    allow_folder: AllowFolder = [],  # noqa: B006  typer copies it
    as_json: Json = False,
) -> None:
    """Build a kit's image into the local store, and print its digest.

    No daemon is needed. Weights are neither copied nor compressed.
    """
    from mealkit.pipeline.image.building import build_kit
    from mealkit.pipeline.image.outputs import Outputs

    session = session_of(context)
    report = build_kit(
        path,
        frozen=locked,
        outputs=Outputs(load, output, push),
        home=session.home,
        progress=session.progress(as_json=as_json),
        allowed=allow_folder,
    )
    if as_json:
        print_json(_form(report))
        return
    if not session.quiet:
        _describe(report)
    print_line(str(report.digest))


def _describe(report: "BuildReport") -> None:
    from mealkit.units import show_size

    rows = [
        (row.kind, row.title, show_size(row.size_bytes), "reused" if row.reused else "new")
        for row in report.layers
    ]
    lines = table(("layer", "content", "size", ""), rows, frozenset({2}))
    facts = (
        ("image", report.name),
        ("recipe", str(report.recipe)),
        ("lean", f"{report.lean_digest} (without weights, for mounting them)"),
    )
    for line in (*lines, *(f"{name:<7} {value}" for name, value in facts), *report.delivered):
        say(line)


def _form(report: "BuildReport") -> dict[str, Any]:
    layers = [
        {
            "kind": row.kind,
            "title": row.title,
            "digest": str(row.digest),
            "size": row.size_bytes,
            "reused": row.reused,
        }
        for row in report.layers
    ]
    return {
        "name": report.name,
        "digest": str(report.digest),
        "leanDigest": str(report.lean_digest),
        "recipe": str(report.recipe),
        "layers": layers,
        "delivered": list(report.delivered),
    }
