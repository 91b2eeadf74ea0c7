"""Converts a Cog project to a kit for the engine that runs a kit's own code.

No I/O: reads cog.yaml, requirements and the predictor's source as text, and runs none of it. Raises
KitError for a project without a predictor. Format: https://cog.run/yaml/
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Any

import jinja2

from mealkit.assembly.templates import template_root
from mealkit.engines.registry import code_engine
from mealkit.errors import failure
from mealkit.files.pointers import pointer_in
from mealkit.importing.cog_build import CogBuild, read_build
from mealkit.importing.cog_files import (
    CONFIG,
    TO_THE_CONTAINER,
    CogProject,
    sort_files,
    unfit,
)
from mealkit.importing.cog_source import Predictor, read_predictor
from mealkit.importing.proposal import LeftOut, Proposal
from mealkit.importing.quoting import python_text, python_texts, short
from mealkit.kit.bounds import OPTION
from mealkit.kit.confidential import is_secret_setting, masked
from mealkit.kit.document import read_document

_HANDLER = "mealkit_handler.py"
_MODULE = "cog.py"
_MOST_AT_ONCE = 1024
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# A file in base64 is a third larger.
_FILE_BYTES, _BODY = 48 * 2**20, "64MiB"
_POINTER = re.compile(r"([A-Za-z0-9_/.-]+\.py)(?::([A-Za-z_]\w*))?")


def cog_proposal(project: CogProject) -> Proposal:
    """Propose the kit of a Cog project.

    Raises:
        KitError: cog.yaml is missing, or its predictor does not exist (``USAGE``).
    """
    texts, folder = project.texts, project.folder
    config = _config(project)
    predictor = _predictor(config, project)
    build = read_build(_mapping(config, "build"), texts, project.wide)
    name = _model_name(config, folder)
    environment, left_environment = _environment(config)
    own = _own_files(predictor, environment)
    found = sort_files(project, predictor.file, own, f"{_HANDLER}:Handler", build.python)
    form = _form(name, predictor, build, sorted([*found.code, *own]))
    if found.data:
        form["model"]["weights"] = [{"source": "folder", "path": folder, "files": list(found.data)}]
    _set_concurrency(form, config, predictor)
    left_out = [
        *build.left_out,
        *_left_of_config(config),
        *left_environment,
        *found.left_out,
        *predictor.left_out,
        *(_take_files(form) if predictor.takes_files else ()),
    ]
    left_out = [replace(item, what=masked(item.what)) for item in left_out]
    files = {**found.code, **own}
    comments = {
        ("license",): "For the code. Write its SPDX identifier, and that of the weights below.",
        ("runtime", "code"): f"mealkit wrote {_HANDLER} and {_MODULE}; the rest is from Cog.",
        ("model", "weights"): (
            "Files on this machine: move them to a source that others can use, or into the kit's"
            f" folder. Until then: {OPTION} FOLDER."
        )
        if found.data
        else "The project contains none: name the files that the predictor loads.",
        **build.comments,
    }
    return Proposal(
        f"{CONFIG} of {name}", form["runtime"]["engine"], form, files, comments, left_out
    )


def _config(project: CogProject) -> dict[str, Any]:
    text = project.texts.get(CONFIG, project.wide.get(CONFIG))
    if text is None:
        why = f": it is {project.skipped[CONFIG]}" if CONFIG in project.skipped else ""
        why = ": it is not text of at most 1 MiB" if CONFIG in project.others else why
        raise failure("USAGE", f"{project.folder} has no {CONFIG}{why}", where=project.folder)
    # The kit's own reader: it has limits, and rejects YAML that is not JSON.
    document, problems = read_document(text, CONFIG)
    if problems:
        first = problems[0]
        raise failure("USAGE", f"{CONFIG}: {first.message}", where=first.where, hint=first.hint)
    config = document.data
    if not isinstance(config, dict):
        raise failure("USAGE", f"{CONFIG} has no fields", where=CONFIG)
    return config


def _predictor(config: Mapping[str, Any], project: CogProject) -> Predictor:
    texts = project.texts
    pointer = config.get("predict", config.get("run"))
    found = _POINTER.fullmatch(pointer) if isinstance(pointer, str) else None
    if found is None:
        message = f"{CONFIG} names no predictor: predict is {short(repr(pointer))}"
        hint = "only a project with predict: FILE.py:CLASS can be converted to a kit"
        raise failure("USAGE", message, where=CONFIG, hint=hint)
    file = str(PurePosixPath(found[1]))
    if file not in texts:
        why = "is not UTF-8 text" if file in project.others else "does not exist"
        message = f"{CONFIG} names {file}, which {why}"
        hint = "correct predict, or add the file"
        raise failure("USAGE", message, where=CONFIG, hint=hint)
    if pointer := pointer_in(texts[file].encode()):
        raise failure("USAGE", f"{file} is {pointer.kind}", hint=pointer.fix, where=file)
    if left := unfit(file, texts[file]):
        hint = "read it from the environment when the container runs, then convert again"
        raise failure("KIT_SECRET", f"the predictor {file}: {left.why}", hint=hint, where=file)
    return read_predictor(texts, file, found[2])


def _model_name(config: Mapping[str, Any], folder: str) -> str:
    image = config.get("image")
    path = image.partition("@")[0] if isinstance(image, str) and image else folder
    return short(PurePosixPath(path).name.partition(":")[0])[:128] or "model"


def _form(name: str, predictor: Predictor, build: CogBuild, code: Sequence[str]) -> dict[str, Any]:
    said = short(predictor.description or "")
    about = {"description": said} if said else {}
    return {
        **about,
        "license": "NOASSERTION",
        "model": {"name": name, "license": "NOASSERTION", "task": "prediction", "weights": []},
        "hyperparameters": {"seed": 0},
        "runtime": {
            "engine": code_engine(),
            "settings": {"handler": f"{_HANDLER}:Handler", "concurrency": 1},
            "code": list(code),
            "base": {
                "source": "debian",
                "suite": build.suite,
                **({"packages": list(build.packages)} if build.packages else {}),
            },
            "python": build.python,
            "requirements": list(build.requirements),
        },
        "hardware": {"gpu": "required" if build.gpu else "none", "architectures": ["amd64"]},
        "serving": {"port": 8000, "max_concurrency": 8, "timeout_seconds": 300},
    }


def _take_files(form: dict[str, Any]) -> Iterator[LeftOut]:
    """Set limits that fit pictures and sounds; yield what callers can still not send."""
    form["serving"]["max_body"] = _BODY
    form["runtime"]["settings"]["max_file_bytes"] = _FILE_BYTES
    size = _FILE_BYTES // 2**20
    yield LeftOut(
        "files that callers send as addresses, or that are large",
        f"the kit takes files as data: URLs and base64, up to {size} MiB, and fetches none",
        "name addresses in runtime.settings.fetch_from; raise max_file_bytes and serving.max_body",
    )


def _set_concurrency(form: dict[str, Any], config: Mapping[str, Any], predictor: Predictor) -> None:
    most = _mapping(config, "concurrency").get("max", predictor.concurrency)
    if isinstance(most, int) and 1 < most <= _MOST_AT_ONCE:
        form["runtime"]["settings"]["concurrency"] = most
        form["serving"]["max_concurrency"] = max(most, 8)


def _own_files(predictor: Predictor, environment: Mapping[str, str]) -> dict[str, str]:
    root = template_root() / "import" / "cog"
    template = jinja2.Environment(
        undefined=jinja2.StrictUndefined,
        autoescape=False,  # noqa: S701  Python, not HTML
        keep_trailing_newline=True,
    ).from_string((root / f"{_HANDLER}.jinja").read_text("utf-8"))
    handler = template.render(
        file=python_text(predictor.file),
        class_name=python_text(predictor.class_name),
        method=python_text(predictor.method),
        environment=python_texts(environment),
    )
    return {_HANDLER: handler, _MODULE: (root / f"{_MODULE}.jinja").read_text("utf-8")}


def _environment(config: Mapping[str, Any]) -> tuple[dict[str, str], list[LeftOut]]:
    kept: dict[str, str] = {}
    left: list[LeftOut] = []
    if not isinstance(config.get("environment", []), list):
        left.append(LeftOut("environment", "it is not a list", "write NAME=VALUE in a list"))
    for item in _list(config, "environment"):
        name, equals, value = str(item).partition("=")
        if equals and not _VARIABLE.fullmatch(name):
            left.append(
                LeftOut(
                    f"environment: {name}", "it is not a valid name of a variable", "correct it"
                )
            )
        elif equals and is_secret_setting(name, value):
            why = "it looks like a secret, and everyone who gets the kit can read it"
            left.append(LeftOut(f"environment: {name}", why, TO_THE_CONTAINER))
        elif equals and "\0" not in value:
            kept[name] = value
        else:
            why = "its value would come from the machine that builds the kit"
            left.append(LeftOut(f"environment: {name}", why, f"write ENVIRONMENT in {_HANDLER}"))
    return kept, left


_FIELDS = {
    "train": ("kits answer requests, they do not train", "train elsewhere, and name the weights"),
    "weights": (
        "Cog has a separate lock for the files that it manages",
        "name their source and commit in model.weights, and load them from the folder models",
    ),
    "tests": ("kits have no test commands", "send requests to the running kit"),
    "observability": ("a kit has its own log and metrics", "see /metrics"),
}
_READ = frozenset({"build", "predict", "run", "image", "environment", "concurrency"})


def _left_of_config(config: Mapping[str, Any]) -> list[LeftOut]:
    left = [
        LeftOut(
            name,
            *_FIELDS.get(name, ("mealkit does not know this field", "see Cog's documentation")),
        )
        for name in config
        if name not in _READ
    ]
    if "image" in config:
        why = "the image has the kit's name, and its registry is named when it is pushed"
        left.append(LeftOut("image", why, "mealkit build --push REGISTRY/NAME"))
    if "default_target" in _mapping(config, "concurrency"):
        why = "a kit does not set how many containers run"
        left.append(LeftOut("concurrency.default_target", why, "set it where the kit is deployed"))
    return left


def _mapping(values: Mapping[str, Any], name: str) -> dict[str, Any]:
    found = values.get(name)
    return found if isinstance(found, dict) else {}


def _list(values: Mapping[str, Any], name: str) -> list[Any]:
    found = values.get(name)
    return found if isinstance(found, list) else []
