"""What every renderer needs to know of a kit that is to run: names, image, sizes, times, settings.

It is computed from the lock, the image's reference by digest, and deploy.yaml. No I/O.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Self

from mealkit.deploy.deployment_file import DeploymentFile, SecretKey, WeightsIn
from mealkit.digest import Digest
from mealkit.engines.registry import traits_of
from mealkit.errors import failure
from mealkit.oci.reference import Reference
from mealkit.recipe.kit import Gpu
from mealkit.recipe.lock import Lock
from mealkit.recipe.operations import Operations, effective_ops, ops_json
from mealkit.recipe.serving_settings import Serving
from mealkit.units import parse_size

MIB = 2**20

HOSTS_VARIABLE = "MEALKIT_HOSTS"
"""The variable with the names by which callers without a key reach the kit."""
DATABASE_VARIABLE = "MEALKIT_USAGE_DATABASE"
"""The variable with the address of the database, in which replicas share their budgets."""

READ_BYTES_PER_SECOND = 100 * MIB
"""The slowest disk that a start must be in time on: a network disk of a cloud, less a fifth."""
PULL_BYTES_PER_SECOND = 30 * MIB
"""How fast containerd pulls and unpacks: KServe measured 14 GB in 443 s, 140 GB in 4,586 s, on a
disk of 125 MiB/s."""
_ENGINE_SECONDS = 60
# Compiling kernels and capturing graphs; reports of vLLM state 60 to 300 s for most models.
_GPU_ENGINE_SECONDS = 600
_WARM_UP_SECONDS = 60
# Until a node has been found, or the cluster has added one.
_SCHEDULING_SECONDS = 300

# What a container writes besides what `ops` asks for; an engine on GPUs keeps compiled kernels.
_STATE_BYTES = 256 * MIB
_GPU_STATE_BYTES = 8192 * MIB

_MOST_NAME = 40
_LABEL_CHARACTERS = re.compile(r"[^A-Za-z0-9_.-]+")
# The largest GPU memory that is looked for, in MiB.
_MOST_GPU_MIB = 2**21


@dataclass(frozen=True, slots=True)
class Gpus:
    """The GPUs of one container."""

    resource: str
    count: int
    memory_mib: int | None
    """The least memory of each; None: not asked."""
    capability: tuple[int, int] | None
    """The least compute capability; None: not asked."""
    products: tuple[str, ...]


@dataclass(frozen=True)  # without slots, because properties are cached
class Workload:
    """A kit that is to run, with where and how."""

    lock: Lock
    image: Reference
    """The container's image, by its digest."""
    weights_image: Reference
    """The image that has the weights, by its digest: the container's, unless that is lean."""
    file: DeploymentFile

    @classmethod
    def of(
        cls,
        lock: Lock,
        image: Reference,
        file: DeploymentFile,
        weights_image: Reference | None = None,
    ) -> Self:
        """Return the workload of a lock, an image by its digest, and deploy.yaml.

        Raises:
            DeploymentError: ``DEPLOY_IMAGE``, a reference has no registry or no digest;
                ``DEPLOY_UNFIT``, the kit lacks what deploy.yaml asks for.
        """
        _require_tests(lock, file)
        for reference in filter(None, (image, weights_image)):
            _require_digest(reference)
        return cls(lock, _without_tag(image), _without_tag(weights_image or image), file)

    @cached_property
    def recipe(self) -> Digest:
        """The lock's recipe digest."""
        return self.lock.recipe

    @cached_property
    def weights_digest(self) -> Digest:
        """The digest of the lock's weights."""
        return self.lock.weights_digest

    @property
    def name(self) -> str:
        """The name of the deployment and of its Service."""
        return self.file.name or _name_of(self.lock.about.name)

    @property
    def kit(self) -> str:
        """The kit's name and version."""
        return f"{self.lock.about.name}:{self.lock.about.version}"

    @property
    def labels(self) -> dict[str, str]:
        """The labels of all objects; they differ between revisions."""
        return {
            **self.file.labels,
            **self.selector,
            "app.kubernetes.io/version": label_value(self.lock.about.version),
            "app.kubernetes.io/managed-by": "mealkit",
            "mealkit.dev/recipe": self.recipe.hex[:16],
        }

    @property
    def selector(self) -> dict[str, str]:
        """The labels that stay the same through all revisions."""
        return {"app.kubernetes.io/name": self.name, "app.kubernetes.io/component": "kit"}

    @property
    def annotations(self) -> dict[str, str]:
        """The annotations of all objects: what people ask for when something fails."""
        owner = self.lock.about.owner
        return {
            **self.file.annotations,
            "mealkit.dev/kit": self.kit,
            "mealkit.dev/recipe": str(self.recipe),
            "mealkit.dev/image": str(self.image.digest),
            "mealkit.dev/owner": f"{owner.team}, {owner.contact}",
        }

    @property
    def port(self) -> int:
        """The container's port."""
        return self.lock.serving.port

    @property
    def memory_bytes(self) -> int:
        """The container's memory, requested and at most."""
        stated = self.file.resources.memory
        if stated is not None:
            return parse_size(stated)
        # What is written to memory counts as the container's.
        kept = self.state_bytes if self.file.state.place == "memory" else 0
        return self.lock.requirements.memory_bytes + kept

    @property
    def shm_bytes(self) -> int:
        """The size of /dev/shm; 0: the default suffices."""
        stated = self.file.resources.shm
        return self.lock.requirements.shm_bytes if stated is None else parse_size(stated)

    @property
    def state_bytes(self) -> int:
        """The most that a container writes to its folder."""
        if self.file.state.size is not None:
            return parse_size(self.file.state.size)
        own = _GPU_STATE_BYTES if self.gpus else _STATE_BYTES
        audit = self.ops.audit
        return own + (parse_size(audit.max_file) * audit.max_files if audit else 0)

    @cached_property
    def ops(self) -> Operations:
        """How the kit is operated: its own sections, and those of deploy.yaml instead."""
        return effective_ops(self.lock.ops, self.file.ops)

    @property
    def has_shared_budgets(self) -> bool:
        """Whether the image has the client of the database in which replicas share budgets."""
        own = self.lock.ops.cost if self.lock.ops else None
        return own is not None and own.shared

    @property
    def weights_bytes(self) -> int:
        """The size of the weights."""
        return self.lock.weights_bytes

    @property
    def start_seconds(self) -> int:
        """How many seconds a container may take from its start until it is ready.

        The weights are read twice, to be hashed and to be loaded. A kit that states its own
        ``serving.start_seconds`` has these for its engine.
        """
        reading = math.ceil(self.weights_bytes / READ_BYTES_PER_SECOND)
        engine = _GPU_ENGINE_SECONDS if self.gpus else _ENGINE_SECONDS
        stated = self.lock.serving.start_seconds
        usual = Serving.model_fields["start_seconds"].default
        loading = stated if stated != usual else min(stated, reading + engine)
        return reading + loading + _WARM_UP_SECONDS

    @property
    def pull_seconds(self) -> int:
        """How many seconds a node may take to pull the image."""
        mounted = self.file.weights.place is WeightsIn.PVC
        size = self.lock.requirements.disk_bytes - (self.weights_bytes if mounted else 0)
        return math.ceil(max(size, 0) / PULL_BYTES_PER_SECOND)

    @property
    def rollout_seconds(self) -> int:
        """How many seconds one container may take from being wanted until it counts."""
        own = self.start_seconds + self.file.rollout.settle_seconds
        return self.pull_seconds + own + _SCHEDULING_SECONDS

    @property
    def stop_seconds(self) -> int:
        """How many seconds a container needs at most to stop."""
        return self.lock.serving.stop_seconds

    @property
    def fetches(self) -> bool:
        """Whether the kit fetches files that callers name, so that it needs a way out."""
        return bool(self.lock.engine.settings.get("fetch_from"))

    @cached_property
    def gpus(self) -> Gpus | None:
        """The GPUs of one container; None: it uses none."""
        choice, needs = self.file.gpu, self.lock.requirements
        count = needs.gpus if choice.count is None else choice.count
        if needs.gpu is Gpu.NONE or count == 0:
            return None
        stated = choice.compute_capability
        least = traits_of(self.lock.engine.name).least_capability
        capability = _capability(stated) if stated else least
        memory = self._gpu_mib()
        return Gpus(choice.resource, count, memory, capability, choice.products)

    def _gpu_mib(self) -> int | None:
        """Return the memory that each GPU must have: for one request with the whole context.

        For more requests at a time, an engine has room or lets them wait.
        """
        stated = self.file.gpu.memory
        if stated == "any":
            return None
        if stated != "auto":
            return math.ceil(parse_size(stated) / MIB)
        needs, engine = self.lock.requirements, traits_of(self.lock.engine.name).memory
        if needs.demand is None or needs.model is None or engine is None:
            return None
        setting = needs.demand.model_copy(update={"concurrency": 1}).setting(engine)
        needed = engine.estimate(needs.model, setting).high_bytes
        low, high = 0, _MOST_GPU_MIB
        while high - low > 1:
            middle = (low + high) // 2
            enough = engine.usable_bytes(middle * MIB, setting) >= needed
            low, high = (low, middle) if enough else (middle, high)
        return high

    def environment(self, hosts: tuple[str, ...], keys_file: str | None) -> Mapping[str, str]:
        """Return the container's variables, without those whose values are in Secrets.

        ``hosts`` are names by which callers reach the kit in this target; ``keys_file`` is the path
        of the file of keys in the container.
        """
        file = self.file
        found = {**file.environment, "MEALKIT_IMAGE_DIGEST": str(self.image.digest)}
        if file.auth == "off":
            outer = [item.host for item in (file.ingress, file.route) if item is not None]
            names = dict.fromkeys((*hosts, *outer, *file.hosts))
            found |= {"MEALKIT_AUTH": "off", HOSTS_VARIABLE: ",".join(names)}
        elif keys_file is not None:
            found["MEALKIT_KEYS_FILE"] = keys_file
        if file.origins:
            found["MEALKIT_ORIGINS"] = ",".join(file.origins)
        if file.ops is not None:
            found["MEALKIT_OPS"] = ops_json(file.ops)
        return dict(sorted(found.items()))

    @property
    def test_arguments(self) -> tuple[str, ...]:
        """The arguments, after the address, with which the image tests a candidate."""
        names = self.file.rollout.claims
        chosen = [f"--claim={name}" for name in names] or ["--cases-only"]
        return (*chosen, "--json", f"--timeout={self.lock.serving.timeout_seconds}")

    @property
    def test_key(self) -> SecretKey | None:
        """The Secret with the API key for the test of a candidate; None: none is needed."""
        if self.file.auth == "off":
            return None
        return self.file.rollout.key or SecretKey(secret=f"{self.name}-test-key", key="key")

    @property
    def keys_secret(self) -> str | None:
        """The name of the Secret with the keys; None: callers need no key."""
        return None if self.file.auth == "off" else self.file.keys.secret or f"{self.name}-keys"


