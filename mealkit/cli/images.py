"""mealkit images: list the images in the local store."""

import time
from datetime import UTC, datetime

import typer

from mealkit.cli.options import Json, session_of
from mealkit.cli.output import print_json, print_line, table

EXAMPLES = ("mealkit images", "mealkit images --json")


def images(context: typer.Context, *, as_json: Json = False) -> None:
    """List the images in the local store, the newest first."""
    from mealkit.pipeline.image.inspecting import images as stored_images
    from mealkit.units import show_size

    found = sorted(
        stored_images(session_of(context).home), key=lambda item: item.stored_seconds, reverse=True
    )
    if as_json:
        print_json(
            [
                {
                    "names": list(item.names),
                    "digest": str(item.digest),
                    "platforms": [str(platform) for platform in item.platforms],
                    "stored": _utc(item.stored_seconds),
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
            _local(item.stored_seconds),
            show_size(item.size_bytes),
            f"{len(item.missing)} blobs missing or changed" if item.missing else "complete",
        )
        for item in found
    ]
    heads = ("name", "digest", "platform", "stored", "size", "state")
    for line in table(heads, rows, frozenset({4})):
        print_line(line)


def _utc(seconds: float) -> str | None:
    if not seconds:
        return None
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


def _local(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds)) if seconds else "-"
