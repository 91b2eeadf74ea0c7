"""Imports the libraries of the metrics and of data files late, and names their versions.

They are an extra of mealkit's package, and in an image only where its kit asks for them.
"""

from collections.abc import Iterable
from importlib import import_module, metadata
from typing import Any

from mealkit.errors import failure


def needed(module: str) -> Any:
    """Import a module of the extra.

    Raises:
        AcceptanceError: ``TEST_PACKAGE_MISSING``.
    """
    try:
        return import_module(module)
    except ImportError as error:
        name = module.partition(".")[0]
        message = f"the library {name} is not installed, and a claim needs it"
        raise failure("TEST_PACKAGE_MISSING", message) from error


def versions(packages: Iterable[str]) -> dict[str, str]:
    """Return the versions of those distributions that are installed."""
    found = {}
    for name in sorted(set(packages)):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found
