"""The files of a deployment in the home: its state, its history, and the lock of who changes it."""

import getpass
import json
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from mealkit.deploy.deployment import (
    MAX_DEPLOYMENT_BYTES,
    Deployment,
    DeploymentName,
    State,
    read_deployment,
)
from mealkit.deploy.deployment_history import MAX_HISTORY_BYTES, Event, read_events
from mealkit.errors import MealkitError, failure
from mealkit.files.locks import locked
from mealkit.files.whole import disk_errors, remove_leftovers, write_whole
from mealkit.pipeline.home import Home
from mealkit.progress import Progress
from mealkit.strings import MaybeLine
from mealkit.untrusted import UntrustedError, read_file, shown

_NAME: TypeAdapter[str] = TypeAdapter(DeploymentName)
_LINE: TypeAdapter[str] = TypeAdapter(MaybeLine)
_MAX_HOLDER_BYTES = 4096
# For users in a container, who often have no name.
_UNKNOWN_USER = "uid {}"


@dataclass(frozen=True, slots=True)
class DeploymentFiles:
    """The files of one deployment."""

    home: Home
    name: str

    def __post_init__(self) -> None:
        """Raise for a name that is not valid.

        Raises:
            KitError: ``USAGE``.
        """
        try:
            _NAME.validate_python(self.name)
        except ValidationError as error:
            raise failure(
                "USAGE",
                f"{shown(self.name)} cannot name a deployment",
                hint="use up to 48 lower-case letters, digits and '-', as in my-kit",
            ) from error

    @property
    def folder(self) -> Path:
        """The deployment's folder."""
        return self.home.deployments / self.name

    def read(self) -> Deployment | None:
        """Return the deployment; None if there is none.

        Raises:
            DeploymentError: ``DEPLOYMENT_INVALID``.
        """
        path = self.folder / "deployment.json"
        try:
            data = read_file(path, MAX_DEPLOYMENT_BYTES)
        except FileNotFoundError:
            return None
        except (OSError, UntrustedError) as error:
            message = f"the file cannot be read: {error}"
            raise failure("DEPLOYMENT_INVALID", message, where=str(path)) from error
        found = read_deployment(data, str(path))
        if found.name != self.name:
            message = f"the file is of the deployment {found.name}"
            raise failure("DEPLOYMENT_INVALID", message, where=str(path))
        return found

    def required(self) -> Deployment:
        """Return the deployment.

        Raises:
            DeploymentError: ``DEPLOYMENT_NOT_FOUND``, ``DEPLOYMENT_INVALID``.
        """
        found = self.read()
        if found is None:
            raise failure("DEPLOYMENT_NOT_FOUND", f"there is no deployment {self.name}")
        return found

    def write(self, deployment: Deployment) -> None:
        """Replace the file; it survives a loss of power.

        Raises:
            StoreError: ``DISK_FULL`` or ``DISK_DENIED``; the old file is unchanged.
        """
        write_whole(self.folder / "deployment.json", deployment.as_bytes(), mode=0o600)

    def append(self, event: Event) -> None:
        """Append an event to the history.

        Raises:
            StoreError: ``DISK_FULL`` or ``DISK_DENIED``.
        """
        path = self.folder / "history.jsonl"
        with disk_errors(path):
            self.folder.mkdir(parents=True, exist_ok=True)
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
            descriptor = os.open(path, flags, 0o600)
            try:
                os.write(descriptor, event.line)  # one write: no reader sees half a line
                os.fsync(descriptor)
            finally:
                os.close(descriptor)

    def events(self) -> tuple[Event, ...]:
        """Return the history, the oldest event first; of a very long one the end."""
        path = self.folder / "history.jsonl"
        with disk_errors(path, "the history cannot be read"):
            try:
                with path.open("rb") as stream:
                    size_bytes = stream.seek(0, os.SEEK_END)
                    stream.seek(max(0, size_bytes - MAX_HISTORY_BYTES))
                    return tuple(read_events(stream.read(MAX_HISTORY_BYTES)))
            except FileNotFoundError:
                return ()

    def remove(self) -> None:
        """Delete the state and the history."""
        with disk_errors(self.folder, "the deployment's folder cannot be deleted"):
            shutil.rmtree(self.folder, ignore_errors=False)

    @contextmanager
    def changing(self, doing: str, *, wait: bool, progress: Progress) -> Iterator[None]:
        """Lock the deployment for a change; the kernel ends the lock with this process.

        Raises:
            DeploymentError: ``DEPLOYMENT_BUSY``, another command has locked it, and ``wait`` is
                false.
        """
        # Outside of the folder, which `down --purge` deletes.
        path = self.home.deployments / ".locks" / self.name
        with ExitStack() as stack:
            try:
                stack.enter_context(locked(path, wait=False))
            except MealkitError as error:
                if error.problems[0].code != "STORE_BUSY":
                    raise
                holder = _holder(path)
                if not wait:
                    message = f"{self.name} is being changed by {holder}"
                    raise failure("DEPLOYMENT_BUSY", message) from error
                progress.phase(f"waiting for {holder}")
                stack.enter_context(locked(path))
            self._locked(path, doing)
            yield

    def _locked(self, path: Path, doing: str) -> None:
        holder = {"user": user_name(), "pid": os.getpid(), "doing": doing, "since": time.time()}
        with disk_errors(path):
            path.write_text(json.dumps(holder))
        remove_leftovers(self.folder)


def require_line(what: str, text: str) -> None:
    """Check a text of the command that goes into the files.

    Raises:
        KitError: ``USAGE``, it is too long, or not one line.
    """
    try:
        _LINE.validate_python(text)
    except ValidationError as error:
        raise failure("USAGE", f"{what}: {error.errors()[0]['msg']}") from error


def deployment_names(home: Home) -> list[str]:
    """Return the names of the deployments of this machine."""
    return home.deployment_names()


def images_in_use(home: Home) -> dict[str, str]:
    """Return the images that deployments run, or keep for the way back, with what uses them.

    Raises:
        DeploymentError: ``DEPLOYMENT_INVALID``: what a deployment needs is not known.
    """
    found = {}
    for name in deployment_names(home):
        deployment = DeploymentFiles(home, name).required()
        for item in deployment.revisions:
            if item.image and item.state not in {State.FAILED, State.REMOVED}:
                found[item.image] = f"revision {item.number} of {name}, which is {item.state}"
    return found


def user_name() -> str:
    """Return the name of the user who runs this command; of root by sudo the user's own."""
    try:
        return os.environ.get("SUDO_USER") or getpass.getuser()
    except (KeyError, OSError):
        return _UNKNOWN_USER.format(os.getuid())


def _holder(path: Path) -> str:
    """Describe who has the lock; its file has just been written, or will be."""
    try:
        form = json.loads(read_file(path, _MAX_HOLDER_BYTES))
        since = time.strftime("%H:%M:%S", time.localtime(float(form["since"])))
        who = shown(str(form["user"]), 64)
        return f"{who} (process {int(form['pid'])}, since {since}: {shown(str(form['doing']))})"
    except (OSError, ValueError, KeyError, TypeError, OverflowError):
        return "another command"
