"""Finds mealkit's templates and example kits: in a wheel's package, beside it in a checkout."""

from pathlib import Path

import mealkit

_PACKAGE = Path(mealkit.__file__).parent


def template_root(package: Path = _PACKAGE) -> Path:
    """Return the folder of the templates.

    A wheel has them as ``mealkit/_templates``, a checkout as ``templates``.
    """
    inside = package / "_templates"
    return inside if inside.is_dir() else package.parent / "templates"


def example_root(package: Path = _PACKAGE) -> Path:
    """Return the folder of the example kits.

    A wheel has what new kits copy of them as ``mealkit/_templates/kits``, a checkout as ``kits``.
    """
    inside = package / "_templates" / "kits"
    return inside if inside.is_dir() else package.parent / "kits"
