"""mealkit sign: sign an image in a registry or in the local store."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mealkit.cli.options import (
    Json,
    PassphraseFd,
    PassphraseFile,
    PlainHttp,
    SignedTarget,
    session_of,
    use_plain_http,
)
from mealkit.cli.output import print_json, print_line, say
from mealkit.errors import failure

if TYPE_CHECKING:
    from mealkit.oci.descriptor import Descriptor
    from mealkit.pipeline.home import Home
    from mealkit.pipeline.signatures.key_files import PassphraseSource
    from mealkit.pipeline.signatures.signing import SignReport
    from mealkit.progress import Progress
    from mealkit.trust.signing_keys import SigningKey

EXAMPLES = (
    "mealkit sign registry.example.org/team/my-kit:1.0.0 --key team.key",
    "mealkit sign my-kit:1.0.0 --key team.key --passphrase-file passphrase.txt",
    "mealkit sign my-kit:1.0.0 --key team.key --model-signature model.sig",
    "mealkit sign registry.example.org/team/my-kit:1.0.0 --keyless",
)


def sign(  # noqa: PLR0913  one parameter for each option
    context: typer.Context,
    target: SignedTarget,
    *,
    key: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="The private key to sign with (mealkit keygen)."),
    ] = None,
    keyless: Annotated[
        bool,
        typer.Option("--keyless", help="Sign with the identity of this CI job, by Sigstore."),
    ] = False,
    trust_config: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="The services for --keyless, in Sigstore's format.",
            show_default="Sigstore's public ones",
        ),
    ] = None,
    passphrase_file: PassphraseFile = None,
    passphrase_fd: PassphraseFd = None,
    model_signature: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Also sign the model's files (OpenSSF Model Signing), and write that to FILE.",
        ),
    ] = None,
    plain_http: PlainHttp = [],  # noqa: B006  typer copies it
    as_json: Json = False,
) -> None:
    """Sign an image, and print the digest that was signed.

    In a registry, the signature is written in both layouts: as a Sigstore bundle that refers to the
    image, and under the tag sha256-….sig, which podman and skopeo read. What the key has signed
    already stays as it is; signatures by other keys stay, too. For a kit with several
    architectures, the index is signed, which covers its images.

    --keyless writes the bundle only. It needs the extra "keyless" and a network, and the signature
    gets into a public log.
    """
    from mealkit.pipeline.signatures.key_files import PassphraseSource, signing_key_at
    from mealkit.pipeline.signatures.signing import sign as sign_image
    from mealkit.pipeline.signatures.signing import sign_keyless

    session = session_of(context)
    use_plain_http(plain_http)
    progress = session.progress(as_json=as_json)
    if keyless == (key is not None) or (keyless and model_signature):
        raise failure("USAGE", "sign either with --key or with --keyless", hint="--key FILE")
    if key is None:
        report = sign_keyless(target, trust_config, session.home)
    else:
        secret = signing_key_at(key, PassphraseSource(passphrase_fd, passphrase_file), progress)
        report = sign_image(target, secret, session.home)
        if model_signature is not None:
            from mealkit.pipeline.signatures.model_signatures import sign_model_files

            sign_model_files(target, secret, session.home, model_signature)
    if as_json:
        print_json(sign_form(report))
        return
    if not session.quiet:
        for line in sign_lines(report):
            say(line)
    print_line(report.digest)


def signing_key(
    key: Path | None,
    passphrase: "PassphraseSource",
    progress: "Progress",
    *,
    is_wanted: bool,
) -> "SigningKey | None":
    """Return the key for --sign of another verb, before its work starts; None without --sign."""
    from mealkit.pipeline.signatures.key_files import signing_key_at

    if is_wanted != (key is not None):
        raise failure("USAGE", "--sign and --key belong together", hint="--sign --key FILE")
    return None if key is None else signing_key_at(key, passphrase, progress)


def signs(
    key: "SigningKey | None", push: list[str], home: "Home"
) -> "Callable[[Descriptor], object] | None":
    """Return what signs a built image for these references; None without a key."""
    from mealkit.pipeline.signatures.signing import sign_before_push
    from mealkit.pipeline.targets import registry_named

    if key is None:
        return None
    places = [registry_named(text).reference for text in push]
    return lambda subject: sign_before_push(subject, places, key, home)


def sign_lines(report: "SignReport") -> list[str]:
    """Return a line for each place of a signature."""
    return [
        f"{'signed' if item.is_new else 'already signed'} in {item.place} ({item.form.value})"
        f" by {report.signer}"
        for item in report.signatures
    ]


def sign_form(report: "SignReport") -> dict[str, Any]:
    """Return the JSON form of what was signed."""
    return {
        "digest": report.digest,
        "signer": report.signer,
        "signatures": [
            {"place": item.place, "form": item.form.value, "isNew": item.is_new}
            for item in report.signatures
        ],
    }
