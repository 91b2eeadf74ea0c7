"""mealkit keygen: create a key pair for signing."""

from pathlib import Path
from typing import Annotated

import typer

from mealkit.cli.options import Json, PassphraseFd, PassphraseFile, session_of
from mealkit.cli.output import print_json, print_line, say

EXAMPLES = (
    "mealkit keygen team.key",
    "mealkit keygen team.key --passphrase-file passphrase.txt",
)


def keygen(  # noqa: PLR0913  one parameter for each option
    context: typer.Context,
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="The file for the private key; may not exist.")
    ],
    *,
    algorithm: Annotated[
        str,
        typer.Option(
            metavar="ALGORITHM", help="ecdsa-p256, which every reader accepts, or ed25519."
        ),
    ] = "ecdsa-p256",
    passphrase_file: PassphraseFile = None,
    passphrase_fd: PassphraseFd = None,
    unencrypted: Annotated[
        bool,
        typer.Option("--unencrypted", help="Do not encrypt the private key with a passphrase."),
    ] = False,
    as_json: Json = False,
) -> None:
    """Create a key pair for signing, and print its fingerprint.

    FILE gets the private key (PKCS #8, encrypted), readable for you only; FILE.pub the public one,
    which verifiers need. Without --passphrase-file, --passphrase-fd and MEALKIT_KEY_PASSPHRASE, the
    passphrase is asked for in the terminal.
    """
    from mealkit.errors import failure
    from mealkit.pipeline.signatures.key_files import PassphraseSource, write_key_pair
    from mealkit.trust.signing_keys import Algorithm

    if algorithm not in set(Algorithm):
        expected = ", ".join(Algorithm)
        raise failure("USAGE", f"--algorithm is {algorithm!r}, expected one of {expected}")
    secret = None
    if not unencrypted:
        secret = PassphraseSource(passphrase_fd, passphrase_file).read(str(file), is_new=True)
    public = write_key_pair(file, Algorithm(algorithm), secret)
    if as_json:
        print_json({"fingerprint": public.fingerprint, "algorithm": public.name})
        return
    if not session_of(context).quiet:
        say(f"the private key is in {file}, the public key in {file}.pub")
    print_line(public.fingerprint)
