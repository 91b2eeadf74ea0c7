"""Checks a kit: reports all its problems at once, and whether its lock matches."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mealkit.engines.registry import takes_any_data
from mealkit.engines.typed_parts import engine_problems
from mealkit.errors import KitError, Problem
from mealkit.kit.bounds import Bounds
from mealkit.kit.document import Document
from mealkit.pipeline.home import Home
from mealkit.pipeline.kit.opened_kit import open_kit
from mealkit.progress import SILENT, Progress


@dataclass(frozen=True, slots=True)
class CheckReport:
    """A valid kit: its name, its warnings, and whether its lock is up to date.

    ``stale`` names the parts in which the kit differs from its lock; None if it has no lock.
    ``excluded`` has the dependencies that are left out of the lock, by the kit or engine that asks
    for it.
    """

    name: str
    version: str
    warnings: tuple[Problem, ...]
    stale: tuple[str, ...] | None
    excluded: Mapping[str, tuple[str, ...]]


def check_kit(
    path: str | Path, home: Home, allowed: Sequence[Path] = (), progress: Progress = SILENT
) -> CheckReport:
    """Check a kit and every file in its folder, without the network.

    The kit may use its own folder and those in ``allowed``. Warnings are a stale lock and a
    missing local file, which may still have to be made.

    Raises:
        KitError: all problems of the kit at once.
        LockError: its lock cannot be read.
    """
    missing: list[Problem] = []

    def problems(document: Document) -> list[Problem]:
        found = _folder_problems(document, home, allowed)
        missing.extend(item for item in found if item.code == "SOURCE_NOT_FOUND")
        return [*engine_problems(document), *(item for item in found if item not in missing)]

    try:
        kit = open_kit(path, home, allowed, progress, problems)
    except KitError as error:
        raise KitError(*error.problems, *missing) from error
    about = kit.parts.kit
    stale = [kit.stale()] if kit.drift else []
    paths = tuple(change.path for change in kit.drift) if kit.lock else None
    excluded = {
        "runtime.exclude": about.runtime.exclude,
        f"the engine {kit.parts.recipe.name}": kit.parts.recipe.excludes,
    }
    warnings = (*kit.warnings, *missing, *stale)
    return CheckReport(about.name, about.version, warnings, paths, excluded)


def _folder_problems(document: Document, home: Home, allowed: Sequence[Path]) -> list[Problem]:
    from mealkit.pipeline.kit.supplies import downloader
    from mealkit.sources.folder_check import folder_entries, folder_problems
    from mealkit.sources.source import Supplies

    if not folder_entries(document):
        return []
    with downloader(home) as fetcher:
        roots = Bounds.of(Path(document.name).parent, allowed).roots
        runtime = document.data.get("runtime")
        engine = runtime.get("engine") if isinstance(runtime, dict) else None
        any_data = takes_any_data(engine)
        return folder_problems(document, Supplies(fetcher, allowed=roots, any_data=any_data))
