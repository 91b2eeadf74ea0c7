"""Docker as a peer: builds with BuildKit and the legacy builder, pushes, and cleans up after both.

Refuses a client that cannot build as asked (some are installed without BuildKit's plugin).
"""

import os
import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.measured import CannotMeasureError, Run, measure

_SENT = re.compile(r"transferring context: ([0-9.]+)([kMG]?)B")
_ATTEMPTS = 20
_SCALE = {"": 1, "k": 1000, "M": 1000**2, "G": 1000**3}


@dataclass(frozen=True, slots=True)
class DockerPeer:
    """A docker client on this machine that can build with both builders."""

    program: Path

    def build(
        self, context: Path, tag: str, *, buildkit: bool, fresh: bool, least_bytes: int = 0
    ) -> Run:
        """Build an image; ``fresh`` uses no cache, and BuildKit must then be sent the context.

        Raises:
            CannotMeasureError: the build failed, or a fresh one was not fresh.
        """
        command: list[str | Path] = [
            self.program,
            "build",
            "--tag",
            tag,
            *(["--no-cache"] if fresh else []),
        ]
        command += ["--progress", "plain"] if buildkit else []
        run = measure([*command, context], {"DOCKER_BUILDKIT": str(int(buildkit))})
        if buildkit and fresh and _sent_bytes(run.talk + run.output) < least_bytes:
            raise CannotMeasureError("BuildKit took the context from its cache")
        return run

    def push(self, tag: str, target: str) -> Run:
        """Push an image that Docker has."""
        self._do("tag", tag, target)
        try:
            return measure([self.program, "push", "--quiet", target])
        finally:
            self.remove(target)

    def remove(self, *names: str) -> None:
        """Remove images, if they are there."""
        for name in names:
            with suppress(CannotMeasureError):
                self._do("image", "rm", "--force", name)

    def identity(self, name: str) -> str:
        """Return an image's id, which stays when its name goes to another one."""
        return self._do("image", "inspect", "--format", "{{.Id}}", name).strip()

    def _do(self, *arguments: str) -> str:
        done = subprocess.run(
            [self.program, *arguments], capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise CannotMeasureError(f"docker {arguments[0]}: {done.stderr.strip()}")
        return done.stdout


def find_docker() -> DockerPeer:
    """Return the first docker on PATH that can build with BuildKit and without.

    Raises:
        CannotMeasureError: there is none, or no engine answers.
    """
    reason = "there is no docker on PATH"
    for folder in os.get_exec_path():
        program = Path(folder) / "docker"
        if not os.access(program, os.X_OK):
            continue
        done = subprocess.run([program, "info"], capture_output=True, text=True, check=False)
        if done.returncode:
            raise CannotMeasureError(f"no container engine answers: {done.stderr.strip()}")
        # A client without BuildKit says so before it looks for the context.
        probe = subprocess.run(
            [program, "build", "/nonexistent"],
            env={**os.environ, "DOCKER_BUILDKIT": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
        if "buildx" not in probe.stderr:
            return DockerPeer(program)
        reason = "no docker on PATH can build with BuildKit"
    raise CannotMeasureError(reason)


@contextmanager
def clean_cache() -> Iterator[None]:
    """Drop what came into BuildKit's cache within the block.

    Contexts go by their ids. Copied files cannot: the engine (20.10) deletes such a record under
    another id than the one it lists. So where there are any, the cache of steps goes as a whole.
    """
    import docker  # noqa: PLC0415  the harness works without an engine

    client = docker.from_env(timeout=600)
    try:
        before = {item["ID"] for item in _cache(client)}
        try:
            yield
        finally:
            _prune(client, before)
    finally:
        client.close()


def _prune(client: Any, before: set[str]) -> None:
    new = [item for item in _cache(client) if item["ID"] not in before]
    for item in new:
        if item["Type"] == "source.local":
            client.api.prune_builds(filters={"id": [item["ID"]]}, all=True)
    if any(item["Type"] == "regular" for item in new):
        client.api.prune_builds(filters={"type": ["regular"]}, all=True)


def _cache(client: Any) -> list[dict[str, Any]]:
    """List BuildKit's cache.

    The engine counts its images too, and stumbles over one that somebody deletes meanwhile.

    Raises:
        CannotMeasureError: it stumbles again and again.
    """
    from docker.errors import APIError  # noqa: PLC0415  as above

    for _ in range(_ATTEMPTS):
        with suppress(APIError):
            return client.api.df().get("BuildCache") or []
        time.sleep(1)
    raise CannotMeasureError("docker does not list its cache")


def _sent_bytes(talk: str) -> float:
    return max((float(n) * _SCALE[unit] for n, unit in _SENT.findall(talk)), default=0.0)
