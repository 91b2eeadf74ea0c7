"""Entries of catalogues without images, and writers that add them at the same time."""

import os
import traceback
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from mealkit.catalogue.entry import Entry
from mealkit.catalogue.merging import Journal, change
from mealkit.catalogue.records import new_record
from mealkit.catalogue.site_pages import Inside, LayerRow, Version
from mealkit.digest import Digest
from mealkit.memory.shape import Shape
from mealkit.recipe.kit import Contact, Gpu, Task
from mealkit.recipe.lock import Lock
from mealkit.recipe.requirements import Demand, Requirements
from mealkit.trust.sbom import sbom_of

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
            except BaseException:
                traceback.print_exc()
                raise
            finally:
                os._exit(status)
        children.append(child)
    assert [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children] == [
        0
    ] * writers


def version_of(lock: Lock, readme: str | None = None, **changes: Any) -> Version:
    """A version of a kit for a site, with everything that its image would say."""
    about, layer = lock.about, LayerRow("the kit's own files", 2048, Digest.of(b"layer"))
    stated = {
        "version": about.version,
        "description": about.description,
        "owner": about.owner,
        "license": about.license,
        "model": lock.model.name,
        "model_license": lock.model.license,
        "task": lock.model.task,
        "engine": lock.engine.name,
        "paper": about.paper,
        "requirements": {lock.runtime.architecture: lock.requirements},
    }
    entry = listed_entry(about.name, **{**stated, **changes})
    return Version(entry, readme, Inside(lock, (layer,), sbom_of(lock, mealkit_version="1")))


def on_gpus(weights_bytes: int, **demand: Any) -> Requirements:
    """Requirements of a model with this many bytes of weights, which vLLM runs on GPUs."""
    shape = Shape(
        bytes_by_dtype={"BF16": weights_bytes},
        layers=28,
        hidden_size=3584,
        intermediate_size=18944,
        heads=28,
        kv_heads=4,
        head_dimension=128,
        vocabulary=152064,
        max_positions=32768,
    )
    asked = Demand(engine="vllm", context_tokens=4096, **demand)
    return needs(gpu=Gpu.REQUIRED, model=shape, demand=asked)
