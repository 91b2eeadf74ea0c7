"""The model in an SBOM: its card, its files, its prompts and the paper's code, as CycloneDX 1.6.

The names ``cdx:ai-ml:...`` are CycloneDX's own (CycloneDX/cyclonedx-property-taxonomy,
cdx/ai-ml.md). Every value is in the lock; a field that the lock does not have is left out.
"""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from mealkit.digest import Digest
from mealkit.recipe.kit import Feature, Task
from mealkit.recipe.lock import Lock
from mealkit.recipe.locked_file import LockedFile
from mealkit.recipe.origins import HubOrigin
from mealkit.recipe.publisher_signature import LockedSignature
from mealkit.trust.purls import origin_purl
from mealkit.trust.sbom_licences import licence_choice

MODEL_REF = "model"
_HYPERPARAMETER = "cdx:ai-ml:model:hyperparameter:"
_TOKENIZER_HYPERPARAMETER = "cdx:ai-ml:tokenizer:hyperparameter:"
# Markers: properties of a component that state what it is.
_TOKENIZER = "cdx:ai-ml:model:tokenizer"
_CHAT_TEMPLATE = "cdx:ai-ml:model:template:chat"
_PROMPT = "cdx:ai-ml:model:template:prompt"

_TOKENIZER_FILES = frozenset({
    "tokenizer.json", "tokenizer.model", "tokenizer_config.json", "vocab.json", "vocab.txt",
    "merges.txt", "spiece.model", "sentencepiece.bpe.model", "special_tokens_map.json",
    "added_tokens.json", "tekken.json",
})  # fmt: skip
_CHAT_FILES = frozenset({"chat_template.jinja", "chat_template.json"})
# The class that transformers names in config.json, as in LlamaForCausalLM and BertModel.
_CLASS = re.compile(r"(?P<family>[A-Z]\w*?)(?:For[A-Z]\w*|LMHeadModel|Model)")
_FORMATS: Mapping[Task, tuple[tuple[str, ...], tuple[str, ...]]] = {
    Task.EMBEDDINGS: (("text",), ("vector",)),
    Task.GENERATION: (("text",), ("text",)),
    Task.CLASSIFICATION: (("text",), ("probabilities of labels",)),
    Task.RERANKING: (("query and documents",), ("relevance of each document",)),
    Task.PREDICTION: ((), ()),  # the paper's own code defines them
}


def model_components(lock: Lock) -> list[dict[str, Any]]:
    """Return the model, each of its files, each prompt, and each file of the paper's code."""
    model = lock.model
    purls = _hub_purls(lock)
    signed = {path: item for item in model.signatures for path in item.files}
    return [
        {
            "type": "machine-learning-model",
            "bom-ref": MODEL_REF,
            "name": model.name,
            **({"purl": purls[0]} if len(purls) == 1 else {}),
            "licenses": licence_choice([model.license]),
            "modelCard": _card(lock),
        },
        *(
            _file(file, signed.get(file.path), is_chat_template=_is_chat_template(file, lock))
            for file in model.files
        ),
        *_texts("prompt", {name: item.sha256 for name, item in lock.prompts.items()}),
        *_texts("code", {path: item.sha256 for path, item in lock.code.items()}),
    ]


def model_dependencies(lock: Lock) -> list[dict[str, Any]]:
    """Return what the model consists of: its files and its prompts."""
    files = [_ref("models", file.path) for file in lock.model.files]
    prompts = [_ref("prompt", name) for name in lock.prompts]
    return [{"ref": MODEL_REF, "dependsOn": sorted((*files, *prompts))}]


def code_refs(lock: Lock) -> list[str]:
    """Return the references of the paper's own code."""
    return [_ref("code", path) for path in lock.code]


def digest_hashes(digest: Digest) -> list[dict[str, str]]:
    """Return a digest as the hashes of a component."""
    return [{"alg": "SHA-256", "content": digest.hex}]


