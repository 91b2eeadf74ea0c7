"""Applies a deployment to a cluster: checks first, then gate, rollout, and the way back by itself.

Nothing is changed before the cluster has accepted every object in a dry run. The old pods answer
until the new ones are ready, so a rollout that fails loses no request.
"""

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from mealkit.clusters.kubernetes_api import KubernetesApi
from mealkit.clusters.kubernetes_kinds import Address, address_of, in_order
from mealkit.clusters.kubernetes_reading import observe, watch_rollout
from mealkit.clusters.kubernetes_revisions import (
    CLAIMS,
    IMAGE,
    RECIPE,
    change_cause,
    previous_revision,
    remember_outcome,
    return_to,
)
from mealkit.clusters.kubernetes_rollout import RolloutState, with_owner_of
from mealkit.clusters.kubernetes_views import CHANGE_CAUSE, DeploymentView, member, read_view
from mealkit.errors import DeploymentError, MealkitError, Problem, problem
from mealkit.pipeline.cluster.kubernetes_gate import (
    GateResult,
    is_of_gate,
    run_filling,
    run_gate,
)
from mealkit.progress import Progress

_SPARE_SECONDS = 60

Item = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ApplyOptions:
    """How objects are applied."""

    why: str = ""
    force: bool = False
    """Whether fields that other programs manage are taken over."""
    wait: bool = True
    seconds: float | None = None
    """How long a rollout may take; None: as the deployment's own deadline says."""


@dataclass(frozen=True, slots=True)
class Applied:
    """What an apply did."""

    name: str
    namespace: str
    server: str
    revision: int
    changed: bool
    """Whether the pods changed."""
    recipe: str
    image: str
    objects: tuple[str, ...]
    state: RolloutState | None
    """None: not waited for."""
    gate: GateResult | None

    def as_json(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "deployment": self.name,
            "namespace": self.namespace,
            "server": self.server,
            "revision": self.revision,
            "changed": self.changed,
            "recipe": self.recipe,
            "image": self.image,
            "objects": list(self.objects),
            "available": self.state.available if self.state else None,
            "wanted": self.state.wanted if self.state else None,
            "gate": self.gate.as_json() if self.gate else None,
        }


def apply_objects(
    objects: Sequence[Item], api: KubernetesApi, options: ApplyOptions, progress: Progress
) -> Applied:
    """Apply the rendered objects of one deployment, and wait until its pods are ready.

    Raises:
        DeploymentError: the cluster refuses an object, and nothing was changed (``CLUSTER_*``); or
            a gate failed, and the revision before answers again (``ROLLOUT_FAILED``).
    """
    main = [item for item in in_order(objects) if not is_of_gate(item)]
    deployment = next(item for item in main if item["kind"] == "Deployment")
    target = address_of(deployment, api.namespace)
    deployment = _annotated(deployment, CHANGE_CAUSE, change_cause("apply", options.why))
    main = [deployment if item["kind"] == "Deployment" else item for item in main]
    progress.phase(f"asking {api.server} whether it accepts {len(main)} objects")
    main, expected = _accepted(main, api, options, progress)
    before = api.find(target.path)
    changes = before is None or _template(before) != _template(expected)
    at = main.index(deployment)
    written = [_apply(item, api, options, progress) for item in main[:at]]
    gate = None
    candidates = [item for item in in_order(objects) if is_of_gate(item)]
    if candidates and changes:
        gate = run_gate(candidates, api, options.seconds, progress)
        deployment = _annotated(deployment, CLAIMS, gate.summary) if gate else deployment
        main = [*main[:at], deployment, *main[at + 1 :]]
    written += [_apply(item, api, options, progress) for item in main[at:]]
    live = api.get(target.path)
    state = None
    if options.wait:
        state = _rolled_out(live, before, target, api, options, progress)
    view = observe(api, target.name).deployment
    stated = view.spec.template.metadata.annotations
    return Applied(
        target.name,
        target.namespace,
        api.server,
        view.revision,
        changes,
        stated.get(RECIPE, ""),
        stated.get(IMAGE, ""),
        tuple(written),
        state,
        gate,
    )


def rollout_seconds(view: DeploymentView) -> float:
    """Return how long a rollout may take: the deployment's deadline for each step of its pods.

    The renderer computes the deadline from the sizes of image and weights.
    """
    steps = math.ceil(view.spec.replicas / max(view.spec.strategy.surge, 1))
    return view.spec.deadline * max(steps, 1) + _SPARE_SECONDS


