"""Resolves a kit into a lock. Parts that are still valid are kept; the others are resolved again.

No I/O except through ``Inputs``. Raises SourceError for an input that a lock cannot contain, such
as a path outside its folder or a name with a line break.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from enum import StrEnum
from typing import Protocol

from pydantic import JsonValue

from mealkit.digest import Digest, canonical_json
from mealkit.errors import MealkitError, failure
from mealkit.lock.kit_parts import KitParts, PythonTarget
from mealkit.lock.packages_of_tests import packages_of_tests
from mealkit.lock.resolved import Resolved, is_compiled, stated_requirements
from mealkit.lock.resolved_datasets import (
    CurrentDatasets,
    DatasetInputs,
    dataset_requests,
    locked_datasets,
    offline_datasets,
)
from mealkit.lock.resolved_weights import (
    WeightInputs,
    Weights,
    kept_weights,
    lockable,
    new_weights,
    plausible,
)
from mealkit.recipe.glibc import glibc_of
from mealkit.recipe.kit import Base, Kit, kit_json
from mealkit.recipe.lock import (
    Lock,
    LockedEngine,
    LockedGateway,
    LockedModel,
    LockedRuntime,
    LockedWheel,
    ModelShape,
)
from mealkit.recipe.lock_records import About, LockedCode, LockedPrompt, Requests
from mealkit.recipe.locked_base import LockedBase
from mealkit.recipe.locked_file import LockedFile
from mealkit.recipe.origins import FolderOrigin
from mealkit.recipe.variant import architectures_of, joined, plain_lock


class Upgrade(StrEnum):
    """A part of the lock to resolve again although the kit requires the same."""

    BASE = "base"
    PYTHON = "python"
    WEIGHTS = "weights"
    DATASETS = "datasets"


class Inputs(WeightInputs, DatasetInputs, Protocol):
    """Resolves the inputs of a lock to digests."""

    def packages(
        self, requirements: Sequence[str], excludes: Sequence[str], target: PythonTarget
    ) -> tuple[LockedWheel, ...]:
        """Resolve Python packages to wheels for a target."""
        ...

    def dependents(
        self,
        names: Sequence[str],
        requirements: Sequence[str],
        packages: Sequence[LockedWheel],
        target: PythonTarget,
        *,
        excludes: Sequence[str],
    ) -> Mapping[str, tuple[str, ...]]:
        """Return which of the ``packages`` depend on each of these names, which were left out.

        ``excludes`` was left out as well, without a question.
        """
        ...

    def base(self, base: Base, python: str, architecture: str) -> LockedBase:
        """Resolve the base of the image."""
        ...


def resolve(
    parts: KitParts,
    inputs: Inputs,
    previous: Lock | None = None,
    upgrade: frozenset[Upgrade] = frozenset(),
) -> Lock:
    """Return the kit's lock, for all its architectures.

    A part of ``previous`` is kept, without a call of ``inputs``, if the kit still requires the
    same and ``upgrade`` does not name it.

    Raises:
        SourceError, LockError: an input cannot be resolved.
    """
    locks: list[Lock] = []
    needless = set(parts.kit.runtime.exclude)
    for variant in parts.variants():
        own = variant
        before = plain_lock(previous, own.architecture) if previous else None
        if locks:  # all architectures share the weights and data that the first one resolved
            before = _with_shared(before or locks[0], locks[0])
            own = replace(own, current=None, current_datasets=CurrentDatasets())
            upgrade -= {Upgrade.WEIGHTS, Upgrade.DATASETS}
        lock = _resolve(own, inputs, before, upgrade)
        needless -= _left_out(own, inputs, before, lock)
        locks.append(lock)
    if needless:
        raise _needless(sorted(needless))
    return joined(locks)


def _left_out(parts: KitParts, inputs: Inputs, before: Lock | None, lock: Lock) -> set[str]:
    """Return which names of ``runtime.exclude`` a package depends on; all, if nothing changed."""
    names, packages = lock.engine.excluded, lock.engine.packages
    known = before.engine if before else None
    if not names or (known and (known.excluded, known.packages) == (names, packages)):
        return set(names)
    target = PythonTarget(lock.runtime.python, parts.architecture, glibc_of(lock.runtime.base))
    found = inputs.dependents(
        names, parts.all_requirements, packages, target, excludes=parts.recipe.excludes
    )
    return {name for name in names if found.get(name)}


def _needless(names: Sequence[str]) -> MealkitError:
    return failure(
        "KIT_INVALID",
        f"runtime.exclude names {', '.join(names)}, which no package of the kit depends on",
        where="runtime.exclude",
        hint=f"delete {' and '.join(names)} from runtime.exclude, or correct the spelling",
    )


def _with_shared(before: Lock, found: Lock) -> Lock:
    asked = {"weights": found.requests.weights, "datasets": found.requests.datasets}
    requests = before.requests.model_copy(update=asked)
    shared = {"model": found.model, "datasets": found.datasets, "requests": requests}
    return before.model_copy(update=shared)


def _resolve(
    parts: KitParts, inputs: Inputs, previous: Lock | None, upgrade: frozenset[Upgrade]
) -> Lock:
    """Return the plain lock of a kit for one architecture."""
    asked = requests_of(parts)
    kept = previous.requests if previous else None
    if previous and kept and kept.base == asked.base and Upgrade.BASE not in upgrade:
        base = parts.current_bases.get(parts.architecture, previous.runtime.base)
    else:
        with lockable("the base"):
            base = inputs.base(parts.kit.runtime.base, parts.kit.runtime.python, parts.architecture)
    target = PythonTarget(parts.kit.runtime.python, parts.architecture, glibc_of(base))
    if previous and kept and kept.packages == asked.packages and Upgrade.PYTHON not in upgrade:
        engine_packages = previous.engine.packages
    else:
        with lockable("the engine's packages"):
            engine_packages = inputs.packages(parts.all_requirements, parts.excludes, target)
    if previous and kept and kept.gateway == asked.gateway and Upgrade.PYTHON not in upgrade:
        gateway_packages = previous.gateway.packages
    else:
        wanted = (*parts.gateway_requirements, *parts.gateway_bounds)
        with lockable("the gateway's packages"):
            gateway_packages = inputs.packages(wanted, (), target)
    test_packages = _test_packages(parts, inputs, previous, target, anew=Upgrade.PYTHON in upgrade)
    if previous and kept and kept.weights == asked.weights and Upgrade.WEIGHTS not in upgrade:
        weights = kept_weights(parts.kit, parts.current, inputs, previous.model)
    else:
        weights = new_weights(parts.kit, inputs)
    datasets = locked_datasets(
        parts.kit,
        parts.current_datasets,
        inputs,
        previous,
        upgrade=Upgrade.DATASETS in upgrade,
    )
    _check_length(parts, weights.shape)
    resolved = Resolved(base, engine_packages, gateway_packages, weights, datasets, test_packages)
    with lockable("what was found"):
        return _lock(parts, resolved, asked)


def _test_packages(
    parts: KitParts, inputs: Inputs, previous: Lock | None, target: PythonTarget, *, anew: bool
) -> tuple[LockedWheel, ...]:
    wanted = packages_of_tests(parts.kit)
    if not wanted:
        return ()
    if previous and not anew and previous.requests.test_packages == _asked_tests(parts):
        return previous.test_packages
    with lockable("the packages of the tests"):
        return inputs.packages(wanted, (), target)


def _asked_tests(parts: KitParts) -> Digest | None:
    wanted = packages_of_tests(parts.kit)
    form = [wanted, dict(parts.local_wheels), _asked_base(parts)]
    return Digest.of(canonical_json(form)) if wanted else None


def _asked_base(parts: KitParts) -> list[JsonValue]:
    kit = parts.kit
    return [kit_json(kit.runtime.base), kit.runtime.python, parts.architecture]


def requests_of(parts: KitParts) -> Requests:
    """Return a digest of the request for each part that is resolved from a source."""
    kit = parts.kit
    base = _asked_base(parts)
    found_where = (dict(parts.local_wheels), base)
    packages = [
        parts.requirements,
        kit.runtime.requirements,
        parts.excludes,
        *found_where,
    ]
    weights = [[kit_json(item) for item in kit.model.weights], kit.model.allow_pickle]
    if parts.signers:  # so that another key or signature is verified
        weights.append({path: Digest.of(text.encode()) for path, text in parts.signers.items()})
    return Requests(
        weights=Digest.of(canonical_json(weights)),
        packages=Digest.of(canonical_json(packages)),
        gateway=Digest.of(canonical_json([parts.gateway_requirements, *found_where])),
        base=Digest.of(canonical_json(base)),
        datasets=dataset_requests(kit),
        test_packages=_asked_tests(parts),
    )


def offline_lock(parts: KitParts, previous: Lock) -> Lock:
    """Return the lock that results from the kit without calls of ``Inputs``.

    An architecture that ``previous`` lacks is left out, unless it is the kit's only one.
    """
    known = architectures_of(previous)
    own = parts.variants()
    there = [item for item in own if item.architecture in known] or own[:1]
    return joined([_offline(item, plain_lock(previous, item.architecture)) for item in there])


def _offline(parts: KitParts, previous: Lock) -> Lock:
    model = previous.model
    weights = Weights(model.files, model.shape, model.signatures)
    if parts.current is not None:
        shape = plausible(parts.current.shape or weights.shape)
        weights = replace(weights, files=parts.current.files, shape=shape)
    resolved = Resolved(
        parts.current_bases.get(previous.runtime.architecture, previous.runtime.base),
        previous.engine.packages,
        previous.gateway.packages,
        weights,
        offline_datasets(parts.kit, parts.current_datasets, previous),
        previous.test_packages if packages_of_tests(parts.kit) else (),
    )
    return _lock(parts, resolved, previous.requests)


def _check_length(parts: KitParts, shape: ModelShape) -> None:
    """Raise if the kit allows more tokens than the model has positions: a run would fail."""
    length = parts.hyperparameters.get("max_length")
    if isinstance(length, int) and shape.max_positions and length > shape.max_positions:
        raise failure(
            "KIT_INVALID",
            f"max_length is {length}, the model's config.json allows {shape.max_positions}",
            where="hyperparameters.max_length",
            hint=f"write max_length: {shape.max_positions} or less",
        )


def _lock(parts: KitParts, resolved: Resolved, asked: Requests) -> Lock:
    kit, recipe = parts.kit, parts.recipe
    return Lock(
        mealkit_version=parts.mealkit_version,
        about=About(
            name=kit.name,
            version=kit.version,
            description=kit.description,
            license=kit.license,
            paper=kit.paper,
            owner=kit.owner,
        ),
        model=LockedModel(
            name=kit.model.name,
            license=kit.model.license,
            task=parts.task,
            files=tuple(sorted(resolved.weights.files, key=lambda file: file.path)),
            shape=resolved.weights.shape,
            signatures=resolved.weights.signatures,
        ),
        prompts={
            name: LockedPrompt(
                file=prompt.file,
                sha256=Digest.of(parts.prompts[name].encode()),
                text=parts.prompts[name],
                variables=prompt.variables,
            )
            for name, prompt in kit.prompts.items()
        },
        system_prompt=kit.system_prompt,
        code={
            path: LockedCode(sha256=Digest.of(text.encode()), text=text)
            for path, text in parts.code.items()
        },
        hyperparameters=dict(parts.hyperparameters),
        overrides=kit.overrides,
        engine=_engine(parts, resolved),
        gateway=LockedGateway(packages=resolved.gateway_packages),
        runtime=LockedRuntime(
            base=resolved.base,
            python=kit.runtime.python,
            interpreter=_interpreter(kit),
            architecture=parts.architecture,
            bytecode=is_compiled(kit),
        ),
        requirements=stated_requirements(
            kit, recipe, {**parts.hyperparameters, **parts.settings}, resolved
        ),
        serving=kit.serving,
        requests=asked,
        datasets=dict(resolved.datasets),
        claims=kit.claims,
        cases=kit.cases,
        case_files=_case_files(parts),
        tests_in_image=kit.tests_in_image,
        test_packages=resolved.test_packages,
        data=kit.data,
        data_profile=parts.profile,
        ops=kit.ops,
    )


def _case_files(parts: KitParts) -> tuple[LockedFile, ...]:
    return tuple(
        LockedFile(
            path=path,
            sha256=digest,
            size_bytes=size_bytes,
            format="data",
            origins=(FolderOrigin(file=path),),
        )
        for path, (digest, size_bytes) in sorted(parts.case_files.items())
    )


def _engine(parts: KitParts, resolved: Resolved) -> LockedEngine:
    recipe = parts.recipe
    return LockedEngine(
        name=recipe.name,
        worker=recipe.worker,
        settings=dict(parts.settings),
        features=tuple(sorted(recipe.features(parts.task, parts.hyperparameters, parts.settings))),
        environment=dict(recipe.environment),
        packages=resolved.engine_packages,
        excluded=tuple(sorted(parts.kit.runtime.exclude)),
        requested=parts.requested_packages,
    )


def _interpreter(kit: Kit) -> str:
    base = kit.runtime.base
    if base.source == "debian":
        return f"/usr/bin/python{kit.runtime.python}"
    return base.interpreter or f"python{kit.runtime.python}"
