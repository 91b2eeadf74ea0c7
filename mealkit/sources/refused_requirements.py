"""Says why uv found no packages for requirements: which of them is wrong, and what to write.

Reads the names and versions in uv's own reason, and asks uv again about single packages, at most a
few times. A reason of another form is passed on as it is.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from mealkit.errors import MealkitError, Problem, failure, failures, problem
from mealkit.kit.package_names import package_like, package_meant
from mealkit.kit.requirement_lines import required_name
from mealkit.lock.kit_parts import PythonTarget
from mealkit.sources.uv_tool import OfferedWheel, Question, UvRefusedError, ask_uv

# The names of packages that uv would have to build, in its hints.
_WITHOUT_WHEEL = re.compile(
    r"Wheels are (?:required|available) for `([^`]+)`|only found wheels for `([^`]+)`"
)
_WHEELLESS_PIN = re.compile(r"([\w.-]+==[\w.+!-]+) has no (?:usable )?wheels")
# A build that is not on the index of all packages, such as torch==2.13.0+cpu, with a marker or not.
_NO_LOCAL_VERSION = re.compile(
    r"there is no version of (?P<name>[\w.-]+)(?:\{[^}]*\})?==(?P<version>[\w.!]+\+[\w.]+)"
)
_NOT_FOUND = re.compile(r"\b([\w.-]+)(?:[\[{][^\s]*)? was not found in ")
# No version of a package is in the range that is required of it.
_NO_VERSION = re.compile(
    r"there is no version of ([\w.-]+)|only (?:the following versions of )?([\w.-]+)[^,]*? "
    r"(?:is|are) available"
)
_REQUIRED = re.compile(r"you require ([\w.-]+)\S*(?: and (?!you |we )([\w.-]+))?")
_DEPENDS = re.compile(r"\b([\w.-]+(?:[<>=!~][^\s]*)?) depends? on ([\w.-]+(?:[<>=!~][^\s]*)?)")

# Those that bases have; with a newer one, a package may have no wheel yet.
_PYTHONS = ("3.11", "3.12", "3.13", "3.14")
_MOST_UNKNOWN = 5
_MOST_FACTS = 4
_SHOWN_CHARACTERS = 1200


@dataclass(frozen=True, slots=True)
class _Refusal:
    """A question that uv refused, its reason, and where the kit has each requirement."""

    reason: str
    question: Question
    places: Mapping[str, str]
    """``kit.yaml:LINE`` of each requirement that the kit has."""

    def place(self, name: str) -> str | None:
        line = self.requirement(name)
        return None if line is None else self.places.get(line)

    def requirement(self, name: str) -> str | None:
        """Return the requirement for a package, if it is required directly."""
        own = canonicalize_name(name)
        lines = (text for text in self.question.requirements if required_name(text) == own)
        return next(lines, None)

    def dependent(self, name: str) -> str | None:
        """Return a package that depends on another, in uv's words."""
        own = canonicalize_name(name)
        for who, what in _DEPENDS.findall(self.reason):
            if canonicalize_name(re.split(r"[<>=!~]", what)[0]) == own:
                return str(who)
        return None

    def origin(self, name: str) -> str | None:
        """Return the line of the requirement that a package comes from, if uv's words tell it."""
        seen: set[str] = set()
        found: str | None = name
        while found and found not in seen:
            if place := self.place(found):
                return place
            seen.add(found)
            who = self.dependent(found)
            found = _bare(who) if who else None
        return None

    def alone(self, *requirements: str, **changes: object) -> list[OfferedWheel] | None:
        """Return what uv offers for requirements without their dependencies; None if nothing."""
        question = replace(
            Question(
                requirements,
                self.question.target,
                links=self.question.links,
                with_dependencies=False,
            ),
            **changes,  # type: ignore[arg-type]
        )
        try:
            return ask_uv(question)
        except (UvRefusedError, MealkitError):
            return None


