"""Says why a kit cannot have a line of requirements: an option of pip, an address, a conflict."""

import re
from dataclasses import dataclass

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from mealkit.kit.confidential import masked
from mealkit.names import line_fault
from mealkit.untrusted import shown

_LONGEST_LINE = 1000
_OPTION = re.compile(r"(?:^|\s)(-{1,2}[A-Za-z][\w-]*)")
_ADDRESS = re.compile(r"^(?:[\w.+-]+://|git\+|hg\+|svn\+|bzr\+|\.{0,2}/|[\w./-]+\.whl\b)")
_INSTEAD_OF_OPTION = {
    ("-r", "--requirement"): "write the file's lines into runtime.requirements",
    ("-c", "--constraint"): "write its versions behind the packages in runtime.requirements",
    ("-e", "--editable"): "name its files in runtime.code, or build a wheel for runtime.wheels",
    ("--hash",): "leave it out: the lock pins the hash of every wheel",
    ("--pre",): "write the version that is meant: NAME==1.0rc1",
    ("--no-binary", "--no-build-isolation", "--config-settings", "--global-option"): (
        "build the wheel with it (pip wheel), and name its file in runtime.wheels"
    ),
}
_INDEX = "set it on the machine that locks: UV_INDEX_URL, UV_INDEX, UV_FIND_LINKS, or uv.toml"


@dataclass(frozen=True, slots=True)
class LineFault:
    """Why a line cannot be in a kit, and what to write or do instead."""

    why: str
    instead: str


def fault_in(line: str) -> LineFault | None:
    """Return why a kit cannot have a line of requirements; None if it can."""
    if option := _OPTION.search(line):
        named = option[1]
        for names, instead in _INSTEAD_OF_OPTION.items():
            if named in names:
                return LineFault(f"{named} is an option of pip", instead)
        return LineFault(f"{named} is an option of pip, a lock has no addresses", _INDEX)
    if _ADDRESS.match(line):
        return _address(line.partition("#")[0])
    try:
        requirement = Requirement(line)
    except (InvalidRequirement, RecursionError):
        requirement = None
    if requirement is None or line_fault(line) is not None or len(line) > _LONGEST_LINE:
        return LineFault("it is not a requirement", "write NAME or NAME==VERSION")
    if requirement.url is not None:
        return _address(requirement.name)
    return None


def required_name(line: str) -> str:
    """Return the normalised name of the package that a line without faults requires."""
    return canonicalize_name(Requirement(line).name)


def contradicts(line: str, bound: str) -> bool:
    """Return whether no version satisfies both a requirement and a bound, as in ``name>=2.5``.

    Tries the versions that either names, and the ones after them: these include the limits of
    every range.
    """
    wanted, limit = Requirement(line), Requirement(bound)
    if required_name(line) != required_name(bound):
        return False
    tried = [Version("99999")]
    for item in (*wanted.specifier, *limit.specifier):
        try:
            named = Version(item.version.removesuffix(".*"))
        except InvalidVersion:
            return False  # an arbitrary equality, ===
        major, minor, micro = named.major, named.minor, named.micro
        tried += [named, Version(f"{major}.{minor}.{micro + 1}"), Version(f"{major}.{minor + 1}")]
    both = wanted.specifier & limit.specifier
    return not any(both.contains(version, prereleases=True) for version in tried)


def _address(what: str) -> LineFault:
    return LineFault(
        f"{shown(masked(what))} is required from an address, which a lock cannot contain",
        "get or build the wheel (pip wheel), and name its file in runtime.wheels",
    )
