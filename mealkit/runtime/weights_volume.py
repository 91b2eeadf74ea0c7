"""Fills a volume with the image's weights, and waits for one: ``weights copy|wait FOLDER``.

A Job of a cluster copies, once for all containers. It copies only what is not there, compares every
byte with the lock, and writes a mark at the end, for which the containers wait.
"""

import argparse
import errno
import hashlib
import os
import signal
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from mealkit.digest import file_chunks
from mealkit.errors import MealkitError, failure
from mealkit.paths import DEFAULTS
from mealkit.recipe.lock import Lock
from mealkit.recipe.locked_file import LockedFile
from mealkit.runtime.neighbour_test import lock_in_image, problem_block

MARK = ".mealkit-weights"
"""The file that has the digest of the weights when all of them are there."""
_POLL_SECONDS = 1.0
_TERMINATED = 143


def weights_exit(arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    """Do what the arguments after ``weights`` ask for; return the exit code.

    Raises:
        SystemExit: the arguments are wrong, or ask for help.
    """
    parser = argparse.ArgumentParser(prog="weights")
    parser.add_argument("action", choices=("copy", "wait"))
    parser.add_argument("folder", type=Path)
    options = parser.parse_args(arguments)
    ended = threading.Event()
    # The first process of a container ignores this signal unless it says what to do.
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    try:
        lock = lock_in_image(environment)
        if options.action == "wait":
            return 0 if _came(lock, options.folder, ended) else _TERMINATED
        models = Path(environment.get("MEALKIT_MODELS", DEFAULTS["MEALKIT_MODELS"]))
        return 0 if _copied(lock, models, options.folder, ended) else _TERMINATED
    except MealkitError as error:
        for fault in error.problems:
            sys.stderr.write(problem_block(fault))
        return error.exit_code


def _came(lock: Lock, folder: Path, ended: threading.Event) -> bool:
    """Wait until the mark is there; return False if the process was told to end before."""
    if not _is_marked(lock, folder):
        sys.stdout.write(f"waiting for the weights {lock.weights_digest.short} in {folder}\n")
        sys.stdout.flush()
    while not _is_marked(lock, folder):
        if ended.wait(_POLL_SECONDS):
            return False
    return True


def _is_marked(lock: Lock, folder: Path) -> bool:
    try:
        return (folder / MARK).read_bytes() == _mark_of(lock)
    except OSError:
        return False


def _mark_of(lock: Lock) -> bytes:
    return f"{lock.weights_digest}\n".encode()


def _copied(lock: Lock, models: Path, folder: Path, ended: threading.Event) -> bool:
    """Copy what is missing, and mark the folder; return False if told to end before.

    Raises:
        EngineError: ``WEIGHTS_MISSING``, ``WEIGHTS_MISMATCH``.
        StoreError: ``DISK_FULL`` or ``DISK_DENIED``.
    """
    for file in lock.model.files:
        target = folder / file.path
        if _is_there(file, target, ended):
            sys.stdout.write(f"{file.path} is there\n")
        elif not ended.is_set():
            _copy(file, models / file.path, target, ended)
            sys.stdout.write(f"{file.path} copied\n")
        if ended.is_set():
            return False
    _write(folder / MARK, _mark_of(lock))
    return True


def _is_there(file: LockedFile, target: Path, ended: threading.Event) -> bool:
    state = hashlib.sha256()
    try:
        if target.stat().st_size != file.size_bytes:
            return False
        for chunk in file_chunks(target):
            if ended.is_set():
                return False
            state.update(chunk)
    except OSError:
        return False
    return state.hexdigest() == file.sha256.hex


def _copy(file: LockedFile, source: Path, target: Path, ended: threading.Event) -> None:
    """Copy a file under another name, and rename it when its bytes are the locked ones."""
    partial = target.with_name(f".{target.name}.part")
    state = hashlib.sha256()
    try:
        chunks = file_chunks(source)
        target.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("wb") as stream:
            for chunk in chunks:
                if ended.is_set():
                    return
                state.update(chunk)
                stream.write(chunk)
            stream.flush()
            os.fsync(stream.fileno())
    except FileNotFoundError as error:
        message = f"{file.path} is not in the image: a lean image has no weights"
        raise failure("WEIGHTS_MISSING", message, where=str(source)) from error
    except OSError as error:
        raise _unwritten(error, target) from error
    if state.hexdigest() != file.sha256.hex:
        with suppress(OSError):
            partial.unlink()
        message = f"{file.path} is sha256:{state.hexdigest()}, the lock expects {file.sha256}"
        raise failure("WEIGHTS_MISMATCH", message, where=str(source))
    partial.chmod(0o644)
    partial.replace(target)


def _write(path: Path, data: bytes) -> None:
    partial = path.with_name(f"{path.name}.part")
    try:
        partial.write_bytes(data)
        partial.replace(path)
    except OSError as error:
        raise _unwritten(error, path) from error


def _unwritten(error: OSError, path: Path) -> MealkitError:
    message = f"{path} cannot be written: {error.strerror}"
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return failure("DISK_FULL", message, where=str(path))
    return failure("DISK_DENIED", message, where=str(path))
