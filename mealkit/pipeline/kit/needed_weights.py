"""Compares the files that a kit names with those that its engine needs, before anything is fetched.

Names decide; a pattern of a source elsewhere counts as any file that it may match.
"""

from collections.abc import Collection, Iterator
from fnmatch import fnmatchcase
from pathlib import PurePosixPath

from mealkit.engines.needed_files import NeededFiles
from mealkit.errors import MealkitError, Problem, problem
from mealkit.kit.bounds import OutsideError
from mealkit.kit.files import source_folder
from mealkit.kit.search import has_wildcard
from mealkit.pipeline.home import Home
from mealkit.pipeline.kit.opened_kit import OpenedKit
from mealkit.recipe.weight_places import FolderWeights, Weights


def needed_problems(kit: OpenedKit, home: Home) -> list[Problem]:
    """Return a problem for each file that the engine needs and ``model.weights`` does not name."""
    parts = kit.parts
    needs = parts.recipe.needed_files(parts.task, parts.hyperparameters, parts.settings)
    if not needs or not parts.kit.model.weights:
        return []
    names = {name for entry in parts.kit.model.weights for name in _names(entry, kit, home)}
    return [_problem(need, names, kit) for need in needs if not need.are_in(names)]


def _problem(need: NeededFiles, names: Collection[str], kit: OpenedKit) -> Problem:
    lacking = need.lacking(names)
    wanted = " or ".join(" and ".join(group) for group in need.groups[:1])
    engine = f"the engine {kit.parts.recipe.name} needs {', '.join(lacking)} ({need.what})"
    message = f"model.weights: {engine}, and no entry names {'it' if not lacking[1:] else 'them'}"
    weights = ("model", "weights")
    if need.setting and (other := _alike(wanted, names)):
        at = ("runtime", "settings", need.setting)
        where = kit.where(at if need.setting in kit.parts.kit.runtime.settings else weights)
        hint = f"write {need.setting}: {other} under runtime.settings, or name {wanted}"
        return problem("WEIGHTS_INCOMPLETE", message, where=where, hint=f"{hint} in model.weights")
    hint = f"add {', '.join(lacking)} to the files of an entry of model.weights"
    if folder := _folder_with(lacking[0], kit):
        hint = f"add {', '.join(lacking)} to files: it is in the folder {folder}"
    index = len(kit.parts.kit.model.weights) - 1
    where = kit.where((*weights, index, "files"))
    return problem("WEIGHTS_INCOMPLETE", message, where=where, hint=hint)


def _names(entry: Weights, kit: OpenedKit, home: Home) -> Iterator[str]:
    """Yield the paths below /models that an entry names; a pattern, if it is not resolved here."""
    from mealkit.sources.fallback import path_in_image

    for name in entry.files:
        found = [name]
        if isinstance(entry, FolderWeights) and has_wildcard(name):
            found = [*_found(entry, name, kit, home)] or [name]
        yield from (path_in_image(entry, item) for item in found)


def _found(entry: FolderWeights, pattern: str, kit: OpenedKit, home: Home) -> Collection[str]:
    from mealkit.pipeline.kit.supplies import downloader
    from mealkit.sources.kit_folder import FolderReader
    from mealkit.sources.source import Supplies

    with downloader(home) as fetcher:
        reader = FolderReader(entry, kit.folder, Supplies(fetcher, allowed=kit.bounds.roots))
        try:
            return reader.readable([pattern])[0]
        except MealkitError:
            return ()


def _alike(wanted: str, names: Collection[str]) -> str | None:
    """Return the only named file with the same ending as another one."""
    ending = PurePosixPath(wanted).suffix
    found = [name for name in names if name.endswith(ending) and not has_wildcard(name)]
    return found[0] if ending and len(found) == 1 else None


def _folder_with(name: str, kit: OpenedKit) -> str | None:
    """Return the path of a folder source that has a file, as kit.yaml names the folder."""
    for entry in kit.parts.kit.model.weights:
        if isinstance(entry, FolderWeights):
            try:
                folder = kit.bounds.resolve(source_folder(kit.folder, entry.path))
                if any(fnmatchcase(item.name, name) for item in folder.iterdir()):
                    return entry.path
            except (OSError, ValueError, OutsideError):
                continue
    return None
