"""Certificates for one registry, from the folders that docker and podman read.

``certs.d/HOST[:PORT]`` has authorities (``*.crt``) and client certificates (``*.cert``, each with
its ``*.key``): docs.docker.com "Verify repository client with certificates",
containers-certs.d(5). An authority of a registry is trusted for that registry's client only.
"""

import os
import ssl
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mealkit.errors import failure

_SYSTEM = (Path("/etc/docker/certs.d"), Path("/etc/containers/certs.d"))


@dataclass(frozen=True, slots=True)
class CertificateFolders:
    """The ``certs.d`` folders, in the order in which they are read."""

    folders: tuple[Path, ...] = ()

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> "CertificateFolders":
        """Use the folders of docker and podman: the system's and the user's."""
        home = Path(environment.get("HOME") or "/nonexistent")
        config = Path(environment.get("XDG_CONFIG_HOME") or home / ".config")
        return cls((*_SYSTEM, config / "containers/certs.d", config / "docker/certs.d"))

    def context(
        self,
        names: tuple[str, ...],
        make: Callable[[], ssl.SSLContext],
        authorities: Sequence[Path] = (),
    ) -> tuple[ssl.SSLContext | None, str]:
        """Return a context with a registry's certificates, None if there are none; and a note.

        ``names`` are the registry's names, with their port if it is not 443. The note says which
        file this user may not read, such as the key of a client certificate. ``authorities`` are
        more files with authorities.

        Raises:
            RegistryError: ``REGISTRY_UNREACHABLE``: a file is not a certificate, or has no key.
        """
        files = [file for name in dict.fromkeys(names) for file in self._files(name)]
        files += authorities
        if not files:
            return None, ""
        context, notes = make(), []
        for file in files:
            try:
                _load(file, context)
            except PermissionError:
                notes.append(f"; {file} cannot be read by this user")
            except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
                raise failure(
                    "REGISTRY_UNREACHABLE",
                    f"the certificates in {file} cannot be used: {error}",
                    where=str(file),
                    hint="correct the file, or remove it",
                ) from error
        return context, "".join(notes)

    def _files(self, name: str) -> Iterator[Path]:
        for folder in self.folders:
            try:
                found = sorted((folder / name).iterdir())
            except OSError:  # missing, or not for this user
                continue
            yield from (path for path in found if path.suffix in {".crt", ".cert"})


def _load(file: Path, context: ssl.SSLContext) -> None:
    if file.suffix != ".cert":
        context.load_verify_locations(cafile=file)
        return
    key = file.with_suffix(".key")
    if not key.exists():
        raise ValueError(f"its key {key.name} is missing")
    context.load_cert_chain(file, key, password=_refuse_password)


def _refuse_password() -> str:
    """Refuse a key with a password: OpenSSL would ask for it on the terminal."""
    raise ValueError("its key has a password")