def marker(name: str, value: object) -> dict[str, str]:
    """Return a property; a value that is not text is written as JSON."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return {"name": name, "value": text}


def _card(lock: Lock) -> dict[str, Any]:
    model = lock.model
    inputs, outputs = _FORMATS[model.task]
    if Feature.CHAT in lock.engine.features:
        inputs = (*inputs, "chat messages")
    architecture = model.shape.architecture
    family = _CLASS.fullmatch(architecture) if architecture else None
    parameters: dict[str, Any] = {
        "task": model.task.value,
        "architectureFamily": family["family"] if family else None,
        "modelArchitecture": architecture,
        "inputs": [{"format": item} for item in inputs],
        "outputs": [{"format": item} for item in outputs],
    }
    limits = list(_limits(lock))
    return {
        "modelParameters": {name: value for name, value in parameters.items() if value},
        **({"considerations": {"technicalLimitations": limits}} if limits else {}),
        "properties": list(_properties(lock)),
    }


def _limits(lock: Lock) -> Iterator[str]:
    """Yield the limits that the model's files and the kit state."""
    if positions := lock.model.shape.max_positions:
        yield f"The model supports inputs of at most {positions} tokens."
    if length := lock.hyperparameters.get("max_length"):
        yield f"The kit accepts at most {length} tokens."


def _properties(lock: Lock) -> Iterator[dict[str, str]]:
    """Yield the hyperparameters: those of the kit, and those of the model's architecture."""
    shape = lock.model.shape
    if shape.parameters:
        yield marker("cdx:ai-ml:model:parameter:count", _count(shape.parameters))
    stated = dict(lock.hyperparameters)
    template = stated.pop("chat_template", None)
    if found := shape.described:
        stated |= {
            "vocab_size": found.vocabulary,
            "num_hidden_layers": found.layers,
            "hidden_size": found.hidden_size,
            "num_attention_heads": found.heads,
            "num_key_value_heads": found.kv_heads,
        }
        if not found.quantisation and len(types := set(found.bytes_by_dtype) - {"ONNX"}) == 1:
            stated["quantization"] = types.pop().lower()
    if shape.max_positions:
        stated["context_length"] = shape.max_positions
    for name, value in sorted(stated.items()):
        yield marker(f"{_HYPERPARAMETER}{name}", value)
    if template is not None:
        yield marker(f"{_TOKENIZER_HYPERPARAMETER}chat_template", template)
    if shape.described:
        yield marker(f"{_TOKENIZER_HYPERPARAMETER}vocab_size", shape.described.vocabulary)


def _count(parameters: int) -> str:
    """Return a number as the industry writes it: 22.7M, 7B."""
    for unit, letter in ((10**12, "T"), (10**9, "B"), (10**6, "M")):
        if parameters >= unit:
            return f"{parameters / unit:.3g}{letter}"
    return str(parameters)


def _file(
    file: LockedFile, signature: LockedSignature | None, *, is_chat_template: bool
) -> dict[str, Any]:
    name = file.path.rpartition("/")[2]
    properties = [
        marker("mealkit:format", file.format),
        marker("mealkit:bytes", file.size_bytes),
        *(marker("mealkit:origin", purl) for item in file.origins if (purl := origin_purl(item))),
    ]
    if name in _TOKENIZER_FILES or name.endswith(".tiktoken"):
        properties.append(marker(_TOKENIZER, "true"))
    if is_chat_template:
        properties.append(marker(_CHAT_TEMPLATE, "true"))
    if signature is not None:
        properties.append(marker("mealkit:publisher:key", signature.key))
        properties.append(marker("mealkit:publisher:signature", signature.sha256))
    return {
        "type": "file",
        "bom-ref": _ref("models", file.path),
        "name": f"/models/{file.path}",
        "hashes": digest_hashes(file.sha256),
        "properties": properties,
    }


def _is_chat_template(file: LockedFile, lock: Lock) -> bool:
    chosen = lock.hyperparameters.get("chat_template")
    if chosen == "model":
        return file.path.rpartition("/")[2] in _CHAT_FILES
    return file.path == chosen


def _texts(kind: str, digests: Mapping[str, Digest]) -> Iterator[dict[str, Any]]:
    """Yield prompts, or files of code."""
    for name, digest in sorted(digests.items()):
        component: dict[str, Any] = {
            "type": "file",
            "bom-ref": _ref(kind, name),
            "name": name,
            "hashes": digest_hashes(digest),
        }
        if kind == "prompt":
            component["properties"] = [marker(_PROMPT, "true")]
        yield component


def _ref(kind: str, name: str) -> str:
    return f"{kind}/{name}"


def _hub_purls(lock: Lock) -> list[str]:
    """Return the repositories on the Hub that have files of the model, each at its commit."""
    found = (item for file in lock.model.files for item in file.origins)
    purls = {purl for item in found if isinstance(item, HubOrigin) and (purl := origin_purl(item))}
    return sorted(purls)
