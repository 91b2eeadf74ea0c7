"""The part of a layer that came from one wheel, as a value: at which offsets its files are.

Raises ValueError for a record that is not complete and unchanged.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from mealkit.digest import Digest, canonical_json


@dataclass(frozen=True, slots=True)
class PieceCode:
    """The bytecode of a module in a layer: its digest, its size, and its offset."""

    digest: Digest
    size_bytes: int
    offset: int


@dataclass(frozen=True, slots=True)
class WheelPiece:
    """A wheel's part of a layer: offsets by path in the image, and bytecode by the module's path.

    The bytecode is None for a module that does not compile. ``blob`` is the layer.
    """

    blob: Digest
    files: Mapping[str, int]
    code: Mapping[str, PieceCode | None]

    def as_json(self, key: str) -> dict[str, Any]:
        """Return the JSON form of the record with a key; it contains a digest of itself."""
        form = {
            "key": key,
            "layer": self.blob,
            "files": dict(self.files),
            "code": {
                path: None if code is None else [code.digest, code.size_bytes, code.offset]
                for path, code in self.code.items()
            },
        }
        return {**form, "record": Digest.of(canonical_json(form))}

    @classmethod
    def from_json(cls, form: Mapping[str, Any], key: str | None) -> Self:
        """Read the JSON form; without ``key``, a record with any key.

        Raises:
            ValueError: it is the record of another key, or not what was written.
        """
        bare = {name: value for name, value in form.items() if name != "record"}
        if form.get("record") != Digest.of(canonical_json(bare)):
            raise ValueError("the record is damaged")
        if key is not None and form.get("key") != key:
            raise ValueError("the record is that of another wheel")
        try:
            code = {
                str(path): None if item is None else PieceCode(Digest(item[0]), *map(int, item[1:]))
                for path, item in form["code"].items()
            }
            files = {str(path): int(offset) for path, offset in form["files"].items()}
            return cls(Digest(form["layer"]), files, code)
        except (KeyError, TypeError, IndexError, AttributeError) as error:
            raise ValueError("the record has another form") from error
