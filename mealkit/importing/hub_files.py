"""Selects the files of a repository that a kit needs: weights in one format, and their configs.

No I/O. Raises an error for pickles, and if a repository has several models and none is named.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from mealkit.engines.published_models import Description, PublishedModels, TokenizerFiles
from mealkit.errors import MealkitError, failure
from mealkit.importing.gguf_names import (
    PROJECTOR_WORDS,
    is_projector_name,
    is_statistics_name,
    of_quantisation,
    part_of_name,
)
from mealkit.importing.proposal import LeftOut
from mealkit.importing.published_results import RESULTS_FOLDER
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
_SHARD = re.compile(r"(?P<stem>.+)-\d{5}-of-(?P<count>\d{5})\.safetensors")
_WHOLE = "model.safetensors"
# Files that importers read, and that describe a repository: a kit without them loses nothing.
_READ = frozenset(
    {*(INDEX, "README.md", "config_sentence_transformers.json", "adapter_config.json")}
)
_DESCRIBING = re.compile(
    r"(.*/)?(\.gitattributes|\.gitignore|(README|LICEN[CS]E|NOTICE|USE_POLICY)[^/]*"
    r"|[^/]+\.(md|png|jpe?g|gif|svg|webp|pdf))",
    re.IGNORECASE,
)
# Forms of tokenizers that engines read only with other code.
_TOKENIZERS = frozenset(
    {
        *("qwen.tiktoken", "sentencepiece.bpe.model", "source.spm", "spiece.model", "spm.model"),
        *("target.spm", "tekken.json", "tiktoken.model", "tokenizer.model", "tokenizer.model.v3"),
    }
)
# Where older tools describe quantised weights.
_QUANTISED = frozenset({"quant_config.json", "quantize_config.json", "hf_quant_config.json"})
_FORMATS = {"safetensors": "safetensors", "gguf": "GGUF", "onnx": "ONNX"}
_OTHER_REPOSITORY = "use another repository of the model"


def weights_of(repository: Repository) -> Mapping[str, Sequence[str]]:
    """Return the weights of a repository, by format; only the first file of a GGUF in parts."""
    names = sorted(repository.sizes_bytes)
    found = {
        "safetensors": _safetensors(repository, names),
        "gguf": models_in_gguf(names),
        "onnx": [name for name in names if name.endswith(".onnx")],
    }
    return {name: files for name, files in found.items() if files}


def models_in_gguf(names: Iterable[str]) -> list[str]:
    """Return one name for each model in GGUF: the first of its parts.

    Projectors and statistics are not models.
    """
    others = (is_projector_name, is_statistics_name)
    there = [name for name in names if name.endswith(".gguf")]
    models = sorted(name for name in there if not any(is_other(name) for is_other in others))
    parts = [(name, part_of_name(name)) for name in models]
    return [name for name, part in parts if part is None or part.number == 1]


def file_of_quantisation(repo: str, sizes_bytes: Mapping[str, int], quantisation: str) -> str:
    """Return the GGUF of a quantisation, such as ``Q4_K_M``.

    Raises:
        KitError: there is none, or there are several (``USAGE``).
    """
    there = models_in_gguf(sizes_bytes)
    found = of_quantisation(there, quantisation)
    if len(found) == 1:
        return found[0]
    message = f"{len(found) or 'no'} GGUFs have {quantisation} in their name"
    raise _name_one(repo, sizes_bytes, there, message)


def require_file(repository: Repository, file: str | None) -> None:
    """Check that a file that the user named exists, and can be a model.

    Raises:
        KitError: it does not, or cannot (``USAGE``).
    """
    if file is None:
        return
    if is_projector_name(file):
        message = f"{file} is not a model: it reads pictures or sound for one"
        models = models_in_gguf(repository.sizes_bytes)
        raise _name_one(repository.repo, repository.sizes_bytes, models, message)
    if not _has(repository, file):
        there = [name for files in weights_of(repository).values() for name in files]
        message = f"{file} does not exist"
        raise _name_one(repository.repo, repository.sizes_bytes, there, message)


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
        KitError: there are several models and none was named, or the engine does not choose by
            a file's name (``USAGE``); it does not read the weights' names (``KIT_INVALID``).
        SourceError: there are no weights (``SOURCE_NOT_FOUND``), or only pickles
            (``WEIGHTS_PICKLE``).
    """
    if not there:
        raise _nothing(repository, engine, how)
    if how.weights == "safetensors":
        _require_one_model(repository, there, engine, how, file)
        return there
    part = part_of_name(file) if file else None
    named = part.names[0] if part else file
    name = _one_of(repository, there, named or _described(repository, how.description))
    part = part_of_name(name)
    if part is None:
        numbers = (f"{name}{ending}" for ending in how.data_endings)
        return [name, *(item for item in numbers if _has(repository, item))]
    missing = next((item for item in part.names if not _has(repository, item)), None)
    if missing is not None:
        message = f"it has {name}, but not {missing}, which is a part of the same model"
        raise failure("SOURCE_NOT_FOUND", message, where=repository.repo, hint=_OTHER_REPOSITORY)
    return part.names


