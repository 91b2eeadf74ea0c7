"""mealkit rmi: remove images from the local store or from a registry."""

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from mealkit.cli.completing import stored_names
from mealkit.cli.options import Json, PlainHttp, session_of, use_plain_http
from mealkit.cli.output import print_json, print_line, say
from mealkit.errors import failure

if TYPE_CHECKING:
    from mealkit.pipeline.publish.removing import Removal

EXAMPLES = (
    "mealkit rmi my-kit:1.0.0",
    "mealkit rmi sha256:4f53cda18c2b && mealkit prune",
    "mealkit rmi --registry registry.example.org/team/my-kit:1.0.0",
    "mealkit rmi --registry --yes registry.example.org/team/my-kit:1.0.0",
)


def rmi(
    context: typer.Context,
    images: Annotated[
        list[str],
        typer.Argument(
            metavar="IMAGE...",
            help="Names or digests; with --registry, references.",
            autocompletion=stored_names,
        ),
    ],
    *,
    registry: Annotated[
        bool,
        typer.Option("--registry", help="Delete from the registry instead of the local store."),
    ] = False,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Delete from the registry without asking.")
    ] = False,
    plain_http: PlainHttp = [],  # noqa: B006  typer copies it
    as_json: Json = False,
) -> None:
    """Remove images from the local store, or from a registry.

    In the local store, a name is removed, and the image with its last name; "mealkit prune" then
    frees its files. With --registry, the image is deleted there with everything that refers to it,
    after a question: signatures, attestations, ModelPacks. If it has other tags, only the tag is
    deleted; name the image by its digest to delete it with all its tags.
    """
    from mealkit.pipeline.publish import removing

    session = session_of(context)
    use_plain_http(plain_http)
    progress = session.progress(as_json=as_json)
    if not registry:
        lines = removing.remove_stored(images, session.home)
    else:
        plans = [removing.planned_removal(text, progress) for text in dict.fromkeys(images)]
        for plan in plans:
            _confirm(plan, sure=yes)
        lines = tuple(removing.remove_from_registry(plan, progress) for plan in plans)
    if as_json:
        print_json({"removed": list(lines)})
        return
    for line in lines:
        print_line(line)


def _confirm(plan: "Removal", *, sure: bool) -> None:
    """Say what will be deleted, and ask; without a terminal --yes is needed."""
    if sure:
        return
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise failure("USAGE", f"{plan.reference} would be deleted for everyone", hint="add --yes")
    if plan.is_tag_only:
        say(f"{plan.reference} will be deleted; the image keeps {', '.join(plan.other_tags)}")
    else:
        tags = f", also tagged {', '.join(plan.other_tags)}" if plan.other_tags else ""
        say(f"{plan.reference} will be deleted for everyone: {plan.digest}{tags}")
        say(f"with {len(plan.companions)} signatures and other artifacts about it")
    typer.confirm("Delete?", abort=True, err=True)
