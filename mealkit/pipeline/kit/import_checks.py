"""Compares the imports of a kit's code with the packages in its lock.

Only well-known modules count: any package may bring a module of another name.
"""

from mealkit.engines.imported_modules import unprovided_modules
from mealkit.errors import Problem, problem
from mealkit.kit.package_names import is_known, packages_of
from mealkit.pipeline.kit.opened_kit import OpenedKit
from mealkit.recipe.lock import Lock


def import_warnings(kit: OpenedKit, lock: Lock) -> list[Problem]:
    """Return a warning for each well-known module that is imported and that no package provides."""
    runtime = kit.parts.kit.runtime
    file = str(kit.parts.settings.get("handler", "")).partition(":")[0]
    base = runtime.base
    if file not in kit.parts.code or base.source == "image":
        return []
    if any(name.startswith("python3-") for name in base.packages):
        return []
    locked = {package.name for package in lock.engine.packages}
    left_out = set(runtime.exclude)  # these have a warning of their own
    found = []
    for path, line, module in unprovided_modules(kit.parts.code, file, ()):
        packages = packages_of(module)
        if not is_known(module) or {*packages} & (locked | left_out):
            continue
        message = f"{path} imports {module}, and the lock has no package that provides it"
        hint = f"write {packages[0]} in runtime.requirements"
        where = f"{path}:{line}"
        found.append(problem("KIT_IMPORT_MISSING", message, where=where, hint=hint))
    return found
