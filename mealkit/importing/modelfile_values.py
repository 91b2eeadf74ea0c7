"""Converts a Modelfile's parameters to hyperparameters, and lists those that a kit cannot have.

No I/O. Parameters that a Modelfile does not set get the defaults that Ollama documents.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from mealkit.importing.stated_sampling import Values
from mealkit.recipe.sampling_parameters import (
    FREQUENCY_PENALTY,
    MAX_TOKENS,
    MIN_P,
    MOST_CONTEXT_TOKENS,
    MOST_STOP_CHARACTERS,
    MOST_STOPS,
    PRESENCE_PENALTY,
    REPETITION_PENALTY,
    SEED,
    TEMPERATURE,
    TOP_K,
    TOP_P,
    Parameter,
    is_stop,
)
from mealkit.untrusted import shown

# Ollama's name: the kit's name.
_SAMPLING: Mapping[str, Parameter[float]] = {
    "num_predict": MAX_TOKENS,
    "temperature": TEMPERATURE,
    "top_k": TOP_K,
    "top_p": TOP_P,
    "min_p": MIN_P,
    "repeat_penalty": REPETITION_PENALTY,
    "presence_penalty": PRESENCE_PENALTY,
    "frequency_penalty": FREQUENCY_PENALTY,
    "seed": SEED,
}
# Parameters other than sampling: the kit's name, the minimum and the maximum.
_COUNTS: Mapping[str, tuple[str, int, int]] = {
    "num_ctx": ("max_length", 1, MOST_CONTEXT_TOKENS),
    "num_thread": ("threads", 1, 1024),
}
# Ollama's values for "without limit" and "as long as the context".
_ENDLESS = frozenset({"-1", "-2"})
_OWN_DEFAULT = "Not stated: Ollama's own default."
# https://docs.ollama.com/modelfile, "Valid Parameters and Values", and DefaultOptions in Ollama's
# api/types.go: the values since August 2026, with their comments.
_DEFAULTS: dict[str, tuple[Any, str]] = {
    "temperature": (0.8, _OWN_DEFAULT),
    "top_k": (40, _OWN_DEFAULT),
    "top_p": (0.9, _OWN_DEFAULT),
    "repetition_penalty": (
        1.0,
        "Not stated: Ollama's own default since August 2026. Before, it was 1.1.",
    ),
    "seed": (0, "Ollama uses a random seed; a kit gives the same answer again."),
}
_OTHER = {
    "repeat_last_n": (
        "a kit's penalty counts tokens in the whole request and answer",
        "lower repetition_penalty if answers avoid words too much",
    ),
    "mirostat": ("kits do not support mirostat", "use temperature and top_p"),
    "mirostat_eta": ("kits do not support mirostat", "use temperature and top_p"),
    "mirostat_tau": ("kits do not support mirostat", "use temperature and top_p"),
    "tfs_z": ("kits do not support tail-free sampling", "use min_p"),
    "typical_p": ("kits do not support typical sampling", "use min_p"),
    "num_gpu": ("the kit runs on a CPU", "set runtime.settings.n_gpu_layers and hardware.gpu"),
    "num_keep": ("a kit never truncates a request", "nothing"),
    "draft_num_predict": ("kits do not draft tokens", "nothing: it leaves answers as they are"),
    "num_batch": ("it is a setting of the engine", "set runtime.settings.n_batch"),
    "use_mmap": ("it is a setting of the engine", "set runtime.settings.use_mmap"),
    "use_mlock": ("it is a setting of the engine", "set runtime.settings.use_mlock"),
}
_DIRECTIVES = {
    "ADAPTER": (
        "kits do not support adapters: without the adapter this is ANOTHER MODEL",
        "merge it into the weights, and write FROM the merged GGUF",
    ),
    "DRAFT": (
        "kits do not support a model that drafts tokens for another",
        "nothing: it makes answers faster, and leaves them as they are",
    ),
    "PARSER": (
        "it is Ollama's own code, which reads tool calls and reasoning in answers",
        "set hyperparameters.tool_calls if the model calls tools",
    ),
    "RENDERER": (
        "it is Ollama's own code, which writes prompts instead of a template",
        "compare a prompt with one of the GGUF's template, which the kit uses",
    ),
    "REQUIRES": ("it is a version of Ollama", "nothing: kits do not use Ollama"),
}
NO_TEMPLATE_WORDS = (
    "it is a Go template, kits use Jinja, and the GGUF has no template: this kit cannot chat",
    "write it as a .jinja file, name it in model.weights and in hyperparameters.chat_template",
)
MESSAGE_WORDS = (
    "a kit does not add messages to a conversation",
    "callers send these messages before their own",
)


def convert(values: Values, parameters: Sequence[tuple[str, str]]) -> None:
    """Set the values of the parameters, by name, then Ollama's defaults for the others."""
    stop: list[str] = []
    for name, text in parameters:
        if name == "stop":
            _stop(values, stop, text)
        elif name in _SAMPLING:
            _sampling(values, name, text.strip())
        elif name in _COUNTS:
            _count(values, name, text.strip())
        else:
            why = ("kits have no hyperparameter for it", "check whether answers depend on it")
            values.leave_out(f"PARAMETER {name}", *_OTHER.get(name, why))
    if stop:
        values.set("stop", stop, "From PARAMETER stop.")
    for name, (value, comment) in _DEFAULTS.items():
        if name not in values.values:
            values.set(name, value, comment)


def leave_out(values: Values, name: str, value: str) -> None:
    """Report an instruction that a kit cannot have."""
    if name in _DIRECTIVES:
        values.leave_out(f"{name} {value}".strip(), *_DIRECTIVES[name])


def _stop(values: Values, found: list[str], text: str) -> None:
    if is_stop(text) and len(found) < MOST_STOPS:
        found.append(text)
    else:
        why = f"a kit has at most {MOST_STOPS} texts of 1 to {MOST_STOP_CHARACTERS} characters"
        values.leave_out(f"PARAMETER stop {shown(text)}", why, "set stop yourself")


def _sampling(values: Values, name: str, text: str) -> None:
    parameter = _SAMPLING[name]
    if parameter is MAX_TOKENS and text in _ENDLESS:
        return
    value = _number(parameter.kind, text)
    if not parameter.accepts(value):
        _leave_out(values, name, text, parameter.name, parameter.shown_bounds)
        return
    values.set(parameter.name, value, f"From PARAMETER {name}.")


def _count(values: Values, name: str, text: str) -> None:
    called, least, most = _COUNTS[name]
    value = _number(int, text)
    if value is None or not least <= value <= most:
        _leave_out(values, name, text, called, f"{least} to {most}")
        return
    values.set(called, value, f"From PARAMETER {name}.")


def _number(kind: type[float], text: str) -> float | None:
    try:
        return kind(text)
    except (ValueError, OverflowError):
        return None


def _leave_out(values: Values, name: str, text: str, called: str, bounds: str) -> None:
    why = f"{called} must be {bounds}"
    values.leave_out(f"PARAMETER {name} {text}", why, f"set {called} yourself")