def refusal(refused: UvRefusedError, question: Question, places: Mapping[str, str]) -> MealkitError:
    """Return the problems of requirements that uv refused, each at its line of the kit.

    Distinguishes names that the index does not have, versions that do not exist, packages without a
    wheel, and requirements that exclude each other. ``places`` has ``kit.yaml:LINE`` of each
    requirement that the kit has; the others are the engine's.
    """
    known = _Refusal(refused.reason, question, places)
    if unknown := list(_unknown(known)):
        return failures(sorted(unknown, key=lambda item: _line_number(item.where)))
    if without_wheel := _without_wheel(known):
        return without_wheel
    if local := _NO_LOCAL_VERSION.search(known.reason):
        wheel = f"{local['name']}=={local['version']}"
        hint = f"get the wheel of {wheel}, and name its file or folder in runtime.wheels"
        message = f"the index has no {wheel}: builds with a + are on an index of their own"
        where = known.origin(local["name"])
        return failure("PACKAGES_UNSOLVABLE", message, hint=hint, where=where)
    return failures([_no_version(known) or _conflict(known)])


def _unknown(known: _Refusal) -> Iterator[Problem]:
    """Yield a problem for each required package that the index does not have.

    uv names only the first; the others are found by asking without it.
    """
    reason, left = known.reason, list(known.question.requirements)
    for _ in range(_MOST_UNKNOWN):
        named = _NOT_FOUND.search(reason)
        if named is None:
            return
        name = canonicalize_name(named[1])
        yield _unknown_name(name, known)
        left = [text for text in left if required_name(text) != name]
        if len(left) == len(known.question.requirements) or not left:
            return
        try:
            ask_uv(replace(known.question, requirements=left, with_dependencies=False))
        except UvRefusedError as refused:
            reason = refused.reason
        except MealkitError:
            return
        else:
            return


def _unknown_name(name: str, known: _Refusal) -> Problem:
    near, line = package_like(name), known.requirement(name)
    written = Requirement(line).name if line else name
    message = f"no such package: {written}"
    if line is None and (who := known.dependent(name)):
        message += f", which {who} depends on"
        hint = f"require another version of {_bare(who)}, or name a wheel of {name} in"
        where = known.origin(name)
        return problem("PACKAGES_UNSOLVABLE", message, hint=f"{hint} runtime.wheels", where=where)
    hint = "correct the name, or name its wheel in runtime.wheels"
    if near:
        message += f"; did you mean {near}?"
        hint = f"write {_renamed(line or name, near)} in runtime.requirements"
    return problem("PACKAGES_UNSOLVABLE", message, hint=hint, where=known.place(name))


def _without_wheel(known: _Refusal) -> MealkitError | None:
    """Return the problem of packages without a wheel for the target.

    uv's hints name candidates; each is resolved alone, and one that fails alone has no wheel.
    """
    question = known.question
    wanted = {canonicalize_name(Requirement(text).name): text for text in question.requirements}
    if "all of:" not in known.reason:  # one chain of versions, so an exact version is the cause
        for pin in _WHEELLESS_PIN.findall(known.reason):
            wanted[canonicalize_name(pin.partition("==")[0])] = pin
    named = {first or second for first, second in _WITHOUT_WHEEL.findall(known.reason)}
    alone = [
        name
        for name in sorted(named)
        if known.alone(wanted.get(canonicalize_name(name), name)) is None
    ]
    if not alone:
        return None
    first = alone[0]
    if meant := package_meant(first):
        message = f"{first} is the name of a module, not its package; did you mean {meant}?"
        hint, where = f"write {meant} in runtime.requirements", known.place(first)
        return failure("PACKAGES_UNSOLVABLE", message, hint=hint, where=where)
    line = wanted.get(canonicalize_name(first), first)
    pythons = _pythons_of(line, question)
    other = known.alone(first) if line != first else None
    return source_only(
        alone,
        question.target,
        pythons,
        instead=other[0].version if other else None,
        where=known.origin(first),
    )


def _pythons_of(requirement: str, question: Question) -> list[str]:
    """Return the versions of Python that a kit may have and that the requirement has wheels for."""
    found = []
    for python in _PYTHONS:
        target = replace(question.target, python=python)
        try:
            ask_uv(Question((requirement,), target, links=question.links, with_dependencies=False))
        except (UvRefusedError, MealkitError):
            continue
        found.append(python)
    return found


def source_only(
    names: Sequence[str],
    target: PythonTarget,
    pythons: Sequence[str],
    *,
    instead: str | None = None,
    where: str | None = None,
) -> MealkitError:
    """Return the problem of packages without a wheel for a target.

    ``pythons`` have one, and so has the version ``instead`` of the first package.
    """
    first = names[0]
    platform = f"Python {target.python} on {target.architecture} with glibc {target.glibc}"
    built = f"build one there (pip wheel {first}) and name its file in runtime.wheels"
    there = f"; {first} has wheels for Python {', '.join(pythons)}" if pythons else ""
    ways = [f"require {first}=={instead}, which has one"] if instead else []
    if pythons and not instead:
        ways.append("require another version")
    ways += [f'set runtime.python: "{pythons[-1]}"'] if pythons else []
    return failure(
        "PACKAGES_SOURCE_ONLY",
        f"no wheel for {platform}: {', '.join(names)}{there}",
        hint=", ".join([*ways, f"or {built}" if ways else built]),
        where=where,
    )


