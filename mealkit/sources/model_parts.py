"""Checks that a model in several files is complete: GGUF parts, and shards of safetensors.

Raises KitError if the kit names only some of them: an engine could not load the rest, and an
estimate would count only these.
"""

import posixpath
import re
from collections.abc import Mapping

from mealkit.errors import MealkitError, failure
from mealkit.sources.gguf import GgufHeader
from mealkit.sources.ranges import RangeReader
from mealkit.untrusted import UntrustedError, parse_json_object, shown

_HINT = "name all files of the model in model.weights"
_PART = re.compile(r"-\d{5}-of-\d{5}(?=\.gguf$)")
_INDEX = "model.safetensors.index.json"
# The largest models list some 100,000 tensors.
_MAX_INDEX_BYTES = 64 * 1024 * 1024
_MAX_INDEX_VALUES = 4_000_000


def require_all_parts(headers: Mapping[str, GgufHeader]) -> None:
    """Check that all parts of each GGUF are there; ``headers`` are those of all files, by path.

    Raises:
        KitError: ``KIT_INVALID``, with the file and the number of its parts.
    """
    numbers: dict[tuple[str, int], set[object]] = {}
    first: dict[tuple[str, int], str] = {}
    for path in sorted(headers):
        count = headers[path].metadata.get("split.count")
        if type(count) is int and count > 1:
            model = _PART.sub("", path), count
            first.setdefault(model, path)
            numbers.setdefault(model, set()).add(headers[path].metadata.get("split.no"))
    for model, found in numbers.items():
        if len(found) < model[1]:
            raise _incomplete(first[model], model[1], len(found))


def require_all_shards(files: Mapping[str, RangeReader]) -> None:
    """Check that all files of each safetensors index are there; ``files`` are by path.

    Raises:
        KitError: ``KIT_INVALID``, with the missing file.
        SourceError: ``WEIGHTS_DAMAGED``, an index is not a JSON object.
    """
    if not any(path.endswith(".safetensors") for path in files):
        return  # engines of other formats do not read the index
    for path, ranges in files.items():
        if posixpath.basename(path) != _INDEX:
            continue
        folder = posixpath.dirname(path)
        for name in sorted(_shards(path, ranges)):
            if posixpath.join(folder, name) not in files:
                message = f"{path} lists {shown(name)}, which is not named"
                raise failure("KIT_INVALID", message, where=path, hint=_HINT)


def _shards(path: str, ranges: RangeReader) -> set[str]:
    if ranges.size_bytes > _MAX_INDEX_BYTES:
        message = f"{path} is larger than {_MAX_INDEX_BYTES} bytes"
        raise failure("WEIGHTS_DAMAGED", message, where=path)
    try:
        index = parse_json_object(
            ranges.read(0, _MAX_INDEX_BYTES), max_values=_MAX_INDEX_VALUES, as_python=True
        )
    except UntrustedError as error:
        raise failure("WEIGHTS_DAMAGED", f"{path} cannot be read: {error}", where=path) from error
    listed = index.get("weight_map")
    names = listed.values() if isinstance(listed, dict) else ()
    return {name for name in names if isinstance(name, str)}


def _incomplete(path: str, count: int, found: int) -> MealkitError:
    message = f"{path} is one of {count} parts of a model, and only {found} of them are named"
    return failure("KIT_INVALID", message, where=path, hint=_HINT)
