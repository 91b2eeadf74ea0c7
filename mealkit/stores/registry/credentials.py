"""Credentials for registries, from the files and helpers that docker and podman use.

It only reads them, and never puts a secret into a message. Formats: docker's ``config.json``
(``auths``, ``credHelpers``, ``credsStore``), containers-auth.json(5), docker-credential-helpers'
``get``.
"""

import base64
import binascii
import os
import shutil
import subprocess  # noqa: TID251  a credential helper is a program, there is no other way to ask it
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mealkit.errors import failure
from mealkit.untrusted import UntrustedError, parse_json, read_file

HELPER_SECONDS = 30
"""How long a credential helper may take."""

_MAX_CONFIG_BYTES = 1024 * 1024
_RUN = Path("/run/containers")
_HUB = "docker.io"
_HUB_KEY = "https://index.docker.io/v1/"


@dataclass(frozen=True, slots=True)
class Credential:
    """A user name and a password, or an identity token instead of both."""

    username: str = field(repr=False)
    password: str = field(repr=False)
    identity_token: str | None = field(default=None, repr=False)

    @property
    def basic(self) -> str:
        """The value of a Basic ``Authorization`` header (RFC 7617)."""
        pair = f"{self.username}:{self.password}".encode()
        return f"Basic {base64.b64encode(pair).decode()}"

    @property
    def secrets(self) -> tuple[str, ...]:
        """All texts that must not be printed."""
        held = (self.password, self.identity_token or "", self.basic.removeprefix("Basic "))
        return tuple(text for text in held if text)


class Credentials:
    """Looks up credentials once per name and caches them; safe between threads."""

    def __init__(self, files: tuple[Path, ...], search_path: str | None = None) -> None:
        """Use configuration files in this order; helpers are searched on ``search_path``."""
        self._files = files
        self._search_path = search_path
        self._found: dict[str, Credential | None] = {}
        self._configs: list[Mapping[str, Any]] | None = None
        self._lock = threading.Lock()
        self.troubles: list[str] = []

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> "Credentials":
        """Use the files that docker and podman use; missing ones are skipped."""
        return cls(credential_files(environment), environment.get("PATH"))

    def lookup(self, registry: str, repository: str = "") -> Credential | None:
        """Return the credential for a repository: that of the longest matching name.

        A helper that is missing or fails is recorded in ``troubles`` and counts as no credential,
        so that public images can still be read.

        Raises:
            RegistryError: ``REGISTRY_DENIED``: a credential file cannot be read.
        """
        with self._lock:
            for name in _names(registry, repository):
                if name not in self._found:
                    self._found[name] = self._search(name)
                if found := self._found[name]:
                    return found
            return None

    def _search(self, name: str) -> Credential | None:
        if self._configs is None:
            self._configs = [read_config(path) for path in self._files if _is_there(path)]
        for config in self._configs:
            if found := self._of_config(config, name):
                return found
        return None

    def _of_config(self, config: Mapping[str, Any], name: str) -> Credential | None:
        helper = _mapping(config, "credHelpers").get(name)
        if helper is None and "/" not in name:
            helper = config.get("credsStore")
        if isinstance(helper, str) and helper:
            for key in spellings(name)[:2]:
                if found := self._of_helper(helper, key):
                    return found
        auths = _mapping(config, "auths")
        for key in spellings(name):
            if found := _of_entry(auths.get(key)):
                return found
        return None

    def _of_helper(self, helper: str, key: str) -> Credential | None:
        program = f"docker-credential-{helper}"
        path = None if "/" in helper else shutil.which(program, path=self._search_path)
        if path is None:
            return self._trouble(f"{program} is not on PATH")
        try:
            done = subprocess.run(  # noqa: S603  the program that the user's own docker runs
                [path, "get"],
                input=key.encode(),
                capture_output=True,
                timeout=HELPER_SECONDS,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired):
            return self._trouble(f"{program} did not answer")
        if done.returncode:
            # The protocol reports "not found" only as a text on stdout.
            silent = b"not found" in done.stdout.lower()
            return None if silent else self._trouble(f"{program} ended with {done.returncode}")
        try:
            return _of_answer(parse_json(done.stdout))
        except (UntrustedError, KeyError, TypeError):
            return self._trouble(f"the answer of {program} does not follow its protocol")

    def _trouble(self, text: str) -> Credential | None:
        if text not in self.troubles:
            self.troubles.append(text)
        return None


def _names(registry: str, repository: str) -> Iterator[str]:
    """Yield ``registry/a/b``, ``registry/a``, ``registry`` (containers-auth.json(5))."""
    parts = [registry, *filter(None, repository.split("/"))]
    for count in range(len(parts), 0, -1):
        yield "/".join(parts[:count])


def credential_files(environment: Mapping[str, str]) -> tuple[Path, ...]:
    """Return the files with credentials, in the order in which they are read.

    docker's comes first, unless ``REGISTRY_AUTH_FILE`` names another.
    """
    home = Path(environment.get("HOME") or "/nonexistent")
    docker = Path(environment.get("DOCKER_CONFIG") or home / ".docker") / "config.json"
    if named := environment.get("REGISTRY_AUTH_FILE"):
        return (Path(named), docker)
    # ``podman login`` writes to the first, and reads the second too: containers-auth.json(5).
    runtime = environment.get("XDG_RUNTIME_DIR")
    podman = Path(runtime) / "containers" if runtime else _RUN / str(os.getuid())
    config = Path(environment.get("XDG_CONFIG_HOME") or home / ".config") / "containers"
    return (docker, podman / "auth.json", config / "auth.json")


def key_of(registry: str) -> str:
    """Return the name under which docker keeps a registry's credentials."""
    return spellings(registry)[0]


def spellings(name: str) -> tuple[str, ...]:
    """Return the spellings that files and helpers use for a registry."""
    if name == _HUB:
        return (_HUB_KEY, name)
    return (name, f"https://{name}", f"https://{name}/", f"https://{name}/v1/", f"http://{name}")


def _of_entry(entry: Any) -> Credential | None:
    if not isinstance(entry, dict):
        return None
    username, password = entry.get("username"), entry.get("password")
    if isinstance(auth := entry.get("auth"), str) and auth:
        try:
            username, _, password = base64.b64decode(auth).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return None
    token = entry.get("identitytoken")
    if token:
        return Credential(str(username or "<token>"), str(password or ""), str(token))
    if username and password is not None:
        return Credential(str(username), str(password).rstrip("\0"))
    return None


def _of_answer(answer: Any) -> Credential | None:
    """Parse a helper's answer; raises KeyError or TypeError if it is not valid."""
    username, secret = str(answer["Username"]), str(answer["Secret"])
    if not username and not secret:  # the answer of docker-credential-pass for an unknown registry
        return None
    if username == "<token>":
        return Credential("<token>", "", secret)
    return Credential(username, secret)


def _mapping(config: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = config.get(key)
    return value if isinstance(value, dict) else {}


def _is_there(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # its folder is another user's
        return False


def read_config(path: Path) -> Mapping[str, Any]:
    """Return a file of credentials as JSON.

    Raises:
        RegistryError: ``REGISTRY_DENIED``: it cannot be read.
    """
    try:
        config = parse_json(read_file(path, _MAX_CONFIG_BYTES))
    except (OSError, UntrustedError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not JSON"
        raise failure(
            "REGISTRY_DENIED",
            f"the credential file cannot be read: {reason}",
            where=str(path),
            hint="correct the file, or point DOCKER_CONFIG at another folder",
        ) from None  # the parser's message quotes the file
    return config if isinstance(config, dict) else {}
