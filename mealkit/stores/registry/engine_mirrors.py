"""The mirrors that the container engines of this machine use, so that pulls go through them, too.

containerd's ``certs.d/HOST/hosts.toml`` is also how Spegel and Dragonfly are set up (containerd
docs/hosts.md). Docker's ``daemon.json`` names mirrors of Docker Hub. A mirror is never trusted:
every byte is compared with its digest, and tags are asked of it only if the file says that it
resolves them. What cannot be used is left out, with the reason: the registry itself has the bytes.
"""

import os
import re
import stat
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from mealkit.addresses import is_loopback
from mealkit.errors import MealkitError, Problem, failure
from mealkit.oci.reference import HUB
from mealkit.stores.registry.registry_endpoint import AUTHORITY, RegistryEndpoint, endpoint_of
from mealkit.untrusted import UntrustedError, parse_json_object, read_file

VARIABLE = "MEALKIT_ENGINE_MIRRORS"
_SYSTEM = (Path("/etc/containerd/certs.d"), Path("/etc/docker/daemon.json"))
# The time that TOML takes grows with the square of a line's length.
_MAX_BYTES = 16 * 1024
_MAX_MIRRORS = 16
_MAX_HEADERS = 16
# What the client itself sets; another value would change what the answer means.
_OWN_HEADERS = frozenset(
    {"accept", "accept-encoding", "connection", "content-length", "content-type", "cookie", "host"}
    | {"range", "transfer-encoding", "upgrade"}
)


_COMPONENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@dataclass(frozen=True, slots=True)
class FoundMirrors:
    """The mirrors of a registry, and the entries that are not used, each with its reason."""

    endpoints: tuple[RegistryEndpoint, ...] = ()
    unused: tuple[Problem, ...] = ()


@dataclass(frozen=True, slots=True)
class EngineMirrors:
    """Files and folders of engines: ``daemon.json``, or a ``certs.d``."""

    places: tuple[Path, ...] = ()

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> "EngineMirrors":
        """Use the system's, or those that the variable names; an empty variable names none."""
        named = environment.get(VARIABLE)
        if named is None:
            return cls(_SYSTEM)
        return cls(tuple(Path(text) for text in named.split(os.pathsep) if text))

    def of(self, registry: str, plain: frozenset[str]) -> FoundMirrors:
        """Return the mirrors of a registry, in the order in which they are asked."""
        entries: list[_Entry] = []
        unused: list[Problem] = []
        for place in self.places:
            read = _of_docker if place.suffix == ".json" else _of_containerd
            try:
                entries += read(place, registry)
            except MealkitError as error:
                unused += error.problems
        endpoints: dict[RegistryEndpoint, None] = {}
        origin = endpoint_of(registry).authority
        for entry in entries[:_MAX_MIRRORS]:
            try:
                found = _endpoint(entry, registry, plain)
            except MealkitError as error:
                unused += error.problems
            else:
                if found is not None and found.authority != origin:
                    endpoints[found] = None
        return FoundMirrors(tuple(endpoints), tuple(unused))


@dataclass(frozen=True, slots=True)
class _Entry:
    """A mirror as a file names it."""

    file: Path
    url: str
    form: Mapping[str, Any]


def _of_docker(file: Path, registry: str) -> Iterator[_Entry]:
    """Yield the mirrors of Docker Hub in a ``daemon.json``; there are none of other registries."""
    raw = _read(file) if registry == HUB else None
    if raw is None:
        return
    try:
        urls = parse_json_object(raw).get("registry-mirrors", [])
    except UntrustedError as error:
        raise _invalid(file, str(error)) from error
    if not isinstance(urls, list) or not all(isinstance(url, str) for url in urls):
        raise _invalid(file, "registry-mirrors is not a list of addresses")
    for url in urls:
        yield _Entry(file, url, {"capabilities": ["pull", "resolve"]})


def _of_containerd(folder: Path, registry: str) -> Iterator[_Entry]:
    """Yield the hosts in the first ``hosts.toml`` for a registry."""
    name, colon, port = registry.rpartition(":")
    # The two spellings of a port, then the folder for every registry that has none.
    names = [f"{name}_{port}_"] if colon else []
    for name in (*names, registry, "_default"):
        file = folder / name / "hosts.toml"
        raw = _read(file)
        if raw is None:
            continue
        try:
            hosts = tomllib.loads(raw.decode()).get("host", {})
        except (ValueError, RecursionError) as error:
            raise _invalid(file, f"it is not TOML: {error}") from error
        if not isinstance(hosts, dict) or not all(isinstance(it, dict) for it in hosts.values()):
            raise _invalid(file, "host is not a table of tables")
        for url, form in hosts.items():
            yield _Entry(file, url, form)
        return


