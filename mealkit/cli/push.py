"""mealkit push: push an image to a registry, with everything that is about it."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mealkit.cli.completing import stored_names
from mealkit.cli.options import (
    HERE,
    AllowFolder,
    Json,
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
from mealkit.cli.output import print_json, print_line, say
from mealkit.cli.sign import signing_key
from mealkit.errors import failure

if TYPE_CHECKING:
    from mealkit.pipeline.image.uploading import Uploaded

EXAMPLES = (
    "mealkit push my-kit registry.example.org/team/my-kit:1.0.0",
    "mealkit push my-kit:1.0.0 registry.example.org/team/my-kit:1.0.0",
    "mealkit push sha256:4f53cda18c2b registry.example.org/team/my-kit:latest",
    "mealkit push my-kit registry.example.org/team/my-kit:1.0.0-lean --lean",
    "mealkit push my-kit registry:5000/my-kit:1.0.0 --sign --key team.key",
    "mealkit push my-kit registry.example.org/team/my-kit:1.0.0 --modelpack",
)


def push(  # noqa: PLR0913  one parameter for each option
    context: typer.Context,
    names: Annotated[
        list[str],
        typer.Argument(
            metavar="[TARGET] REF",
            autocompletion=stored_names,
            help="A kit's folder (default: here), NAME:VERSION, a digest, oci:DIR or"
            " oci-archive:FILE; and the reference in a registry, REGISTRY/NAME:TAG.",
            show_default=False,
        ),
    ] = [],  # noqa: B006  typer copies it
    *,
    lean: Annotated[
        bool, typer.Option("--lean", help="Leave out the weights, which are delivered otherwise.")
    ] = False,
    modelpack: ModelPack = False,
    locked: Locked = False,
    replaces: Replace = False,
    sign: Sign = False,
    key: OptionalKeyFile = None,
    passphrase_file: PassphraseFile = None,
    passphrase_fd: PassphraseFd = None,
    plain_http: PlainHttp = [],  # noqa: B006  typer copies it
    allow_folder: AllowFolder = [],  # noqa: B006
    as_json: Json = False,
) -> None:
    """Push an image to a registry, with its signatures.

    A kit is built first, if its image does not exist. Whatever the registry has already is not
    sent. The tag is written last. A version that has other bytes there is refused, unless --replace
    is given; a tag without a digit, such as latest, may move. Prints the digest.
    """
    from mealkit.pipeline.publish.pushing import PushRequest, push_target
    from mealkit.pipeline.signatures.key_files import PassphraseSource

    if len(names) not in {1, 2}:
        hint = "mealkit push my-kit registry.example.org/team/my-kit:1.0.0"
        raise failure("USAGE", f"{len(names)} arguments instead of [TARGET] REF", hint=hint)
    target, reference = names if len(names) == 2 else (HERE, *names)
    if len(names) == 1 and (Path(reference) / "kit.yaml").is_file():
        message = f"{reference} is a kit's folder; the reference in a registry is missing"
        hint = f"mealkit push {reference} REGISTRY/{Path(reference).name}:VERSION"
        raise failure("USAGE", message, where=reference, hint=hint)
    session = session_of(context)
    use_plain_http(plain_http)
    progress = session.progress(as_json=as_json)
    source = PassphraseSource(passphrase_fd, passphrase_file)
    signer = signing_key(key, source, progress, is_wanted=sign)
    folders = tuple(map(Path, allow_folder))
    request = PushRequest(target, reference, lean, replaces, locked, folders, signer, modelpack)
    done = push_target(request, session.home, progress)
    print_uploaded(done, as_json=as_json, quiet=session.quiet)


def print_uploaded(done: "Uploaded", *, as_json: bool, quiet: bool) -> None:
    """Print the result of a push or a copy: the digest, or JSON."""
    from mealkit.pipeline.image.outputs import uploaded_line

    if as_json:
        print_json(_form(done))
        return
    if not quiet:
        say(uploaded_line(done, str(done.reference)))
    print_line(str(done.digest))


def _form(done: "Uploaded") -> dict[str, Any]:
    return {
        "reference": str(done.reference),
        "digest": str(done.digest),
        "size": done.size_bytes,
        "sent": done.sent_bytes,
        "movedFrom": str(done.moved_from) if done.moved_from else None,
        "artifacts": [
            {"digest": str(item.digest), "type": item.kind, "about": str(item.about)}
            for item in done.companions
        ],
    }
