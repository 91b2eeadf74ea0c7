"""Finds mealkit's templates: inside the package in a wheel, next to it in a checkout."""

from pathlib import Path

import mealkit

_PACKAGE = Path(mealkit.__file__).parent


def template_root(package: Path = _PACKAGE) -> Path:
    """Return the folder of the templates.

    A wheel has them as ``mealkit/_templates``, a checkout as ``templates``.
    """
    inside = package / "_templates"
    return inside if inside.is_dir() else package.parent / "templates"
