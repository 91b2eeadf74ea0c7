"""mealkit catalog: publish kits in catalogues, and find them."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mealkit.cli.options import Json, PlainHttp, session_of, use_plain_http
from mealkit.cli.output import print_json, print_line, print_problem, say, table

if TYPE_CHECKING:
    from mealkit.pipeline.catalogs.open_catalogs import FoundKit
    from mealkit.pipeline.publish.cataloguing import Changed
    from mealkit.pipeline.publish.searching_kits import Searched

HELP = "Publish kits in a catalogue, and find them."
EXAMPLES = {
    "add": (
        "mealkit catalog add host:5000/rake:1 --catalog host:5000/catalog",
        "mealkit catalog add host:5000/rake:1 --readme README.md",
    ),
    "remove": ("mealkit catalog remove rake:1.0.0",),
    "list": ("mealkit catalog list", "mealkit catalog list --catalog oci:/srv/share/catalog"),
    "search": (
        "mealkit catalog search embeddings --here",
        "mealkit catalog search --task generation --gpu L4",
    ),
    "site": ("mealkit catalog site public", "mealkit catalog site public --title 'Our kits'"),
    "show": ("mealkit catalog show rake", "mealkit catalog show rake:1.0.0 --json"),
}

_METAVAR = "CATALOG"
_ONE = "The catalogue: REGISTRY/NAME, or oci:FOLDER."
OneCatalog = Annotated[
    str | None,
    typer.Option("--catalog", metavar=_METAVAR, help=_ONE, show_default="the configured one"),
]
Catalogs = Annotated[
    list[str],
    typer.Option(
        "--catalog",
        metavar=_METAVAR,
        help=f"{_ONE} May be repeated.",
        show_default="the configured ones",
    ),
]


def add(  # noqa: PLR0913  one parameter for each option
    context: typer.Context,
    target: Annotated[str, typer.Argument(metavar="REF", help="The kit: REGISTRY/NAME:TAG.")],
    *,
    catalog: OneCatalog = None,
    readme: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="A description in Markdown, for the site."),
    ] = None,
    key: Annotated[
        list[str],
        typer.Option(
            metavar="FILE[,from=DATE]...",
            help="Record the signatures of this public key, as verify does; may be repeated.",
            show_default="the keys of this machine's policies",
        ),
    ] = [],  # noqa: B006  typer copies it
    replace: Annotated[
        bool,
        typer.Option("--replace", help="Replace another kit of the same name and version."),
    ] = False,
    plain_http: PlainHttp = [],  # noqa: B006
    as_json: Json = False,
) -> None:
    """Add a kit that is in a registry to a catalogue.

    The entry has what the kit states about itself, and its digest. Run it again after signing, and
    the entry says so. Several people and pipelines may change a catalogue at once.
    """
    from mealkit.pipeline.publish.cataloguing import Addition
    from mealkit.pipeline.publish.cataloguing import add as add_kit

    use_plain_http(plain_http)
    wanted = Addition(target, catalog, readme, tuple(key), replace)
    _tell(add_kit(wanted, session_of(context).home), "lists", as_json=as_json)


def remove(
    kit: Annotated[str, typer.Argument(metavar="KIT", help="NAME:VERSION, or NAME.")],
    *,
    catalog: OneCatalog = None,
    plain_http: PlainHttp = [],  # noqa: B006
    as_json: Json = False,
) -> None:
    """Remove a kit from a catalogue. Its image stays where it is."""
    from mealkit.pipeline.publish.cataloguing import remove as remove_kit

    use_plain_http(plain_http)
    _tell(remove_kit(kit, catalog), "no longer lists", as_json=as_json)


def list_kits(
    *,
    catalog: Catalogs = [],  # noqa: B006
    plain_http: PlainHttp = [],  # noqa: B006
    as_json: Json = False,
) -> None:
    """List all kits of the catalogues, newest versions first."""
    from mealkit.pipeline.publish.searching_kits import Search, search_kits

    use_plain_http(plain_http)
    _show(search_kits(Search(catalogs=tuple(catalog))), as_json=as_json)


def search(  # noqa: PLR0913
    context: typer.Context,
    text: Annotated[
        list[str] | None, typer.Argument(metavar="TEXT", help="Words that must all occur.")
    ] = None,
    *,
    task: Annotated[str | None, typer.Option(help="Only kits for this task.")] = None,
    licence: Annotated[
        str | None, typer.Option("--license", help="Only kits and weights with this licence.")
    ] = None,
    owner: Annotated[str | None, typer.Option(help="Only kits of this team.")] = None,
    here: Annotated[
        bool, typer.Option("--here", help="Only kits that fit this machine, by the preflight.")
    ] = False,
    gpu: Annotated[
        str | None, typer.Option(metavar="NAME", help="Only kits that fit this GPU, such as L4.")
    ] = None,
    memory: Annotated[
        str | None,
        typer.Option(metavar="SIZE", help="Only kits that fit GPUs with this memory: 24GiB."),
    ] = None,
    catalog: Catalogs = [],  # noqa: B006
    plain_http: PlainHttp = [],  # noqa: B006
    as_json: Json = False,
) -> None:
    """Find kits by words, task, licence, owner, or by what fits.

    A kit whose memory cannot be estimated is listed as uncertain.
    """
    from mealkit.pipeline.publish.searching_kits import Search, search_kits
    from mealkit.units import parse_size

    use_plain_http(plain_http)
    wanted = Search(
        text=" ".join(text or ()),
        task=task,
        license=licence,
        owner=owner,
        here=session_of(context).home if here else None,
        gpu=gpu,
        memory_bytes=parse_size(memory) if memory else None,
        catalogs=tuple(catalog),
    )
    _show(search_kits(wanted), as_json=as_json)


def show(
    kit: Annotated[str, typer.Argument(metavar="KIT", help="NAME, or NAME:VERSION.")],
    *,
    catalog: Catalogs = [],  # noqa: B006
    plain_http: PlainHttp = [],  # noqa: B006
    as_json: Json = False,
) -> None:
    """Show a kit: the version that run chooses, and the others."""
    from mealkit.pipeline.catalogs.open_catalogs import find_kit

    use_plain_http(plain_http)
    found = find_kit(kit, tuple(catalog))
    if as_json:
        print_json(found.as_json())
        return
    for line in _facts(found):
        print_line(line)


def site(
    context: typer.Context,
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="The folder; a site in it is replaced.")
    ],
    *,
    title: Annotated[
        str | None, typer.Option(help="The site's title.", show_default="the catalogue's name")
    ] = None,
    catalog: OneCatalog = None,
    plain_http: PlainHttp = [],  # noqa: B006
    as_json: Json = False,
) -> None:
    """Write a catalogue as a static site for people.

    It has a page for each kit, with a search and filters. The files load nothing from elsewhere;
    put them on any web server, or open index.html.
    """
    from mealkit.pipeline.publish.publishing_site import publish_site

    session = session_of(context)
    use_plain_http(plain_http)
    progress = session.progress(as_json=as_json)
    report = publish_site(folder, catalog, title, session.home, progress)
    if as_json:
        problems = [item.as_json() for item in report.problems]
        print_json({**asdict(report), "problems": problems})
        return
    for problem in report.problems:
        print_problem(problem, warning=True)
    say(f"{report.kits} kits in {report.versions} versions")
    print_line(str(folder / "index.html"))


def _tell(changed: "Changed", what: str, *, as_json: bool) -> None:
    if as_json:
        print_json(
            {
                "catalog": changed.where,
                "changed": changed.is_new,
                "kits": [entry.form() for entry in changed.kits],
                "total": changed.total,
                "notes": list(changed.notes),
            }
        )
        return
    for entry in changed.kits:
        words = what if changed.is_new else f"already {what}"
        say(f"{changed.where} {words} {entry.title}, {entry.digest}")
    for note in changed.notes:
        say(f"note: {note}")


def _show(found: "Searched", *, as_json: bool) -> None:
    if as_json:
        print_json(found.as_json())
        return
    heads = ("kit", "task", "licence", "GPU", "download", "owner", "signed", "catalogue")
    rows = [_row(item) for item in found.kits]
    for line in table(heads, rows, frozenset({4})) if rows else ():
        print_line(line)
    for problem in found.problems:
        print_problem(problem, warning=True)
    say(f"{len(found.kits)} of {found.total} entries")


def _row(found: "FoundKit") -> tuple[str, ...]:
    from mealkit.units import show_size

    entry = found.entry
    fit = f" ({found.fit.value})" if found.fit else ""
    return (
        entry.title,
        entry.task.value,
        entry.model_license,
        f"{entry.any_requirements.gpu.value}{fit}",
        show_size(entry.download_bytes),
        entry.owner.team,
        "yes" if entry.trust.signers else "no",
        found.where,
    )


def _facts(found: "FoundKit") -> list[str]:
    from mealkit.units import show_size

    entry = found.entry
    needs = entry.any_requirements
    signers = ", ".join(entry.trust.signers) or "none that the catalogue knows of"
    claims = [f"{item.name}: {item.metric} {item.value:g} ({item.source})" for item in entry.claims]
    lines = [
        f"kit        {entry.title}",
        *([f"purpose    {entry.description}"] if entry.description else []),
        f"in         {found.where}",
        f"reference  {entry.reference}",
        f"digest     {entry.digest}",
        f"recipe     {entry.recipe}",
        *([f"salt       {entry.salt}"] if entry.salt else []),
        f"model      {entry.model}, {entry.model_license}",
        f"task       {entry.task.value}, with {entry.engine}",
        f"for        {', '.join(entry.requirements)}; GPU {needs.gpu.value}",
        f"download   {show_size(entry.download_bytes)}",
        f"licence    {entry.license}",
        f"owner      {entry.owner.team}, {entry.owner.contact}: {entry.owner.support}",
        *(f"{'claims' if not number else '':9}  {text}" for number, text in enumerate(claims)),
        f"signed by  {signers}",
        f"attested   {', '.join(entry.trust.attested) or 'nothing that the catalogue knows of'}",
        f"versions   {', '.join(found.versions)}",
    ]
    return [*lines, f"run        mealkit run {entry.title}"]
