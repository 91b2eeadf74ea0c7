"""Turns what an API server of Kubernetes refuses into problems with owners. No I/O.

https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/status/
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mealkit.errors import MealkitError, failure
from mealkit.names import one_line

_SHOWN_CHARACTERS = 2000
_CAUSES = 20
_DENIED = re.compile(
    r'cannot (?P<verb>[a-z*]+) resource "(?P<resource>[a-z./-]+)"'
    r' in API group "(?P<group>[a-z0-9.-]*)"(?P<namespaced> in the namespace)?'
)
_WEBHOOK = re.compile(r'admission webhook "(?P<name>[^"]{1,253})" denied the request')
_POLICY = re.compile(r"ValidatingAdmissionPolicy '(?P<name>[^']{1,253})'")
_MANAGER = re.compile(r'conflict with "(?P<name>[^"]{1,253})"')
_NAMESPACE = re.compile(r'^namespaces "(?P<name>[^"]{1,63})" not found')


class GoneError(Exception):
    """A place in a list or a watch is too old for the API server: list again (410)."""


class ConflictError(Exception):
    """The object was changed since it was read: read it again (409)."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What the API server was asked, for its user's words."""

    server: str
    what: str
    """As in ``patch deployments/my-kit``."""
    namespace: str | None = None

    @property
    def where(self) -> str:
        """The place of a problem."""
        return f"{self.what} at {self.server}"


def refusal(status: int, answer: Mapping[str, Any], asked: Asked) -> MealkitError:
    """Return the problem that an answer other than 2xx shows.

    Raises:
        GoneError, ConflictError: the caller has to ask again.
    """
    message = _text(answer.get("message")) or f"HTTP status {status}"
    admitted = admission_refusal(message, asked.where)
    if status == 401:
        return failure("CLUSTER_CREDENTIALS", f"the cluster says: {message}", where=asked.where)
    if status == 403:
        return admitted or _denied(message, asked)
    if status == 404:
        return _missing(message, asked)
    if status == 409:
        return _conflict(message, answer, asked)
    if status == 410:
        raise GoneError(message)
    if status == 429 or status >= 500:
        return admitted or failure(
            "CLUSTER_BUSY", f"the API server answers {status}: {message}", where=asked.where
        )
    return admitted or failure("CLUSTER_REFUSED", message, where=asked.where)


def admission_refusal(message: str, where: str) -> MealkitError | None:
    """Return the problem if a quota, a security standard or a webhook refuses; None otherwise.

    Controllers repeat these messages in conditions and events of the pods that they cannot create.
    """
    message = _text(message)
    if "exceeded quota" in message or "failed quota" in message:
        used = re.search(r"requested: ([^;]*?), used: (.*?), limited: (.*)$", message)
        measured = f"requested {used[1]}, used {used[2]}" if used else None
        required = f"at most {used[3]}" if used else None
        return failure("CLUSTER_QUOTA", message, where=where, measured=measured, required=required)
    if "violates PodSecurity" in message:
        hint = (
            "the objects that mealkit renders satisfy the standard `restricted`: remove what the"
            " message names from the deployment file, or use another namespace"
        )
        return failure("CLUSTER_REFUSED", message, where=where, hint=hint)
    if found := _WEBHOOK.search(message) or _POLICY.search(message):
        hint = f"ask the cluster's operator about the admission rule {found['name']}"
        return failure("CLUSTER_REFUSED", message, where=where, hint=hint)
    return None


def role_for(denied: re.Match[str]) -> str:
    """Return the command that creates a Role, or a ClusterRole, for what was denied."""
    kind = "role" if denied["namespaced"] else "clusterrole"
    resource, group = denied["resource"], denied["group"]
    name, slash, part = resource.partition("/")
    full = f"{name}.{group}" if group else name
    verb = denied["verb"]
    return f"kubectl create {kind} mealkit --verb={verb} --resource={full}{slash}{part}"


def _denied(message: str, asked: Asked) -> MealkitError:
    found = _DENIED.search(message)
    if not found:
        return failure("CLUSTER_DENIED", message, where=asked.where)
    place = "RoleBinding" if found["namespaced"] else "ClusterRoleBinding"
    hint = (
        f"ask the cluster's operator for it: {role_for(found)}, with a {place}; "
        "docs/how-to/roll-out-on-kubernetes.md has a Role for everything that mealkit deploy does"
    )
    group = f" in API group {found['group']}" if found["group"] else ""
    return failure(
        "CLUSTER_DENIED",
        f"this user may not {found['verb']} {found['resource']}{group}: {message}",
        where=asked.where,
        hint=hint,
    )


def _missing(message: str, asked: Asked) -> MealkitError:
    if found := _NAMESPACE.match(message):
        hint = f"kubectl create namespace {found['name']}, or name another: --namespace NAME"
        return failure("CLUSTER_NAMESPACE", message, where=asked.where, hint=hint)
    if "could not find the requested resource" in message or message.startswith("404 page"):
        return failure("CLUSTER_KIND_MISSING", message, where=asked.where)
    return failure("CLUSTER_NOT_DEPLOYED", message, where=asked.where)


def _conflict(message: str, answer: Mapping[str, Any], asked: Asked) -> MealkitError:
    details = answer.get("details")
    causes = details.get("causes") if isinstance(details, Mapping) else None
    lines, managers = [], set()
    for cause in (causes if isinstance(causes, list) else [])[:_CAUSES]:
        if not isinstance(cause, Mapping) or cause.get("reason") != "FieldManagerConflict":
            continue
        found = _MANAGER.search(_text(cause.get("message")))
        manager = found["name"] if found else "unknown"
        managers.add(manager)
        lines.append(f"{_text(cause.get('field'))} is managed by {manager}")
    if not lines:
        raise ConflictError(message)
    return failure(
        "CLUSTER_CONFLICT",
        "\n".join([f"fields are managed by {', '.join(sorted(managers))}", *lines]),
        where=asked.where,
    )


def _text(value: Any) -> str:
    """Return text of the cluster, shortened and on one line."""
    return one_line(value[:_SHOWN_CHARACTERS]) if isinstance(value, str) else ""