def label_value(text: str) -> str:
    """Return a text as the value of a label: at most 63 of its characters, others replaced."""
    return _LABEL_CHARACTERS.sub("-", text)[:63].strip("_.-")


def _name_of(kit: str) -> str:
    """Return a kit's name as the name of a deployment."""
    plain = re.sub(r"[^a-z0-9]+", "-", kit).strip("-")
    named = plain if plain[:1].isalpha() else f"kit-{plain}"
    return named[:_MOST_NAME].strip("-")


def _require_tests(lock: Lock, file: DeploymentFile) -> None:
    """Require that the image can test what the gate is to test."""
    if file.rollout.gate == "none":
        return
    known = [item.name for item in lock.claims]
    wrong, hint = None, None
    if unknown := [name for name in file.rollout.claims if name not in known]:
        wrong = f"the kit has no claim {unknown[0]}"
        hint = f"write one of {', '.join(known)}" if known else "leave rollout.claims out"
    elif file.rollout.claims and not lock.tests_in_image:
        wrong = "the image cannot test claims: their data is not in it"
        hint = "tests_in_image: true in kit.yaml, or leave rollout.claims out to test the cases"
    elif not file.rollout.claims and not lock.cases:
        wrong = "rollout.gate is candidate, but the kit has no cases to test"
        hint = "write cases into kit.yaml, name claims in rollout.claims, or write gate: none"
    if wrong is not None:
        raise failure("DEPLOY_UNFIT", wrong, hint=hint, where="rollout")


def _require_digest(reference: Reference) -> None:
    if reference.registry is None or reference.digest is None:
        what = "names no registry" if reference.registry is None else "has no digest"
        raise failure("DEPLOY_IMAGE", f"the image {reference} {what}", where=str(reference))


def _without_tag(reference: Reference) -> Reference:
    # A reference with both is read differently by container engines; the digest says everything.
    return Reference(reference.registry, reference.repository, None, reference.digest)


def _capability(text: str) -> tuple[int, int]:
    major, _, minor = text.partition(".")
    return int(major), int(minor)
