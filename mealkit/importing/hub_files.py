"""Selects the files of a repository that a kit needs: weights in one format, and their configs.

No I/O. Raises an error for pickles, and if a repository has several models and none is named.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from mealkit.engines.published_models import Description, PublishedModels
from mealkit.errors import failure
from mealkit.importing.proposal import LeftOut
from mealkit.importing.repository import Repository

INDEX = "model.safetensors.index.json"
# Files that engines read in addition to the weights, if they exist. config.json and
# generation_config.json state the end tokens, wherever an engine gets its sampling parameters.
_BESIDE = (
    "config.json",
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "vocab.txt",
    "merges.txt",
    "chat_template.jinja",
    "chat_template.json",
    "preprocessor_config.json",
)
# sentence-transformers' files, which engines read as well.
_SENTENCE = ("modules.json", "sentence_bert_config.json")
_PICKLES = frozenset({".bin", ".pt", ".pth", ".pkl", ".ckpt"})
_SPLIT = re.compile(r"-(?P<number>\d{5})-of-\d{5}(?=\.gguf$)")


def weights_of(repository: Repository) -> Mapping[str, Sequence[str]]:
    """Return the weights of a repository, by format; only the first file of a GGUF in parts."""
    names = sorted(repository.sizes_bytes)
    parts = [(name, _SPLIT.search(name)) for name in names if name.endswith(".gguf")]
    found = {
        "safetensors": _safetensors(repository, names),
        "gguf": [name for name, part in parts if part is None or int(part["number"]) == 1],
        "onnx": [name for name in names if name.endswith(".onnx")],
    }
    return {name: files for name, files in found.items() if files}


def chosen(
    repository: Repository,
    there: Sequence[str],
    engine: str,
    how: PublishedModels,
    file: str | None,
) -> Sequence[str]:
    """Return the weight files for an engine: all shards, or one of several models.

    ``there`` are the files in the engine's format.

    Raises:
        KitError: there are several models and none was named (``USAGE``).
        SourceError: there are no weights (``SOURCE_NOT_FOUND``), or only pickles
            (``WEIGHTS_PICKLE``).
    """
    if not there:
        raise _nothing(repository, engine)
    if how.weights == "safetensors":
        return there
    name = _one_of(repository, there, file or _described(repository, how.description))
    part = _SPLIT.search(name)
    if part is None:
        numbers = (f"{name}{ending}" for ending in how.data_endings)
        return [name, *(item for item in numbers if _has(repository, item))]
    stem, end = name[: part.start()], name[part.end() :]
    return [
        item
        for item in sorted(repository.sizes_bytes)
        if item.startswith(stem) and item.endswith(end) and _SPLIT.search(item)
    ]


def beside(repository: Repository, how: PublishedModels) -> Iterator[str]:
    """Yield the files that an engine reads in addition to the weights."""
    if not how.reads_configs:
        return
    description = how.description
    if description is not None:
        if not _has(repository, description.file):
            yield from (name for name in description.read_without if _has(repository, name))
            return
        yield description.file
    yield from (name for name in (INDEX, *_BESIDE, *_SENTENCE) if _has(repository, name))
    modules = repository.json("modules.json")
    for item in modules if isinstance(modules, list) else ():
        folder = item.get("path") if isinstance(item, dict) else None
        if isinstance(folder, str) and folder and _has(repository, f"{folder}/config.json"):
            yield f"{folder}/config.json"


def left_behind(repository: Repository, taken: Sequence[str]) -> Iterator[LeftOut]:
    """Yield the files that the kit does not use, kind by kind."""
    rest = [name for name in sorted(repository.sizes_bytes) if name not in set(taken)]
    kinds = [
        (_is_pickle, "they are pickles, which run code when loaded", "nothing: the kit needs none"),
        (
            _is_code,
            "a kit does not run a repository's code",
            "use an engine that supports the model",
        ),
        (
            _is_weight,
            "the kit uses the model in one format only",
            "name one after the repository",
        ),
        (
            lambda name: PurePosixPath(name).name == "tokenizer.model",
            "it is a sentencepiece file, whose format kits do not accept",
            "nothing, if tokenizer.json exists; else convert it",
        ),
    ]
    for is_kind, why, instead in kinds:
        names = [name for name in rest if is_kind(name)]
        if names:
            shown = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if names[3:] else "")
            yield LeftOut(shown, why, instead)


def _safetensors(repository: Repository, names: Sequence[str]) -> Sequence[str]:
    shards = repository.map(INDEX).get("weight_map")
    if isinstance(shards, dict):
        listed = sorted({str(name) for name in shards.values()})
        if all(name in repository.sizes_bytes for name in listed):
            return listed
    top = [name for name in names if name.endswith(".safetensors") and "/" not in name]
    # Some repositories contain the whole model twice, under two sets of names.
    return [name for name in top if name.startswith("model")] or [
        name for name in top if not name.startswith("adapter")
    ]


def _described(repository: Repository, description: Description | None) -> str | None:
    """Return the file that describes the model for the engine, if there is one."""
    if description is None:
        return None
    found: Any = repository.map(description.file)
    for name in description.main_file:
        found = found.get(name) if isinstance(found, dict) else None
    return found if isinstance(found, str) else None


def _one_of(repository: Repository, there: Sequence[str], file: str | None) -> str:
    if file is None and len(there) == 1:
        return there[0]
    if file is not None and file in there:
        return file
    listed = ", ".join(f"{name} ({_size(repository.sizes_bytes[name])})" for name in there[:12])
    message = f"{file} does not exist" if file else f"there are {len(there)} models"
    hint = f"name one: --from hub {repository.repo}/FILE; the files are {listed}"
    raise failure("USAGE", f"{repository.repo}: {message}", hint=hint)


def _nothing(repository: Repository, engine: str) -> Exception:
    pickles = [name for name in sorted(repository.sizes_bytes) if _is_pickle(name)]
    if pickles:
        message = f"its only weights are pickles, which run code when loaded: {pickles[0]}"
        hint = "use a repository with safetensors, or convert them"
        return failure("WEIGHTS_PICKLE", message, where=repository.repo, hint=hint)
    message = f"it has no weights that the engine {engine} supports"
    hint = "choose another with --engine, or another repository"
    return failure("SOURCE_NOT_FOUND", message, where=repository.repo, hint=hint)


def _has(repository: Repository, name: str) -> bool:
    return name in repository.sizes_bytes


def _is_pickle(name: str) -> bool:
    return PurePosixPath(name).suffix in _PICKLES


def _is_code(name: str) -> bool:
    return name.endswith(".py")


def _is_weight(name: str) -> bool:
    return PurePosixPath(name).suffix in {".safetensors", ".gguf", ".onnx", ".h5", ".msgpack"}


def _size(size_bytes: int) -> str:
    return f"{size_bytes / 1024**3:.1f} GiB" if size_bytes >= 2**30 else f"{size_bytes >> 20} MiB"
