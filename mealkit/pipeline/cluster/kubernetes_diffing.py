"""Compares rendered objects with those of a cluster: what a server-side apply would change."""

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from mealkit.clusters.kubernetes_api import KubernetesApi
from mealkit.clusters.kubernetes_kinds import address_of, in_order
from mealkit.clusters.kubernetes_views import CHANGE_CAUSE
from mealkit.errors import MealkitError
from mealkit.pipeline.cluster.kubernetes_gate import is_of_gate
from mealkit.progress import Progress

# What the cluster itself writes, and what every apply changes.
_NOISE = ("managedFields", "resourceVersion", "generation", "uid", "creationTimestamp", "selfLink")
_HIDDEN = "(hidden)"

Item = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ObjectChange:
    """How one object would change."""

    name: str
    is_new: bool
    lines: tuple[str, ...]
    """A unified diff of their YAML."""

    def as_json(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {"object": self.name, "new": self.is_new, "diff": list(self.lines)}


def cluster_changes(
    objects: Sequence[Item], api: KubernetesApi, progress: Progress, *, force: bool = False
) -> Sequence[ObjectChange]:
    """Return how an apply would change a cluster, by the cluster's own dry run.

    Raises:
        DeploymentError: the cluster refuses an object (``CLUSTER_*``).
    """
    progress.phase(f"comparing with {api.server}")
    wanted = [item for item in in_order(objects) if not is_of_gate(item)]
    return list(_changes(wanted, api, progress, force=force))


def _changes(
    objects: Sequence[Item], api: KubernetesApi, progress: Progress, *, force: bool
) -> Iterator[ObjectChange]:
    for item in objects:
        address = address_of(item, api.namespace)
        try:
            live = api.find(address.path)
            after = api.apply(address, item, force=force, dry=True)
        except MealkitError as error:
            found = error.problems[0]
            if not (address.is_optional and found.code == "CLUSTER_KIND_MISSING"):
                raise
            progress.notice(found)
            continue
        lines = _unified(live or {}, after, address.text)
        if lines:
            yield ObjectChange(address.text, live is None, lines)


def _unified(before: Item, after: Item, name: str) -> tuple[str, ...]:
    lines = difflib.unified_diff(
        _text(before), _text(after), f"cluster/{name}", f"wanted/{name}", lineterm=""
    )
    return tuple(lines)


def _text(item: Item) -> list[str]:
    if not item:
        return []
    stated = item.get("metadata")
    metadata = dict(stated) if isinstance(stated, Mapping) else {}
    for name in _NOISE:
        metadata.pop(name, None)
    annotations = metadata.get("annotations")
    if isinstance(annotations, Mapping):
        kept = {key: value for key, value in annotations.items() if key not in _CHANGING}
        metadata = {**metadata, "annotations": kept}
    shown = {key: value for key, value in item.items() if key not in {"status", "metadata"}}
    if item.get("kind") == "Secret":
        hidden = ("data", "stringData")
        shown |= {key: dict.fromkeys(shown[key], _HIDDEN) for key in hidden if shown.get(key)}
    return yaml.safe_dump({**shown, "metadata": metadata}, allow_unicode=True).splitlines()


_CHANGING = frozenset({CHANGE_CAUSE, "deployment.kubernetes.io/revision"})
