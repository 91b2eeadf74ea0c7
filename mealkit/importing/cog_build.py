"""Reads the ``build`` part of a cog.yaml: Python, packages, and what a kit cannot take over.

No I/O; resolves no versions.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from mealkit.importing.cog_requirements import ReadRequirements, read_requirements
from mealkit.importing.proposal import LeftOut

# The Python of each Debian suite that a minimal root file system can be built from.
_SUITES = {"3.11": "bookworm", "3.13": "trixie"}
_PYTHON, _OLDEST = "3.13", "3.11"
_OLD = re.compile(r"3\.(\d{1,2})")

# The values that are true in YAML 1.1, as Cog reads them.
_YES = frozenset({"true", "yes", "on", "y"})
_LISTS = frozenset({"environment", "pre_install", "python_packages", "run", "system_packages"})
# These configure Cog's own build.
_OF_COG = ("python_overrides", "sdk_version", "cog_runtime", "fast")
_FIELDS = _LISTS | {"cuda", "cudnn", "gpu", "python_requirements", "python_version", *_OF_COG}
# Names of Ubuntu, and of old releases, for packages that Debian has under another name.
_RENAMED = {
    "libgl1-mesa-glx": "libgl1",
    "libegl1-mesa": "libegl1",
    "libgles2-mesa": "libgles2",
    "libjpeg8": "libjpeg62-turbo",
    "libjpeg-turbo8": "libjpeg62-turbo",
    "libjpeg8-dev": "libjpeg62-turbo-dev",
    "libjpeg-turbo8-dev": "libjpeg62-turbo-dev",
    "libpng12-0": "libpng16-16",
    "libtiff5": "libtiff6",
    "libwebp6": "libwebp7",
    "libffi7": "libffi8",
    "libav-tools": "ffmpeg",
    "netcat": "netcat-openbsd",
    "ttf-dejavu": "fonts-dejavu",
    "ttf-liberation": "fonts-liberation",
}
_DEBIAN_NAME = re.compile(r"[a-z0-9][a-z0-9+.-]+")
_PINNED_NAME = re.compile(r"([a-z0-9][a-z0-9+.-]+)(?::[a-z0-9]+)?\s*=\s*\S+")


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


def read_build(
    build: Mapping[str, Any], texts: Mapping[str, str], wide: Mapping[str, str] | None = None
) -> CogBuild:
    """Read ``build``; ``texts`` are the project's files, ``wide`` those that are UTF-16."""
    python, left_python = _python(build.get("python_version"))
    requirements = _requirements(build, texts, wide or {})
    packages, left_packages = _packages(build)
    return CogBuild(
        python=python,
        suite=_SUITES[python],
        gpu=str(build.get("gpu")).lower() in _YES,
        requirements=requirements.kept,
        packages=tuple(packages),
        left_out=(*left_python, *requirements.left_out, *left_packages, *_left_of_build(build)),
        comments={
            ("runtime", "requirements"): "From cog.yaml; `mealkit lock` pins all of them.",
            ("runtime", "base", "packages"): (
                "From cog.yaml, by Ubuntu's names; `mealkit lock` reports those that Debian lacks."
                " They are unpacked, but their scripts do not run."
            ),
        },
    )


def _python(asked: Any) -> tuple[str, list[LeftOut]]:
    """Return the nearest Python that a suite has: wheels of old packages are for old Pythons."""
    if asked is None:
        return _PYTHON, []
    # YAML, and so Cog, reads 3.10 without quotes as the number 3.1.
    written = "3.10" if isinstance(asked, float) and asked == 3.1 else str(asked)
    minor = ".".join(written.split(".")[:2])
    if minor in _SUITES:
        return minor, []
    found = _OLD.fullmatch(minor)
    python = _OLDEST if found and int(found[1]) <= 11 else _PYTHON
    known = " and ".join(_SUITES)
    left = LeftOut(
        f"build.python_version: {asked}",
        f"Debian's suites have Python {known}; the kit has {python}",
        f"require versions that have wheels for {python}: mealkit lock names those that have none",
    )
    return python, [left]


def _requirements(
    build: Mapping[str, Any], texts: Mapping[str, str], wide: Mapping[str, str]
) -> ReadRequirements:
    lines = [
        (f"build.python_packages[{index}]", str(item))
        for index, item in enumerate(_list(build, "python_packages"))
    ]
    file = build.get("python_requirements")
    return read_requirements(lines, file if isinstance(file, str) else None, texts, wide)


def _packages(build: Mapping[str, Any]) -> tuple[list[str], list[LeftOut]]:
    kept: list[str] = []
    left: list[LeftOut] = []
    for name in _list(build, "system_packages"):
        if isinstance(name, str) and name in _RENAMED:
            kept.append(_RENAMED[name])
            why = f"Debian has what it stood for as {_RENAMED[name]}, which the kit names"
            left.append(LeftOut(f"build.system_packages: {name}", why, "nothing"))
        elif isinstance(name, str) and _DEBIAN_NAME.fullmatch(name):
            kept.append(name)
        elif isinstance(name, str) and (pinned := _PINNED_NAME.fullmatch(name)):
            kept.append(_RENAMED.get(pinned[1], pinned[1]))
            why = "the suite has one version of it, which the lock pins"
            left.append(LeftOut(f"build.system_packages: {name}", why, "nothing, if that one fits"))
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
    for name in sorted(build.keys() - _FIELDS):
        yield LeftOut(
            f"build.{name}", "mealkit does not know this field", "see Cog's documentation"
        )
    for name in sorted(build.keys() & _LISTS):
        if build[name] is not None and not isinstance(build[name], list):
            yield LeftOut(f"build.{name}", "it is not a list", "write a list into cog.yaml")


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
    for name in _OF_COG:
        if name in build:
            why = "it configures Cog's own build"
            yield LeftOut(f"build.{name}: {build[name]}", why, "nothing, or pin the version")


def _list(values: Mapping[str, Any], name: str) -> list[Any]:
    found = values.get(name)
    return found if isinstance(found, list) else []
