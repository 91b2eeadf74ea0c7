"""Begins a kit from a template, and runs its script if that is wanted."""

import re
from dataclasses import dataclass
from pathlib import Path

from mealkit.engines.whole_schema import full_schema
from mealkit.importing.scaffold import write_new_kit
from mealkit.kit.document import read_document
from mealkit.kit.preparation import prepare_script

_FIRST_COMMENT = re.compile(r"^# (.+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Script:
    """A script that has to run before a kit can be locked."""

    path: Path
    purpose: str
    """What it does, in its own words: its first comment."""


@dataclass(frozen=True, slots=True)
class BegunKit:
    """A kit that was written from a template."""

    path: Path
    """The path of its kit.yaml."""
    script: Script | None


def begin_kit(folder: Path, engine: str | None, task: str | None) -> BegunKit:
    """Write a new kit; nothing of it runs.

    Raises:
        KitError, StoreError: as ``write_new_kit``.
    """
    written = write_new_kit(folder, engine, full_schema(), task)
    shown = folder / written.name  # as the user wrote it
    document, _ = read_document(written.read_text("utf-8"), str(shown))
    script = prepare_script(document)
    if script is None:
        return BegunKit(shown, None)
    found = _FIRST_COMMENT.search(script.read_text("utf-8"))
    return BegunKit(shown, Script(script, found[1] if found else ""))


def prepare_kit(script: Script) -> None:
    """Run a new kit's script on this machine.

    Raises:
        KitError: it fails (``KIT_PREPARE``).
    """
    from mealkit.sources.kit_script import run_kit_script

    run_kit_script(script.path)
