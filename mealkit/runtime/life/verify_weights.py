"""Compares every weight file in the container with the lock, byte by byte.

Raises EngineError for a missing file, a wrong size or wrong content. Files are read in parallel
threads; hashing releases the interpreter's lock, so the gateway can still answer.
"""

import hashlib
import os
import stat
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from pathlib import Path

from mealkit.digest import Digest, file_chunks
from mealkit.errors import Problem, failures, problem
from mealkit.recipe.locked_file import LockedFile


class VerificationStoppedError(Exception):
    """The check was stopped before it had a result."""


def verify_weights(
    files: Sequence[LockedFile],
    root: Path,
    advance: Callable[[int], None],
    stop: threading.Event | None = None,
    threads: int | None = None,
) -> None:
    """Check that every locked file is below ``root`` with exactly the locked bytes.

    ``advance`` is called with the number of hashed bytes, from several threads. Each thread uses
    the memory of one chunk. The first wrong file ends the check. By default there are as many
    threads as processors.

    Raises:
        EngineError: ``WEIGHTS_MISSING`` or ``WEIGHTS_MISMATCH``, with path, expected and found.
        VerificationStoppedError: ``stop`` was set.
    """
    stop = stop or threading.Event()
    # Names and sizes first: this is fast, and reports all missing and truncated files.
    found = [_check_presence(file, root) for file in files]
    problems = [item for item in found if item is not None]
    if problems:
        raise failures(problems)
    largest_first = sorted(files, key=lambda file: -file.size_bytes)
    most = threads or len(os.sched_getaffinity(0))
    with ThreadPoolExecutor(max(1, min(most, len(files))), thread_name_prefix="verify") as pool:
        futures = [pool.submit(_hash, file, root, advance, stop) for file in largest_first]
        done, late = wait(futures, return_when=FIRST_EXCEPTION)
        if late:
            stop.set()
            pool.shutdown(cancel_futures=True)
    for future in done:
        future.result()


def hashed_by_the_host(
    files: Sequence[LockedFile], root: Path, verified: Mapping[str, tuple[int, ...]]
) -> tuple[LockedFile, ...]:
    """Return the files that are the very ones that the host has hashed, and unchanged since.

    ``verified`` has size, modification time, change time, inode and device by digest, as in
    ``mealkit.files.identity.FileKey``. A mounted file has those of the host.
    """

    def is_that(file: LockedFile) -> bool:
        try:
            found = (root / file.path).stat()
        except OSError:
            return False
        times = (found.st_mtime_ns, found.st_ctime_ns)
        key = (found.st_size, *times, found.st_ino, found.st_dev)
        return stat.S_ISREG(found.st_mode) and verified.get(file.sha256) == key

    return tuple(filter(is_that, files))


def _check_presence(file: LockedFile, root: Path) -> Problem | None:
    path = root / file.path
    try:
        found = path.stat()
    except OSError as error:
        message = f"{file.path} is missing: {error.strerror}"
        return problem("WEIGHTS_MISSING", message, where=str(path))
    # Reading a pipe might never end.
    if not stat.S_ISREG(found.st_mode):
        message = f"{file.path} is not a regular file"
        return problem("WEIGHTS_MISSING", message, where=str(path))
    size_bytes = found.st_size
    if size_bytes == file.size_bytes:
        return None
    message = f"{file.path} has {size_bytes} bytes, the lock expects {file.size_bytes}"
    return problem("WEIGHTS_MISMATCH", message, where=str(path))


def _hash(
    file: LockedFile, root: Path, advance: Callable[[int], None], stop: threading.Event
) -> None:
    path = root / file.path
    state = hashlib.sha256()
    try:
        # Opened only as a regular file, even if the path has changed since the check.
        for chunk in file_chunks(path):
            if stop.is_set():
                raise VerificationStoppedError
            state.update(chunk)
            advance(len(chunk))
    except OSError as error:
        message = f"{file.path} cannot be read: {error.strerror}"
        raise failures([problem("WEIGHTS_MISSING", message, where=str(path))]) from error
    found = Digest.from_hex(state.hexdigest())
    if found != file.sha256:
        message = f"{file.path} is {found}, the lock expects {file.sha256}"
        raise failures([problem("WEIGHTS_MISMATCH", message, where=str(path))])
