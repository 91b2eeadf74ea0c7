"""The Python of an image, run on this machine to compile the image's modules, and shut in for it.

It runs through its own loader, with its own libraries: nothing of this machine but its kernel and
its processor takes part, so that two machines give the same bytes. What is compiled is not run.
What that Python does otherwise reaches nothing: it is confined, and what it answers is read with
limits, as bytes of strangers. Refuses machines that cannot run that Python, or cannot confine it.
"""

import errno
import os
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import assert_never

from mealkit.containers.confined import Confined, EndedError, Ending
from mealkit.containers.sandbox_plan import switched_off
from mealkit.digest import CHUNK_BYTES
from mealkit.errors import MealkitError, failure
from mealkit.files.whole import disk_failure
from mealkit.oci.tar import Entry, TarDirectory, TarFile, TarHardlink, TarSymlink
from mealkit.untrusted import shown

_LOADERS = ("ld-linux-x86-64.so.2", "ld-linux-aarch64.so.1")
_SCRIPT = Path(__file__).with_name("compiling.py")
# Isolated, without site, and silent about how others write.
_FLAGS = ("-I", "-S", "-W", "ignore")
# Whatever is set here may not matter; and the C locale needs no file of this machine.
_ENVIRONMENT = {"LC_ALL": "C"}
# More would not be faster: they are handed their files one after the other.
_MOST_PROCESSES = 4
_LENGTH_BYTES = 8
# The time that compiling may take: this, and so much more for its source. A slow machine compiles
# ten times as fast.
_LEAST_SECONDS = 60.0
_SOURCE_BYTES_PER_SECOND = 50_000
# Code is 0.3 to 4 times its source.
_LEAST_CODE_BYTES = 64 * 1024
_MOST_GROWTH = 16
# How a root's entries contradict one another on disk.
_CONTRADICTIONS = frozenset(
    {errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.ENAMETOOLONG, errno.ENOTEMPTY}
)

Job = tuple[TarFile, Path]


def compile_modules(
    root: Sequence[Entry],
    python: str,
    modules: Sequence[TarFile],
    folder: Path,
    least_seconds: float = _LEAST_SECONDS,
) -> list[Path | None]:
    """Compile modules by the Python in ``root``; return where each one's code is, in their order.

    None for a module that does not compile. The files are in ``folder``, which exists. A Python
    that takes longer than ``least_seconds``, and the time that so much source may take, is ended.

    Raises:
        BuildError: ``BYTECODE_UNAVAILABLE``, that Python cannot be run and shut in here, or its
            compiler crashed, hung, or answered with what cannot be code.
        StoreError: ``DISK_FULL`` or ``DISK_DENIED``, the folder cannot be written.
    """
    targets = [folder.absolute() / f"{number}.pyc" for number in range(len(modules))]
    jobs = list(zip(modules, targets, strict=True))
    count = max(1, min(_MOST_PROCESSES, os.cpu_count() or 1))
    shares = [share for number in range(count) if (share := jobs[number::count])]
    written: set[Path] = set()
    with tempfile.TemporaryDirectory(dir=folder) as unpacked, ExitStack() as running:
        home = Path(unpacked).resolve()
        unpack(root, home)
        command = python_command(home, python)
        started = [
            running.enter_context(_start(home, command, share, least_seconds)) for share in shares
        ]
        pool = running.enter_context(ThreadPoolExecutor(count))
        for process in started:
            # Before the pool waits for its threads, since those may wait for the processes.
            running.callback(process.stop)
        handed = zip(started, shares, strict=True)
        for done in [pool.submit(_compile, process, share) for process, share in handed]:
            written |= done.result()
    return [target if target in written else None for target in targets]


def unpack(root: Sequence[Entry], home: Path) -> None:
    """Write a root's entries below ``home``, readable for all, and never through a link out of it.

    Raises:
        BuildError: ``BYTECODE_UNAVAILABLE``, an entry leads outside, or contradicts another.
        StoreError: ``DISK_FULL`` or ``DISK_DENIED``.
    """
    try:
        for entry in root:
            _place(entry, home)
        # Whatever this user's umask is: the root is read by another user, 65534.
        for path, _, _ in os.walk(home):
            Path(path).chmod(0o755)
    except OSError as error:
        if error.errno in _CONTRADICTIONS:
            what = shown(os.path.relpath(error.filename or home, home))
            raise _unavailable(f"its packages disagree about {what}: {error.strerror}") from error
        raise disk_failure(error, "the image's Python cannot be unpacked", str(home)) from error


def _place(entry: Entry, home: Path) -> None:
    path = home / entry.path
    if not _is_inside(path.parent, home):
        raise _unavailable(f"its packages hold {shown(entry.path)}, which is outside of them")
    path.parent.mkdir(parents=True, exist_ok=True)
    match entry:
        case TarDirectory():
            path.mkdir(exist_ok=True)
        case TarFile(content=content):
            path.unlink(missing_ok=True)
            with path.open("xb") as file:
                file.writelines(content())
            path.chmod(0o755)
        case TarSymlink(target=target):
            path.symlink_to(_relative(entry.path, target) if target.startswith("/") else target)
        case TarHardlink(target=target):
            path.symlink_to(_relative(entry.path, target))
        case _:
            assert_never(entry)