def failed_rollout(
    name: str, gate: str, state: RolloutState, seconds: float, outcome: str
) -> MealkitError:
    """Return the error for a rollout that failed, with the owner of what hindered it."""
    found = problem(
        "ROLLOUT_FAILED",
        f"the rollout of {name} failed at the gate {gate}; {outcome}",
        measured=f"{state.available} of {state.wanted} new pods available after {seconds:.0f} s",
        required=f"{state.wanted} available",
    )
    cause = state.hindrance
    causes: tuple[Problem, ...] = (cause,) if cause else ()
    return DeploymentError(with_owner_of(found, cause), *causes)


def _rolled_out(
    live: Item,
    before: Item | None,
    target: Address,
    api: KubernetesApi,
    options: ApplyOptions,
    progress: Progress,
) -> RolloutState:
    view = read_view(DeploymentView, live)
    seconds = options.seconds or rollout_seconds(view)
    began = time.monotonic()
    state = watch_rollout(api, target.name, seconds, progress)
    if state.complete:
        _remember(api, target.name, None, progress)
        return state
    cause = state.hindrance
    why = f"{cause.code}: {cause.sentence}" if cause else "its pods were not ready in time"
    _remember(api, target.name, why, progress)
    if before is None or _template(before) == _template(live):
        outcome = "there is no revision before it; its pods stay, to be looked at"
    else:
        outcome = _returned(live, target, api, progress)
    raise failed_rollout(target.name, "ready", state, time.monotonic() - began, outcome)


def _remember(api: KubernetesApi, name: str, failed: str | None, progress: Progress) -> None:
    """Write a rollout's outcome on its revision; a user who may not is told, and it goes on."""
    try:
        remember_outcome(api, observe(api, name), failed)
    except MealkitError as error:
        progress.notice(error.problems[0])


def _returned(live: Item, target: Address, api: KubernetesApi, progress: Progress) -> str:
    """Return to the revision before, and say how that went."""
    seen = observe(api, target.name)
    revision = previous_revision(seen)
    if revision is None:
        return "the cluster keeps no revision before it"
    progress.phase(f"the rollout failed: returning to revision {revision}")
    cause = change_cause("apply", f"revision {seen.deployment.revision} failed its rollout")
    try:
        return_to(api, target.name, revision, cause, expected=_template(live))
        state = watch_rollout(api, target.name, rollout_seconds(seen.deployment), progress)
    except MealkitError as error:
        return f"it could not return to revision {revision}: {error.problems[0].sentence}"
    if state.complete:
        return f"revision {revision} answers again"
    return f"revision {revision} was applied again, and is not ready yet: {state.summary}"


def _accepted(
    objects: Sequence[Item], api: KubernetesApi, options: ApplyOptions, progress: Progress
) -> tuple[list[Item], Item]:
    """Return the objects that the cluster accepts, and what its deployment would become."""
    accepted, deployment = [], {}
    for item in objects:
        address = address_of(item, api.namespace)
        try:
            answer = api.apply(address, item, force=options.force, dry=True)
        except MealkitError as error:
            found = error.problems[0]
            if not (address.is_optional and found.code == "CLUSTER_KIND_MISSING"):
                raise
            message = f"{address.text} is left out: the cluster does not know {address.kind}"
            progress.notice(replace(found, message=message))
            continue
        accepted.append(item)
        if item["kind"] == "Deployment":
            deployment = answer
    return accepted, deployment


def _apply(item: Item, api: KubernetesApi, options: ApplyOptions, progress: Progress) -> str:
    address = address_of(item, api.namespace)
    progress.phase(f"applying {address.text}")
    if item["kind"] == "Job" and options.wait:
        run_filling(item, api, options.seconds, progress)
    else:
        api.apply(address, item, force=options.force)
    return address.text


def _annotated(deployment: Item, name: str, text: str) -> dict[str, Any]:
    metadata = deployment["metadata"]
    annotations = {**(metadata.get("annotations") or {}), name: text}
    return {**deployment, "metadata": {**metadata, "annotations": annotations}}


def _template(deployment: Item) -> dict[str, Any]:
    return member(deployment, "spec", "template")
