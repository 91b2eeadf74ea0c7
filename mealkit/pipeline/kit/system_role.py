"""Tries before a lock is written whether the model's chat template writes system messages.

Reads a template that is on this machine, or that a place of the kit's weights has as a small file.
Otherwise the start of the container finds out, by its first request.
"""

from collections.abc import Sequence
from pathlib import Path

from mealkit.errors import MealkitError, failure
from mealkit.pipeline.home import Home
from mealkit.pipeline.kit.opened_kit import OpenedKit
from mealkit.pipeline.kit.supplies import open_supplies
from mealkit.progress import SILENT_TASK
from mealkit.recipe.lock import Lock
from mealkit.recipe.locked_file import LockedFile

_MOST_BYTES = 16 * 1024 * 1024


def require_system_role(kit: OpenedKit, lock: Lock, home: Home) -> None:
    """Raise if the kit pins a system prompt, and its chat template refuses or loses it.

    Raises:
        KitError: ``KIT_SYSTEM_ROLE``, with the line of the kit.
    """
    if lock.system_prompt is None:
        return
    try:
        template = _template_of(kit, lock, home)
    except MealkitError:  # the place cannot be reached, or the file is no template
        return
    if template is None:
        return
    from mealkit.assembly.template_trial import system_fault

    if (fault := system_fault(template)) is not None:
        where = kit.where(("system_prompt",))
        raise failure("KIT_SYSTEM_ROLE", f"the model's chat template {fault}", where=where)


def _template_of(kit: OpenedKit, lock: Lock, home: Home) -> str | None:
    from mealkit.worker.model_files import read_json, read_text, template_in

    named = lock.hyperparameters.get("chat_template", "model")
    if named != "model":
        path = _file(kit, lock, home, [str(named)])
        return None if path is None else read_text(path)
    if path := _file(kit, lock, home, ["chat_template.jinja"]):
        return read_text(path)
    if path := _file(kit, lock, home, ["tokenizer_config.json"]):
        return template_in(read_json(path))
    gguf = [file.path for file in lock.model.files if file.format == "gguf"]
    if path := _file(kit, lock, home, gguf[:1]):
        return _template_in_gguf(path)
    return None


def _template_in_gguf(path: Path) -> str | None:
    from mealkit.sources.gguf import read_gguf
    from mealkit.sources.ranges import FileRanges

    found = read_gguf(path.name, FileRanges(path)).metadata.get("tokenizer.chat_template")
    return found if isinstance(found, str) else None


def _file(kit: OpenedKit, lock: Lock, home: Home, names: Sequence[str]) -> Path | None:
    """Return the file of the weights with one of these paths, if it costs little to get."""
    from mealkit.sources.file_cache import FileCache

    for file in lock.model.files:
        if file.path in names:
            known = FileCache(home.files).path(file.sha256)
            is_here = all(origin.source == "folder" for origin in file.origins)
            if known is None and (is_here or file.size_bytes <= _MOST_BYTES):
                known = _fetched(kit, file, home)
            return known
    return None


def _fetched(kit: OpenedKit, file: LockedFile, home: Home) -> Path:
    from mealkit.sources.retrieval import fetch_weights

    whole = kit.parts.kit
    with open_supplies(whole, kit.folder, kit.bounds, home, SILENT_TASK) as supplies:
        return fetch_weights(kit.folder, whole.model, [file], supplies)[file.sha256]
