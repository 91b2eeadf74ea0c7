"""Runs an image's Python in the build sandbox, to compile the image's modules.

It runs with its own loader and libraries, and uses only the kernel and processor of this machine,
so two machines give the same bytes. The compiled code is not run. The Python is confined, and its
answers are read with limits, as untrusted bytes. Raises BuildError if this machine cannot run or
confine that Python.
"""

import errno
import os
import platform
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
from mealkit.jobs import Stop
from mealkit.oci.tar import Entry, TarDirectory, TarFile, TarHardlink, TarSymlink
from mealkit.progress import Advance, silent
from mealkit.untrusted import shown

# The loaders of programs, and the processors that run them.
_LOADERS = {"ld-linux-x86-64.so.2": "x86_64", "ld-linux-aarch64.so.1": "aarch64"}
_SCRIPT = Path(__file__).with_name("compiling.py")
# Isolated, without site, and without warnings about the modules' code.
_FLAGS = ("-I", "-S", "-W", "ignore")
# This machine's environment must have no effect; the C locale needs no file of this machine.
_ENVIRONMENT = {"LC_ALL": "C"}
# More would not be faster: they get their files one after the other.
_MOST_PROCESSES = 4
_LENGTH_BYTES = 8
# The time limit for compiling: this, plus a time for the size of the source. A slow machine is ten
# times as fast.
_LEAST_SECONDS = 60.0
_SOURCE_BYTES_PER_SECOND = 50_000
# An emulator (binfmt_misc) translates the compiler again for every module.
_TIMES_EMULATED = 40
# Code is 0.3 to 4 times its source.
_LEAST_CODE_BYTES = 64 * 1024
_MOST_GROWTH = 16
# The errors on disk if a root's entries contradict each other.
_CONTRADICTIONS = frozenset(
    {errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.ENAMETOOLONG, errno.ENOTEMPTY}
)

Job = tuple[TarFile, Path]


def compile_modules(
    root: Sequence[Entry],
    python: str,
    modules: Sequence[TarFile],
    folder: Path,
    advance: Advance = silent,
    least_seconds: float = _LEAST_SECONDS,
) -> list[Path | None]:
    """Compile modules with the Python in ``root``; return the path of each one's code, in order.

    The path is None for a module that does not compile. The files are in ``folder``, which exists.
    ``advance`` is called with the number of modules that are done, by one thread at a time.
    The Python is ended after ``least_seconds`` plus a time for the size of the source.

    Raises:
        BuildError: ``BYTECODE_UNAVAILABLE``, the Python cannot be run in a sandbox here, or its
            compiler crashed, hung, or gave an answer that cannot be code.
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
            # Before the pool waits for its threads, because they may wait for the processes.
            running.callback(process.stop)
        handed = zip(started, shares, strict=True)
        advance_in_turn = Stop().guarded(advance)
        jobs_done = [pool.submit(_compile, *one, advance_in_turn) for one in handed]
        for done in jobs_done:
            written |= done.result()
    return [target if target in written else None for target in targets]


def unpack(root: Sequence[Entry], home: Path) -> None:
    """Write a root's entries below ``home``, readable for all, never through a link to outside.

    Raises:
        BuildError: ``BYTECODE_UNAVAILABLE``, an entry is outside, or contradicts another.
        StoreError: ``DISK_FULL`` or ``DISK_DENIED``.
    """
    try:
        for entry in root:
            _place(entry, home)
        # Independent of this user's umask, because another user (65534) reads the root.
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
        raise _unavailable(f"its packages contain {shown(entry.path)}, which is outside the root")
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
    except RuntimeError as error:  # pathlib raises it for a loop of links
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(folder)) from error


def _relative(path: str, target: str) -> str:
    """Return a target relative to the root as one relative to the place of the link."""
    return "../" * path.count("/") + target.lstrip("/")


def python_command(home: Path, python: str) -> tuple[str, ...]:
    """Return the command for the Python of a root, with that root as the working folder.

    Raises:
        BuildError: ``BYTECODE_UNAVAILABLE``, the root has no loader.
    """
    loaders = [path for name in _LOADERS for path in home.rglob(name) if path.is_file()]
    if not loaders:
        raise _unavailable("its packages contain no loader for programs")
    # Relative to the root, because a colon in a folder's name would separate paths.
    libraries = sorted({str(path.parent.relative_to(home)) for path in home.rglob("*.so*")})
    loader = str(min(loaders).relative_to(home))
    # Without the cache of library paths.
    how = ("--inhibit-cache", "--library-path", ":".join(libraries))
    return (loader, *how, f"usr/bin/python{python}", *_FLAGS)


def run_python(home: Path, command: Sequence[str], script: str, seconds: float) -> Confined:
    """Start a script with the Python of an unpacked root, confined.

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
    if _LOADERS[Path(command[0]).name] != platform.machine():
        seconds *= _TIMES_EMULATED
    return run_python(home, command, _SCRIPT.read_text(encoding="utf-8"), seconds)


def _compile(process: Confined, share: Sequence[Job], advance: Advance) -> set[Path]:
    """Send the modules one by one, each after the answer for the previous one."""
    written: set[Path] = set()
    for module, target in share:
        try:
            _ask(process, module)
            length = int.from_bytes(process.read(_LENGTH_BYTES), "little")
            if length > _LEAST_CODE_BYTES + _MOST_GROWTH * module.size_bytes:
                raise _unavailable(f"{shown(module.path)}: its answer has {length} bytes of code")
            if length:
                _keep(process, length, target)
                written.add(target)
            advance(1)
        except EndedError as ended:
            raise _refusal(process.end(), module) from ended
    return written


def _ask(process: Confined, module: TarFile) -> None:
    """Write a record for the script; names have the same bytes as in the tar."""
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
        message = f"{module.path} does not have the expected {module.size_bytes} bytes"
        raise failure("SOURCE_CHANGED", message, where=module.path)


def _keep(process: Confined, length: int, target: Path) -> None:
    try:
        with target.open("wb") as file:
            while length:
                part = process.read(min(length, CHUNK_BYTES))
                file.write(part)
                length -= len(part)
    except OSError as error:
        # The file is a scratch file; the folder is what the user can change.
        bare = OSError(error.errno, error.strerror)
        raise disk_failure(bare, "bytecode cannot be written", str(target.parent)) from error


def _refusal(ending: Ending, module: TarFile) -> MealkitError:
    last = ending.said.splitlines()[-1:]
    if ending.late:
        return _unavailable(f"compiling {shown(module.path)} exceeded the time limit")
    if ending.step == "start":
        why = os.strerror(ending.errno or 0)
        is_closed = ending.errno == errno.EACCES
        hint = "set TMPDIR to a folder on a file system without noexec" if is_closed else None
        return _unavailable(f"its loader cannot be started: {why}", hint)
    if ending.step is not None:
        return _unconfined(ending)
    if last:
        return _unavailable(f"its error output ends with {shown(last[0])}")
    return _unavailable("it ended early" if ending.code is None else f"exit code {ending.code}")


def _unconfined(ending: Ending) -> MealkitError:
    why = switched_off() or f"{ending.step}: {os.strerror(ending.errno or 0)}"
    return _unavailable(
        f"it runs only in separate namespaces, which cannot be created here ({why})",
        "set runtime.bytecode: false in kit.yaml, or build where this user may create namespaces",
    )


def _unavailable(why: str, hint: str | None = None) -> MealkitError:
    message = f"the image's Python cannot compile on this machine ({sys.platform}): {why}"
    return failure("BYTECODE_UNAVAILABLE", message, where="runtime.bytecode", hint=hint)
