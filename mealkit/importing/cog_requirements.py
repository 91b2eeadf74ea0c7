"""Reads the requirements of a Cog project, from cog.yaml and from files in pip's format. No I/O.

Format: https://pip.pypa.io/en/stable/reference/requirements-file-format/. Options of pip are
listed, each with what to do; a package on a line with options keeps its version.
"""

import posixpath
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from mealkit.engines.registry import code_engine, recipe_of
from mealkit.importing.proposal import LeftOut
from mealkit.kit.requirement_lines import contradicts, fault_in
from mealkit.names import line_fault
from mealkit.recipe.kit import Task

# Requirements files may include each other: this is deeper than any project needs.
_MOST_FILES = 64
_COMMENT = re.compile(r"(?:^|\s+)#.*$")
_CONTINUED = re.compile(r"\\\r?\n")
# Where the options of a line begin, behind its requirement.
_OPTIONS = re.compile(r"(?:^|\s)-{1,2}[A-Za-z]")
_OPTION = re.compile(r"(-{1,2}[A-Za-z][\w-]*)(?:\s*=\s*|\s+|(?=[^\s-]))?([^-\s]\S*)?")
_FILES = frozenset({"-r", "--requirement"})
_CONSTRAINTS = frozenset({"-c", "--constraint"})
# Options without a value.
_FLAGS = frozenset({"--no-index", "--pre", "--prefer-binary", "--require-hashes"})
# A kit does the same without them: it takes only wheels, and pins the hash of each.
_NEEDLESS = frozenset(
    {
        "--hash",
        "--require-hashes",
        "--only-binary",
        "--prefer-binary",
        "--use-feature",
        "--trusted-host",
    }
)


@dataclass(frozen=True, slots=True)
class ReadRequirements:
    """The requirements that a kit takes over, and what it leaves out."""

    kept: tuple[str, ...]
    left_out: tuple[LeftOut, ...]


def read_requirements(
    lines: Sequence[tuple[str, str]],
    file: str | None,
    texts: Mapping[str, str],
    wide: Mapping[str, str],
) -> ReadRequirements:
    """Read lines with their places, and a requirements file with the files that it includes.

    ``texts`` are the project's files, ``wide`` those in UTF-16, which pip reads too.
    """
    reading = _Reading(texts, wide)
    for where, line in lines:
        reading.line(where, line, "")
    if file is not None:
        reading.file(posixpath.normpath(file))
    return ReadRequirements(tuple(reading.merged()), tuple(reading.left))


class _Reading:
    """Collects requirements, constraints, and what is left out."""

    def __init__(self, texts: Mapping[str, str], wide: Mapping[str, str]) -> None:
        self.left: list[LeftOut] = []
        self._kept: list[Requirement] = []
        self._constraints: list[tuple[str, Requirement]] = []
        self._texts = texts
        self._wide = wide
        self._read: set[tuple[str, bool]] = set()
        self._bounds = recipe_of(code_engine()).bounds_for(Task.PREDICTION, {})

    def file(self, name: str, *, constrains: bool = False) -> None:
        """Read a file, once."""
        if (name, constrains) in self._read:
            return
        self._read.add((name, constrains))
        text = self._texts.get(name, self._wide.get(name))
        if text is None or len(self._read) > _MOST_FILES:
            why = "the file does not exist in the project, or is not text"
            self._leave(name, why, "name its packages in runtime.requirements")
            return
        if name in self._wide:
            self._leave(name, "it is UTF-16; its packages were read", "save it as UTF-8")
        for number, line in _lines(text):
            self.line(f"{name}:{number}", line, posixpath.dirname(name), constrains=constrains)

    def line(self, where: str, line: str, folder: str, *, constrains: bool = False) -> None:
        """Read one line, in a file in ``folder``."""
        if line_fault(line) is not None:
            self._leave(f"{where}: {line}", "it is not one line", "write NAME or NAME==VERSION")
            return
        begin = _OPTIONS.search(line)
        requirement = (line[: begin.start()] if begin else line).strip()
        if begin:
            options = line[begin.start() :].strip()
            for behind in self._options(where, options, folder, alone=not requirement):
                self._requirement(where, behind, constrains=constrains)
        if requirement:
            self._requirement(where, requirement, constrains=constrains)

    def _requirement(self, where: str, requirement: str, *, constrains: bool) -> None:
        refused = self._refused(requirement)
        if refused is not None:
            self._leave(f"{where}: {requirement}", *refused)
        elif constrains:
            self._constraints.append((where, Requirement(requirement)))
        else:
            self._kept.append(Requirement(requirement))

    def merged(self) -> Iterator[str]:
        """Yield the requirements with the constraints on them; list all other constraints."""
        names = {canonicalize_name(item.name) for item in self._kept}
        for where, item in self._constraints:
            if canonicalize_name(item.name) not in names:
                why = "it is a constraint on a package that only others may need"
                instead = "add it to runtime.requirements if the lock has that package"
                self._leave(f"{where}: {item}", why, instead)
        for kept in self._kept:
            for _, item in self._constraints:
                if canonicalize_name(item.name) == canonicalize_name(kept.name):
                    kept.specifier &= item.specifier
            yield str(kept)

    def _options(self, where: str, text: str, folder: str, *, alone: bool) -> list[str]:
        """Read options; return the requirements behind them, which Cog reads as well."""
        behind = _OPTION.sub(" ", text).split()
        for found in _OPTION.finditer(text):
            name, value = found[1], found[2] or ""
            if name[:2] in _FILES | _CONSTRAINTS and not name.startswith("--") and len(name) > 2:
                name, value = name[:2], name[2:] + value  # -rmore.txt
            if value and name in _FLAGS:
                behind.append(value)
                value = ""
            if name in _FILES | _CONSTRAINTS and alone:
                inner = posixpath.normpath(posixpath.join(folder, value))
                self.file(inner, constrains=name in _CONSTRAINTS)
            elif name not in _NEEDLESS:
                fault = fault_in(name)
                what = f"{where}: {name} {value}".rstrip()
                self._leave(what, fault.why if fault else "it is not known", _instead(fault))
        return behind

    def _refused(self, line: str) -> tuple[str, str] | None:
        """Return why a kit cannot have a requirement, and what to do; None if it can."""
        if fault := fault_in(line):
            return fault.why, fault.instead
        if canonicalize_name(Requirement(line).name) == "cog":
            return "the kit has a module cog of its own", "nothing"
        for bound in self._bounds:
            if contradicts(line, bound):
                why = f"the engine needs {bound}"
                return why, "change the code that needs another version"
        return None

    def _leave(self, what: str, why: str, instead: str) -> None:
        self.left.append(LeftOut(what, why, instead))


def _instead(fault: object) -> str:
    return getattr(fault, "instead", "nothing")


def _lines(text: str) -> Iterator[tuple[int, str]]:
    """Yield the lines as pip reads them: continued ones joined, without comments."""
    number = 1
    for raw in _joined(text.removeprefix("\ufeff")):
        line = _COMMENT.sub("", raw.replace("\0", " ").replace("\t", " ")).strip()
        if line:
            yield number, line
        number += raw.count("\0") + 1


def _joined(text: str) -> list[str]:
    # A joined line remembers how many lines it had.
    return _CONTINUED.sub("\0", text).splitlines()
