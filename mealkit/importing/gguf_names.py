"""Reads names of GGUF files, and what their metadata says about their purpose.

No I/O. llama.cpp writes a model in parts as NAME-00001-of-00003.gguf, and publishers put the
quantisation into the name: NAME-Q4_K_M.gguf.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

# The architectures whose models generate no text, by llama.cpp's names.
_ENCODERS = frozenset(
    {
        *("bert", "nomic-bert", "nomic-bert-moe", "jina-bert-v2", "jina-bert-v3", "modern-bert"),
        *("neo-bert", "eurobert", "t5encoder", "gemma-embedding"),
    }
)
# Architectures of GGUFs that llama.cpp does not run as a decoder of text: tools for pictures, video
# and sound write GGUFs, too.
_OTHER_ARCHITECTURES = {
    **dict.fromkeys(
        (
            *("aura", "chroma", "cosmos", "flux", "hidream", "hyvid", "ltxv", "lumina2", "pig"),
            *("qwen_image", "sd1", "sd3", "sdxl", "wan", "wavtokenizer-dec", "whisper", "z_image"),
        ),
        "a model of pictures or sound",
    ),
    "controlvector": "a control vector for another model",
    "t5": "a model with an encoder and a decoder",
}
_OTHER_TYPES = {
    "adapter": "an adapter for another model",
    "imatrix": "the statistics by which a model was quantised",
}
_PART = re.compile(r"-(?P<number>\d{5})-of-(?P<count>\d{5})(?=\.gguf$)")
_MOST_PARTS = 10_000
PROJECTOR_WORDS = (
    "it reads pictures or sound for the model, which kits do not support",
    "nothing, if callers send text only",
)
"""Why a projector is left out, and what to do."""
# The file of a model that reads pictures or sound, for a model of text: llama.cpp's tools/mtmd.
_PROJECTOR = re.compile(r"(^|[^a-z])mmproj", re.IGNORECASE)
# The statistics that publishers of quantised models add: llama.cpp's tools/imatrix.
_STATISTICS = re.compile(r"(^|[^a-z])imatrix", re.IGNORECASE)


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


def is_statistics_name(name: str) -> bool:
    """Return whether a file is named like the statistics by which a model was quantised."""
    return name.endswith(".gguf") and _STATISTICS.search(PurePosixPath(name).name) is not None


def other_kind(metadata: Mapping[str, Any]) -> str | None:
    """Return what a GGUF is if it is not a model of text that engines here run; else None."""
    kind, architecture = metadata.get("general.type"), metadata.get("general.architecture")
    found = _OTHER_TYPES.get(kind) if isinstance(kind, str) else None
    return found or _OTHER_ARCHITECTURES.get(str(architecture))


def is_encoder(metadata: Mapping[str, Any]) -> bool:
    """Return whether a GGUF computes vectors or scores, and generates no text.

    Decoders that were trained for vectors state how they pool; 0 is llama.cpp's "none".
    """
    architecture = metadata.get("general.architecture")
    pools = metadata.get(f"{architecture}.pooling_type") not in (None, 0)
    return architecture in _ENCODERS or pools


def of_quantisation(names: Sequence[str], quantisation: str) -> list[str]:
    """Return the files of a quantisation, which is a whole word of the name, in any case."""
    word = re.compile(
        rf"(^|[^A-Za-z0-9]){re.escape(quantisation)}(?=$|[^A-Za-z0-9_])", re.IGNORECASE
    )
    return [name for name in names if word.search(_PART.sub("", name).removesuffix(".gguf"))]
