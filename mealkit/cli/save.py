"""mealkit save: write images, and everything that is about them, into one file or into volumes."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mealkit.cli.completing import stored_names
from mealkit.cli.options import AllowFolder, Json, PlainHttp, session_of, use_plain_http
from mealkit.cli.output import print_json, print_line, say

if TYPE_CHECKING:
    from mealkit.pipeline.archives.saving import SaveReport

EXAMPLES = (
    "mealkit save my-kit:1.0.0 my-kit.tar",
    "mealkit save my-kit:1.0.0 other:2.1.0 kits.tar --volume 4GiB",
    "mealkit save registry.example.org/my-kit:1.0.0 my-kit.tar --key team.key.pub",
)


def save(  # noqa: PLR0913  one parameter for each option
    context: typer.Context,
    targets: Annotated[
        list[str],
        typer.Argument(
            metavar="TARGET... FILE",
            help="Kits or images, as for run; then the file to write.",
            autocompletion=stored_names,
            show_default=False,
        ),
    ],
    *,
    volume: Annotated[
        str | None,
        typer.Option(
            metavar="SIZE",
            help="Write FILE.001, FILE.002, ... of less than this size, as in 4GiB.",
            show_default=False,
        ),
    ] = None,
    architecture: Annotated[
        str | None,
        typer.Option(
            metavar="amd64|arm64",
            help="Save only the image for this architecture.",
            show_default="all",
        ),
    ] = None,
    modelpack: Annotated[
        bool,
        typer.Option("--modelpack", help="Also save ModelPacks, which have the weights again."),
    ] = False,
    policy: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Propose this policy to the other side, which does not obey it by itself.",
            show_default=False,
        ),
    ] = None,
    key: Annotated[
        list[Path],
        typer.Option(
            metavar="FILE",
            help="Propose this public key to the other side; may be repeated.",
            show_default=False,
        ),
    ] = [],  # noqa: B006  typer copies it
    plain_http: PlainHttp = [],  # noqa: B006
    allow_folder: AllowFolder = [],  # noqa: B006
    as_json: Json = False,
) -> None:
    """Write images with their signatures into one file or volumes.

    The file is an OCI archive: images with their weights and locks, signatures, SBOMs and other
    attestations. FILE.sha256 has its checksum, or those of its volumes. If the command is
    interrupted, run it again: complete volumes stay. Volumes may be moved to another medium before.
    """
    from mealkit.errors import failure
    from mealkit.pipeline.archives.saving import SaveRequest
    from mealkit.pipeline.archives.saving import save as save_images

    *named, file = targets
    if not named:
        raise failure("USAGE", "no file to write is named", hint=EXAMPLES[0])
    if file == "-" or (Path(file).exists() and not Path(file).is_file()):
        message = f"{file} is not a file that an archive can be written to"
        raise failure("USAGE", message, hint="name a new file, such as my-kit.tar", where="FILE")
    session = session_of(context)
    use_plain_http(plain_http)
    request = SaveRequest(
        tuple(dict.fromkeys(named)),
        Path(file),
        _bytes_of(volume),
        architecture,
        modelpack,
        policy,
        tuple(key),
        tuple(allow_folder),
    )
    report = save_images(request, session.home, session.progress(as_json=as_json))
    if as_json:
        print_json(_form(report))
        return
    _describe(report, quiet=session.quiet)


def _bytes_of(volume: str | None) -> int | None:
    from mealkit.errors import failure
    from mealkit.units import parse_size

    if volume is None:
        return None
    try:
        return parse_size(volume)
    except ValueError as error:
        raise failure("USAGE", f"--volume: {error}", where="--volume") from error


def _describe(report: "SaveReport", *, quiet: bool) -> None:
    from mealkit.units import show_size

    if not quiet:
        for image in report.images:
            say(f"image   {', '.join(image.names) or '-'}  {image.digest}")
        count = len(report.files)
        files = f" in {count} volumes" if count > 1 else ""
        say(f"saved   {show_size(report.size_bytes)}{files}, with {report.artifacts} artifacts")
    for item in report.files:
        print_line(f"{item.checksum}  {item.path.name}")


def _form(report: "SaveReport") -> dict[str, Any]:
    return {
        "images": [
            {"names": list(image.names), "digest": str(image.digest)} for image in report.images
        ],
        "artifacts": report.artifacts,
        "size": report.size_bytes,
        "files": [
            {
                "path": str(item.path),
                "sha256": item.checksum,
                "size": item.size_bytes,
                "written": not item.is_kept,
                "elsewhere": item.is_elsewhere,
            }
            for item in report.files
        ],
    }
