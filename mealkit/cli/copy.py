"""mealkit copy: copy an image between registries, with everything that is about it."""

from typing import Annotated

import typer

from mealkit.cli.options import Json, PlainHttp, Replace, session_of, use_plain_http
from mealkit.cli.push import print_uploaded

EXAMPLES = (
    "mealkit copy registry.example.org/my-kit:1.0.0 mirror.example.net/my-kit",
    "mealkit copy registry:5000/my-kit:1.0.0 registry:5000/my-kit:latest",
)


def copy(
    context: typer.Context,
    source: Annotated[str, typer.Argument(metavar="SOURCE", help="The reference to copy.")],
    target: Annotated[
        str,
        typer.Argument(
            metavar="DESTINATION", help="The new reference; without a tag it gets the source's."
        ),
    ],
    *,
    replaces: Replace = False,
    plain_http: PlainHttp = [],  # noqa: B006  typer copies it
    as_json: Json = False,
) -> None:
    """Copy an image between registries, with its signatures.

    All platforms are copied, and everything that refers to the image: signatures, attestations,
    ModelPacks, and what refers to those. Digests stay the same. Nothing is stored on this machine.
    Prints the digest.
    """
    from mealkit.pipeline.publish.copying import copy as copy_image

    session = session_of(context)
    use_plain_http(plain_http)
    progress = session.progress(as_json=as_json)
    uploads = session.home.uploads
    done = copy_image(source, target, progress, replaces=replaces, uploads=uploads)
    print_uploaded(done, as_json=as_json, quiet=session.quiet)
