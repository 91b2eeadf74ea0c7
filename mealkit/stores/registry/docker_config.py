"""Writes credentials where docker and podman keep them: a credential helper, or their JSON file.

Fields that mealkit does not know stay. Formats: docker's ``config.json`` (``auths``,
``credHelpers``, ``credsStore``), containers-auth.json(5), docker-credential-helpers' ``store`` and
``erase``.
"""

import base64
import json
import os
import shutil
import subprocess  # noqa: TID251  a credential helper is a program, there is no other way to use it
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mealkit.errors import MealkitError, failure
from mealkit.files.locks import locked
from mealkit.files.whole import disk_errors, write_whole
from mealkit.stores.registry.credentials import (
    HELPER_SECONDS,
    Credential,
    credential_files,
    key_of,
    read_config,
    spellings,
)


@dataclass(frozen=True, slots=True)
class DockerConfig:
    """The file that ``mealkit login`` writes: the first one that mealkit reads."""

    path: Path
    lock: Path
    """A lock file, so that of two logins at the same time none is lost."""
    search_path: str | None = None

    @classmethod
    def from_environment(
        cls, lock: Path, environment: Mapping[str, str] = os.environ
    ) -> "DockerConfig":
        """Use the file that ``REGISTRY_AUTH_FILE`` names, or else docker's ``config.json``."""
        return cls(credential_files(environment)[0], lock, environment.get("PATH"))

    def save(self, registry: str, credential: Credential) -> str:
        """Keep a credential, and return the name of the place.

        Raises:
            RegistryError: ``REGISTRY_DENIED``: the file cannot be read, or the helper fails.
            StoreError: ``DISK_*``.
        """
        helper = self._helper(registry)
        if helper is not None:
            form = {
                "ServerURL": key_of(registry),
                "Username": credential.username,
                "Secret": credential.identity_token or credential.password,
            }
            self._run(helper, "store", json.dumps(form))
            return f"docker-credential-{helper}"
        entry = {"auth": credential.basic.removeprefix("Basic ")}
        if credential.identity_token:
            blank = base64.b64encode(f"{credential.username}:".encode()).decode()
            entry = {"auth": blank, "identitytoken": credential.identity_token}
        self._change(registry, entry)
        return str(self.path)

    def erase(self, registry: str) -> bool:
        """Delete the credentials of a registry; return whether there were any.

        Raises:
            RegistryError: ``REGISTRY_DENIED``: the file cannot be read, or the helper fails.
            StoreError: ``DISK_*``.
        """
        helper = self._helper(registry)
        was_there = False
        if helper is not None:
            for key in spellings(registry)[:2]:
                was_there |= self._run(helper, "erase", key, is_absent_fine=True)
        return self._change(registry, None) or was_there

    def _helper(self, registry: str) -> str | None:
        """Return the helper that docker would use for a registry."""
        config = self._read()
        helpers = config.get("credHelpers")
        named = helpers.get(registry) if isinstance(helpers, dict) else None
        found = named or config.get("credsStore")
        return found if isinstance(found, str) and found else None

    def _read(self) -> dict[str, Any]:
        return dict(read_config(self.path)) if self.path.exists() else {}

    def _change(self, registry: str, entry: Mapping[str, str] | None) -> bool:
        """Replace the entries of a registry; return whether there were any."""
        if entry is None and not self.path.exists():
            return False
        # A link to a file elsewhere, as in managed home folders, stays a link.
        path = self.path.resolve()
        with disk_errors(path):
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with locked(self.lock):
            config = self._read()
            auths = config.get("auths")
            auths = dict(auths) if isinstance(auths, dict) else {}
            there = [name for name in spellings(registry) if name in auths]
            for name in there:
                del auths[name]
            if entry is not None:
                auths[key_of(registry)] = dict(entry)
            elif not there:
                return False
            data = json.dumps(config | {"auths": auths}, indent="\t", ensure_ascii=False)
            write_whole(path, f"{data}\n".encode(), mode=0o600)
        return bool(there)

    def _run(self, helper: str, verb: str, words: str, *, is_absent_fine: bool = False) -> bool:
        """Call a helper; secrets go through its standard input."""
        program = f"docker-credential-{helper}"
        path = None if "/" in helper else shutil.which(program, path=self.search_path)
        if path is None:
            raise self._failed(f"{program} is not on PATH")
        try:
            done = subprocess.run(  # noqa: S603  the program that the user's own docker runs
                [path, verb],
                input=words.encode(),
                capture_output=True,
                timeout=HELPER_SECONDS,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired):
            raise self._failed(f"{program} did not answer") from None
        if done.returncode and not is_absent_fine:
            # Its output may have the secret.
            raise self._failed(f"{program} {verb} ended with {done.returncode}")
        return not done.returncode

    def _failed(self, what: str) -> MealkitError:
        return failure(
            "REGISTRY_DENIED",
            what,
            where=str(self.path),
            hint=f"correct credsStore or credHelpers in {self.path}",
        )
