"""mealkit login: verify credentials with a registry, and keep them where docker looks for them."""

import getpass
import sys
from typing import Annotated

import typer

from mealkit.cli.options import Json, PlainHttp, session_of, use_plain_http
from mealkit.cli.output import print_json, print_line
from mealkit.errors import failure

EXAMPLES = (
    "mealkit login registry.example.org",
    "mealkit login registry.example.org -u ci --password-stdin < token.txt",
)
_MOST_BYTES = 64 * 1024

Registry = Annotated[
    str, typer.Argument(metavar="REGISTRY", help="The registry's host, as in registry:5000.")
]


def login(
    context: typer.Context,
    registry: Registry,
    *,
    username: Annotated[
        str | None,
        typer.Option("--username", "-u", help="The user name.", show_default="a question"),
    ] = None,
    password_stdin: Annotated[
        bool, typer.Option("--password-stdin", help="Read the password from standard input.")
    ] = False,
    plain_http: PlainHttp = [],  # noqa: B006  typer copies it
    as_json: Json = False,
) -> None:
    """Verify credentials with a registry, and keep them.

    They are given to the credential helper that docker uses for the registry; without one they are
    written to docker's config.json, or to the file in REGISTRY_AUTH_FILE, which only you can read.
    A password is never an argument: other users of the machine could see it.
    """
    from mealkit.pipeline.publish.logging_in import log_in

    session = session_of(context)
    use_plain_http(plain_http)
    name = username or _asked("Username", option="--username")
    password = _piped() if password_stdin else _asked("Password", option="--password-stdin")
    done = log_in(registry, name, password, session.home)
    if as_json:
        print_json({"registry": done.registry, "keptIn": done.place, "verified": done.is_verified})
        return
    print_line(f"logged in to {done.registry}; the credentials are in {done.place}")
    if not done.is_verified:
        print_line("note: the registry asked for no credentials, so they are not verified")


def _asked(what: str, *, option: str) -> str:
    if not sys.stdin.isatty():
        hint = "mealkit login REGISTRY --username NAME --password-stdin < FILE"
        raise failure("USAGE", f"{option} is missing, and there is no terminal to ask", hint=hint)
    if what == "Password":
        return getpass.getpass("Password: ")
    sys.stderr.write(f"{what}: ")
    sys.stderr.flush()
    return sys.stdin.readline().strip()


def _piped() -> str:
    data = sys.stdin.buffer.read(_MOST_BYTES + 1)
    try:
        text = data.decode().removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        text = ""
    if not text or len(data) > _MOST_BYTES or not text.isprintable():
        raise failure(
            "USAGE", "standard input is not one line with a password", hint="< password.txt"
        )
    return text