def _is_inside(folder: Path, home: Path) -> bool:
    try:
        return folder.resolve().is_relative_to(home)
    except RuntimeError as error:  # how pathlib says that links go round
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(folder)) from error


def _relative(path: str, target: str) -> str:
    """Return a target that counts from the root as one that counts from where the link is."""
    return "../" * path.count("/") + target.lstrip("/")


def python_command(home: Path, python: str) -> tuple[str, ...]:
    """Return what runs the Python of a root, from that root as the working folder.

    Raises:
        BuildError: ``BYTECODE_UNAVAILABLE``, there is no loader.
    """
    loaders = [path for name in _LOADERS for path in home.rglob(name) if path.is_file()]
    if not loaders:
        raise _unavailable("its packages hold no loader for programs")
    # From the root on: a colon in a folder's name would end it.
    libraries = sorted({str(path.parent.relative_to(home)) for path in home.rglob("*.so*")})
    loader = str(min(loaders).relative_to(home))
    # Without a cache of libraries.
    how = ("--inhibit-cache", "--library-path", ":".join(libraries))
    return (loader, *how, f"usr/bin/python{python}", *_FLAGS)


def run_python(home: Path, command: Sequence[str], script: str, seconds: float) -> Confined:
    """Start a script by the Python of an unpacked root, confined.

    Raises:
        BuildError: ``BYTECODE_UNAVAILABLE``, no process can be started.
    """
    try:
        return Confined(home, (*command, "-c", script), _ENVIRONMENT, seconds)
    except OSError as error:
        raise _unavailable(error.strerror or str(error)) from error


def _start(home: Path, command: Sequence[str], share: Sequence[Job], seconds: float) -> Confined:
    source_bytes = sum(module.size_bytes for module, _ in share)
    seconds += source_bytes / _SOURCE_BYTES_PER_SECOND
    return run_python(home, command, _SCRIPT.read_text(encoding="utf-8"), seconds)


def _compile(process: Confined, share: Sequence[Job]) -> set[Path]:
    """Hand over one module after the other, each when the one before is answered."""
    written: set[Path] = set()
    for module, target in share:
        try:
            _ask(process, module)
            length = int.from_bytes(process.read(_LENGTH_BYTES), "little")
            if length > _LEAST_CODE_BYTES + _MOST_GROWTH * module.size_bytes:
                raise _unavailable(f"{shown(module.path)}: it answers with {length} bytes of code")
            if length:
                _keep(process, length, target)
                written.add(target)
        except EndedError as ended:
            raise _refusal(process.end(), module) from ended
    return written


def _ask(process: Confined, module: TarFile) -> None:
    """Write a record as the script reads it: names as they are in the tar, whatever their bytes."""
    name = f"/{module.path}".encode(errors="surrogateescape")
    process.write(len(name).to_bytes(_LENGTH_BYTES, "little") + name)
    process.write(module.size_bytes.to_bytes(_LENGTH_BYTES, "little"))
    left = module.size_bytes
    for chunk in module.content():
        left -= len(chunk)
        if left < 0:
            break
        process.write(chunk)
    if left:
        message = f"{module.path} has not the {module.size_bytes} bytes that it should have"
        raise failure("SOURCE_CHANGED", message, where=module.path)


def _keep(process: Confined, length: int, target: Path) -> None:
    try:
        with target.open("wb") as file:
            while length:
                part = process.read(min(length, CHUNK_BYTES))
                file.write(part)
                length -= len(part)
    except OSError as error:
        # The file is a scratch file; the folder is what a person can do something about.
        bare = OSError(error.errno, error.strerror)
        raise disk_failure(bare, "bytecode cannot be written", str(target.parent)) from error


def _refusal(ending: Ending, module: TarFile) -> MealkitError:
    last = ending.said.splitlines()[-1:]
    if ending.late:
        return _unavailable(f"it is not done with {shown(module.path)} in the time that it has")
    if ending.step == "start":
        why = os.strerror(ending.errno or 0)
        is_closed = ending.errno == errno.EACCES
        hint = "set TMPDIR to a folder whose programs may be run" if is_closed else None
        return _unavailable(f"its loader cannot be started: {why}", hint)
    if ending.step is not None:
        return _unconfined(ending)
    if last:
        return _unavailable(f"it says {shown(last[0])}")
    return _unavailable("it ended early" if ending.code is None else f"exit code {ending.code}")


def _unconfined(ending: Ending) -> MealkitError:
    why = switched_off() or f"{ending.step}: {os.strerror(ending.errno or 0)}"
    return _unavailable(
        f"it is only run in namespaces of its own, and there are none to be had ({why})",
        "set runtime.bytecode: false in kit.yaml, or build where this user may make namespaces",
    )


def _unavailable(why: str, hint: str | None = None) -> MealkitError:
    message = f"the image's Python cannot compile on this machine ({sys.platform}): {why}"
    return failure("BYTECODE_UNAVAILABLE", message, where="runtime.bytecode", hint=hint)