def _read(file: Path) -> bytes | None:
    """Read a file that only its owner, root or this user, can change; None if there is none."""
    try:
        about = file.stat()
        raw = read_file(file, _MAX_BYTES)
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return None
    except (OSError, UntrustedError) as error:
        raise _invalid(file, str(error)) from error
    if about.st_uid not in {0, os.getuid()} or about.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise _invalid(file, "other users can change it")
    return raw


def _endpoint(entry: _Entry, registry: str, plain: frozenset[str]) -> RegistryEndpoint | None:
    """Return the endpoint of an entry; None if it is not for reading.

    Raises:
        RegistryError: ``MIRROR_UNUSED``.
    """
    capabilities = entry.form.get("capabilities", ["pull", "resolve", "push"])
    if not isinstance(capabilities, list) or "pull" not in capabilities:
        return None
    try:
        url = urlsplit(entry.url if "://" in entry.url else f"https://{entry.url}")
        host, _ = url.hostname or "", url.port
    except ValueError as error:
        raise _unused(entry, "its address is not valid") from error
    is_plain = AUTHORITY.fullmatch(url.netloc) and not url.query and not url.fragment
    if url.scheme not in {"http", "https"} or not host or not is_plain:
        raise _unused(entry, "its address is not valid")
    if url.scheme == "http" and not (is_loopback(host) or url.netloc in plain):
        raise _unused(entry, f"it has no TLS; allow it with --plain-http {url.netloc}")
    if entry.form.get("skip_verify"):
        raise _unused(entry, "skip_verify is set: name its authority with ca instead")
    if entry.form.get("client"):
        raise _unused(entry, "it needs a client certificate; put it into /etc/docker/certs.d")
    return RegistryEndpoint(
        url.netloc,
        url.netloc,
        _prefix(entry, url.path),
        is_named_plain=url.netloc in plain,
        is_hub=registry == HUB,
        namespace=registry,
        headers=tuple(_headers(entry)),
        authorities=tuple(_authorities(entry)),
        resolves="resolve" in capabilities,
    )


def _prefix(entry: _Entry, path: str) -> str:
    """Return the prefix of repositories: containerd adds ``/v2`` unless the path is the API's."""
    parts = [part for part in path.split("/") if part]
    if not parts or parts == ["v2"]:
        return ""
    is_prefix = all(_COMPONENT.fullmatch(part) for part in parts[1:])
    if parts[0] == "v2" and is_prefix and entry.form.get("override_path") is True:
        return "/".join((*parts[1:], ""))
    raise _unused(entry, "its path is not /v2, or /v2/PREFIX with override_path")


def _headers(entry: _Entry) -> Iterator[tuple[str, str]]:
    form = entry.form.get("header", {})
    if not isinstance(form, dict) or len(form) > _MAX_HEADERS:
        raise _unused(entry, "header is not a table of a few headers")
    for name, value in form.items():
        values = value if isinstance(value, list) else [value]
        if name.lower() in _OWN_HEADERS or not _is_token(name):
            raise _unused(entry, f"it sets the header {name!r}")
        for text in values:
            if not isinstance(text, str) or not text.isascii() or not text.isprintable():
                raise _unused(entry, f"its header {name} is not text")
            yield name, text


def _is_token(name: str) -> bool:
    return name.replace("-", "").replace("_", "").isalnum() and name.isascii()


def _authorities(entry: _Entry) -> Iterator[Path]:
    form = entry.form.get("ca", [])
    for text in form if isinstance(form, list) else [form]:
        if not isinstance(text, str) or not (entry.file.parent / text).is_file():
            raise _unused(entry, f"ca is not a file: {text!r}")
        yield entry.file.parent / text


def _invalid(file: Path, what: str) -> MealkitError:
    return failure("MIRROR_UNUSED", f"{file} is not used: {what}", where=str(file))


def _unused(entry: _Entry, why: str) -> MealkitError:
    what = f"the mirror {entry.url!r} is not used: {why}"
    return failure("MIRROR_UNUSED", what, where=str(entry.file))
