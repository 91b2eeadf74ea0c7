"""mealkit build: build a kit's image into the local store."""

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mealkit.cli.options import (
    HERE,
    AllowFolder,
    Json,
    KitPath,
    Locked,
    ModelPack,
    OptionalKeyFile,
    PassphraseFd,
    PassphraseFile,
    PlainHttp,
    Replace,
    Sign,
    session_of,
    use_plain_http,
)
from mealkit.cli.output import print_json, print_line, say, table
from mealkit.cli.sign import signing_key, signs
from mealkit.cli.verdicts import TestLines, end_with, tell_report
from mealkit.errors import failure

if TYPE_CHECKING:
    from mealkit.pipeline.home import Home
    from mealkit.pipeline.image.building import BuildReport, BuiltImage
    from mealkit.progress import Progress
    from mealkit.trust.signing_keys import SigningKey

EXAMPLES = (
    "mealkit build",
    "mealkit build my-kit --locked --load",
    "mealkit build --output oci-archive:my-kit.tar",
    "mealkit build --push registry.example.org/team/my-kit:1.0.0",
    "mealkit build --push registry:5000/my-kit:1.0.0 --plain-http registry:5000",
    "mealkit build --push registry.example.org/team/my-kit:1.0.0 --modelpack",
    "mealkit build --push registry:5000/my-kit:1.0.0 --sign --key team.key",
    "mealkit build --test --push registry:5000/my-kit:1.0.0 --sign --key team.key",
)


def build(  # noqa: PLR0913  one parameter for each option
    context: typer.Context,
    path: KitPath = HERE,
    *,
    locked: Locked = False,
    load: Annotated[bool, typer.Option("--load", help="Also load the image into Docker.")] = False,
    output: Annotated[
        list[str],
        typer.Option(
            metavar="oci:DIR|oci-archive:FILE",
            help="Also write the image to this layout or archive; may be repeated.",
            show_default=False,
        ),
    ] = [],  # noqa: B006  typer copies it
    push: Annotated[
        list[str],
        typer.Option(
            metavar="REF",
            help="Also push the image to a registry; may be repeated.",
            show_default=False,
        ),
    ] = [],  # noqa: B006
    modelpack: ModelPack = False,
    sign: Sign = False,
    key: OptionalKeyFile = None,
    passphrase_file: PassphraseFile = None,
    passphrase_fd: PassphraseFd = None,
    test: Annotated[
        bool,
        typer.Option(
            "--test",
            help="Also test the kit's claims and cases, before the image is written or pushed"
            " anywhere; with --sign, the result is signed too.",
        ),
    ] = False,
    replaces: Replace = False,
    plain_http: PlainHttp = [],  # noqa: B006
    allow_folder: AllowFolder = [],  # noqa: B006
    as_json: Json = False,
) -> None:
    """Build a kit's image into the local store, and print its digest.

    No daemon is needed. Weights are neither copied nor compressed. For a kit with several
    architectures one image is built for each, and an index of them; the index's digest is printed.
    A version that exists keeps its bytes, here and in a registry: the build of another image is
    refused without --replace. A tag without a digit, such as latest, may move.
    """
    from mealkit.pipeline.image.building import build_kit
    from mealkit.pipeline.image.naming_builds import Taken
    from mealkit.pipeline.image.outputs import Outputs
    from mealkit.pipeline.signatures.key_files import PassphraseSource

    if modelpack and not push:
        raise failure("USAGE", "--modelpack needs a registry", hint="add --push REGISTRY/NAME:TAG")
    session = session_of(context)
    use_plain_http(plain_http)
    progress = session.progress(as_json=as_json)
    source = PassphraseSource(passphrase_fd, passphrase_file)
    signer = signing_key(key, source, progress, is_wanted=sign)
    build_with = partial(
        build_kit,
        path,
        frozen=locked,
        home=session.home,
        progress=progress,
        allowed=allow_folder,
        taken=Taken.REPLACED if replaces else Taken.REFUSED,
    )
    if test:
        from mealkit.pipeline.proof.testing_builds import test_built

        digest = build_with(outputs=Outputs()).digest
        tested = test_built(digest, signer, session.home, progress, TestLines(progress))
        tell_report(tested)
        end_with(tested, strict=False)
    report = build_with(outputs=Outputs(load, output, push, signs(signer, push, session.home)))
    if modelpack:
        report = _packed(report, push, session.home, progress, signer)
    if signer is not None:
        line = f"signed by the key {signer.public.fingerprint}"
        report = replace(report, delivered=(*report.delivered, line))
    if as_json:
        print_json(_form(report))
        return
    if not session.quiet:
        _describe(report)
    print_line(str(report.digest))


def _packed(
    report: "BuildReport",
    push: list[str],
    home: "Home",
    progress: "Progress",
    signer: "SigningKey | None",
) -> "BuildReport":
    from mealkit.pipeline.publish.packing import push_modelpacks

    packs = push_modelpacks(str(report.digest), push, home, progress, signer)
    return replace(report, delivered=(*report.delivered, *packs))


def _describe(report: "BuildReport") -> None:
    for image in report.images:
        if len(report.images) > 1:
            say(f"linux/{image.architecture}")
        for line in _layer_table(image):
            say(line)
    facts = [("image", report.name), ("recipe", str(report.recipe)), ("salt", str(report.salt))]
    for image in report.images:
        platform = f" for linux/{image.architecture}" if len(report.images) > 1 else ""
        lean = f"{image.lean_digest} (without weights, for mounting them){platform}"
        facts += [("digest", f"{image.digest}{platform}")] if platform else []
        facts.append(("lean", lean))
    for line in (*(f"{name:<7} {value}" for name, value in facts), *report.delivered):
        say(line)


def _layer_table(image: "BuiltImage") -> list[str]:
    from mealkit.units import show_size

    rows = [
        (row.kind, row.title, show_size(row.size_bytes), "reused" if row.reused else "new")
        for row in image.layers
    ]
    return list(table(("layer", "content", "size", ""), rows, frozenset({2})))


def _form(report: "BuildReport") -> dict[str, Any]:
    images = [_image_form(image) for image in report.images]
    return {
        "name": report.name,
        "recipe": str(report.recipe),
        "salt": str(report.salt),
        **(images[0] if len(images) == 1 else {}),
        "digest": str(report.digest),
        "images": images,
        "delivered": list(report.delivered),
    }


def _image_form(image: "BuiltImage") -> dict[str, Any]:
    layers = [
        {
            "kind": row.kind,
            "title": row.title,
            "digest": str(row.digest),
            "size": row.size_bytes,
            "reused": row.reused,
        }
        for row in image.layers
    ]
    return {
        "architecture": image.architecture,
        "digest": str(image.digest),
        "leanDigest": str(image.lean_digest),
        "layers": layers,
    }
