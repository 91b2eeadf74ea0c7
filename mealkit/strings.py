"""The types of strings and numbers in kits, locks and images, each with its format and limits.

Locks have the same types as kits, so that no string in an untrusted lock can point outside its
folder, end a line, or be read as an option.
"""

from collections.abc import Callable
from typing import Annotated, Any

from pydantic import AfterValidator, Field, GetPydanticSchema, StringConstraints
from pydantic_core import core_schema

from mealkit.names import line_fault, lines_fault, loose_path_fault, path_fault
from mealkit.units import SIZE_PATTERN, parse_size

_TEXT_CHARACTERS = 2000
_DOCUMENT_CHARACTERS = 1024 * 1024


def _checked(fault_of: Callable[[str], str | None]) -> AfterValidator:
    def check(text: str) -> str:
        fault = fault_of(text)
        if fault is not None:
            raise ValueError(fault)
        return text

    return AfterValidator(check)


def _pathlike(fault_of: Callable[[str], str | None]) -> AfterValidator:
    def check(path: str) -> str:
        fault = fault_of(path)
        if fault is not None:
            raise ValueError(f"{path[:200]!r} is not a path inside a folder: {fault}")
        return path

    return AfterValidator(check)


def _document_fault(text: str) -> str | None:
    return "it has the character U+0000" if "\0" in text else None


Line = Annotated[
    str, StringConstraints(min_length=1, max_length=_TEXT_CHARACTERS), _checked(line_fault)
]
"""A name or a sentence for people: one line, without invisible characters."""
MaybeLine = Annotated[str, StringConstraints(max_length=_TEXT_CHARACTERS), _checked(line_fault)]
"""A `Line` that may be empty."""
Text = Annotated[
    str, StringConstraints(min_length=1, max_length=_TEXT_CHARACTERS), _checked(lines_fault)
]
"""Sentences for people, on one or more lines."""
Document = Annotated[
    str, StringConstraints(max_length=_DOCUMENT_CHARACTERS), _checked(_document_fault)
]
"""The text of a file, unchanged."""

Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]+(?:[._-][a-z0-9]+)*$", max_length=128)]
Version = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$")]
Variable = Annotated[str, StringConstraints(pattern=r"^[a-z_][a-z0-9_]*$", max_length=64)]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Url = Annotated[
    str,
    StringConstraints(pattern=r"^https?://[^\s]+$", max_length=_TEXT_CHARACTERS),
    _checked(line_fault),
]

RelativePath = Annotated[str, StringConstraints(min_length=1), _pathlike(path_fault)]
"""A normalised path below a folder."""
LoosePath = Annotated[str, StringConstraints(min_length=1), _pathlike(loose_path_fault)]
"""A path below a folder as people write it: ``./lib/`` means ``lib``."""
MachinePath = Annotated[str, StringConstraints(min_length=1, max_length=4095), _checked(line_fault)]
"""A path on the author's machine, relative or absolute."""
AbsolutePath = Annotated[
    str, StringConstraints(pattern=r"^/", max_length=4095), _checked(line_fault)
]

HubRepository = Annotated[
    str,
    StringConstraints(
        pattern=r"^[A-Za-z0-9_][A-Za-z0-9._-]{0,95}/[A-Za-z0-9_][A-Za-z0-9._-]{0,95}$"
    ),
]
HubRevision = Annotated[
    str, StringConstraints(pattern=r"^[^\s-]\S*$", max_length=255), _checked(line_fault)
]
ArtifactReference = Annotated[
    str,
    StringConstraints(
        # The registry (with a dot or a port), the repository, and a tag, a digest or both.
        pattern=r"^(?:localhost|[A-Za-z0-9-]*[.:\[][A-Za-z0-9.\[\]:-]*)/[a-z0-9._/-]+"
        r"(?::[A-Za-z0-9_][A-Za-z0-9._-]{0,127}|(?::[A-Za-z0-9_][A-Za-z0-9._-]{0,127})?"
        r"@sha256:[0-9a-f]{64})$",
        max_length=512,
    ),
]
"""An artifact in a registry, by its tag or digest."""
ArtifactRepository = Annotated[
    str, StringConstraints(pattern=r"^[a-z0-9]+(?:[._/-]+[a-z0-9]+)*$", max_length=255)
]
"""A repository's name, without its registry."""
HubCommit = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{40}$")]

# https://packaging.python.org/en/latest/specifications/name-normalization/
PackageName = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$", max_length=128)
]
NormalName = Annotated[
    str, StringConstraints(pattern=r"^[a-z0-9]+(?:-[a-z0-9]+)*$", max_length=128)
]
# https://packaging.python.org/en/latest/specifications/version-specifiers/
PackageVersion = Annotated[
    str, StringConstraints(pattern=r"^[0-9A-Za-z][0-9A-Za-z.!+_-]*$", max_length=128)
]
# https://packaging.python.org/en/latest/specifications/binary-distribution-format/
WheelName = Annotated[
    str,
    StringConstraints(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._]*-[0-9A-Za-z.!+_]+(-[0-9][0-9A-Za-z_.]*)?"
        r"(-[0-9A-Za-z_.]+){3}\.whl$",
        max_length=255,
    ),
]
# A dotted path to a class: package.module:Class
Worker = Annotated[
    str,
    StringConstraints(
        pattern=r"^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*:[A-Za-z_][A-Za-z0-9_]*$",
        max_length=255,
    ),
]
EnvironmentName = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", max_length=255)
]

# https://www.debian.org/doc/debian-policy/ch-controlfields.html#source
DebianPackage = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9+.-]+$", max_length=128)]
DebianName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9+.-]*$", max_length=128)]
"""A name in an index, where dummy packages may have names of one letter."""
# The same page, #version and #architecture.
DebianVersion = Annotated[
    str, StringConstraints(pattern=r"^[0-9A-Za-z][0-9A-Za-z.+:~-]*$", max_length=128)
]
DebianArchitecture = Annotated[
    str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]*$", max_length=64)
]

Python = Annotated[str, StringConstraints(pattern=r"^3\.(1[1-9]|[2-9][0-9])$")]
Interpreter = Annotated[
    str,
    StringConstraints(pattern=r"^(/|python3\.[0-9]{2}$)", max_length=4095),
    _checked(line_fault),
]
"""The path of a Python, or its name on the PATH."""
Glibc = Annotated[str, StringConstraints(pattern=r"^2\.[0-9]{1,3}$")]
MachineName = Annotated[str, StringConstraints(pattern=r"^(amd64|arm64)$")]
"""An architecture that images are built for, by its name in Go."""

Bytes = Annotated[int, Field(ge=0, lt=2**63)]
"""A size, as file systems and registries count it."""
Count = Annotated[int, Field(ge=0, le=2**53)]
"""A number of things."""


def _size(text: str) -> str:
    parse_size(text)
    return text


def _size_schema(_source: Any, _handler: Any) -> core_schema.CoreSchema:
    return core_schema.no_info_after_validator_function(
        _size,
        core_schema.str_schema(pattern=SIZE_PATTERN, strict=True),
    )


Size = Annotated[str, GetPydanticSchema(_size_schema)]
"""A size with its unit, as text; ``parse_size`` returns its bytes."""