def _no_version(known: _Refusal) -> Problem | None:
    """Return the problem of a requirement that no version of its package satisfies."""
    for first, second in _NO_VERSION.findall(known.reason):
        name = canonicalize_name(first or second)
        line = known.requirement(name)
        if line is None or known.alone(line) is not None:
            continue
        newest = known.alone(name)
        if newest is None:  # the reason names an extra of a package that does not exist
            return _unknown_name(name, known)
        near = _nearest(line, newest[0].version, known)
        message = f"no version of {name} satisfies {line}; the nearest are {', '.join(near)}"
        if len(near) == 1:
            message = f"no version of {name} satisfies {line}; the newest is {near[0]}"
        hint = f"write {_at_version(line, near[-1])} in runtime.requirements"
        return problem("PACKAGES_UNSOLVABLE", message, hint=hint, where=known.place(name))
    return None


def _nearest(line: str, newest: str, known: _Refusal) -> list[str]:
    """Return the versions below and above the one that a requirement names, then the newest."""
    pins = [item for item in Requirement(line).specifier if item.operator in {"==", "==="}]
    found = []
    for item in pins[:1]:
        version, name = item.version.removesuffix(".*"), Requirement(line).name
        below = known.alone(f"{name}<{version}")
        above = known.alone(f"{name}>{version}", lowest=True)
        found = [offer[0].version for offer in (below, above) if offer]
    return list(dict.fromkeys([*found, newest]))


def _conflict(known: _Refusal) -> Problem:
    """Return the problem of requirements that exclude each other, in the order of the kit."""
    found = (name for pair in _REQUIRED.findall(known.reason) for name in pair if name)
    named = {canonicalize_name(name) for name in found}
    lines = [text for text in known.question.requirements if required_name(text) in named]
    if not lines:
        return problem("PACKAGES_UNSOLVABLE", _shortened(known.reason))
    lines.sort(key=lambda text: _line_number(known.places.get(text)))
    facts = [
        f"{who} depends on {what.rstrip('.,')}" for who, what in _DEPENDS.findall(known.reason)
    ]
    facts = list(dict.fromkeys(facts))[:_MOST_FACTS]
    told = [_told(text, known) for text in lines]
    if not facts and len(lines) == 1:
        return problem("PACKAGES_UNSOLVABLE", _shortened(known.reason), where=_where(lines, known))
    message = f"these exclude each other: {', '.join(told)}"
    if facts:
        message += f"; {'; '.join(facts)}"
    hint = "loosen or change one of them: " + ", ".join(told)
    return problem("PACKAGES_UNSOLVABLE", message, hint=hint, where=_where(lines, known))


def _told(line: str, known: _Refusal) -> str:
    place = known.places.get(line)
    return f"{line} ({place})" if place else f"{line} (the engine's own)"


def _where(lines: Sequence[str], known: _Refusal) -> str | None:
    places = (known.places.get(line) for line in lines)
    return next((place for place in places if place), None)


def _line_number(place: str | None) -> tuple[int, str]:
    number = (place or "").rpartition(":")[2]
    return (int(number), "") if number.isdigit() else (0, place or "")


def _bare(text: str) -> str:
    return re.split(r"[<>=!~]", text)[0]


def _renamed(line: str, name: str) -> str:
    """Return a requirement for the package that was meant, with the same versions."""
    parsed = Requirement(line)
    return name if package_meant(parsed.name) else f"{name}{parsed.specifier}"


def _at_version(line: str, version: str) -> str:
    parsed = Requirement(line)
    extras = f"[{','.join(sorted(parsed.extras))}]" if parsed.extras else ""
    return f"{parsed.name}{extras}=={version}"


def _shortened(reason: str) -> str:
    """Return the beginning of a reason, up to the end of a sentence."""
    if len(reason) <= _SHOWN_CHARACTERS:
        return reason
    return reason[:_SHOWN_CHARACTERS].rpartition(". ")[0] + ". ..."
