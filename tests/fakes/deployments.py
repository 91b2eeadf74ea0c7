"""Workloads of kits in the repository, for tests of what is rendered of them."""

import json
from functools import cache
from typing import Any

from fakes.served import ROOT
from mealkit.deploy.deployment_file import DeploymentFile
from mealkit.deploy.workload import Workload
from mealkit.oci.reference import Reference
from mealkit.recipe.kit import Gpu
from mealkit.recipe.lock import Lock, read_lock

IMAGE = f"registry.example.org/team/kit@sha256:{'ab' * 32}"


@cache
def lock_of_kit(name: str) -> Lock:
    return read_lock((ROOT / "kits" / name / "kit.lock").read_bytes())


def workload(kit: str = "rake", *, gpu: bool = False, **stated: Any) -> Workload:
    """A kit's workload with the fields of a deploy.yaml; ``gpu``: the kit also requires a GPU."""
    file = DeploymentFile.model_validate_json(json.dumps(stated))
    lock = lock_of_kit(kit)
    if gpu:
        needs = lock.requirements.model_copy(update={"gpu": Gpu.REQUIRED})
        lock = lock.model_copy(update={"requirements": needs})
    return Workload.of(lock, Reference.parse(IMAGE), file)
