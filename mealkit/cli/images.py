"""mealkit images: list the images in the local store."""

import typer

from mealkit.cli.options import Json, session_of
from mealkit.cli.output import print_json, print_line, table

EXAMPLES = ("mealkit images", "mealkit images --json")


def images(context: typer.Context, *, as_json: Json = False) -> None:
    """List the images in the local store."""
    from mealkit.pipeline.image.inspecting import images as stored_images
    from mealkit.units import show_size

    found = stored_images(session_of(context).home)
    if as_json:
        print_json(
            [
                {
                    "names": list(item.names),
                    "digest": str(item.digest),
                    "platforms": [str(platform) for platform in item.platforms],
                    "size": item.size_bytes,
                    "missing": [str(digest) for digest in item.missing],
                }
                for item in found
            ]
        )
        return
    rows = [
        (
            ", ".join(item.names) or "-",
            str(item.digest),
            ", ".join(map(str, item.platforms)) or "-",
            show_size(item.size_bytes),
            f"{len(item.missing)} blobs missing or changed" if item.missing else "complete",
        )
        for item in found
    ]
    for line in table(("name", "digest", "platform", "size", "state"), rows, frozenset({3})):
        print_line(line)
