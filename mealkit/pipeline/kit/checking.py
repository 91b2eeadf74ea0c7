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
from mealkit.pipeline.kit.code_syntax import syntax_findings
from mealkit.pipeline.kit.import_checks import import_warnings
from mealkit.pipeline.kit.needed_weights import needed_problems
from mealkit.pipeline.kit.opened_kit import open_kit
from mealkit.pipeline.kit.placeholder_checks import kit_placeholders
from mealkit.pipeline.kit.system_role import system_role_problems
from mealkit.pipeline.kit.wheel_checks import wheel_problems
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

    The kit may use its own folder and those in ``allowed``. A missing local file is a problem; its
    hint names the script of the kit that makes it, if there is one.

    Raises:
        KitError: all problems of the kit at once.
        LockError: its lock cannot be read.
    """

    def problems(document: Document) -> list[Problem]:
        return [*engine_problems(document), *local_problems(document, home, allowed)]

    kit = open_kit(path, home, allowed, progress, problems)
    about = kit.parts.kit
    code = syntax_findings(kit.parts.code, about.runtime.python)
    found = [*code.problems, *needed_problems(kit, home), *wheel_problems(kit)]
    if found := [*found, *system_role_problems(kit, home)]:
        raise KitError(*found)
    stale = [kit.stale()] if kit.drift else []
    paths = tuple(change.path for change in kit.drift) if kit.lock else None
    excluded = {
        "runtime.exclude": about.runtime.exclude,
        f"the engine {kit.parts.recipe.name}": kit.parts.recipe.excludes,
    }
    imports = import_warnings(kit, kit.lock) if kit.lock and kit.is_resolved else []
    warnings = (*kit.warnings, *code.warnings, *imports, *kit_placeholders(kit), *stale)
    return CheckReport(about.name, about.version, warnings, paths, excluded)


def local_problems(document: Document, home: Home, allowed: Sequence[Path]) -> list[Problem]:
    """Return the problems of the files of folder sources: those that are missing or damaged."""
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
