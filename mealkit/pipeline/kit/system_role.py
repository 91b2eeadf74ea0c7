"""Tries before a lock is written whether the model's chat template writes system messages.

Reads a template that is on this machine, or that a place of the kit's weights has as a small file.
Otherwise the start of the container finds out, by its first request.
"""

from collections.abc import Callable
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING

from mealkit.errors import MealkitError, Problem, failures, problem
from mealkit.pipeline.home import Home
from mealkit.pipeline.kit.opened_kit import OpenedKit
from mealkit.pipeline.kit.supplies import downloader, open_supplies
from mealkit.progress import SILENT_TASK
from mealkit.recipe.lock import Lock
from mealkit.recipe.locked_file import LockedFile
from mealkit.recipe.weight_places import FolderWeights
from mealkit.untrusted import UntrustedError, parse_json_object

if TYPE_CHECKING:
    from mealkit.sources.ranges import RangeReader

_MOST_BYTES = 16 * 1024 * 1024
_Find = Callable[[str], "RangeReader | None"]
"""Returns the file with a path below /models, or one that matches a pattern; None if it is not
here."""


def require_system_role(kit: OpenedKit, lock: Lock, home: Home) -> None:
    """Raise if the kit pins a system prompt, and its chat template refuses or loses it.

    Raises:
        KitError: ``KIT_SYSTEM_ROLE``, with the line of the kit.
    """
    if found := _problems(kit, lambda name: _of_lock(kit, lock, home, name)):
        raise failures(found)


def system_role_problems(kit: OpenedKit, home: Home) -> list[Problem]:
    """Return the same problem, if the template is in a folder that the kit names."""
    return _problems(kit, lambda name: _of_folders(kit, home, name))


def _problems(kit: OpenedKit, find: _Find) -> list[Problem]:
    if kit.parts.kit.system_prompt is None:
        return []
    try:
        template = _template(kit.parts.hyperparameters.get("chat_template", "model"), find)
    except (MealkitError, UntrustedError, UnicodeDecodeError):
        return []  # the place cannot be reached, or the file is no template
    if template is None:
        return []
    from mealkit.assembly.template_trial import system_fault

    if (fault := system_fault(template)) is None:
        return []
    where = kit.where(("system_prompt",))
    return [problem("KIT_SYSTEM_ROLE", f"the model's chat template {fault}", where=where)]


def _template(named: object, find: _Find) -> str | None:
    from mealkit.sources.gguf import read_gguf
    from mealkit.worker.model_files import template_in

    if file := find("chat_template.jinja" if named == "model" else str(named)):
        return file.read(0, _MOST_BYTES).decode()
    if named != "model":
        return None
    if file := find("tokenizer_config.json"):
        return template_in(parse_json_object(file.read(0, _MOST_BYTES), as_python=True))
    if file := find("*.gguf"):
        found = read_gguf("the GGUF", file).metadata.get("tokenizer.chat_template")
        return found if isinstance(found, str) else None
    return None


def _of_folders(kit: OpenedKit, home: Home, wanted: str) -> "RangeReader | None":
    from mealkit.sources.fallback import path_in_image
    from mealkit.sources.kit_folder import FolderReader
    from mealkit.sources.source import Supplies

    with downloader(home) as fetcher:
        supplies = Supplies(fetcher, allowed=kit.bounds.roots)
        for entry in kit.parts.kit.model.weights:
            if isinstance(entry, FolderWeights):
                files, _ = FolderReader(entry, kit.folder, supplies).readable(entry.files)
                for name, ranges in files.items():
                    if fnmatchcase(path_in_image(entry, name), wanted):
                        return ranges
    return None


def _of_lock(kit: OpenedKit, lock: Lock, home: Home, wanted: str) -> "RangeReader | None":
    """Return a file of the lock, if it costs little to get."""
    from mealkit.sources.file_cache import FileCache
    from mealkit.sources.ranges import FileRanges

    for file in lock.model.files:
        if fnmatchcase(file.path, wanted):
            known = FileCache(home.files).path(file.sha256)
            is_here = all(origin.source == "folder" for origin in file.origins)
            if known is None and (is_here or file.size_bytes <= _MOST_BYTES):
                known = _fetched(kit, file, home)
            return None if known is None else FileRanges(known)
    return None


def _fetched(kit: OpenedKit, file: LockedFile, home: Home) -> Path:
    from mealkit.sources.retrieval import fetch_weights

    whole = kit.parts.kit
    with open_supplies(whole, kit.folder, kit.bounds, home, SILENT_TASK) as supplies:
        return fetch_weights(kit.folder, whole.model, [file], supplies)[file.sha256]
