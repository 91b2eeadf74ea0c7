"""mealkit inspect: show an image's layers, labels, lock and config."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from mealkit.cli.options import ImageTarget, Json, PlainHttp, session_of, use_plain_http
from mealkit.cli.output import print_json, print_line, table

if TYPE_CHECKING:
    from mealkit.pipeline.image.inspecting import Inspection
    from mealkit.recipe.lock import Lock

EXAMPLES = (
    "mealkit inspect my-kit:1.0.0",
    "mealkit inspect oci-archive:my-kit.tar --verify",
    "mealkit inspect registry.example.org/team/my-kit:1.0.0 --json",
)


def inspect(
    context: typer.Context,
    target: ImageTarget,
    *,
    verify: Annotated[
        bool, typer.Option("--verify", help="Read every byte and compare it with its digest.")
    ] = False,
    plain_http: PlainHttp = [],  # noqa: B006  typer copies it
    as_json: Json = False,
) -> None:
    """Show an image's layers, labels, lock and config."""
    from mealkit.errors import failures
    from mealkit.pipeline.image.inspecting import inspect as inspect_image

    session = session_of(context)
    use_plain_http(plain_http)
    progress = session.progress(as_json=as_json)
    found = inspect_image(target, verify=verify, home=session.home, progress=progress)
    if as_json:
        print_json(_form(found))
    else:
        _describe(found)
    if found.problems:
        raise failures(list(found.problems))


def _form(found: "Inspection") -> dict[str, Any]:
    return {
        "digest": found.digest,
        "platform": found.platform,
        "variants": [{"platform": name, "digest": digest} for name, digest in found.variants],
        "layers": list(found.layers),
        "labels": found.labels,
        "annotations": found.annotations,
        "config": found.config,
        "lock": found.lock.model_dump(mode="json") if found.lock else None,
        "problems": None if found.problems is None else [item.as_json() for item in found.problems],
    }


def _describe(found: "Inspection") -> None:
    from mealkit.units import show_size

    print_line(f"digest  {found.digest}")
    if found.variants:
        print_line(f"for     {found.platform}, one of these:")
        for name, digest in found.variants:
            print_line(f"        {name}  {digest}")
    if found.lock:
        _describe_kit(found.lock)
    rows = [
        (str(item["digest"]), show_size(int(item["size"])), str(item["createdBy"]))
        for item in found.layers
    ]
    for line in table(("layer", "size", "content"), rows, frozenset({1})):
        print_line(line)
    for name, value in sorted(found.labels.items()):
        print_line(f"{name}={value}")
    if found.problems is not None and not found.problems:
        print_line("every digest is correct")


def _describe_kit(lock: "Lock") -> None:
    from mealkit.units import show_size

    print_line(f"kit     {lock.about.name} {lock.about.version}")
    print_line(f"recipe  {lock.recipe}")
    print_line(f"salt    {lock.salt}")
    print_line(f"model   {lock.model.name}, {len(lock.model.files)} files")
    for item in lock.model.signatures:
        print_line(f"        {len(item.files)} of them signed by the publisher's key {item.key}")
    if lock.engine.excluded:
        print_line(f"without {', '.join(lock.engine.excluded)} (runtime.exclude)")
    for claim in lock.claims:
        data = f", on {claim.data}" if claim.data else ""
        print_line(f"claim   {claim.name}: {claim.metric} {claim.value:g} ({claim.source}){data}")
    if lock.cases:
        print_line(f"cases   {len(lock.cases)}: {', '.join(case.name for case in lock.cases[:5])}")
    for name, dataset in lock.datasets.items():
        size = show_size(sum(file.size_bytes for file in dataset.files))
        place = "in the image" if name in lock.datasets_in_image else "fetched for a test"
        print_line(f"data    {name}: {len(dataset.files)} files, {size}, {place}")
    print_line(f"owner   {lock.about.owner.team}, {lock.about.owner.contact}")
