"""Packs a kit's weights as a CNCF ModelPack artifact: one raw layer for each file.

Values in, values out: two packs of one lock are the same bytes. Prompts, hyperparameters and code
have no type in the specification; they lie below ``mealkit/``, each with an annotation.
"""

import re
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

from mealkit.digest import canonical_json
from mealkit.errors import failure
from mealkit.names import clash
from mealkit.oci.artifact import Artifact, Attachment, artifact_of
from mealkit.oci.descriptor import Descriptor
from mealkit.oci.image import Blob, BytesBlob
from mealkit.oci.model_artifacts import (
    MODELPACK,
    MODELPACK_CONFIG,
    Purpose,
    file_annotations,
    raw_layer,
)
from mealkit.recipe.kit import Task
from mealkit.recipe.lock import Lock
from mealkit.recipe.locked_file import LockedFile

PART = "dev.mealkit.part"
"""The annotation of a layer that is a part of the recipe and not of the model."""

_FOLDER = "mealkit"
_DOCUMENTS = re.compile(r"(?:readme|licen[cs]e|notice|copying|use_policy)\b.*|.*\.(?:md|pdf|rst)")
# "BertModel" and "Qwen2ForCausalLM" in a config.json, "qwen2" in a GGUF header.
_CLASS_ENDING = re.compile(r"(?:For[A-Z]\w*|LMHeadModel|Model)$")
_FLOATS = {"F64": "fp64", "F32": "fp32", "F16": "fp16", "BF16": "bf16"}
_UNITS = ((10**12, "t"), (10**9, "b"), (10**6, "m"), (10**3, "k"))
_TEXT_OUT = ["text"]
_ANSWERS = {
    Task.EMBEDDINGS: ["embedding"],
    Task.GENERATION: _TEXT_OUT,
    Task.CLASSIFICATION: ["other"],
    Task.RERANKING: ["other"],
}


def model_pack(lock: Lock, files: Mapping[str, Blob], subject: Descriptor | None) -> Artifact:
    """Return the ModelPack of a lock; ``files`` are the model's files by their path in the lock.

    ``subject`` is the image or index that the same kit was built into.

    Raises:
        KitError: ``WEIGHTS_CLASH``: a file of the model lies where the recipe's parts go.
    """
    layers = {
        file.path: _layer(_purpose(file), file.path, files[file.path], {})
        for file in lock.model.files
    }
    recipe = _recipe_layers(lock)
    found = clash([*layers, *recipe])
    if found is not None:
        message = f"{found[0]} and {found[1]} cannot both be in a ModelPack"
        raise failure("WEIGHTS_CLASH", message, where=found[1])
    layers |= recipe
    ordered = [layers[path] for path in sorted(layers)]
    config = Attachment(MODELPACK_CONFIG, BytesBlob(_config(lock, ordered)), {})
    return artifact_of(
        MODELPACK, ordered, config=config, subject=subject, annotations=_annotations(lock)
    )


def _layer(purpose: Purpose, path: str, blob: Blob, more: Mapping[str, str]) -> Attachment:
    return Attachment(raw_layer(purpose), blob, {**file_annotations(path, blob.size_bytes), **more})


def _purpose(file: LockedFile) -> Purpose:
    name = PurePosixPath(file.path).name.lower()
    if file.format not in {"json", "text"}:
        return Purpose.WEIGHT
    if _DOCUMENTS.fullmatch(name):
        return Purpose.DOC
    return Purpose.CODE if name.endswith(".py") else Purpose.CONFIG


