"""The script that a kit names in ``runtime.prepare``, and the command that runs it."""

import shlex
from pathlib import Path

from mealkit.kit.document import Document
from mealkit.names import loose_path_fault


def prepare_script(document: Document) -> Path | None:
    """Return the path of the script that ``runtime.prepare`` names; None if there is none."""
    runtime = document.data.get("runtime") if isinstance(document.data, dict) else None
    name = runtime.get("prepare") if isinstance(runtime, dict) else None
    if not isinstance(name, str) or loose_path_fault(name) is not None:
        return None
    return Path(document.name).parent / name


def prepare_command(script: Path) -> str:
    """Return the line for a shell that runs the script."""
    return f"bash {shlex.quote(str(script))}"
