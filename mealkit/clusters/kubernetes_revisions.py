"""The revisions of a Deployment, kept by the cluster as replica sets, and the way back to one.

A way back is a server-side apply of the whole deployment with the old template: so mealkit stays
the manager of the fields, and the next apply does not conflict with it.
"""

import getpass
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mealkit.clusters.kubernetes_api import KubernetesApi
from mealkit.clusters.kubernetes_kinds import collection
from mealkit.clusters.kubernetes_reading import deployment_address
from mealkit.clusters.kubernetes_refusals import ConflictError
from mealkit.clusters.kubernetes_rollout import Observed
from mealkit.clusters.kubernetes_views import (
    CHANGE_CAUSE,
    REVISION,
    ReplicaSet,
    member,
    read_view,
)
from mealkit.errors import failure
from mealkit.names import one_line

RECIPE, IMAGE = "mealkit.dev/recipe", "mealkit.dev/image"
"""Annotations of pods, which the renderer writes: the kit's recipe, and the image's digest."""
CLAIMS = "mealkit.dev/claims"
"""The annotation of a deployment, and so of its revisions, with the result of the gate."""
FAILED = "mealkit.dev/failed"
"""The annotation of a replica set whose rollout failed: mealkit does not return to it by itself."""
_HASH = "pod-template-hash"
_TRIES = 5
_CAUSE_CHARACTERS = 400


@dataclass(frozen=True, slots=True)
class KeptRevision:
    """One revision of a deployment."""

    number: int
    recipe: str
    image: str
    """The image's digest."""
    cause: str
    """Who made it, when the annotation says so."""
    claims: str
    """The result of the gate; empty: there was none."""
    failed: str
    """Why its rollout failed; empty: it did not."""
    created: str
    pods: int
    is_current: bool

    def as_json(self) -> dict[str, object]:
        """Return the JSON form."""
        return {
            "revision": self.number,
            "recipe": self.recipe,
            "image": self.image,
            "cause": self.cause,
            "claims": self.claims,
            "failed": self.failed,
            "created": self.created,
            "pods": self.pods,
            "current": self.is_current,
        }


def revisions(seen: Observed) -> Sequence[KeptRevision]:
    """Return the revisions that the cluster keeps, newest first."""
    found = [_revision(item, seen.deployment.revision) for item in seen.sets if item.revision]
    return sorted(found, key=lambda item: -item.number)


def _revision(item: ReplicaSet, current: int) -> KeptRevision:
    stated = item.spec.template.metadata.annotations
    images = [container.image for container in item.spec.template.spec.containers]
    digest = images[0].rpartition("@")[2] if images else ""
    return KeptRevision(
        item.revision,
        one_line(stated.get(RECIPE, "")),
        one_line(stated.get(IMAGE, "") or digest),
        one_line(item.metadata.annotations.get(CHANGE_CAUSE, "")),
        one_line(item.metadata.annotations.get(CLAIMS, "")),
        one_line(item.metadata.annotations.get(FAILED, "")),
        item.metadata.created,
        item.status.replicas,
        item.revision == current,
    )


def change_cause(verb: str, why: str) -> str:
    """Return the annotation that says who changed a deployment, and why."""
    said = f": {why}" if why else ""
    return one_line(f"mealkit deploy {verb} by {getpass.getuser()}{said}")[:_CAUSE_CHARACTERS]


def previous_revision(seen: Observed) -> int | None:
    """Return the newest revision before the present one that did not fail, if there is one."""
    present = seen.deployment.revision
    older = [item for item in revisions(seen) if item.number < present and not item.failed]
    return max((item.number for item in older), default=None)


def remember_outcome(api: KubernetesApi, seen: Observed, failed: str | None) -> None:
    """Write on the present revision that its rollout failed, and why; None: that it did not.

    Raises:
        DeploymentError: this user may not change replica sets (``CLUSTER_DENIED``).
    """
    newest = seen.newest
    if newest is None or newest.metadata.annotations.get(FAILED) == failed:
        return
    sets = collection("apps/v1", "ReplicaSet", api.namespace)
    said = one_line(failed)[:_CAUSE_CHARACTERS] if failed else None
    api.annotate(f"{sets}/{newest.metadata.name}", {FAILED: said})


def return_to(
    api: KubernetesApi, name: str, revision: int, cause: str, expected: Any = None
) -> dict[str, Any]:
    """Give a deployment the pods of an earlier revision, and return the changed deployment.

    With ``expected``, the template of the revision to leave, nothing happens if the deployment has
    another one by now.

    Raises:
        DeploymentError: the revision is not kept (``CLUSTER_NOT_DEPLOYED``), or another program
            changed the deployment meanwhile (``CLUSTER_CHANGED``).
    """
    address = deployment_address(api, name)
    for _ in range(_TRIES):
        live = api.get(address.path)
        template = member(live, "spec", "template")
        if expected is not None and template != expected:
            break
        old, claims = _kept(api, live, revision)
        told = {CHANGE_CAUSE: cause, **({CLAIMS: claims} if claims else {})}
        try:
            return api.apply(address, _with_template(live, old, told), force=True)
        except ConflictError:
            continue  # its controller wrote its status meanwhile
    message = f"another program changed deployments/{name} meanwhile; mealkit did not touch it"
    raise failure("CLUSTER_CHANGED", message, where=f"{address.text} at {api.server}")


def _kept(
    api: KubernetesApi, live: Mapping[str, Any], revision: int
) -> tuple[dict[str, Any], str | None]:
    """Return the template of a revision, and the result of its gate."""
    metadata = member(live, "metadata")
    uid = metadata.get("uid")
    kept = []
    for item in api.listed(collection("apps/v1", "ReplicaSet", api.namespace)).items:
        view = read_view(ReplicaSet, item)
        if any(owner.uid == uid for owner in view.metadata.owners):
            kept.append(view.revision)
            if view.revision == revision:
                claims = view.metadata.annotations.get(CLAIMS)
                return _without_hash(member(item, "spec", "template")), claims
    name = metadata.get("name")
    known = ", ".join(str(number) for number in sorted(kept)) or "none"
    raise failure(
        "CLUSTER_NOT_DEPLOYED",
        f"deployments/{name} keeps no revision {revision}; it keeps {known}",
        hint="name one of them: mealkit deploy rollback NAME REVISION --target kubernetes",
    )


def _without_hash(template: Mapping[str, Any]) -> dict[str, Any]:
    stated = member(template, "metadata")
    labels = {key: value for key, value in member(stated, "labels").items() if key != _HASH}
    metadata = {key: value for key, value in stated.items() if value is not None}
    return {**template, "metadata": {**metadata, "labels": labels}}


def _with_template(
    live: Mapping[str, Any], template: Mapping[str, Any], told: Mapping[str, str]
) -> dict[str, Any]:
    """Return a deployment with another template; what it says about its pods follows them."""
    metadata, pods = member(live, "metadata"), member(template, "metadata")
    annotations = {**(metadata.get("annotations") or {})}
    for name in (REVISION, CLAIMS, CHANGE_CAUSE):
        annotations.pop(name, None)
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": metadata.get("name"),
            "namespace": metadata.get("namespace"),
            "resourceVersion": metadata.get("resourceVersion"),
            "labels": _following(metadata.get("labels") or {}, pods.get("labels") or {}),
            "annotations": {**_following(annotations, pods.get("annotations") or {}), **told},
        },
        "spec": {**member(live, "spec"), "template": dict(template)},
    }


def _following(own: Mapping[str, str], pods: Mapping[str, str]) -> dict[str, str]:
    return {name: pods.get(name, value) for name, value in own.items()}
