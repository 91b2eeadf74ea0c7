"""Writes a policy for admission controllers and for podman, to a folder or as text."""

import datetime as dt
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import assert_never

from mealkit.files.whole import write_whole
from mealkit.pipeline.policy.admitting import policy_at
from mealkit.trust.admission import left_out, places_of
from mealkit.trust.admission_documents import kyverno, podman, policy_controller


class Tool(StrEnum):
    """A tool that checks images by a policy of its own."""

    KYVERNO = "kyverno"
    POLICY_CONTROLLER = "policy-controller"
    PODMAN = "podman"


def exported(path: Path, tool: Tool) -> Mapping[str, str]:
    """Return the files for a tool, by their paths below a folder.

    Raises:
        TrustError: ``POLICY_INVALID``, ``POLICY_UNREADABLE``; ``POLICY_EXPORT``: the tool cannot
            express the policy.
    """
    loaded = policy_at(path)
    today = dt.datetime.now(dt.UTC).date()
    places, where = places_of(loaded, today), loaded.where("registries")
    notes = [f"Written by: mealkit policy export {path.name} --for {tool}, on {today}."]
    if rules := left_out(loaded):
        notes.append(f"Only mealkit checks: {', '.join(rules)}.")
    match tool:
        case Tool.KYVERNO:
            return kyverno(places, notes)
        case Tool.POLICY_CONTROLLER:
            return policy_controller(places, notes, where)
        case Tool.PODMAN:
            return podman(places, where)
        case _:
            assert_never(tool)


def write_exported(files: Mapping[str, str], folder: Path) -> list[Path]:
    """Write files below a folder, and return their paths.

    Raises:
        StoreError: ``DISK_FULL``, ``DISK_DENIED``.
    """
    written = []
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, text.encode())
        written.append(path)
    return written
