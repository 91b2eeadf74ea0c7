"""Resolves a kit's packages with another version of one of them, for ``mealkit test --salt``."""

from mealkit.acceptance.salt_report import ChangedValue
from mealkit.errors import MealkitError, failure
from mealkit.kit.requirement_lines import fault_in, required_name
from mealkit.lock.kit_parts import PythonTarget
from mealkit.lock.salt import Pinch
from mealkit.pipeline.home import Home
from mealkit.pipeline.kit.opened_kit import OpenedKit
from mealkit.pipeline.kit.resolving_inputs import KitInputs
from mealkit.progress import Progress
from mealkit.recipe.glibc import glibc_of
from mealkit.recipe.lock import Lock


def another_package(
    kit: OpenedKit, lock: Lock, wanted: str, home: Home, progress: Progress
) -> Pinch:
    """Return the change of one package to the version in ``NAME==VERSION``.

    The others keep their versions, if they work with it; else the report names those that do not.

    Raises:
        KitError: ``USAGE``, the engine has no such package, or this is not a version.
        LockError, SourceError: no such version can be resolved.
    """
    name, _, version = wanted.partition("==")
    before = {wheel.name: wheel.version for wheel in lock.engine.packages}
    if not version or fault_in(wanted) or required_name(wanted) not in before:
        raise failure(
            "USAGE",
            f"package={wanted} does not name another version of a package of the engine",
            hint=f"write package=NAME==VERSION, with one of {', '.join(sorted(before))}",
        )
    name = required_name(wanted)
    parts, target = kit.parts, _target(lock)
    others = [line for line in parts.all_requirements if required_name(line) != name]
    pins = [f"{other}=={locked}" for other, locked in before.items() if other != name]
    inputs = KitInputs(kit, home, progress)
    try:
        packages = inputs.packages((*others, *pins, wanted), parts.excludes, target)
    except MealkitError as error:
        if error.problems[0].code != "PACKAGES_UNSOLVABLE":
            raise
        packages = inputs.packages((*others, wanted), parts.excludes, target)
    after = {wheel.name: wheel.version for wheel in packages}
    moved = {
        f"package {other}": after.get(other)
        for other in sorted({*before, *after} - {name})
        if before.get(other) != after.get(other)
    }
    change = ChangedValue(
        field=f"package {name}",
        pinned=before[name],
        changed=after[name],
        together=moved,
        spoils=False,
    )
    return Pinch(change, packages=packages)


def _target(lock: Lock) -> PythonTarget:
    return PythonTarget(lock.runtime.python, lock.runtime.architecture, glibc_of(lock.runtime.base))
