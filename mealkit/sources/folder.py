"""Weights in a folder on this machine: hashed where they are, and never copied."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from mealkit.digest import Digest
from mealkit.errors import Problem, failure
from mealkit.kit.model import FolderPlace
from mealkit.lock.origins import FolderOrigin
from mealkit.sources.download import Advance
from mealkit.sources.place import PinnedFile, Supplies, require_digest, select
from mealkit.sources.ranges import FileRanges


class FolderReader:
    """A folder, by its path in the kit, relative to the kit's own."""

    def __init__(self, place: FolderPlace, kit_folder: Path, supplies: Supplies) -> None:
        self._folder = kit_folder / Path(place.path).expanduser()
        self._supplies = supplies

    def pin(
        self, patterns: Sequence[str], asserted: Mapping[str, Digest], advance: Advance
    ) -> list[PinnedFile]:
        """Hash the files that are meant."""
        names = select(self._names(), patterns, str(self._folder))
        pinned = []
        for name, digest in zip(names, self._hash(names), strict=True):
            require_digest(name, asserted.get(name), digest, str(self._folder / name))
            ranges = FileRanges(self._folder / name)
            advance(ranges.size_bytes)
            pinned.append(PinnedFile(name, digest, ranges.size_bytes, ranges))
        return pinned

    def origin(self, name: str) -> FolderOrigin:
        """Return the file's path in the folder, not the folder's: a lock holds no local paths."""
        return FolderOrigin(file=name)

    def fetch(self, name: str, expected: Digest, size_bytes: int, advance: Advance) -> Path:
        """Return the file itself, once its bytes were found to be the expected ones."""
        path = self._folder / name
        if not path.is_file():
            raise failure("SOURCE_NOT_FOUND", f"there is no {name}", where=str(self._folder))
        require_digest(name, expected, self._hash([name])[0], str(path))
        advance(size_bytes)
        return path.resolve()

    def notices(self) -> list[Problem]:
        """Return nothing: a folder is what it is."""
        return []

    def close(self) -> None:
        """Do nothing: nothing was made."""

    def _names(self) -> list[str]:
        if not self._folder.is_dir():
            raise failure("SOURCE_NOT_FOUND", "there is no such folder", where=str(self._folder))
        return [
            path.relative_to(self._folder).as_posix()
            for path in self._folder.rglob("*")
            if path.is_file()
        ]

    def _hash(self, names: Sequence[str]) -> list[Digest]:
        paths = [self._folder / name for name in names]
        try:
            return self._supplies.hash_files(paths)
        except OSError as error:
            raise failure(
                "SOURCE_CHANGED",
                f"cannot be read: {error.strerror}",
                where=str(error.filename or self._folder),
            ) from error
