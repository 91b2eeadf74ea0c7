"""The parameters of a Modelfile as hyperparameters, and why some have no place in a kit.

Pure. The defaults are those that Ollama documents; it applies them where a Modelfile says nothing.
"""

import re
from collections.abc import Sequence
from typing import Any

from mealkit.importing.stated_sampling import Values
from mealkit.worker.interface import LARGEST_SEED

_LENGTH = re.compile(r"[0-9]{1,9}")
# Ollama's name: the kit's, the type, the least and the greatest value.
_NUMBERS: dict[str, tuple[str, type, float, float]] = {
    "num_ctx": ("max_length", int, 1, 10_000_000),
    "num_thread": ("threads", int, 1, 1024),
    "temperature": ("temperature", float, 0, 2),
    "top_k": ("top_k", int, 0, 1_000_000),
    "top_p": ("top_p", float, 0, 1),
    "min_p": ("min_p", float, 0, 1),
    "repeat_penalty": ("repetition_penalty", float, 0, 10),
    "presence_penalty": ("presence_penalty", float, -2, 2),
    "frequency_penalty": ("frequency_penalty", float, -2, 2),
    "seed": ("seed", int, 0, LARGEST_SEED),
}
# https://github.com/ollama/ollama/blob/main/docs/modelfile.md, "Valid Parameters and Values"
_DEFAULTS: dict[str, Any] = {
    "temperature": 0.8,
    "top_k": 40,
    "top_p": 0.9,
    "repetition_penalty": 1.1,
    "seed": 0,
}
_OTHER = {
    "repeat_last_n": (
        "a kit's penalty looks at the whole request and answer",
        "lower repetition_penalty if answers avoid words too much",
    ),
    "mirostat": ("kits have no mirostat", "use temperature and top_p"),
    "mirostat_eta": ("kits have no mirostat", "use temperature and top_p"),
    "mirostat_tau": ("kits have no mirostat", "use temperature and top_p"),
    "tfs_z": ("kits have no tail-free sampling", "use min_p"),
    "typical_p": ("kits have no typical sampling", "use min_p"),
    "num_gpu": ("the kit runs on a CPU", "set runtime.settings.n_gpu_layers and hardware.gpu"),
    "num_keep": ("a kit never cuts a request", "nothing"),
    "num_batch": ("it is a setting of the engine", "set runtime.settings.n_batch"),
    "use_mmap": ("it is a setting of the engine", "set runtime.settings.use_mmap"),
    "use_mlock": ("it is a setting of the engine", "set runtime.settings.use_mlock"),
}
_DIRECTIVES = {
    "ADAPTER": (
        "a kit has no adapters: without it this is ANOTHER MODEL",
        "merge it into the weights, and write FROM the merged GGUF",
    ),
    "REQUIRES": ("it is the version of Ollama", "nothing: kits do not run in Ollama"),
}
MESSAGE_WORDS = (
    "a kit has no conversation of its own",
    "callers send these messages before theirs",
)


def carry(values: Values, parameters: Sequence[str]) -> None:
    """Set what the parameters say, then what Ollama would do of itself."""
    stop: list[str] = []
    for parameter in parameters:
        name, _, text = parameter.strip().partition(" ")
        text = text.strip().strip('"')
        if name == "stop":
            stop.append(text)
        elif name == "num_predict":
            _num_predict(values, text)
        elif name in _NUMBERS:
            _number(values, name, text)
        else:
            why = ("there is no hyperparameter for it", "check whether answers depend on it")
            values.leave(f"PARAMETER {name}", *_OTHER.get(name, why))
    if stop:
        values.say("stop", stop, "From PARAMETER stop.")
    for name, value in _DEFAULTS.items():
        if name not in values.values:
            said = "Ollama draws another one each time; a kit gives the same answer again."
            values.say(name, value, said if name == "seed" else "Not stated: Ollama's own default.")


def leave(values: Values, name: str, value: str) -> None:
    """Note an instruction that has no place in a kit."""
    if name in _DIRECTIVES:
        values.leave(f"{name} {value}".strip(), *_DIRECTIVES[name])


def _number(values: Values, name: str, text: str) -> None:
    called, kind, low, high = _NUMBERS[name]
    try:
        value = kind(text)
    except (ValueError, OverflowError):
        values.leave(f"PARAMETER {name} {text}", "it is not a number", f"set {called} yourself")
        return
    is_nothing = called in {"top_p", "repetition_penalty"} and value == 0
    if is_nothing or not low <= value <= high:
        why = f"{called} may be {low:g} to {high:g}"
        values.leave(f"PARAMETER {name} {text}", why, f"set {called} yourself")
        return
    values.say(called, value, f"From PARAMETER {name}.")


def _num_predict(values: Values, text: str) -> None:
    if text in {"-1", "-2"}:
        return  # without limit, or as long as the context
    if _LENGTH.fullmatch(text) and int(text):
        values.say("max_tokens", int(text), "From PARAMETER num_predict.")
    else:
        values.leave(f"PARAMETER num_predict {text}", "it is no length", "set max_tokens yourself")