def tokenizer_of(repository: Repository, how: PublishedModels) -> TokenizerFiles | None:
    """Return the first form of a tokenizer that the engine reads; None if there is none."""
    return next(
        (form for form in how.tokenizers if all(_has(repository, name) for name in form.files)),
        None,
    )


def missing_tokenizer(repository: Repository, engine: str, how: PublishedModels) -> LeftOut | None:
    """Return what to do about a tokenizer that the engine does not read; None if it reads it."""
    if not how.tokenizers or tokenizer_of(repository, how) is not None:
        return None
    there = [name for name in sorted(repository.sizes_bytes) if name in _TOKENIZERS]
    has = f"the repository has {', '.join(there)}" if there else "the repository has none"
    return LeftOut(
        "the tokenizer",
        f"{engine} reads {how.tokenizers[0].files[0]}, and {has}: the kit cannot start without it",
        "convert it with transformers (AutoTokenizer, save_pretrained), and name the result in"
        " model.weights",
    )


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
    form = tokenizer_of(repository, how)
    # An index whose files are not there is of another model.
    index = (INDEX,) if _indexed(repository) else ()
    taken = dict.fromkeys((*index, *_BESIDE, *_SENTENCE, *(form.files if form else ())))
    yield from (name for name in taken if _has(repository, name))
    modules = repository.json("modules.json")
    for item in modules if isinstance(modules, list) else ():
        folder = item.get("path") if isinstance(item, dict) else None
        if isinstance(folder, str) and folder and _has(repository, f"{folder}/config.json"):
            yield f"{folder}/config.json"


def left_behind(repository: Repository, taken: Sequence[str]) -> Iterator[LeftOut]:
    """Yield the files that the kit does not use, kind by kind."""
    rest = [name for name in sorted(repository.sizes_bytes) if name not in set(taken)]
    kinds: list[tuple[Callable[[str], bool], str, str]] = [
        (is_projector_name, *PROJECTOR_WORDS),
        (is_statistics_name, "it says how a model was quantised", "nothing: the kit needs none"),
        (
            lambda name: name in _QUANTISED,
            "it says how the weights are quantised, which engines read in config.json only",
            "nothing, if config.json has quantization_config; else use another repository",
        ),
        (_is_pickle, "they are pickles, which run code when loaded", "nothing: the kit needs none"),
        (
            _is_code,
            "a kit does not run a repository's code",
            "use an engine that supports the model",
        ),
        (
            _is_weight,
            "the kit has the model once, in one format",
            "nothing; for another GGUF or graph, name it after the repository",
        ),
        (
            lambda name: PurePosixPath(name).name in _TOKENIZERS,
            "it is a tokenizer in a form that the kit does not use",
            "nothing, if the kit has tokenizer.json; else convert it",
        ),
        (
            lambda name: not _is_needless(name),
            "engines here do not read it",
            "check whether the model's answers depend on it",
        ),
    ]
    for is_kind, why, instead in kinds:
        names = [name for name in rest if is_kind(name)]
        rest = [name for name in rest if name not in set(names)]
        if names:
            shown = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if names[3:] else "")
            yield LeftOut(shown, why, instead)


def _indexed(repository: Repository) -> Sequence[str]:
    """Return the files in the index of the safetensors; none if one of them does not exist."""
    listed = repository.map(INDEX).get("weight_map")
    names = sorted({str(name) for name in listed.values()}) if isinstance(listed, dict) else []
    return names if all(_has(repository, name) for name in names) else []


def _safetensors(repository: Repository, names: Sequence[str]) -> Sequence[str]:
    if indexed := _indexed(repository):
        return indexed
    top = [
        name
        for name in names
        if name.endswith(".safetensors") and "/" not in name and not name.startswith("adapter")
    ]
    # Some repositories contain the whole model twice, under two sets of names.
    if _WHOLE in top:
        return [_WHOLE]
    shards = [name for name in top if _SHARD.fullmatch(name)]
    return [name for name in shards if name.startswith("model-")] or shards or top


