"""Sorts the files of a Cog project: the kit's code, files to pin, and what is left out. No I/O."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from mealkit.engines.handler_source import Handler, handler_problems
from mealkit.files.pointers import pointer_in
from mealkit.importing.docker_ignore import DockerIgnore
from mealkit.importing.proposal import LeftOut
from mealkit.kit.confidential import addresses_with_passwords, secret_name, secrets_in
from mealkit.kit.files import MAX_CODE_BYTES, MAX_CODE_FILES
from mealkit.names import path_fault

CONFIG = "cog.yaml"
TO_THE_CONTAINER = "pass it to the container when it runs"

# Weights that do not run code when they are loaded, and other data that predictors read.
_DATA = frozenset(
    {
        *(".safetensors", ".gguf", ".onnx", ".onnx_data", ".tflite", ".task", ".model", ".spm"),
        *(".npy", ".npz", ".parquet", ".arrow", ".json", ".jsonl", ".txt", ".csv", ".tsv", ".bpe"),
        *(".png", ".jpg", ".jpeg", ".gif", ".webp", ".bmp", ".tif", ".tiff", ".ico", ".pdf"),
        *(".wav", ".mp3", ".flac", ".ogg", ".m4a", ".mp4", ".mov", ".avi", ".webm", ".mkv"),
        *(".ttf", ".otf", ".woff", ".woff2", ".gz", ".hdr", ".exr", ".ply", ".obj", ".glb"),
    }
)
_PICKLES = frozenset(
    {".pt", ".pth", ".bin", ".ckpt", ".pkl", ".pickle", ".joblib", ".dill", ".pt2"}
)
# Other files of a project: not needed in a kit, or written by mealkit.
_NOT_CODE = frozenset({CONFIG, "README.md", "kit.yaml", "kit.lock", "kit.schema.json"})
# Only their requirements are read, or a kit does not use them; they may contain a password.
_REQUIREMENTS = re.compile(r"(?:requirements|constraints)[\w.-]*\.(?:txt|in)|pip\.conf|uv\.toml")
_MOST_NAMED = 3


@dataclass(frozen=True, slots=True)
class CogProject:
    """The files of a project, by their paths in its folder."""

    folder: str
    texts: Mapping[str, str]
    """Small files that are UTF-8 text."""
    others: Mapping[str, int]
    """The sizes of all other files."""
    wide: Mapping[str, str] = field(default_factory=dict)
    """The texts of files in UTF-16, which are also among the others."""
    skipped: Mapping[str, str] = field(default_factory=dict)
    """Why files were not read."""
    ignore: str = ""
    """The text of its .dockerignore."""


@dataclass(frozen=True, slots=True)
class SortedFiles:
    """The files of a project that its kit has, and what is left out."""

    code: Mapping[str, str]
    data: Sequence[str]
    """Files to pin, for ``model.weights``."""
    left_out: tuple[LeftOut, ...]


def sort_files(
    project: CogProject, predictor: str, own: Mapping[str, str], handler: str, python: str
) -> SortedFiles:
    """Sort a project's files.

    ``own`` are the files that mealkit adds to its code, with the ``handler``; ``predictor`` is the
    file that is always kept.
    """
    ignore = DockerIgnore(project.ignore)
    ignored = {
        path
        for path in (*project.texts, *project.others)
        if path not in {predictor, CONFIG} and ignore.excludes(path)
    }
    left = [*_left_of_skipped(project.skipped, ignore), *_left_of_ignored(ignored)]
    code: dict[str, str] = {}
    for path, text in project.texts.items():
        if path in ignored or path in own or _is_no_code(path):
            continue
        if why := unfit(path, text):
            left.append(why)
        else:
            code[path] = text
    left += [_own_name(path) for path in sorted(own.keys() & project.texts.keys())]
    left += _drop_refused(code, predictor, own, handler, python)
    moved = _beyond_limits(code)
    others = [item for item in project.others if item not in ignored and not _is_read(item)]
    data, left_data = _data(others)
    left += [*left_data, *_left_of_names(project.texts, ignored)]
    return SortedFiles(code, sorted([*data, *moved]), tuple(left))


def _is_no_code(path: str) -> bool:
    return path in _NOT_CODE or _is_no_name(path) or _is_read(path)


def _is_read(path: str) -> bool:
    """Return whether only the importer reads a file."""
    return path == CONFIG or _REQUIREMENTS.fullmatch(PurePosixPath(path).name) is not None


def unfit(path: str, text: str) -> LeftOut | None:
    """Return why a text cannot be in a kit: a lock contains all of it."""
    if pointer := pointer_in(text.encode()):
        return LeftOut(
            path, f"it is {pointer.kind}", f"{pointer.fix}; then convert the project again"
        )
    sight = next(secrets_in(text, path), None)
    if sight is None and not path.endswith(".py"):
        sight = next(addresses_with_passwords(text), None)
    what = secret_name(path) or (sight and f"{sight.what} (its line {sight.line})")
    return LeftOut(path, f"it looks like {what}", TO_THE_CONTAINER) if what else None


def _drop_refused(
    code: dict[str, str], predictor: str, own: Mapping[str, str], handler: str, python: str
) -> Iterator[LeftOut]:
    """Delete code that ``mealkit check`` would refuse; yield it with the reason."""
    major, _, minor = python.partition(".")
    checked = Handler(setting=handler, where="", python=(int(major), int(minor)))
    for problem in handler_problems(checked, {**code, **own}):
        path = (problem.where or "").partition(":")[0]
        if path not in code or path == predictor:
            continue
        message = problem.message.removeprefix("runtime.code: ").replace(path, "it", 1)
        hint = "if the predictor needs it: correct it, or rename it, and add it to runtime.code"
        yield LeftOut(path, message, hint)
        is_taken = "would be imported" in message
        top = PurePosixPath(path).parts[0]
        for name in [
            item for item in code if item == path or (is_taken and item.startswith(f"{top}/"))
        ]:
            del code[name]


def _beyond_limits(code: dict[str, str]) -> list[str]:
    """Move texts that are not Python from the code until it is within its limits."""
    moved: list[str] = []
    total = sum(map(len, code.values()))
    texts = sorted((path for path in code if not path.endswith(".py")), key=lambda x: -len(code[x]))
    for path in texts:
        if total <= MAX_CODE_BYTES // 2 and len(code) <= MAX_CODE_FILES // 2:
            break
        total -= len(code.pop(path))
        moved.append(path)
    return moved


def _data(paths: Sequence[str]) -> tuple[list[str], list[LeftOut]]:
    """Return the binary and large files that a kit can pin, and what to report about others."""
    kept: list[str] = []
    left: list[LeftOut] = []
    for path in sorted(paths):
        suffix = PurePosixPath(path).suffix.lower()
        if suffix in _DATA and not _is_no_name(path) and secret_name(path) is None:
            kept.append(path)
        elif suffix in _PICKLES:
            why = "a pickle runs its author's code when it is loaded"
            instead = "convert it to safetensors; or add it to model.weights with allow_pickle"
            left.append(LeftOut(path, why, instead))
        else:
            why = "it is neither text of at most 1 MiB nor of a usual format"
            instead = "add it to model.weights if the predictor reads it"
            left.append(LeftOut(path, why, instead))
    return kept, left


def _left_of_skipped(skipped: Mapping[str, str], ignore: DockerIgnore) -> Iterator[LeftOut]:
    for path, why in sorted(skipped.items()):
        if path != CONFIG and not ignore.excludes(path):
            instead = "if the predictor needs it: add a copy with another name, and use that"
            yield LeftOut(path, f"it is {why}", instead)


def _left_of_ignored(ignored: set[str]) -> Iterator[LeftOut]:
    if ignored:
        names = ", ".join(sorted(ignored)[:_MOST_NAMED])
        more = f" and {len(ignored) - _MOST_NAMED} more" if len(ignored) > _MOST_NAMED else ""
        why = ".dockerignore excludes it, so Cog's image does not have it either"
        yield LeftOut(f"{names}{more}", why, "nothing")


def _left_of_names(texts: Mapping[str, str], ignored: set[str]) -> Iterator[LeftOut]:
    for path in sorted(texts.keys() - ignored):
        if _is_no_name(path):
            yield LeftOut(path, "a kit cannot use this name", "rename it")
        elif path in _NOT_CODE - {CONFIG}:
            yield _own_name(path)


def _own_name(path: str) -> LeftOut:
    return LeftOut(path, "the kit has its own", "copy the parts that you want to keep")


def _is_no_name(path: str) -> bool:
    """Return whether a kit cannot name a file: its path is not valid, or would be a pattern."""
    return path_fault(path) is not None or any(sign in path for sign in "*?[")
