"""Where mealkit's templates are: in the wheel beside the code, in a checkout beside the package."""

from pathlib import Path

import mealkit

_PACKAGE = Path(mealkit.__file__).parent


def template_root(package: Path = _PACKAGE) -> Path:
    """Return the folder of the templates.

    A wheel carries them as ``mealkit/_templates``; a checkout has them in ``templates``.
    """
    inside = package / "_templates"
    return inside if inside.is_dir() else package.parent / "templates"
