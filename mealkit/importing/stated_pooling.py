"""Reads a model's configs: how texts become vectors or scores (pooling, length, prompts).

No I/O. Raises KitError for a method that no engine here supports, since another one would give
different results.
"""

import re
from collections.abc import Mapping
from typing import Any

from mealkit.errors import failure
from mealkit.importing.quoting import short
from mealkit.importing.repository import Repository
from mealkit.importing.stated_sampling import Values
from mealkit.memory.config_fields import positions_of
from mealkit.recipe.sampling_parameters import MOST_CONTEXT_TOKENS

# sentence-transformers: modules.json lists the steps for a text, with one folder each.
_MODULES = "modules.json"
_MODES = {"pooling_mode_mean_tokens": "mean", "pooling_mode_cls_token": "cls"}
# llama.cpp's enum of pooling types, stored as BERT.pooling_type in GGUF: include/llama.h
_GGUF_MODES = {1: "mean", 2: "cls"}

# sentence-transformers' names of the functions that turn a cross-encoder's logit into a score.
_ACTIVATIONS = {"Identity": "none", "Sigmoid": "sigmoid"}
_OLDER = "sbert_ce_default_activation_function"
_OWN_MODULE = re.compile(r"(sentence_transformers\.([\w.]+\.)?)?(Transformer|Pooling|Normalize)|")
_NAME = re.compile(r"[a-z0-9]+(?:[._-][a-z0-9]+)*")


def embedding(repository: Repository) -> Values:
    """Return the hyperparameters for embeddings, from sentence-transformers' files.

    Raises:
        KitError: no engine here supports its pooling or a later step (``KIT_INVALID``).
    """
    found = Values()
    stated = repository.json(_MODULES)
    modules = stated if isinstance(stated, list) else []
    types = [str(item.get("type", "")) for item in modules if _is_map(item)]
    kinds = [item.rpartition(".")[2] for item in types]
    # Modules of other packages do more than those of the same name: custom_st.Transformer.
    strange = [item for item in types if not _OWN_MODULE.fullmatch(item)]
    if strange:
        message = f"its vectors go through {', '.join(strange)}, which no engine here supports"
        raise failure("KIT_INVALID", message, where=f"{repository.repo}: {_MODULES}")
    _pool(found, repository, modules)
    length(found, repository)
    _texts(found, repository)
    if not modules:
        found.set("normalize", value=True, source="Not stated by the model: a guess.")
        found.leave_out("normalisation", f"{_MODULES} is missing", "look it up in the paper")
    else:
        steps = "a step Normalize" if "Normalize" in kinds else "no step Normalize"
        found.set("normalize", "Normalize" in kinds, f"{_MODULES} has {steps}.")
    return found


def gguf_embedding(metadata: Mapping[str, Any], architecture: str, where: str) -> Values:
    """Return the hyperparameters for embeddings in a GGUF's metadata.

    Raises:
        KitError: no engine here supports its pooling (``KIT_INVALID``).
    """
    found = Values()
    kind = metadata.get(f"{architecture}.pooling_type")
    if kind is not None and (type(kind) is not int or kind not in _GGUF_MODES):
        message = f"no engine here supports its pooling (llama.cpp's {short(str(kind))})"
        raise failure("KIT_INVALID", message, where=where)
    if kind is None:
        found.set("pooling", "mean", "Not stated by the file: a guess.")
        found.leave_out("pooling", "the GGUF does not state it", "look it up in the paper")
    else:
        found.set("pooling", _GGUF_MODES[kind], "From the GGUF's metadata.")
    context = metadata.get(f"{architecture}.context_length")
    stated = type(context) is int and 0 < context < MOST_CONTEXT_TOKENS
    found.set("max_length", context if stated else 512, _said(stated, "the GGUF's metadata"))
    found.set("normalize", value=True, source="Not stated by the file: a guess.")
    found.leave_out("normalisation", "a GGUF does not state it", "look it up in the paper")
    return found


def scoring(repository: Repository, *, labels: int) -> Values:
    """Return the hyperparameters for classification, or for reranking if there is one label.

    Raises:
        KitError: no engine here computes its scores (``KIT_INVALID``).
    """
    found = Values()
    length(found, repository)
    stated = activation(repository)
    kind = repository.config().get("problem_type")
    if labels == 1 and stated is not None:
        found.set("function", *stated)
    elif labels == 1:
        source = "Not stated: with one label, (sentence-)transformers use the sigmoid."
        found.set("function", "sigmoid", source)
    elif kind == "multi_label_classification":
        found.set("function", "sigmoid", "config.json: problem_type is multi_label_classification.")
    elif kind == "regression":
        message = "it computes numbers that are not probabilities (problem_type is regression)"
        raise failure("KIT_INVALID", message, where=f"{repository.repo}: config.json")
    else:
        found.set(
            "function", "softmax", "One label per text: config.json does not state otherwise."
        )
    return found


