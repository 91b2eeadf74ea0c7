"""The Python of an image, run on this machine to compile the image's modules.

It runs through its own loader, with its own libraries: nothing of this machine but its kernel and
its processor takes part, so that two machines give the same bytes. What is compiled is not run.
Refuses machines that cannot run that Python.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import assert_never

from mealkit.errors import MealkitError, disk_failure, failure
from mealkit.oci.tar import Entry, TarDirectory, TarFile, TarHardlink, TarSymlink

_LOADERS = ("ld-linux-x86-64.so.2", "ld-linux-aarch64.so.1")
_SCRIPT = Path(__file__).with_name("compiling.py")
# Isolated, without site, and silent about how others write.
_FLAGS = ("-I", "-S", "-W", "ignore")
# Whatever is set here may not matter; and the C locale needs no file of this machine.
_ENVIRONMENT = {"LC_ALL": "C"}
# More would not be faster: they are handed their files one after the other.
_MOST_PROCESSES = 4
# The script's exit code for a file that it cannot write.
_NOT_WRITTEN = 3


def compile_modules(
    root: Sequence[Entry], python: str, modules: Sequence[TarFile], folder: Path
) -> list[Path | None]:
    """Compile modules by the Python in ``root``; return where each one's code is, in their order.

    None for a module that does not compile. The files are in ``folder``, which exists.

    Raises:
        BuildError: ``BYTECODE_UNAVAILABLE``, that Python cannot be run, or its compiler crashed.
        StoreError: ``DISK_FULL`` or ``DISK_DENIED``, the folder cannot be written.
    """
    targets = [folder.absolute() / f"{number}.pyc" for number in range(len(modules))]
    jobs = list(zip(modules, targets, strict=True))
    processes = max(1, min(_MOST_PROCESSES, os.cpu_count() or 1))
    with tempfile.TemporaryDirectory(dir=folder) as unpacked, ThreadPoolExecutor(processes) as pool:
        home = Path(unpacked).resolve()
        _unpack(root, home)
        command = _command(home, python)
        shares = [jobs[number::processes] for number in range(processes)]
        for done in [pool.submit(_compile, command, home, share) for share in shares]:
            done.result()
    return [target if target.exists() else None for target in targets]


def _unpack(root: Sequence[Entry], home: Path) -> None:
    try:
        for entry in root:
            _place(entry, home)
    except OSError as error:
        raise disk_failure(error, "the image's Python cannot be unpacked", str(home)) from error


def _place(entry: Entry, home: Path) -> None:
    path = home / entry.path
    if not path.parent.resolve().is_relative_to(home):
        raise _unavailable(f"its packages hold {entry.path}, which is outside of them")
    path.parent.mkdir(parents=True, exist_ok=True)
    match entry:
        case TarDirectory():
            path.mkdir(exist_ok=True)
        case TarFile(content=content):
            path.unlink(missing_ok=True)
            with path.open("wb") as file:
                file.writelines(content())
            path.chmod(0o700)
        case TarSymlink(target=target):
            path.symlink_to(home / target[1:] if target.startswith("/") else target)
        case TarHardlink(target=target):
            path.symlink_to(home / target)
        case _:
            assert_never(entry)


def _command(home: Path, python: str) -> tuple[str, ...]:
    """Return what runs the Python of a root, from that root as the working folder."""
    loaders = [path for name in _LOADERS for path in home.rglob(name) if path.is_file()]
    if not loaders:
        raise _unavailable("its packages hold no loader for programs")
    # From the root on: a colon in a folder's name would end it.
    libraries = sorted({str(path.parent.relative_to(home)) for path in home.rglob("*.so*")})
    loader = str(min(loaders).relative_to(home))
    # Without the cache of this machine's own libraries.
    how = ("--inhibit-cache", "--library-path", ":".join(libraries))
    return (loader, *how, f"usr/bin/python{python}", *_FLAGS, str(_SCRIPT))


def _compile(command: Sequence[str], home: Path, jobs: Sequence[tuple[TarFile, Path]]) -> None:
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            cwd=home,
            env=_ENVIRONMENT,
        )
    except PermissionError as error:
        hint = "set TMPDIR to a folder whose programs may be run"
        raise _unavailable(f"{home}: {error.strerror}", hint) from error
    except OSError as error:
        raise _unavailable(error.strerror or str(error)) from error
    with process:
        assert process.stdin is not None  # noqa: S101  it is a pipe
        assert process.stderr is not None  # noqa: S101  it is a pipe
        try:
            # One that ends early says why.
            with suppress(BrokenPipeError), process.stdin as records:
                records.writelines(_records(jobs))
        except BaseException:
            process.kill()
            raise
        said = process.stderr.read().decode(errors="replace").strip()
    if process.returncode:
        raise _refusal(process.returncode, said.splitlines()[-1:], jobs)


def _records(jobs: Sequence[tuple[TarFile, Path]]) -> Iterator[bytes]:
    """Yield what the script reads: names as they are in the tar, whatever their bytes."""
    for module, target in jobs:
        name = f"/{module.path}".encode(errors="surrogateescape")
        source = b"".join(map(bytes, module.content()))
        for part in (name, os.fsencode(target), source):
            yield len(part).to_bytes(8, "little") + part


def _refusal(code: int, last: Sequence[str], jobs: Sequence[tuple[TarFile, Path]]) -> MealkitError:
    if code == _NOT_WRITTEN and last:
        number = int(last[0].removeprefix("errno "))
        error = OSError(number, os.strerror(number))
        return disk_failure(error, "bytecode cannot be written", str(jobs[0][1].parent))
    return _unavailable(last[0] if last else f"exit code {code}")


def _unavailable(why: str, hint: str | None = None) -> MealkitError:
    message = f"the image's Python cannot compile on this machine ({sys.platform}): {why}"
    return failure("BYTECODE_UNAVAILABLE", message, where="runtime.bytecode", hint=hint)
