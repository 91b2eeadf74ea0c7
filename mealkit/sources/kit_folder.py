"""Weights in a folder on this machine: hashed where they are, and never copied.

Raises an error for files outside the kit's bounds, also through links, and for files that look like
secrets.
"""

import posixpath
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from itertools import islice
from pathlib import Path

from mealkit.digest import Digest
from mealkit.errors import KitError, MealkitError, Problem, failure, failures, problem
from mealkit.kit.bounds import Bounds, OutsideError
from mealkit.kit.confidential import MAX_SCANNED_BYTES, secret_name, secret_problem, secrets_in
from mealkit.kit.files import source_folder
from mealkit.kit.search import Search, TooManyError, has_wildcard, link_in_text
from mealkit.recipe.origins import FolderOrigin
from mealkit.recipe.weight_places import FolderPlace
from mealkit.sources.ranges import FileRanges, RangeReader
from mealkit.sources.source import PinnedFile, Supplies, matches, require_digest
from mealkit.untrusted import UntrustedError, read_file

# The maximum number of files that are open at once for hashing.
_HELD = 128


class FolderReader:
    """A folder, by its path relative to the kit's folder."""

    def __init__(self, place: FolderPlace, kit_folder: Path, supplies: Supplies) -> None:
        self._path = place.path
        self._kit_folder = kit_folder
        self._bounds = Bounds.of(kit_folder, supplies.allowed)
        self._supplies = supplies
        self._known: Path | None = None

    def pin(self, patterns: Sequence[str], asserted: Mapping[str, Digest]) -> list[PinnedFile]:
        """Hash the matching files."""
        names, missing = self._selected(patterns)
        if missing:
            raise failures(missing)
        pinned = self._pinned(names)
        for file in pinned:
            require_digest(file.name, asserted.get(file.name), file.digest, self._at(file.name))
        return pinned

    def present(self, patterns: Sequence[str]) -> list[PinnedFile]:
        """Hash the matching files that exist."""
        return self._pinned(self._selected(patterns)[0])

    def readable(self, patterns: Sequence[str]) -> tuple[dict[str, RangeReader], list[Problem]]:
        """Return readers of the matching files, unhashed, and a problem for every missing one."""
        names, problems = self._selected(patterns)
        found: dict[str, RangeReader] = {}
        for name in names:
            try:
                with self._held(name) as held:
                    found[name] = FileRanges(held.readlink())
            except MealkitError as error:
                problems += error.problems
        return found, problems

    def origin(self, name: str) -> FolderOrigin:
        """Return the file's path in the folder, since a lock contains no local paths."""
        return FolderOrigin(file=name)

    def fetch(self, name: str, expected: Digest, size_bytes: int) -> Path:  # noqa: ARG002  of every reader
        """Return the file itself, after its bytes were verified."""
        ((digest, path),) = self._hashed([name])
        require_digest(name, expected, digest, self._at(name))
        return path

    def notices(self) -> list[Problem]:
        """Return no problems: nothing is known about a folder."""
        return []

    def close(self) -> None:
        """Do nothing: there is nothing to close."""

    @property
    def _folder(self) -> Path:
        """The folder, after a check that it is within the bounds."""
        if self._known is None:
            try:
                folder = source_folder(self._kit_folder, self._path)
                self._known = self._bounds.resolve(folder)
            except OutsideError as error:
                outside = error.as_problem(self._path, self._supplies.field, is_folder=True)
                raise KitError(outside) from error
            except (OSError, ValueError) as error:
                message = f"the folder cannot be followed: {error}"
                raise failure("SOURCE_NOT_FOUND", message, where=self._path) from error
        return self._known

    def _at(self, name: str) -> str:
        return str(self._folder / name)

    def _pinned(self, names: Sequence[str]) -> list[PinnedFile]:
        pinned = []
        for name, (digest, path) in zip(names, self._hashed(names), strict=True):
            ranges = FileRanges(path)
            pinned.append(PinnedFile(name, digest, ranges.size_bytes, ranges))
        return pinned

    def _selected(self, patterns: Sequence[str]) -> tuple[list[str], list[Problem]]:
        """Return the matching files, and a problem for every name or pattern without a file."""
        folder = self._folder
        if not folder.is_dir():
            where = str(folder)
            return [], [problem("SOURCE_NOT_FOUND", "the folder does not exist", where=where)]
        meant = {name for name in patterns if self._is_file(name)}
        left = [name for name in patterns if name not in meant]
        missing: list[Problem] = []
        if any(map(has_wildcard, left)):
            search = Search(folder, self._bounds)
            try:
                there = list(search.files())
            except (OSError, TooManyError) as error:
                message = f"the folder cannot be listed: {error}"
                raise failure("SOURCE_NOT_FOUND", message, where=str(folder)) from error
            for pattern in [item for item in left if has_wildcard(item)]:
                found = {name for name in there if matches(name, [pattern])}
                if not found:
                    missing.append(self._missing(pattern, search.outside))
                meant |= found
        missing += [self._missing(name, {}) for name in left if not has_wildcard(name)]
        return sorted(meant), missing

    def _is_file(self, name: str) -> bool:
        try:
            return (self._folder / name).is_file()
        except (OSError, ValueError):
            return False

    def _missing(self, name: str, outside: Mapping[str, Path]) -> Problem:
        links = ", ".join(f"{link} -> {target}" for link, target in islice(outside.items(), 3))
        note = f"; links out of the folder are not followed: {links}" if links else ""
        path = self._folder / name
        what = "is not a regular file" if path.exists() and not has_wildcard(name) else ""
        above = path if has_wildcard(name) else next(filter(Path.is_file, path.parents), path)
        if target := link_in_text(above):
            note = f"; {above.name} is a link to {target} that Git wrote as text (core.symlinks)"
        hint = None
        if path.is_dir():
            what, hint = "is a folder", f"name the files in it: {name}/*"
        message = f"{name} {what}" if what else f"there is no {name}{note}"
        return problem("SOURCE_NOT_FOUND", message, where=str(self._folder), hint=hint)

    def _hashed(self, names: Sequence[str]) -> Iterator[tuple[Digest, Path]]:
        """Yield the digest of each file and its real path."""
        for start in range(0, len(names), _HELD):
            batch = names[start : start + _HELD]
            with ExitStack() as stack:
                held = [stack.enter_context(self._held(name)) for name in batch]
                digests = self._digests(held)
                yield from zip(digests, [path.readlink() for path in held], strict=True)

    def _digests(self, paths: Sequence[Path]) -> list[Digest]:
        try:
            return self._supplies.hash_files(paths)
        except OSError as error:
            raise failure(
                "SOURCE_CHANGED",
                f"cannot be read: {error.strerror}",
                where=str(error.filename or self._folder),
            ) from error

    @contextmanager
    def _held(self, name: str) -> Iterator[Path]:
        """Open a file that the kit may use."""
        path = self._folder / name
        with ExitStack() as stack:
            try:
                place = stack.enter_context(self._bounds.opened(path))
                self._require_open(name, place)
            except OutsideError as error:
                raise KitError(error.as_problem(name, self._supplies.field)) from error
            except UntrustedError as error:
                raise failure("SOURCE_NOT_FOUND", f"{name}: {error}", where=str(path)) from error
            except (FileNotFoundError, NotADirectoryError) as error:
                message = f"there is no {name}"
                raise failure("SOURCE_NOT_FOUND", message, where=str(self._folder)) from error
            except (OSError, ValueError) as error:
                message = f"{name} cannot be read: {error}"
                raise failure("SOURCE_CHANGED", message, where=str(path)) from error
            yield place

    def _require_open(self, name: str, place: Path) -> None:
        """Raise if a file looks like a secret, unless the kit allows it to be public."""
        known = posixpath.normpath(posixpath.join(self._path, name))
        if known in self._supplies.allow_secrets:
            return
        # A link may give a secret a harmless name.
        what = secret_name(known) or secret_name(place.readlink().name)
        if what is None and place.stat().st_size <= MAX_SCANNED_BYTES:
            text = read_file(place, MAX_SCANNED_BYTES).decode(errors="replace")
            if sight := next(secrets_in(text, name), None):
                what = f"{sight.what} (its line {sight.line})"
        if what:
            raise KitError(secret_problem(known, what, self._supplies.field))
