"""Resolves a kit's inputs for its lock, through the adapters that its sources name."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace

from mealkit.errors import MealkitError, Owner, Problem, failures
from mealkit.lock.kit_parts import PythonTarget
from mealkit.pipeline.home import Home
from mealkit.pipeline.kit.bases import locked_base
from mealkit.pipeline.kit.opened_kit import OpenedKit
from mealkit.pipeline.kit.supplies import open_dataset_supplies, open_supplies
from mealkit.progress import SILENT_TASK, Progress
from mealkit.recipe.claims import LockedDataset
from mealkit.recipe.kit import Base, DebianBase, Kit
from mealkit.recipe.lock import LockedWheel, ModelShape
from mealkit.recipe.locked_base import LockedBase, LockedDebianBase
from mealkit.recipe.locked_file import LockedFile
from mealkit.recipe.publisher_signature import LockedSignature


class KitInputs:
    """Resolves the inputs of a lock from their sources."""

    def __init__(self, kit: OpenedKit, home: Home, progress: Progress) -> None:
        self._kit = kit
        self._home = home
        self._progress = progress

    def weights(self, kit: Kit) -> tuple[tuple[LockedFile, ...], ModelShape]:
        """Resolve every file of the model; only headers and small files are downloaded."""
        from mealkit.sources.weights import resolve_weights

        self._progress.phase("resolving the weights")
        task = self._progress.task("weights", None)
        folder = self._kit.folder
        with open_supplies(kit, folder, self._kit.bounds, self._home, task) as supplies:
            files, shape, notices = resolve_weights(folder, kit.model, supplies)
        task.done(f"{len(files)} files")
        for notice in notices:
            self._progress.notice(notice)
        return files, shape

    def datasets(self, kit: Kit) -> Mapping[str, LockedDataset]:
        """Resolve every file of the data sets."""
        from mealkit.sources.dataset_files import resolve_datasets

        self._progress.phase(f"resolving the data sets {', '.join(kit.datasets)}")
        task = self._progress.task("data sets", None)
        found = dict[str, LockedDataset]()
        with open_dataset_supplies(kit, self._kit.bounds, self._home, task) as supplies:
            for name, entry in kit.datasets.items():
                with _named(f"datasets.{name}", self._kit.where(("datasets", name))):
                    own, notices = resolve_datasets(self._kit.folder, {name: entry}, supplies)
                found |= own
                for notice in notices:
                    self._progress.notice(notice)
        task.done(f"{sum(len(item.files) for item in found.values())} files")
        return found

    def signatures(self, kit: Kit, files: Sequence[LockedFile]) -> tuple[LockedSignature, ...]:
        """Verify the publishers' signatures of the files; only the signatures are downloaded."""
        from mealkit.pipeline.kit.publisher_signatures import verify_publishers

        folder, signers = self._kit.folder, self._kit.parts.signers
        with (
            self._progress.step("verifying the publishers' signatures of the weights"),
            open_supplies(kit, folder, self._kit.bounds, self._home, SILENT_TASK) as supplies,
        ):
            return verify_publishers(kit, folder, signers, files, supplies)

    def packages(
        self, requirements: Sequence[str], excludes: Sequence[str], target: PythonTarget
    ) -> tuple[LockedWheel, ...]:
        """Resolve Python packages to wheels."""
        from mealkit.sources.python_packages import resolve_packages

        title = f"resolving packages for {target.architecture}: {', '.join(requirements)}"
        with self._progress.step(title):
            return resolve_packages(
                requirements,
                target,
                excludes=excludes,
                wheels=self._kit.local_wheels,
                places=self._places(),
            )

    def _places(self) -> dict[str, str]:
        """Return the line of kit.yaml of each of the kit's own requirements."""
        lines = enumerate(self._kit.parts.kit.runtime.requirements)
        return {line: self._kit.where(("runtime", "requirements", index)) for index, line in lines}

    def dependents(
        self,
        names: Sequence[str],
        requirements: Sequence[str],
        packages: Sequence[LockedWheel],
        target: PythonTarget,
        *,
        excludes: Sequence[str],
    ) -> Mapping[str, tuple[str, ...]]:
        """Return which packages depend on those that were left out, and tell it."""
        from mealkit.sources.python_packages import dependents_of

        wheels = self._kit.local_wheels
        found = dependents_of(
            names, requirements, packages, target, excludes=excludes, wheels=wheels
        )
        left_out = [f"{name} (for {', '.join(found[name])})" for name in names if found[name]]
        self._progress.phase(f"left out by runtime.exclude: {', '.join(left_out) or 'nothing'}")
        return found

    def base(self, base: Base, python: str, architecture: str) -> LockedBase:
        """Resolve the base to the digests of its packages, or of its manifest."""
        if base.source == "image":
            title = f"resolving the base image {base.reference} for {architecture}"
            with self._progress.step(title):
                return locked_base(base, self._kit.folder, self._kit.bounds, architecture)
        from mealkit.sources.debian.known_packages import DebianMemory
        from mealkit.sources.debian.mirrors import debian_mirrors
        from mealkit.sources.debian.resolver import resolve_base

        title = f"resolving Debian {base.suite} with Python {python} for {architecture}"
        places = {python: self._kit.where(("runtime", "python")), **self._debian_places(base)}
        with self._progress.step(title):
            packages = resolve_base(
                base.suite,
                python,
                architecture,
                more=base.packages,
                allow_unsigned=base.allow_unsigned,
                mirrors=debian_mirrors(),
                cache=self._home.indexes,
                memory=DebianMemory(self._home.debian),
                places=places,
            )
        return LockedDebianBase(suite=base.suite, packages=packages)

    def _debian_places(self, base: DebianBase) -> dict[str, str]:
        named = enumerate(base.packages)
        place = ("runtime", "base", "packages")
        return {name: self._kit.where((*place, index)) for index, name in named}


@contextmanager
def _named(entry: str, line: str) -> Iterator[None]:
    """Give problems that the kit's author solves the name of their entry, and its line."""
    try:
        yield
    except MealkitError as error:
        raise failures([_on_line(item, entry, line) for item in error.problems]) from error


def _on_line(problem: Problem, entry: str, line: str) -> Problem:
    if problem.owner is not Owner.KIT_AUTHOR:
        return problem
    place = problem.where or ""
    known = place in problem.message or place == entry.partition(".")[0]
    message = problem.message if known else f"{problem.message}, in {place}"
    return replace(problem, message=f"{entry}: {message}", where=line)
