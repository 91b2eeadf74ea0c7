"""Reads the ``build`` part of a cog.yaml: Python, packages, and what a kit cannot take over.

No I/O; resolves no versions.
"""

import posixpath
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from mealkit.importing.proposal import LeftOut
from mealkit.names import line_fault

# The Python of each Debian suite that a minimal root file system can be built from.
_SUITES = {"3.11": "bookworm", "3.13": "trixie"}
_PYTHON, _SUITE = "3.13", "trixie"

_LONGEST_LINE = 1000
# Requirements files may include each other: this is deeper than any project needs.
_MOST_FILES = 64
# The values that are true in YAML 1.1, as Cog reads them.
_YES = frozenset({"true", "yes", "on", "y"})
_DEBIAN_NAME = re.compile(r"[a-z0-9][a-z0-9+.-]+")


@dataclass(frozen=True, slots=True)
class CogBuild:
    """The parts of ``build`` that a kit takes over."""

    python: str
    suite: str
    gpu: bool
    requirements: tuple[str, ...]
    packages: tuple[str, ...]
    """Debian packages."""
    left_out: tuple[LeftOut, ...]
    comments: dict[tuple[str | int, ...], str] = field(default_factory=dict)


def read_build(build: Mapping[str, Any], texts: Mapping[str, str]) -> CogBuild:
    """Read ``build``; ``texts`` are the project's files, which include requirements."""
    python, left_python = _python(build.get("python_version"))
    requirements, left_requirements = _requirements(build, texts)
    packages, left_packages = _packages(build)
    return CogBuild(
        python=python,
        suite=_SUITES[python],
        gpu=str(build.get("gpu")).lower() in _YES,
        requirements=tuple(requirements),
        packages=tuple(packages),
        left_out=(*left_python, *left_requirements, *left_packages, *_left_of_build(build)),
        comments={
            ("runtime", "requirements"): "From cog.yaml; `mealkit lock` pins all of them.",
            ("runtime", "base", "packages"): (
                "From cog.yaml, by Ubuntu's names; `mealkit lock` reports those that Debian lacks."
                " They are unpacked, but their scripts do not run."
            ),
        },
    )


def _python(asked: Any) -> tuple[str, list[LeftOut]]:
    if asked is None:
        return _PYTHON, []
    # YAML, and so Cog, reads 3.10 without quotes as the number 3.1.
    minor = ".".join(str(asked).split(".")[:2])
    if minor in _SUITES:
        return minor, []
    known = " and ".join(_SUITES)
    left = LeftOut(
        f"build.python_version: {asked}",
        f"Debian's suites have Python {known}; the kit has {_PYTHON}",
        "correct the requirements' versions, or name a base image with another Python",
    )
    return _PYTHON, [left]


def _requirements(
    build: Mapping[str, Any], texts: Mapping[str, str]
) -> tuple[list[str], list[LeftOut]]:
    lines = [
        (f"build.python_packages[{index}]", str(item))
        for index, item in enumerate(_list(build, "python_packages"))
    ]
    left: list[LeftOut] = []
    file = build.get("python_requirements")
    if isinstance(file, str):
        lines += _lines_of(posixpath.normpath(file), texts, left, set())
    kept: list[str] = []
    for where, line in lines:
        refused = _refused(line)
        if refused is None:
            kept.append(str(Requirement(line)))
        else:
            left.append(LeftOut(f"{where}: {line}", *refused))
    return kept, left


def _lines_of(
    file: str, texts: Mapping[str, str], left: list[LeftOut], read: set[str]
) -> Iterator[tuple[str, str]]:
    """Return the lines of a requirements file and of the files that it includes, each file once."""
    if file in read:
        return
    read.add(file)
    if file not in texts or len(read) > _MOST_FILES:
        left.append(LeftOut(file, "the file does not exist", "name its packages in requirements"))
        return
    joined = texts[file].replace("\\\n", " ")
    for number, raw in enumerate(joined.splitlines(), 1):
        line = raw.split(" #")[0].split(" --hash")[0].strip()
        if not line or line.startswith("#"):
            continue
        option, _, value = line.partition(" ")
        if option in {"-r", "--requirement"}:
            inner = posixpath.normpath(posixpath.join(posixpath.dirname(file), value.strip()))
            yield from _lines_of(inner, texts, left, read)
        else:
            yield f"{file}:{number}", line


def _refused(line: str) -> tuple[str, str] | None:
    """Return why a kit cannot have a requirement, and what to do; None if it can."""
    if line.startswith("-"):
        why = "the machine sets the package index; the lock contains only digests"
        return why, "set it in uv.toml or UV_INDEX_URL on the machine that locks the kit"
    try:
        requirement = Requirement(line)
    except (InvalidRequirement, RecursionError):
        requirement = None
    if requirement is None or line_fault(line) is not None or len(line) > _LONGEST_LINE:
        return (
            "it does not name a package that has wheels",
            "build a wheel, and name it in runtime.wheels",
        )
    if requirement.url is not None:
        why = "it has an address instead of a version"
        return why, "build a wheel of it (pip wheel), and name it in runtime.wheels"
    if canonicalize_name(requirement.name) == "cog":
        return "the kit has a module cog of its own", "nothing"
    return None


def _packages(build: Mapping[str, Any]) -> tuple[list[str], list[LeftOut]]:
    kept: list[str] = []
    left: list[LeftOut] = []
    for name in _list(build, "system_packages"):
        if isinstance(name, str) and _DEBIAN_NAME.fullmatch(name):
            kept.append(name)
        else:
            why = "only a package's name is taken over; the lock pins its version"
            left.append(LeftOut(f"build.system_packages: {name}", why, "add it by its name"))
    return list(dict.fromkeys(kept)), left


def _left_of_build(build: Mapping[str, Any]) -> Iterator[LeftOut]:
    for kind in ("pre_install", "run"):
        for index, item in enumerate(_list(build, kind)):
            command = item.get("command") if isinstance(item, dict) else item
            yield LeftOut(
                f"build.{kind}[{index}]: {command}",
                "an image is assembled from pinned files, and the build runs no commands",
                "run it once, and name its result in model.weights or runtime.wheels",
            )
    yield from _left_of_versions(build)


def _left_of_versions(build: Mapping[str, Any]) -> Iterator[LeftOut]:
    for item in _list(build, "environment"):
        why = "the build of a kit runs no commands"
        name = str(item).partition("=")[0]
        yield LeftOut(f"build.environment: {name}", why, "nothing, if only commands use it")
    for name in ("cuda", "cudnn"):
        if name in build:
            yield LeftOut(
                f"build.{name}: {build[name]}",
                "CUDA is part of the wheels of torch and others, the driver is part of the machine",
                "require wheels that are built for this version",
            )
    for name in ("python_overrides", "sdk_version", "cog_runtime", "fast"):
        if name in build:
            why = "it configures Cog's own build"
            yield LeftOut(f"build.{name}: {build[name]}", why, "nothing, or pin the version")


def _list(values: Mapping[str, Any], name: str) -> list[Any]:
    found = values.get(name)
    return found if isinstance(found, list) else []
