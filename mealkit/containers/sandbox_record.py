"""The record of one sandbox: a folder with its request, its processes, its exit and its log.

A process is identified by its pid, start time and boot, so a reused pid is not mistaken for it.

In the folder: ``record.json`` (starter), ``plan.json`` (for the keeper), ``keeper.json`` and
``init.json`` (pid and start time), ``exit.json`` (keeper), ``setup`` (a pipe, init), ``log``.
"""

import contextlib
import json
import os
import select
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from mealkit.containers.container import Container, Exit
from mealkit.errors import MealkitError, failure
from mealkit.files.locks import locked
from mealkit.files.whole import disk_errors, whole_folder
from mealkit.untrusted import parse_json, read_file

# A plan has the container's variables and mounts, and the filter of its system calls.
_MAX_BYTES = 4 * 1024 * 1024
_BOOT = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True, slots=True)
class Record:
    """A sandbox's folder, and its container as it was started."""

    folder: Path
    container: Container
    boot: str

    @classmethod
    def read(cls, folder: Path) -> "Record":
        """Read a record.

        Raises:
            ContainerError: CONTAINER_NOT_FOUND, the record is missing or not mealkit's.
        """
        try:
            form = _read(folder / "record.json")
            container = Container(**{**form["container"], "exit": None})
            return cls(folder, container, form["boot"])
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise failure(
                "CONTAINER_NOT_FOUND", f"the sandbox runs no kit named {folder.name!r}"
            ) from error

    @property
    def log(self) -> Path:
        """The log of the sandbox's output and error streams."""
        return self.folder / "log"

    def plan(self) -> dict[str, Any]:
        """Read the plan for the keeper."""
        return _read(self.folder / "plan.json")

    def process(self, name: str) -> int | None:
        """Open a live process of this sandbox, ``init`` or ``keeper``, as a pidfd to be closed."""
        try:
            identity = _read(self.folder / f"{name}.json")
        except FileNotFoundError:
            return None
        if self.boot != boot():
            return None
        try:
            opened = os.pidfd_open(identity["pid"])
        except OSError:
            return None
        # The pidfd prevents reuse of the pid: the start time is this process's, or it ended.
        if _start_ticks(identity["pid"]) == identity["start_ticks"] and not has_ended(opened):
            return opened
        os.close(opened)
        return None

    def live_pid(self) -> int | None:
        """Return the number of the sandbox's first process, if it lives."""
        opened = self.process("init")
        if opened is None:
            return None
        os.close(opened)
        return int(_read(self.folder / "init.json")["pid"])

    def now(self) -> Container:
        """Return the current state of the sandbox."""
        for name in ("init", "keeper"):
            opened = self.process(name)
            if opened is not None:
                os.close(opened)
                return self.container
        ending: dict[str, Any] = {}
        with contextlib.suppress(FileNotFoundError):
            ending = _read(self.folder / "exit.json")
        out_of_memory = bool(ending.get("out_of_memory"))
        if ending.get("signal") is not None:
            how = Exit.of_signal(ending["signal"], out_of_memory=out_of_memory)
        elif ending.get("code") is not None:
            how = Exit.of_code(ending["code"], out_of_memory=out_of_memory)
        else:
            how = Exit()
        return replace(self.container, exit=how)

    def delete(self) -> None:
        """Delete the folder, and the control groups if the keeper could not."""
        with contextlib.suppress(OSError, ValueError, KeyError):
            for group in self.plan()["groups"]:
                with contextlib.suppress(OSError):
                    Path(group).rmdir()
        shutil.rmtree(self.folder, ignore_errors=True)


def create(state: Path, container: Container, plan: Mapping[str, Any]) -> Record:
    """Create a record atomically.

    Raises:
        ContainerError: CONTAINER_EXISTS.
        StoreError: DISK_FULL or DISK_DENIED.
    """
    folder = state / container.name
    if folder.exists():
        message = f"the sandbox already has a kit named {container.name!r}"
        raise failure("CONTAINER_EXISTS", message)
    record = Record(folder, container, boot())
    form = {"boot": record.boot, "container": asdict(container)}
    with whole_folder(folder, f"{state} cannot be written", mode=0o700) as partial:
        (partial / "record.json").write_text(json.dumps(form))
        (partial / "plan.json").write_text(json.dumps(plan))
        (partial / "log").touch(mode=0o600)
        os.mkfifo(partial / "setup", mode=0o600)
    return record


def records(state: Path) -> list[Record]:
    """Read all records, by name; ignore everything else."""
    found: list[Record] = []
    if not state.is_dir():
        return found
    for folder in sorted(state.iterdir()):
        if folder.is_dir() and not folder.name.startswith("."):
            with contextlib.suppress(MealkitError):
                found.append(Record.read(folder))
    return found


@contextmanager
def locked_state(state: Path) -> Iterator[None]:
    """Lock the state folder, so that two starts do not take the same port.

    Raises:
        StoreError: DISK_FULL or DISK_DENIED.
    """
    with disk_errors(state, f"{state} cannot be written"):
        state.mkdir(parents=True, exist_ok=True, mode=0o700)
    with locked(state / ".lock"):
        yield


def has_ended(opened: int, timeout_seconds: float = 0) -> bool:
    """Wait for a pidfd's process to end; return whether it did."""
    poll = select.poll()
    poll.register(opened, select.POLLIN)
    return bool(poll.poll(timeout_seconds * 1000))


def boot() -> str:
    """Return the id of this boot of the machine; start times count from it."""
    return _BOOT.read_text().strip()


def _start_ticks(pid: int) -> int | None:
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    return int(text.rpartition(")")[2].split()[19])


def _read(path: Path) -> dict[str, Any]:
    # Paths may have any bytes: bytes that are not UTF-8 are written as surrogates.
    form: dict[str, Any] = parse_json(read_file(path, _MAX_BYTES), half_pairs=True)
    return form
