"""Entries of catalogues without images, and writers that add them at the same time."""

import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from mealkit.catalogue.entry import Entry
from mealkit.catalogue.merging import Journal, change
from mealkit.catalogue.records import new_record
from mealkit.digest import Digest
from mealkit.recipe.kit import Contact, Gpu, Task
from mealkit.recipe.requirements import Requirements

GIB = 2**30


def listed_entry(name: str = "rake", **changes: Any) -> Entry:
    """An entry for a kit of this name that needs no GPU."""
    contact = "mailto:cooks@kitchen.invalid"
    form = {
        "name": name,
        "version": "1.0.0",
        "reference": f"registry.example.org/kits/{name}:1.0.0",
        "digest": Digest.of(name.encode()),
        "recipe": Digest.of(b"recipe"),
        "description": "Finds what matters.",
        "owner": Contact(team="cooks", contact=contact, support="at noon"),
        "license": "Apache-2.0",
        "model": "a-model",
        "model_license": "MIT",
        "task": Task.EMBEDDINGS,
        "engine": "onnx",
        "download_bytes": GIB,
        "requirements": {"amd64": needs()},
    }
    return Entry(**{**form, **changes})


def needs(**changes: Any) -> Requirements:
    """Requirements of a small kit."""
    form = {
        "architectures": ("amd64",),
        "gpu": Gpu.NONE,
        "memory_bytes": GIB,
        "disk_bytes": GIB,
        "weights_bytes": GIB,
        "port": 8080,
    }
    return Requirements(**{**form, **changes})


def write_side_by_side(
    opened: Callable[[], AbstractContextManager[Journal]], writers: int, each: int
) -> None:
    """Add entries from several processes at once, ``each`` per process."""
    children = []
    for writer in range(writers):
        child = os.fork()
        if child == 0:
            status = 1
            try:
                with opened() as journal:
                    for number in range(each):
                        entry = listed_entry(f"kit-{writer}-{number}")
                        change(journal, new_record(entry, [], number))
                status = 0
            finally:
                os._exit(status)
        children.append(child)
    assert [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children] == [
        0
    ] * writers
