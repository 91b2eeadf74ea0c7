"""Reads from a model's configs how it generates text: context, sampling, chat template.

No I/O. Every value has a comment with its source, also the values that the configs do not state.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mealkit.importing.proposal import LeftOut
from mealkit.memory.config_fields import POSITIONS
from mealkit.recipe.sampling_parameters import (
    MIN_P,
    MOST_CONTEXT_TOKENS,
    REPETITION_PENALTY,
    TEMPERATURE,
    TOP_K,
    TOP_P,
)

_GENERATION = "generation_config.json"
HALF = "Half of the context: prompt and answer share it."
"""The comment of an answer's token limit, if the configs state none that leaves space."""

_ANSWER_TOKENS = 512
_STATED = {
    parameter.name: parameter
    for parameter in (TEMPERATURE, TOP_P, TOP_K, MIN_P, REPETITION_PENALTY)
}
# Values that engines read from the file itself, or that only concern transformers' own code.
_WITHOUT_EFFECT = frozenset(
    {
        "_from_model_config",
        "bos_token_id",
        "cache_implementation",
        "do_sample",
        "eos_token_id",
        "output_attentions",
        "output_hidden_states",
        "output_scores",
        "pad_token_id",
        "return_dict_in_generate",
        "transformers_version",
        "use_cache",
    }
)


@dataclass(slots=True)
class Values:
    """Hyperparameters with their comments, and what could not be converted."""

    values: dict[str, Any] = field(default_factory=dict)
    comments: dict[str, str] = field(default_factory=dict)
    left_out: list[LeftOut] = field(default_factory=list)

    def set(self, name: str, value: Any, source: str) -> None:
        """Set a value, with its source as the comment."""
        self.values[name] = value
        self.comments[name] = source

    def leave_out(self, what: str, why: str, instead: str) -> None:
        """Record what was not carried over."""
        self.left_out.append(LeftOut(what, why, instead))


def sampling(
    config: Mapping[str, Any], tokenizer: Mapping[str, Any], generation: Mapping[str, Any]
) -> Values:
    """Return the hyperparameters for generation from transformers' own configs."""
    found = Values()
    _context(found, config, tokenizer)
    _length(found, generation)
    _draws(found, generation)
    found.set("seed", 0, "mealkit's choice: the same request gives the same answer.")
    for name in sorted(generation.keys() - _WITHOUT_EFFECT - _STATED.keys()):
        if name in {"max_new_tokens", "max_length"} or generation[name] is None:
            continue
        found.leave_out(
            f"{_GENERATION}: {name}",
            f"kits have no hyperparameter for it (its value is {generation[name]!r})",
            "check whether the model's answers depend on it",
        )
    return found


def template(found: Values, text: Any, source: str) -> None:
    """Set the chat template, and the format of the model's tool calls."""
    if isinstance(text, list):
        parts = [item for item in text if isinstance(item, dict)]
        names = [str(item.get("name")) for item in parts]
        text = next((item.get("template") for item in parts if item.get("name") == "default"), None)
        others = ", ".join(name for name in names if name != "default")
        if others:
            found.leave_out(
                f"chat templates {others}", "a kit has one", "use the one named default"
            )
    if not isinstance(text, str) or not text:
        found.set("chat_template", "none", "The model has no chat template: texts only.")
        return
    found.set("chat_template", "model", f"The one in {source}.")
    if "<tool_call>" in text:
        found.set("tool_calls", "hermes", "The template writes calls between <tool_call> tags.")
    elif "tools" in text:
        found.leave_out(
            "tool calls",
            f"the template in {source} supports tools, but in a format that mealkit does not know",
            "set hyperparameters.tool_calls, or the engine's own parser, if one fits",
        )


def _context(found: Values, config: Mapping[str, Any], tokenizer: Mapping[str, Any]) -> None:
    stated = [(name, config.get(name)) for name in POSITIONS]
    name, positions = next(((name, item) for name, item in stated if _is_count(item)), ("", None))
    limit = tokenizer.get("model_max_length")
    if positions is None and _is_count(limit):
        found.set("max_length", limit, "From model_max_length of tokenizer_config.json.")
    elif positions is None:
        found.set("max_length", 2048, "Not stated by the model: a guess.")
        found.leave_out(
            "the context", "no config states it", "write it into hyperparameters.max_length"
        )
    else:
        source = f"From {name} of config.json. A shorter context needs less memory."
        if _is_count(limit) and limit < positions:
            source += f" The tokenizer's own limit is {limit}."
        found.set("max_length", positions, source)


def _length(found: Values, generation: Mapping[str, Any]) -> None:
    context = found.values["max_length"]
    stated = generation.get("max_new_tokens")
    if _is_count(stated) and stated < context:
        found.set("max_tokens", stated, f"From max_new_tokens of {_GENERATION}.")
    elif context // 2 > _ANSWER_TOKENS and not _is_count(stated):
        found.set("max_tokens", _ANSWER_TOKENS, "Not stated by the model: mealkit's choice.")
    else:
        found.set("max_tokens", max(1, context // 2), HALF)


def _draws(found: Values, generation: Mapping[str, Any]) -> None:
    draws = generation.get("do_sample") is True
    if not draws:
        source = f"{_GENERATION} does not enable do_sample: always the likeliest token."
        found.set("temperature", 0.0, source)
    for name, parameter in _STATED.items():
        value = generation.get(name)
        if value is None:
            if parameter is TEMPERATURE and draws:
                found.set(name, 1.0, f"transformers' default: {_GENERATION} does not state it.")
            continue
        if not draws and parameter is not REPETITION_PENALTY:
            continue  # it has no effect on the likeliest token
        if not parameter.accepts(int(value) if _is_whole(value) else value):
            why = f"it is {value!r}, and must be {parameter.shown_bounds}"
            found.leave_out(f"{_GENERATION}: {name}", why, f"set hyperparameters.{name} yourself")
            continue
        found.set(name, parameter.kind(value), f"From {_GENERATION}.")
    if draws and generation.get("top_k") is None:
        found.set(
            "top_k", 0, f"{_GENERATION} states none. transformers would use 50, vLLM and others 0."
        )


def _is_whole(value: Any) -> bool:
    return isinstance(value, float) and value.is_integer()


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 < value <= MOST_CONTEXT_TOKENS
