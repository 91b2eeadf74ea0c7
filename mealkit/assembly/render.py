"""Writes a plan as a folder with a Dockerfile; ``docker build`` gives an image of the same files.

Gets its inputs from the caller; makes no network requests. Raises BuildError if the folder is not
empty.
"""

import json
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import jinja2

from mealkit import __version__
from mealkit.assembly.bytecode import Compile
from mealkit.assembly.contents import Inputs, Workshop, layer_entries
from mealkit.assembly.templates import template_root
from mealkit.digest import digest_of_file
from mealkit.errors import failure
from mealkit.files.whole import whole_folder
from mealkit.names import inside, line_fault, one_line
from mealkit.oci.tar import Entry, TarDirectory, TarFile, arranged, write_tar
from mealkit.plan.layers import (
    DIRECTORY_MODE,
    Bytecode,
    Content,
    DebianTree,
    Folder,
    InputFile,
    LayerPlan,
    Plan,
    TextFile,
    WheelTree,
)
from mealkit.recipe.lock import Lock
from mealkit.untrusted import shown

SUMS = "SHA256SUMS"


@dataclass(frozen=True, slots=True)
class Step:
    """One layer as the Dockerfile shows it."""

    kind: str
    title: str
    reason: str
    pins: tuple[str, ...]
    lines: tuple[str, ...]


def render(
    plan: Plan,
    lock: Lock,
    inputs: Inputs,
    compile_modules: Compile,
    target: Path,
    base_reference: str | None,
) -> None:
    """Write the context and its Dockerfile to ``target``, completely or not at all.

    Raises:
        BuildError: ``target`` is not empty (``OUTPUT_EXISTS``), or an input is missing.
        StoreError: the disk is full, or may not be written (``DISK_FULL``, ``DISK_DENIED``).
    """
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise failure("OUTPUT_EXISTS", f"{target} is not an empty folder", where=str(target))
    with whole_folder(target, "the context cannot be written") as partial:
        steps = [
            _write_layer(layer, number, inputs, compile_modules, partial)
            for number, layer in enumerate(plan.layers)
        ]
        text = dockerfile(plan, lock, steps, base_reference)
        (partial / "Dockerfile").write_text(text)
        (partial / SUMS).write_text("".join(_sums(partial)))


def dockerfile(plan: Plan, lock: Lock, steps: list[Step], base_reference: str | None) -> str:
    """Return the Dockerfile's text."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(template_root()),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701  no HTML; `quoted` and `comment` escape values
    )
    environment.filters |= {"quoted": _quoted, "comment": one_line}
    about, run = lock.about, plan.run
    return environment.get_template("Dockerfile.jinja").render(
        title=f"{about.name} {about.version}",
        mealkit_version=__version__,
        recipe=lock.recipe,
        owner=f"{about.owner.team}, {about.owner.contact}",
        base_reference=base_reference,
        steps=steps,
        environment=sorted(run.environment.items()),
        labels=sorted(run.labels.items()),
        user=run.user,
        working_directory=run.working_directory,
        port=run.exposed_port,
        stop_signal=run.stop_signal,
        health=run.health,
        health_command=json.dumps(list(run.health.command)),
        entrypoint=json.dumps(list(run.entrypoint)),
    )


def _quoted(value: str) -> str:
    """Quote a value for ENV and LABEL: https://docs.docker.com/reference/dockerfile/.

    Raises:
        LockError: a Dockerfile cannot express a character of the value (``LOCK_INVALID``).
    """
    fault = line_fault(value)
    if fault is not None:
        raise failure("LOCK_INVALID", f"a label or variable is {shown(value)}: {fault}")
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("$", "\\$")
    return f'"{escaped}"'


def _write_layer(
    layer: LayerPlan, number: int, inputs: Inputs, compile_modules: Compile, context: Path
) -> Step:
    folder = f"layers/{number:02d}-{layer.kind.value}"
    scratch = context / ".scratch"
    scratch.mkdir()
    try:
        made = layer_entries(layer, inputs, Workshop(scratch, compile_modules))
        entries = arranged(made.entries)
        lines = tuple(_write_entries(entries, context, folder))
    finally:
        shutil.rmtree(scratch)
    pins = tuple(pin for content in layer.contents for pin in _pins(content))
    return Step(layer.kind.value, layer.title, layer.reason, pins, lines)


def _write_entries(entries: list[Entry], context: Path, folder: str) -> Iterator[str]:
    """Write a layer as plain files if COPY gives the same result, otherwise as a tar."""
    special = [entry for entry in entries if not _copies(entry)]
    owned = {entry.path for entry in special}
    has_contents = any(entry.path.rpartition("/")[0] in owned for entry in entries)
    if has_contents or any(not isinstance(entry, TarDirectory) for entry in special):
        # A root has links, so it is one archive, which ADD unpacks with owners and modes.
        yield _write_archive(entries, context, folder)
        return
    if special:
        yield _write_archive(special, context, f"{folder}-folders")
    (context / folder).mkdir(parents=True)
    for entry in entries:
        if isinstance(entry, TarFile):
            _write_file(entry, inside(context / folder, entry.path))
        elif _copies(entry):
            _make_folder(inside(context / folder, entry.path))
    yield f"COPY {folder}/ /"


def _copies(entry: Entry) -> bool:
    match entry:
        case TarDirectory():
            return (entry.mode, entry.uid, entry.gid) == (DIRECTORY_MODE, 0, 0)
        case TarFile():
            return (entry.uid, entry.gid) == (0, 0)
        case _:
            return False


def _write_archive(entries: Iterable[Entry], context: Path, name: str) -> str:
    path = context / f"{name}.tar"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as out:
        write_tar(entries, out)
    return f"ADD {name}.tar /"


def _write_file(entry: TarFile, path: Path) -> None:
    with path.open("wb") as out:
        for chunk in entry.content():
            out.write(chunk)
    path.chmod(entry.mode)


def _make_folder(path: Path) -> None:
    path.mkdir()
    path.chmod(DIRECTORY_MODE)  # COPY keeps the mode, whatever the umask was


def _pins(content: Content) -> Iterator[str]:
    match content:
        case WheelTree():
            yield from (f"{name}  {digest}" for name, digest in content.wheels)
        case DebianTree():
            yield from (f"{name}  {digest}" for name, digest in content.debs)
        case InputFile():
            yield f"/{content.path}  {content.digest}"
        case TextFile() | Folder() | Bytecode():
            return


def _sums(context: Path) -> Iterator[str]:
    with_files = sorted(path for path in context.rglob("*") if path.is_file())
    for path in with_files:
        yield f"{digest_of_file(path).hex}  {path.relative_to(context).as_posix()}\n"
