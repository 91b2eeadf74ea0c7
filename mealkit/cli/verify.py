"""mealkit verify: check who signed an image, build it again, or hash files again."""

import datetime as dt
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, assert_never

import typer

from mealkit.cli.byte_proofs import ByteOptions, is_on_this_machine, verify_bytes
from mealkit.cli.completing import stored_names
from mealkit.cli.options import Json, PlainHttp, Session, session_of, use_plain_http
from mealkit.cli.output import print_json, print_line, say, table
from mealkit.cli.policy import print_decisions
from mealkit.cli.shown_tests import forms_of_tests, lines_of_tests

if TYPE_CHECKING:
    from mealkit.pipeline.signatures.verifying import Trusted, Verification
    from mealkit.trust.verified import Signer

EXAMPLES = (
    "mealkit verify registry.example.org/team/my-kit:1.0.0 --key team.key.pub",
    "mealkit verify my-kit:1.0.0 --key old.key.pub,until=2027-12-31",
    "mealkit verify registry.example.org/team/my-kit:1.0.0 --rebuild",
    "mealkit verify weights --against my-kit/kit.lock",
    "mealkit verify my-kit",
)


def verify(  # noqa: PLR0913  one parameter for each option
    context: typer.Context,
    target: Annotated[
        str,
        typer.Argument(
            metavar="TARGET",
            help="An image (NAME:VERSION, a digest, REGISTRY/NAME:TAG, oci:DIR or"
            " oci-archive:FILE), a folder of weights, or a kit that mealkit ps shows.",
            autocompletion=stored_names,
        ),
    ],
    *,
    key: Annotated[
        list[str],
        typer.Option(
            metavar="FILE[,from=DATE][,until=DATE][,revoked=DATE]",
            help="Trust this public key, for the time that is stated; may be repeated.",
            show_default=False,
        ),
    ] = [],  # noqa: B006  typer copies it
    identity: Annotated[
        str | None,
        typer.Option(help="Trust this identity; needs --issuer and --trusted-root."),
    ] = None,
    issuer: Annotated[
        str | None, typer.Option(metavar="URL", help="Who has to confirm the identity.")
    ] = None,
    trusted_root: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="The certificates and logs for --identity."),
    ] = None,
    legacy: Annotated[
        bool,
        typer.Option("--legacy", help="Accept a signature in the older layout without a bundle."),
    ] = False,
    model_signature: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Also verify the signature of the model's files (OpenSSF Model Signing), and"
            " write it to FILE.",
        ),
    ] = None,
    rebuild: Annotated[
        bool,
        typer.Option(
            "--rebuild", help="Build the image again from the lock inside it, and compare."
        ),
    ] = False,
    inputs: Annotated[
        list[Path],
        typer.Option(
            metavar="FOLDER",
            help="Files that --rebuild may use by their digests, such as wheels; may be repeated.",
            show_default=False,
        ),
    ] = [],  # noqa: B006
    base: Annotated[
        str | None,
        typer.Option(metavar="REF", help="Where the base image is now, for --rebuild."),
    ] = None,
    against: Annotated[
        str | None,
        typer.Option(
            metavar="TARGET",
            help="The kit, lock or image with which weights or a running kit are compared.",
        ),
    ] = None,
    plain_http: PlainHttp = [],  # noqa: B006
    as_json: Json = False,
) -> None:
    """Check who signed an image; rebuild it; hash files again.

    With a key or an identity: fails with 13 unless at least one of them has signed exactly this
    image. Prints everything that they have signed about it: who, what, when and in which layout;
    and of each test its result, its machine, its age, and whether it is stale: of another recipe.
    The time is what the signer states. An image in a registry is checked there, and no service is
    asked. Every policy of this machine must accept the image as well; without a key, the policies
    alone decide.

    With --rebuild: builds the image again from the lock inside it, without the author, and compares
    every byte. Without any of these options: hashes an image on this machine, a folder of weights
    or a running kit again. Both name the first file that differs, and fail with 13.
    """
    from mealkit.pipeline.policy.admitting import require_accepted
    from mealkit.pipeline.signatures.verifying import verify as verify_image

    session = session_of(context)
    use_plain_http(plain_http)
    options = ByteOptions(rebuild, inputs, base, against)
    options.require_fitting()
    is_signed = bool(key or identity or issuer or trusted_root)
    decisions = require_accepted(target, session.home, session.progress(as_json=as_json))
    if not is_signed and (rebuild or is_on_this_machine(target)):
        verify_bytes(target, options, session, as_json=as_json)
        return
    if decisions and not is_signed:
        print_decisions(decisions, as_json=as_json)
        return
    trusted = _trusted(key, (identity, issuer, trusted_root), legacy=legacy)
    found = verify_image(target, trusted, session.home)
    if model_signature is not None:
        from mealkit.pipeline.signatures.model_signatures import write_model_signature

        keys = [item.key for item in trusted.keys.keys]
        write_model_signature(target, keys, session.home, model_signature)
    if rebuild:
        signed = found.subject.digest
        verify_bytes(target, options, session, as_json=as_json, signed=signed)
    else:
        _print(target, found, trusted, session, as_json=as_json)


