"""Creates a new kit's folder, from its engine's templates or from a proposal: commented and valid.

Raises KitError if the folder exists, or for a name that a kit cannot have.
"""

import json
import re
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from importlib.resources import as_file
from pathlib import Path
from typing import Any

import jinja2

from mealkit.assembly.templates import example_root, template_root
from mealkit.engines.engine import Recipe
from mealkit.engines.new_kits import NewKit
from mealkit.engines.registry import engine_names, new_kit_engine, recipe_of
from mealkit.errors import failure
from mealkit.files.whole import whole_folder
from mealkit.importing.proposal import Proposal, proposal_files
from mealkit.recipe.kit import Task

SCHEMA_NAME = "kit.schema.json"

_NAME = re.compile(r"[a-z0-9]+(?:[._-][a-z0-9]+)*")
_SUFFIX = ".jinja"
_PREPARE = re.compile(r"^  prepare: (\S+)$", re.MULTILINE)
# Templates of the kit's own files, which are copied unchanged.
_KIT_TEMPLATES = "prompts"


@dataclass(frozen=True, slots=True)
class Template:
    """A template for a new kit."""

    engine: str
    task: Task
    kit: NewKit
    prepare: str | None
    """The script that has to run before the kit can be locked."""


def new_engines() -> list[str]:
    """Return the engines that have templates for a new kit."""
    return [name for name in engine_names() if recipe_of(name).new_kit.is_dir()]


def new_kits() -> list[Template]:
    """Return the templates for new kits, by engine and task."""
    found = []
    for name in new_engines():
        recipe = recipe_of(name)
        text = recipe.new_kit.joinpath("kit.yaml.jinja").read_text("utf-8")
        script = _PREPARE.search(text)
        for task, kit in _examples(recipe).items():
            found.append(Template(name, task, kit, script[1] if script else None))
    return found


def write_new_kit(
    folder: Path, engine: str | None, schema: Mapping[str, Any], task: str | None = None
) -> Path:
    """Write a kit with the name of its folder, completely or not at all; return its kit.yaml.

    The default for the engine is one that needs neither a compiler nor a model from elsewhere, the
    default for the task is the engine's first.

    Raises:
        KitError: ``folder`` exists (``KIT_EXISTS``), its name is not valid for a kit, its parent
            does not exist, or there is no such template (``KIT_INVALID``).
        StoreError: the folder cannot be written (``DISK_FULL``, ``DISK_DENIED``).
    """
    folder = folder.absolute()
    _require_place(folder)
    if task is not None and task not in [*Task]:
        near = get_close_matches(task, [*Task], n=1)
        hint = f"did you mean {near[0]}? " if near else ""
        hint += f"choose one of {', '.join(Task)}"
        raise failure("KIT_INVALID", f"there is no task {task!r}", hint=hint)
    stated = None if task is None else Task(task)
    named = engine or new_kit_engine(stated)
    if named not in new_engines():
        hint = f"choose one of {', '.join(new_engines())}"
        raise failure("KIT_INVALID", f"there is no template for engine {named!r}", hint=hint)
    recipe = recipe_of(named)
    wanted, known = stated or recipe.default_task, _examples(recipe)
    if wanted not in known:
        message = f"there is no template for {wanted} with the engine {named}"
        having = [name for name in new_engines() if wanted in _examples(recipe_of(name))]
        hint = f"--engine {' or '.join(having)} has one; {named} has one for {', '.join(known)}"
        raise failure("KIT_INVALID", message, hint=hint)
    return _write(folder, schema, lambda partial: _fill(partial, recipe, wanted, folder.name))


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
    if not folder.parent.exists():
        hint = f"mkdir -p {shlex.quote(str(folder.parent))}"
        raise failure("KIT_INVALID", f"the folder {folder.parent} does not exist", hint=hint)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise failure("KIT_EXISTS", f"{folder} already exists", where=str(folder))


def _write(folder: Path, schema: Mapping[str, Any], fill: Callable[[Path], None]) -> Path:
    with whole_folder(folder, "the kit cannot be written") as partial:
        fill(partial)
        (partial / SCHEMA_NAME).write_text(json.dumps(schema, indent=2) + "\n")
    return folder / "kit.yaml"


def _examples(recipe: Recipe) -> Mapping[Task, NewKit]:
    return recipe.new_kits or {recipe.default_task: NewKit("a kit of the engine's own")}


def _fill(folder: Path, recipe: Recipe, task: Task, name: str) -> None:
    with as_file(recipe.new_kit) as root:
        shared = jinja2.FileSystemLoader(template_root() / "new")
        environment = jinja2.Environment(
            loader=jinja2.ChoiceLoader(
                [jinja2.FileSystemLoader(root), jinja2.PrefixLoader({"new": shared})]
            ),
            undefined=jinja2.StrictUndefined,
            autoescape=False,  # noqa: S701  YAML and Markdown, not HTML
            keep_trailing_newline=True,
            trim_blocks=True,
        )
        for source in sorted(path for path in root.rglob("*") if path.is_file()):
            inside = source.relative_to(root)
            target = folder / inside
            target.parent.mkdir(parents=True, exist_ok=True)
            if inside.suffix == _SUFFIX and inside.parts[0] != _KIT_TEMPLATES:
                template = environment.get_template(inside.as_posix())
                target.with_suffix("").write_text(template.render(name=name, task=task), "utf-8")
            else:
                target.write_bytes(source.read_bytes())
    for inside_kit, example in _examples(recipe)[task].files.items():
        target = folder / inside_kit
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes((example_root() / example).read_bytes())
