"""mealkit load: load images from an archive into the local store, after the policies agreed."""

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mealkit.cli.options import Json, session_of
from mealkit.cli.output import print_json, print_line, say

if TYPE_CHECKING:
    from mealkit.pipeline.archives.loading import LoadedImage, LoadReport

EXAMPLES = (
    "mealkit load my-kit.tar",
    "mealkit load /media/usb/kits.tar.*",
    "mealkit load --list my-kit.tar",
)


def load(
    context: typer.Context,
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE...",
            help="The archive, or all its volumes; - for a file that is the standard input.",
            show_default=False,
        ),
    ],
    *,
    only_list: Annotated[
        bool, typer.Option("--list", help="Show what the archive has, and store nothing.")
    ] = False,
    proposal: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Write the policy and the keys that the archive proposes into a new folder.",
            show_default=False,
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Load images from an archive, if the policies accept them.

    Reads archives of mealkit save, docker save and podman save. Every byte is compared with its
    digest before an image is in the local store. An image keeps its names if no other image here
    has them. Policies and keys in an archive are only proposals.
    """
    from mealkit.pipeline.archives.loading import archive_list
    from mealkit.pipeline.archives.loading import load as load_images
    from mealkit.pipeline.archives.proposing import write_proposal

    session = session_of(context)
    files = [Path("/dev/stdin") if str(file) == "-" else file for file in files]
    if only_list:
        report = archive_list(files)
    else:
        report = load_images(files, session.home, session.progress(as_json=as_json))
    if proposal is not None:
        write_proposal(report.proposed, proposal)
    if as_json:
        print_json(_form(report, loaded=not only_list))
        return
    _describe(report, proposal)
    names = [name for image in report.images for name in image.names[-1:]]
    if names and not only_list and not session.quiet:
        say(f"next: mealkit run {names[0]}")


def _describe(report: "LoadReport", written: Path | None) -> None:
    for image in report.images:
        for line in _lines(image):
            print_line(line)
    for item in report.proposed:
        about = f"public key, fingerprint {item.fingerprint}" if item.fingerprint else "policy"
        print_line(f"proposed   {item.name} ({about}): not in use")
    if report.proposed and written is None:
        say("note: to read what the archive proposes, write it into a folder: --proposal DIR")


def _lines(image: "LoadedImage") -> list[str]:
    from mealkit.units import show_size

    platforms = ", ".join(image.platforms)
    names, size = ", ".join(image.names) or "-", show_size(image.size_bytes)
    lines = [f"{names}  {image.digest}  {platforms}  {size}"]
    lines += [f"  with  {_counted(kind, n)}" for kind, n in Counter(image.artifacts).items()]
    lines += [f"  note: {name} is the name of {holder} here" for name, holder in image.taken]
    return lines


def _counted(kind: str, count: int) -> str:
    """Return how many artifacts of a type there are, in words if it is one of mealkit's."""
    from mealkit.oci.model_artifacts import MODELPACK
    from mealkit.trust.bundle import BUNDLE_TYPE
    from mealkit.trust.simple_signing import SIGNATURE_ARTIFACT_TYPE

    titles = {
        BUNDLE_TYPE: ("signed statement", "signed statements"),
        SIGNATURE_ARTIFACT_TYPE: ("signature in the older layout",) * 2,
        MODELPACK: ("ModelPack", "ModelPacks"),
    }
    one, several = titles.get(
        kind, (f"artifact of the type {kind}", f"artifacts of the type {kind}")
    )
    return f"{count} {one if count == 1 else several}"


def _form(report: "LoadReport", *, loaded: bool) -> dict[str, Any]:
    return {
        "loaded": loaded,
        "images": [
            {
                "digest": str(image.digest),
                "names": list(image.names),
                "taken": [{"name": name, "digest": str(digest)} for name, digest in image.taken],
                "platforms": list(image.platforms),
                "size": image.size_bytes,
                "artifacts": list(image.artifacts),
            }
            for image in report.images
        ],
        "proposed": [
            {"name": item.name, "digest": str(item.digest), "fingerprint": item.fingerprint}
            for item in report.proposed
        ],
    }