def _print(
    target: str, found: "Verification", trusted: "Trusted", session: Session, *, as_json: bool
) -> None:
    from mealkit.pipeline.signatures.verified_tests import verified_tests

    tests = verified_tests(target, found.subject.digest, found.verified, session.home)
    today = dt.datetime.now(dt.UTC).date()
    if as_json:
        print_json(_form(found) | {"tests": forms_of_tests(tests, today)})
        return
    if not session.quiet:
        _describe(found, trusted)
        for line in lines_of_tests(tests, today):
            say(line)
    print_line(found.subject.digest)


def _trusted(
    keys: list[str], identity: tuple[str | None, str | None, Path | None], *, legacy: bool
) -> "Trusted":
    from mealkit.errors import failure
    from mealkit.pipeline.signatures.key_files import trusted_keys
    from mealkit.pipeline.signatures.verifying import Trusted
    from mealkit.trust.keyless import Identity

    name, issuer, root = identity
    identities: tuple[Identity, ...] = ()
    if name and issuer and root:
        identities = (Identity(name, issuer, root),)
    elif name or issuer or root:
        raise failure("USAGE", "--identity, --issuer and --trusted-root belong together")
    if not keys and not identities:
        hint = "mealkit verify TARGET --key FILE.pub"
        raise failure("USAGE", "whose signature to expect is not stated", hint=hint)
    return Trusted(trusted_keys(keys), identities, legacy)


def _describe(found: "Verification", trusted: "Trusted") -> None:
    from mealkit.trust.statement import rfc3339
    from mealkit.trust.verified import title_of

    labels = {item.key.fingerprint: item.label for item in trusted.keys.keys}
    rows = [
        (
            _signer(one.signer, labels),
            title_of(one.predicate_type),
            one.form.value,
            rfc3339(one.signed_seconds) if one.signed_seconds is not None else "not stated",
        )
        for one in sorted(found.verified, key=lambda one: one.signed_seconds or 0)
    ]
    for line in table(("signer", "signed", "layout", "time"), rows, frozenset()):
        say(line)
    if found.elsewhere:
        say(
            f"note: podman and skopeo refuse this copy: its signature in the older layout is for"
            f" {', '.join(found.elsewhere)}; to sign it here, too:"
            f" mealkit sign {found.place}@{found.subject.digest} --key FILE"
        )
    for problem in dict.fromkeys(found.refused):
        say(f"note: another signature does not count: {problem.message}")


def _signer(signer: "Signer", labels: dict[str, str]) -> str:
    from mealkit.trust.verified import IdentitySigner, KeySigner

    match signer:
        case KeySigner(fingerprint):
            return labels.get(fingerprint, fingerprint[:12])
        case IdentitySigner(identity, issuer):
            return f"{identity} ({issuer})"
        case _:
            assert_never(signer)


def _form(found: "Verification") -> dict[str, Any]:
    from dataclasses import asdict

    return {
        "digest": found.subject.digest,
        "place": found.place,
        "verified": [
            {
                "signer": asdict(one.signer),
                "form": one.form.value,
                "predicateType": one.predicate_type,
                "artifact": one.artifact,
                "signedSeconds": one.signed_seconds,
                "reference": one.reference,
            }
            for one in found.verified
        ],
        "refused": [item.as_json() for item in found.refused],
    }
