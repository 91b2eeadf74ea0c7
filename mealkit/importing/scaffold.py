"""Creates a new kit's folder, from its engine's templates or from a proposal: commented and valid.

Raises KitError if the folder exists, or for a name that a kit cannot have.
"""

import json
import re
from collections.abc import Callable, Mapping
from importlib.resources import as_file
from pathlib import Path
from typing import Any

import jinja2

from mealkit.engines.registry import NEW_KIT_ENGINE, engine_names, recipe_of
from mealkit.errors import failure
from mealkit.files.whole import whole_folder
from mealkit.importing.proposal import Proposal, proposal_files

SCHEMA_NAME = "kit.schema.json"

_NAME = re.compile(r"[a-z0-9]+(?:[._-][a-z0-9]+)*")
_SUFFIX = ".jinja"
# Templates of the kit's own files, which are copied unchanged.
_KIT_TEMPLATES = "prompts"


def new_engines() -> list[str]:
    """Return the engines that have templates for a new kit."""
    return [name for name in engine_names() if recipe_of(name).new_kit.is_dir()]


def write_new_kit(folder: Path, engine: str | None, schema: Mapping[str, Any]) -> Path:
    """Write a kit with the name of its folder, completely or not at all; return its kit.yaml.

    The default for the engine is the one of the examples.

    Raises:
        KitError: ``folder`` exists (``KIT_EXISTS``), its name is not valid for a kit, or the engine
            has no template (``KIT_INVALID``).
        StoreError: the folder cannot be written (``DISK_FULL``, ``DISK_DENIED``).
    """
    folder = folder.absolute()
    _require_place(folder)
    named = engine or NEW_KIT_ENGINE
    if named not in new_engines():
        hint = f"choose one of {', '.join(new_engines())}"
        raise failure("KIT_INVALID", f"there is no template for engine {named!r}", hint=hint)
    return _write(folder, schema, lambda partial: _fill(partial, named, folder.name))


def write_proposed_kit(folder: Path, proposal: Proposal, schema: Mapping[str, Any]) -> Path:
    """Write a proposed kit with the name of its folder, completely or not at all.

    Raises:
        KitError: ``folder`` exists (``KIT_EXISTS``), or its name is not valid for a kit
            (``KIT_INVALID``).
        StoreError: the folder cannot be written (``DISK_FULL``, ``DISK_DENIED``).
    """
    folder = folder.absolute()
    _require_place(folder)
    files = proposal_files(proposal, folder.name)

    def fill(partial: Path) -> None:
        for name, content in files.items():
            target = partial / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content.encode() if isinstance(content, str) else content)

    return _write(folder, schema, fill)


def _require_place(folder: Path) -> None:
    name = folder.name
    if not _NAME.fullmatch(name) or len(name) > 128:
        hint = "use lower-case letters, digits, dots, dashes and underscores"
        raise failure("KIT_INVALID", f"{name!r} is not a valid name for a kit", hint=hint)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise failure("KIT_EXISTS", f"{folder} already exists", where=str(folder))


def _write(folder: Path, schema: Mapping[str, Any], fill: Callable[[Path], None]) -> Path:
    with whole_folder(folder, "the kit cannot be written") as partial:
        fill(partial)
        (partial / SCHEMA_NAME).write_text(json.dumps(schema, indent=2) + "\n")
    return folder / "kit.yaml"


def _fill(folder: Path, engine: str, name: str) -> None:
    environment = jinja2.Environment(
        undefined=jinja2.StrictUndefined,
        autoescape=False,  # noqa: S701  YAML and Markdown, not HTML
        keep_trailing_newline=True,
    )
    with as_file(recipe_of(engine).new_kit) as root:
        for source in sorted(path for path in root.rglob("*") if path.is_file()):
            inside = source.relative_to(root)
            target = folder / inside
            target.parent.mkdir(parents=True, exist_ok=True)
            if inside.suffix == _SUFFIX and inside.parts[0] != _KIT_TEMPLATES:
                text = environment.from_string(source.read_text("utf-8")).render(name=name)
                target.with_suffix("").write_text(text, "utf-8")
            else:
                target.write_bytes(source.read_bytes())
