"""Reads names of GGUF files, and what their metadata says about their purpose.

No I/O. llama.cpp writes a model in parts as NAME-00001-of-00003.gguf, and publishers put the
quantisation into the name: NAME-Q4_K_M.gguf.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

GGUF_ENCODERS = frozenset(
    {
        *("bert", "nomic-bert", "nomic-bert-moe", "jina-bert-v2", "jina-bert-v3", "modern-bert"),
        *("neo-bert", "eurobert", "t5encoder", "gemma-embedding"),
    }
)
"""The architectures whose models generate no text, by llama.cpp's names."""
_PART = re.compile(r"-(?P<number>\d{5})-of-(?P<count>\d{5})(?=\.gguf$)")
_MOST_PARTS = 10_000
# The file of a model that reads pictures or sound, for a model of text: llama.cpp's tools/mtmd.
_PROJECTOR = re.compile(r"(^|[^a-z])mmproj", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Part:
    """A file's place among the files of one model."""

    number: int
    names: Sequence[str]
    """The names of all parts, in their order."""


def part_of_name(name: str) -> Part | None:
    """Return which part of a model a file is; None if its name is not one of a part."""
    match = _PART.search(name)
    count = int(match["count"]) if match else 0
    if match is None or not 0 < int(match["number"]) <= count <= _MOST_PARTS:
        return None
    stem, end = name[: match.start()], name[match.end() :]
    names = [f"{stem}-{number:05}-of-{count:05}{end}" for number in range(1, count + 1)]
    return Part(int(match["number"]), names)


def is_projector_name(name: str) -> bool:
    """Return whether a file is named like the part of a model that reads pictures or sound."""
    return name.endswith(".gguf") and _PROJECTOR.search(PurePosixPath(name).name) is not None


def is_projector(metadata: Mapping[str, Any]) -> bool:
    """Return whether a GGUF is the part of a model that reads pictures or sound."""
    kind = metadata.get("general.type")
    return metadata.get("general.architecture") == "clip" or kind in {"mmproj", "projector"}


def of_quantisation(names: Sequence[str], quantisation: str) -> list[str]:
    """Return the files of a quantisation, which is a whole word of the name, in any case."""
    word = re.compile(
        rf"(^|[^A-Za-z0-9]){re.escape(quantisation)}(?=$|[^A-Za-z0-9_])", re.IGNORECASE
    )
    return [name for name in names if word.search(_PART.sub("", name).removesuffix(".gguf"))]
