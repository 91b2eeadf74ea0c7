"""mealkit pull: pull an image into the local store, with everything that is about it."""

from typing import Annotated

import typer

from mealkit.cli.options import Json, PlainHttp, session_of, use_plain_http
from mealkit.cli.output import print_json, print_line, say

EXAMPLES = (
    "mealkit pull registry.example.org/team/my-kit:1.0.0",
    "mealkit pull registry.example.org/team/my-kit:1.0.0 --architecture all",
    "mealkit pull registry:5000/my-kit:1.0.0 --plain-http registry:5000",
)


def pull(
    context: typer.Context,
    reference: Annotated[
        str,
        typer.Argument(
            metavar="REF", help="REGISTRY/NAME:TAG or @DIGEST; or NAME[:VERSION] in a catalogue."
        ),
    ],
    *,
    architecture: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|all",
            help="The architecture of the image to pull, or all of them.",
            show_default="this machine's",
        ),
    ] = None,
    plain_http: PlainHttp = [],  # noqa: B006  typer copies it
    as_json: Json = False,
) -> None:
    """Pull an image into the local store, with its signatures.

    Its signatures and attestations are kept with it. Weights are stored as verified files, which
    "mealkit run" mounts; nothing is on disk twice. An interrupted pull continues where it ended.
    Prints the digest.
    """
    from mealkit.pipeline.catalogs.short_names import kit_to_pull
    from mealkit.pipeline.image.pulling import named_as_listed, pull_content
    from mealkit.pipeline.opening_images import this_platform
    from mealkit.pipeline.policy.admitting import acceptance
    from mealkit.stores.local import LocalStore

    session = session_of(context)
    use_plain_http(plain_http)
    progress = session.progress(as_json=as_json)
    target = kit_to_pull(reference, session.home, progress)
    named = target.reference
    wanted = architecture or this_platform().architecture
    done = pull_content(
        named,
        None if wanted == "all" else wanted,
        session.home,
        progress,
        accept=acceptance(named, progress),
    )
    if target.listed:
        store = LocalStore(session.home.store)
        named_as_listed(store.image(str(done.stored)), target, store)
    platforms = [str(platform) for platform in done.platforms]
    if as_json:
        print_json(
            {
                "name": done.name,
                "digest": str(done.digest),
                "stored": str(done.stored),
                "platforms": platforms,
                "artifacts": done.companions,
            }
        )
        return
    if not session.quiet:
        say(f"pulled {done.name}, for {', '.join(platforms)}")
        if done.digest != done.stored:
            say(f"index  {done.digest}")
        say(f"with   {done.companions} artifacts about it, such as signatures")
    print_line(str(done.stored))
