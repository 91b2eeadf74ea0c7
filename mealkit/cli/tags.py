"""mealkit tags: list the tags of a repository in a registry."""

from typing import Annotated

import typer

from mealkit.cli.options import Json, PlainHttp, use_plain_http
from mealkit.cli.output import print_json, print_line

EXAMPLES = (
    "mealkit tags registry.example.org/team/my-kit",
    "mealkit tags registry.example.org/team/my-kit --json",
)


def tags(
    reference: Annotated[str, typer.Argument(metavar="REF", help="A repository: REGISTRY/NAME.")],
    *,
    every: Annotated[
        bool,
        typer.Option("--all", help="Also list the tags that only keep signatures of images."),
    ] = False,
    plain_http: PlainHttp = [],  # noqa: B006  typer copies it
    as_json: Json = False,
) -> None:
    """List the tags of a repository, the newest version last."""
    from mealkit.pipeline.targets import registry_named
    from mealkit.stores.registry.reaching import Registries
    from mealkit.stores.registry.tags import tags_of

    use_plain_http(plain_http)
    named = registry_named(reference).reference
    with Registries.from_environment() as registries:
        found = tags_of(registries.client(named), named, every=every)
    if as_json:
        print_json({"repository": named.name, "tags": found})
        return
    for tag in found:
        print_line(tag)