def activation(repository: Repository) -> tuple[str, str] | None:
    """Return a cross-encoder's function from logit to score, and its source; None if not stated.

    Raises:
        KitError: it is a function that no engine here has (``KIT_INVALID``).
    """
    config = repository.map("config.json")
    newer = config.get("sentence_transformers")
    newest = "config_sentence_transformers.json"
    places = [
        ("activation_fn", newest, repository.map(newest).get("activation_fn")),
        (
            "sentence_transformers.activation_fn",
            "config.json",
            newer.get("activation_fn") if isinstance(newer, dict) else None,
        ),
        (_OLDER, "config.json", config.get(_OLDER)),
    ]
    for name, file, stated in places:
        if not isinstance(stated, str):
            continue
        kind = stated.rpartition(".")[2]
        if kind not in _ACTIVATIONS:
            message = f"{name} is {short(stated)}, which no engine here computes"
            raise failure("KIT_INVALID", message, where=f"{repository.repo}: {file}")
        return _ACTIVATIONS[kind], f"From {file}: {name} is {kind}."
    return None


def length(found: Values, repository: Repository) -> None:
    """Set the maximum length of an input."""
    sentence = repository.map("sentence_bert_config.json").get("max_seq_length")
    tokenizer = repository.map("tokenizer_config.json").get("model_max_length")
    positions = positions_of(repository.map("config.json"))
    sources = {
        "max_seq_length of sentence_bert_config.json": sentence,
        "model_max_length of tokenizer_config.json": tokenizer,
        "the positions in config.json": positions,
    }
    for source, value in sources.items():
        if type(value) is int and 0 < value < MOST_CONTEXT_TOKENS:
            # The model has no position for the tokens after these.
            beyond = f" {source} is {value}." if 0 < positions < value else ""
            at = "the positions in config.json" if beyond else source
            found.set("max_length", min(value, positions or value), f"From {at}.{beyond}")
            return
    found.set("max_length", 512, "Not stated by the model: a guess.")
    found.leave_out("the longest input", "no config states it", "set hyperparameters.max_length")


def _texts(found: Values, repository: Repository) -> None:
    """List what sentence-transformers does to a text, and a kit does not."""
    if repository.map("sentence_bert_config.json").get("do_lower_case") is True:
        why = "sentence-transformers writes texts in lower case first (do_lower_case)"
        instead = "callers send lower case, unless the tokenizer changes it as well"
        found.leave_out("lower case", why, instead)
    stated = repository.map("config_sentence_transformers.json")
    name = stated.get("default_prompt_name")
    if isinstance(name, str) and name:
        why = "sentence-transformers adds it to every text; a kit adds a prompt that is named"
        found.leave_out(f"default prompt {name!r}", why, "callers name the prompt in their request")


def prompts(found: Values, repository: Repository) -> dict[str, str]:
    """Return the texts that sentence-transformers puts before inputs, by the prompt's name."""
    stated = repository.map("config_sentence_transformers.json").get("prompts")
    taken = {}
    for name, text in stated.items() if isinstance(stated, dict) else ():
        if not isinstance(text, str) or not text:
            continue
        if _NAME.fullmatch(name) and len(name) <= 128 and "\0" not in text:
            taken[name] = text
        else:
            why = "the names of a kit's prompts have lower-case letters, digits, dots and dashes"
            found.leave_out(f"prompt {name!r}", why, "write it into prompts under another name")
    return taken


def _pool(found: Values, repository: Repository, modules: Any) -> None:
    folders = [
        str(item.get("path", ""))
        for item in modules
        if _is_map(item) and str(item.get("type", "")).endswith("Pooling")
    ]
    name = f"{folders[0]}/config.json" if folders else "1_Pooling/config.json"
    stated = repository.map(name)
    if not stated:
        found.set("pooling", "mean", "Not stated by the model: a guess.")
        found.leave_out("pooling", f"{name} is missing", "look it up in the paper")
        return
    # Since version 6: "pooling_mode": "mean".
    modes = [
        key for key, value in stated.items() if key.startswith("pooling_mode_") and value is True
    ]
    known = [_MODES[mode] for mode in modes if mode in _MODES]
    named = stated.get("pooling_mode")
    if isinstance(named, str):
        known, modes = [item for item in ("mean", "cls") if item == named], [named]
    if len(modes) != 1 or not known:
        message = f"its pooling is {', '.join(modes) or 'none'}, which no engine here supports"
        raise failure("KIT_INVALID", message, where=f"{repository.repo}: {name}")
    found.set("pooling", known[0], f"From {name}.")
    if stated.get("include_prompt") is False:
        why = f"{name} pools only the tokens after a prompt (include_prompt); a kit pools all"
        found.leave_out("pooling without the prompt", why, "use the model without prompts")


def _said(stated: bool, source: str) -> str:  # noqa: FBT001
    return f"From {source}." if stated else "Not stated by the model: a guess."


def _is_map(item: Any) -> bool:
    return isinstance(item, dict)
