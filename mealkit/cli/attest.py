"""mealkit attest: sign statements about an image."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mealkit.cli.options import (
    AllowFolder,
    Json,
    Licences,
    PassphraseFd,
    PassphraseFile,
    PlainHttp,
    SignedTarget,
    session_of,
    use_plain_http,
)
from mealkit.cli.output import print_json, print_line, say

if TYPE_CHECKING:
    from mealkit.pipeline.home import Home
    from mealkit.pipeline.statements.attesting import ClaimOptions, Predicate
    from mealkit.progress import Progress

EXAMPLES = (
    "mealkit attest registry.example.org/team/my-kit:1.0.0 --key team.key",
    "mealkit attest my-kit:1.0.0 --type provenance --kit my-kit --key team.key",
    "mealkit attest my-kit:1.0.0 --test-report report.json --key team.key",
    "mealkit attest my-kit:1.0.0 --type URI --predicate vex.json --key team.key",
    "mealkit attest my-kit:1.0.0 --type provenance --print",
)


def attest(  # noqa: PLR0913  one parameter for each option
    context: typer.Context,
    target: SignedTarget,
    *,
    kind: Annotated[
        list[str],
        typer.Option(
            "--type",
            metavar="sbom|provenance|test-result|URI",
            help="What to state; may be repeated. A URI needs --predicate.",
            show_default="sbom and provenance",
        ),
    ] = [],  # noqa: B006  typer copies it
    test_report: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="State the result of mealkit test, from the report that it wrote as JSON.",
        ),
    ] = None,
    predicate: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Sign the JSON object in this file, for one --type."),
    ] = None,
    kit: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="The kit's folder: provenance states its kit.yaml."),
    ] = None,
    builder: Annotated[
        str | None,
        typer.Option(metavar="URI", help="Who built the image, for provenance, as in your CI."),
    ] = None,
    licences: Licences = False,
    print_only: Annotated[
        bool, typer.Option("--print", help="Print the statement, and sign nothing.")
    ] = False,
    key: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="The private key to sign with (mealkit keygen)."),
    ] = None,
    passphrase_file: PassphraseFile = None,
    passphrase_fd: PassphraseFd = None,
    plain_http: PlainHttp = [],  # noqa: B006
    allow_folder: AllowFolder = [],  # noqa: B006
    as_json: Json = False,
) -> None:
    """Sign statements about an image: its SBOM, provenance, tests.

    They are attached to the image as Sigstore bundles, in the registry and in the local store.
    mealkit verify prints them. The SBOM and the provenance come from the lock inside the image; the
    test result is mealkit preflight on this machine. With --predicate, you sign your own statement.

    --test-report states which claims and cases a test has shown, where and when: as an in-toto test
    result with the values that were measured, and as a verification result, which other tools
    compare. It refuses a report of another recipe, or of other claims or data than the image's.
    """
    from mealkit.errors import failure
    from mealkit.pipeline.signatures.key_files import PassphraseSource, signing_key_at
    from mealkit.pipeline.statements.attesting import ClaimOptions
    from mealkit.pipeline.statements.attesting import attest as attest_image
    from mealkit.trust.provenance import BUILDER
    from mealkit.trust.verified import title_of

    session = session_of(context)
    use_plain_http(plain_http)
    progress = session.progress(as_json=as_json or print_only)
    options = ClaimOptions(kit, builder or BUILDER, licences, tuple(allow_folder))
    kinds = kind or ([] if test_report else ["sbom", "provenance"])
    made = [
        _predicate(item, target, predicate, options, session.home, progress)
        for item in dict.fromkeys(kinds)
    ]
    if test_report is not None:
        made += _of_report(target, test_report, session.home, progress)
    if print_only:
        for item in made:
            print_json(item.content)
        return
    if key is None:
        raise failure("USAGE", "--key is missing", hint="mealkit attest TARGET --key FILE")
    secret = signing_key_at(key, PassphraseSource(passphrase_fd, passphrase_file), progress)
    digest, done = attest_image(target, tuple(made), secret, session.home)
    if as_json:
        rows = [{"type": one.kind, "place": one.place, "isNew": one.is_new} for one in done]
        print_json({"digest": digest, "statements": rows})
        return
    if not session.quiet:
        for one in done:
            state = "signed" if one.is_new else "already signed"
            say(f"{state} in {one.place}: {title_of(one.kind)}")
    print_line(digest)


def _predicate(
    kind: str,
    target: str,
    file: Path | None,
    options: "ClaimOptions",
    home: "Home",
    progress: "Progress",
) -> "Predicate":
    from mealkit.errors import failure
    from mealkit.pipeline.statements.attesting import (
        CLAIM_TYPES,
        Claim,
        predicate_file,
        predicate_of,
    )

    claim = next((item for item in Claim if item.value == kind), None)
    if file is not None:
        return predicate_file(CLAIM_TYPES[claim] if claim else kind, file)
    if claim is None:
        hint = f"mealkit attest TARGET --type {kind} --predicate FILE"
        raise failure("USAGE", f"--type {kind} needs the file with the statement", hint=hint)
    return predicate_of(claim, target, options, home, progress)


def _of_report(
    target: str, file: Path, home: "Home", progress: "Progress"
) -> "tuple[Predicate, ...]":
    from mealkit.pipeline.image.kit_image import open_kit_image
    from mealkit.pipeline.statements.attesting import report_file, report_predicates

    report = report_file(file)
    with open_kit_image(target, home, progress) as kit:
        return report_predicates(kit.lock, report)
