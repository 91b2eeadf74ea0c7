"""Finds calls in a predictor's source that download files, as far as their names show it. No I/O.

A kit has no network when it starts, so each is listed. A call that is listed without need costs
its author a look; one that is missed costs a failed start.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import PurePosixPath

from mealkit.importing.proposal import LeftOut
from mealkit.importing.quoting import short

# The last names of functions that fetch a file, besides all with "download" in their name.
_FETCHES = frozenset(
    {
        *("encoding_for_model", "from_single_file", "get_encoding", "load_dataset"),
        *("load_file_from_url", "load_state_dict_from_url", "urlopen", "urlretrieve"),
    }
)
# Functions with common names, with the module or object that they belong to.
_FETCHES_OF = frozenset(
    {
        *("clip.load", "easyocr.Reader", "httpx.get", "httpx.stream", "hub.load", "pooch.retrieve"),
        *("replicate.run", "requests.get", "requests.request", "whisper.load_model"),
    }
)
# These load a model by its name on a hub, or from a path.
_LOADERS = frozenset(
    {
        *("CrossEncoder", "FlagModel", "KerasLayer", "SentenceTransformer", "WhisperModel", "YOLO"),
        *("from_pretrained", "pipeline"),
    }
)
_STARTERS = frozenset(
    {
        *("Popen", "call", "check_call", "check_output", "create_subprocess_exec"),
        *("create_subprocess_shell", "getoutput", "run", "system"),
    }
)
_PROGRAMS = frozenset(
    {
        *("aria2c", "aws", "curl", "gdown", "git", "gsutil", "hf", "huggingface-cli", "modelscope"),
        *("pget", "rclone", "wget"),
    }
)
_ADDRESS = re.compile(r"https?://\S+")
_WEIGHTS = re.compile(
    r".*\.(7z|bin|caffemodel|ckpt|gguf|h5|npz|onnx|pkl|pt|pth|safetensors|t7|tar|tflite|tgz"
    r"|th|zip|zst|gz|xz)",
    re.IGNORECASE,
)
_LOCAL = (".", "/", "~", "models/", "weights/", "checkpoints/")
# The keywords of the loaders for the model.
_NAMES = frozenset(
    {"model", "model_name_or_path", "model_size_or_path", "pretrained_model_name_or_path"}
)
_WHY = "a kit has no network when it starts: its weights are pinned and verified"
_INSTEAD = "name the files in model.weights with a commit, and load them by their path"


def downloads_in(tree: ast.Module, file: str) -> Iterator[LeftOut]:
    """Yield the calls that download files, and the addresses of weights."""
    within: set[int] = set()
    for item in ast.walk(tree):
        if isinstance(item, ast.Call) and (name := _fetching(item)) is not None:
            within |= {id(part) for part in ast.walk(item)}
            yield LeftOut(f"{file}:{item.lineno} {name}", _WHY, _INSTEAD)
        elif isinstance(item, ast.Constant) and id(item) not in within:
            address = _address_of_weights(item.value)
            if address is not None:
                yield LeftOut(f"{file}:{item.lineno} {address}", _WHY, _INSTEAD)


def last_name(item: ast.expr) -> str | None:
    """Return the last part of a dotted name."""
    match item:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
        case _:
            return None


def _fetching(call: ast.Call) -> str | None:
    """Return the name of what a call downloads with; None if it does not look like a download."""
    name = last_name(call.func)
    if program := _program(call, name):
        return program
    if name is None:
        return None
    is_known = name in _FETCHES or _owned_name(call.func) in _FETCHES_OF
    loads = name in _LOADERS and not _is_local(call)
    return name if is_known or "download" in name.lower() or loads or _is_pretrained(call) else None


def _address_of_weights(value: object) -> str | None:
    """Return an address that ends like one of weights, without what follows its path."""
    if not isinstance(value, str) or _ADDRESS.fullmatch(value) is None:
        return None
    address = re.split("[?#]", value, maxsplit=1)[0]
    return short(address) if _WEIGHTS.fullmatch(address) else None


def _owned_name(item: ast.expr) -> str | None:
    """Return the last two parts of a dotted name: ``hub.load`` of ``torch.hub.load``."""
    match item:
        case ast.Attribute(attr=name, value=owner):
            return f"{last_name(owner)}.{name}"
        case _:
            return None


def _program(call: ast.Call, name: str | None) -> str | None:
    """Return the program that a call of subprocess, asyncio or os starts, if it downloads."""
    if name not in _STARTERS:
        return None
    for item in ast.walk(call):
        if isinstance(item, ast.Constant) and isinstance(item.value, str):
            for word in item.value.split()[:1]:
                program = PurePosixPath(word).name
                if program in _PROGRAMS:
                    return program
    return None


def _is_pretrained(call: ast.Call) -> bool:
    """Return whether a call asks for published weights: ``pretrained=True``, ``weights="..."``."""
    return any(_asks_for_published(item.arg, item.value) for item in call.keywords)


def _asks_for_published(keyword: str | None, value: ast.expr) -> bool:
    match keyword, value:
        case "pretrained", ast.Constant(value=bool(stated)):
            return stated
        case "pretrained", ast.Constant(value=str(stated)):
            return not stated.startswith(_LOCAL)
        case "weights", ast.Constant(value=str(stated)):
            return stated == "DEFAULT" or stated.lower().startswith("imagenet")
        case "weights", ast.Attribute(value=owner):
            return (last_name(owner) or "").endswith("_Weights")
        case _:
            return False


def _is_local(call: ast.Call) -> bool:
    """Return whether a loader gets a path in the project.

    Other functions are called ``pipeline``, too: only a call with OWNER/NAME loads a model.
    """
    named = [*call.args[:1], *(item.value for item in call.keywords if item.arg in _NAMES)]
    texts = [item.value for item in named if isinstance(item, ast.Constant)]
    if last_name(call.func) == "pipeline":
        texts = [item for item in texts if "/" in str(item)] or ["."]
    return bool(texts) and all(str(text).startswith(_LOCAL) for text in texts)