def _recipe_layers(lock: Lock) -> dict[str, Attachment]:
    """Return the layers of prompts, hyperparameters and code, by their paths."""
    texts = [
        (f"prompts/{name}", Purpose.DOC, prompt.text.encode(), "prompt")
        for name, prompt in lock.prompts.items()
    ]
    texts += [
        (f"code/{path}", Purpose.CODE, code.text.encode(), "code")
        for path, code in lock.code.items()
    ]
    if lock.hyperparameters:
        data = canonical_json(lock.hyperparameters)
        texts.append(("hyperparameters.json", Purpose.CONFIG, data, "hyperparameters"))
    return {
        (path := f"{_FOLDER}/{name}"): _layer(purpose, path, BytesBlob(data), {PART: part})
        for name, purpose, data, part in texts
    }


def _annotations(lock: Lock) -> dict[str, str]:
    about = lock.about
    return {
        "org.opencontainers.image.title": about.name,
        "org.opencontainers.image.version": about.version,
        "org.opencontainers.image.licenses": lock.model.license,
        "org.opencontainers.image.vendor": about.owner.team,
        "dev.mealkit.recipe": str(lock.recipe),
    }


def _config(lock: Lock, layers: list[Attachment]) -> bytes:
    """Return the config; schema/config-schema.json allows no other fields than the known ones.

    ``createdAt`` is left out, because it would make every push another artifact.
    """
    about, model = lock.about, lock.model
    descriptor: dict[str, Any] = {
        "name": about.name,
        "version": about.version,
        "title": model.name,
        "vendor": about.owner.team,
        "licenses": [model.license],
    }
    if about.description:
        descriptor["description"] = about.description
    if about.paper and about.paper.arxiv:
        descriptor["docURL"] = f"https://arxiv.org/abs/{about.paper.arxiv}"
    family = _family(model.shape.architecture)
    if family:
        descriptor["family"] = family
    return canonical_json(
        {
            "descriptor": descriptor,
            "config": _model_config(lock),
            # The digests before compression: of raw layers, those of the blobs.
            "modelfs": {"type": "layers", "diffIds": [str(item.blob.digest) for item in layers]},
        }
    )


def _family(architecture: str | None) -> str | None:
    return _CLASS_ENDING.sub("", architecture).lower() if architecture else None


def _model_config(lock: Lock) -> dict[str, Any]:
    """Return what is known about the model; what is not known is left out."""
    shape, described = lock.model.shape, lock.model.shape.described
    capabilities: dict[str, Any] = {}
    if lock.model.task in _ANSWERS:
        capabilities = {"inputTypes": ["text"], "outputTypes": _ANSWERS[lock.model.task]}
    known: dict[str, Any] = {
        "architecture": "transformer" if described and not described.recurrent else None,
        "format": _format(lock.model.files),
        "paramSize": _in_words(shape.parameters),
        "precision": None,
        "quantization": None,
        "capabilities": capabilities,
    }
    if described:
        sizes = described.bytes_by_dtype
        widest = max(sizes, key=lambda name: (sizes[name], name), default="")
        known["precision"] = _FLOATS.get(widest)
        known["quantization"] = _quantization(widest, described.quantisation)
    return {name: value for name, value in known.items() if value}


def _quantization(widest: str, stated: Any) -> str | None:
    """Return the method, or for a GGUF the type that most of its bytes have."""
    if stated is not None and stated.method != "gguf":
        return str(stated.method)
    return None if widest in _FLOATS or not widest else widest.lower()


def _format(files: tuple[LockedFile, ...]) -> str | None:
    """Return the format of most bytes of the weights."""
    sizes: dict[str, int] = {}
    for file in files:
        if file.format not in {"json", "text"}:
            name = file.format.removesuffix("-data")  # a graph's tensors in files of their own
            sizes[name] = sizes.get(name, 0) + file.size_bytes
    return max(sizes, key=lambda name: (sizes[name], name), default=None)


def _in_words(parameters: int) -> str | None:
    """Return a number of parameters as the specification writes it: 8b, 22.7m."""
    for unit, letter in _UNITS:
        if parameters >= unit:
            return f"{parameters / unit:.1f}".removesuffix(".0") + letter
    return str(parameters) if parameters else None