def _require_one_model(
    repository: Repository,
    there: Sequence[str],
    engine: str,
    how: PublishedModels,
    file: str | None,
) -> None:
    """Check that the safetensors are one model, under names that the engine reads."""
    if file is not None:
        message = f"{engine} reads all safetensors of a model, and does not choose by {file}"
        hint = f"leave the file out: --from hub {repository.repo}"
        raise failure("USAGE", f"{repository.repo}: {message}", hint=hint)
    is_whole = list(there) == [_WHOLE] or bool(_indexed(repository))
    missing = None if is_whole else _missing_shard(repository, there)
    if missing is not None:
        message = f"it has {there[0]}, but not {missing}, which is a part of the same model"
        raise failure("SOURCE_NOT_FOUND", message, where=repository.repo, hint=_OTHER_REPOSITORY)
    if how.whole_name is not None and not is_whole:
        message = f"{engine} reads {how.whole_name}, and the repository has {there[0]}"
        hint = (
            "choose another engine with --engine, or put the files into a folder as it reads them"
        )
        raise failure("KIT_INVALID", message, where=repository.repo, hint=hint)
    models = {match["stem"] if (match := _SHARD.fullmatch(name)) else name for name in there}
    if not is_whole and len(models) > 1:
        message = f"it has several models, which {engine} would load as one: {', '.join(there[:3])}"
        raise failure("KIT_INVALID", message, where=repository.repo, hint=_OTHER_REPOSITORY)


def _missing_shard(repository: Repository, there: Sequence[str]) -> str | None:
    """Return the first part that the names of the others state, and that does not exist."""
    matches = filter(None, map(_SHARD.fullmatch, there))
    for (stem, count), number in sorted(Counter(match.group(1, 2) for match in matches).items()):
        if number < int(count):
            every = (f"{stem}-{item:05}-of-{count}.safetensors" for item in range(1, number + 2))
            return next(name for name in every if not _has(repository, name))
    return None


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
    message = f"{file} does not exist" if file else f"there are {len(there)} models"
    raise _name_one(repository.repo, repository.sizes_bytes, there, message)


def _name_one(
    repo: str, sizes_bytes: Mapping[str, int], there: Sequence[str], message: str
) -> MealkitError:
    listed = ", ".join(f"{name} ({_size(sizes_bytes[name])})" for name in there[:12])
    hint = f"name one: --from hub {repo}/FILE; the files are {listed}"
    alone = f"leave file and quantisation out: --from hub {repo}"
    return failure("USAGE", f"{repo}: {message}", hint=hint if there else alone)


def _nothing(repository: Repository, engine: str, how: PublishedModels) -> Exception:
    others = [_FORMATS[name] for name in weights_of(repository)]
    if others:
        wanted = _FORMATS[how.weights]
        message = f"it has no {wanted}, which {engine} reads, but {' and '.join(others)}"
        hint = "choose another engine with --engine, or another repository"
        return failure("SOURCE_NOT_FOUND", message, where=repository.repo, hint=hint)
    pickles = [name for name in sorted(repository.sizes_bytes) if _is_pickle(name)]
    if pickles:
        message = f"its only weights are pickles, which run code when loaded: {pickles[0]}"
        hint = "use a repository with safetensors, or convert them"
        return failure("WEIGHTS_PICKLE", message, where=repository.repo, hint=hint)
    message = f"it has no weights that the engine {engine} supports"
    return failure("SOURCE_NOT_FOUND", message, where=repository.repo, hint=_OTHER_REPOSITORY)


def _has(repository: Repository, name: str) -> bool:
    return name in repository.sizes_bytes


def _is_pickle(name: str) -> bool:
    # OpenVINO's weights have the same ending, and are plain numbers.
    return PurePosixPath(name).suffix in _PICKLES and "openvino" not in name.lower()


def _is_code(name: str) -> bool:
    return name.endswith(".py")


def _is_weight(name: str) -> bool:
    return PurePosixPath(name).suffix in {".safetensors", ".gguf", ".onnx", ".h5", ".msgpack"}


def _is_needless(name: str) -> bool:
    """Return whether a kit without this file loses nothing."""
    known = name in _READ or name in _BESIDE or name in _SENTENCE
    known = known or name.startswith(RESULTS_FOLDER)
    return known or name.endswith("/config.json") or _DESCRIBING.fullmatch(name) is not None


def _size(size_bytes: int) -> str:
    return f"{size_bytes / 1024**3:.1f} GiB" if size_bytes >= 2**30 else f"{size_bytes >> 20} MiB"
