"""Finds the problem that keeps a pod from answering, with its owner: from status, events and log.

The container's own words come first: a kit that fails to start writes its problem into the
termination log. What the cluster says about it follows. No I/O.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from mealkit.clusters.kubernetes_refusals import admission_refusal
from mealkit.clusters.kubernetes_views import ContainerStatus, Event, Pod, ReplicaSet, Terminated
from mealkit.errors import Problem, problem, problem_of_json
from mealkit.evidence.recognition import Evidence, last_words, recognise
from mealkit.names import one_line
from mealkit.untrusted import UntrustedError, parse_json_object

ReadLog = Callable[[str, str, bool], str]
"""Returns the last lines of a pod's container, or of the one before its restart."""

_SHOWN_CHARACTERS = 1000
_MEMORY_EXIT = 137

# https://github.com/kubernetes/kubernetes/blob/master/pkg/kubelet/images/types.go
_PULLING = frozenset(
    {"ErrImagePull", "ImagePullBackOff", "RegistryUnavailable", "ImageInspectError"}
)
_NEVER_PULLED = frozenset({"InvalidImageName", "ErrImageNeverPull", "SignatureValidationFailed"})
_CREATING = frozenset(
    {
        "CreateContainerConfigError",
        "CreateContainerError",
        "RunContainerError",
        "PreCreateHookError",
    }
)
# What another try does not change; a registry that is down for a minute is not in it.
_PULL_NEVER = re.compile(
    r"not found|manifest unknown|unauthorized|denied|forbidden|x509|no match for platform|"
    r"invalid reference|no basic auth|insufficient_scope",
    re.IGNORECASE,
)
# Without it no container starts, as with one that a variable names.
_MISSING = re.compile(r'(secret|configmap) "([a-z0-9.-]{1,253})" not found')
_MOUNTING = frozenset({"FailedMount", "FailedAttachVolume", "FailedCreatePodSandBox"})


@dataclass(frozen=True, slots=True)
class PodProblem:
    """What is wrong with a pod, and whether waiting can help."""

    problem: Problem
    is_final: bool
    """Whether the pod cannot become ready as it is."""


def pod_problem(pod: Pod, events: Sequence[Event], read_log: ReadLog) -> PodProblem | None:
    """Return what keeps a pod from being ready; None if nothing is wrong so far."""
    about = [item for item in events if item.about.uid in {"", pod.metadata.uid}]
    about = [item for item in about if item.about.name == pod.metadata.name]
    if pod.status.reason == "Evicted":
        return PodProblem(
            _of("POD_EVICTED", pod, f"the node evicted it: {_line(pod.status.message)}"),
            is_final=True,
        )
    if found := _unschedulable(pod, about):
        return found
    for container in pod.every_container:
        if found := _container_problem(pod, container, about, read_log):
            return found
    # A pod whose containers have started was prepared, whatever was said before.
    for event in about if pod.status.phase != "Running" else ():
        if event.reason in _MOUNTING:
            text = f"the node cannot prepare the pod: {_line(event.message)}"
            missing = _MISSING.search(event.message)
            hint = f"create the {missing[1]} {missing[2]}, then apply again" if missing else None
            return PodProblem(_of("POD_START", pod, text, hint), is_final=missing is not None)
    return None


def not_ready(pod: Pod, events: Sequence[Event]) -> Problem:
    """Return why a pod that runs is not ready yet, from the last probe that failed."""
    about = [item for item in events if item.about.name == pod.metadata.name]
    failed = [item for item in about if item.reason == "Unhealthy"]
    said = f": {_line(failed[-1].message)}" if failed else ""
    return _of("POD_PROBE", pod, f"it runs on {pod.spec.node or 'no node'} and is not ready{said}")


def creation_problem(sets: Sequence[ReplicaSet], events: Sequence[Event]) -> Problem | None:
    """Return why a replica set cannot create pods: a quota, a security standard, a webhook."""
    for item in sets:
        messages = [
            condition.message
            for condition in item.status.conditions
            if condition.type == "ReplicaFailure" and condition.status == "True"
        ]
        messages += [
            event.message
            for event in events
            if event.reason == "FailedCreate" and event.about.name == item.metadata.name
        ]
        where = f"replicasets/{item.metadata.name}"
        for message in messages:
            if refused := admission_refusal(message, where):
                return refused.problems[0]
        if messages:
            text = f"no pod can be created: {_line(messages[0])}"
            return problem("CLUSTER_REFUSED", text, where=where)
    return None


def own_problem(ended: Terminated) -> Problem | None:
    """Return the problem that a kit wrote into its termination log, if it did.

    With ``FallbackToLogsOnError`` the message may be the log's end, whose last line is the problem.
    """
    for line in reversed(ended.message.splitlines()[-20:]):
        if line.startswith("{"):
            try:
                form: Any = parse_json_object(line.encode(errors="replace"))
            except UntrustedError:
                return None
            return problem_of_json(form)
    return None


def _unschedulable(pod: Pod, events: Sequence[Event]) -> PodProblem | None:
    for condition in pod.status.conditions:
        unplaced = condition.type == "PodScheduled" and condition.status == "False"
        if not unplaced or condition.reason not in {"Unschedulable", "SchedulingGated"}:
            continue
        scaling = any(item.reason == "TriggeredScaleUp" for item in events)
        more = "; the cluster adds a node for it" if scaling else ""
        text = f"it cannot be placed: {_line(condition.message)}{more}"
        found = _of("POD_UNSCHEDULABLE", pod, text)
        places = re.match(r"(\d+)/(\d+) nodes are available", condition.message)
        if places:
            measured = f"{places[1]} of {places[2]} nodes fit"
            found = replace(found, measured=measured, required="one node that fits")
        return PodProblem(found, is_final=False)
    return None


def _container_problem(
    pod: Pod, container: ContainerStatus, events: Sequence[Event], read_log: ReadLog
) -> PodProblem | None:
    waiting = container.state.waiting
    reason, text = (waiting.reason, waiting.message) if waiting else ("", "")
    if reason in _PULLING | _NEVER_PULLED:
        return _pull_problem(pod, container, reason, text, events)
    if reason in _CREATING:
        message = f"its container {container.name} cannot be created: {_line(text or reason)}"
        return PodProblem(_of("POD_START", pod, message), reason == "CreateContainerConfigError")
    ended = container.ended
    if ended is None or (ended.exit_code == 0 and ended.reason != "OOMKilled"):
        return None
    if container.state.running is not None and container.ready:
        return None
    return PodProblem(_end_problem(pod, container, ended, events, read_log), is_final=True)


def _pull_problem(
    pod: Pod, container: ContainerStatus, reason: str, text: str, events: Sequence[Event]
) -> PodProblem:
    # ImagePullBackOff itself says only that it waits; the event before it says why.
    said = [item.message for item in events if item.reason == "Failed" and "pull" in item.message]
    detail = " ".join([text, *said[-1:]]) or reason
    message = f"its node {pod.spec.node} cannot pull {container.image}: {_line(detail)}"
    hint = None
    if re.search(r"unauthorized|denied|no basic auth", detail, re.IGNORECASE):
        hint = "name a Secret with the registry's credentials in image_pull_secrets of deploy.yaml"
    elif re.search(r"not found|manifest unknown", detail, re.IGNORECASE):
        hint = "push the image: mealkit push; then apply again"
    final = reason in _NEVER_PULLED or bool(_PULL_NEVER.search(detail))
    return PodProblem(_of("POD_IMAGE", pod, message, hint), final)


def _end_problem(
    pod: Pod,
    container: ContainerStatus,
    ended: Terminated,
    events: Sequence[Event],
    read_log: ReadLog,
) -> Problem:
    where = f"pods/{pod.metadata.name}"
    if found := own_problem(ended):
        return replace(found, where=found.where or where)
    if ended.reason == "OOMKilled":
        return _memory_problem(pod, container)
    killed = [item for item in events if item.reason == "Killing" and "probe" in item.message]
    if killed and ended.exit_code in {_MEMORY_EXIT, 143, 0}:
        text = f"its container {container.name} was restarted: {_line(killed[-1].message)}"
        return _of("POD_PROBE", pod, text)
    log = read_log(pod.metadata.name, container.name, container.state.running is not None)
    log = log or ended.message
    signal = f"signal {ended.signal}" if ended.signal else None
    found = recognise(Evidence(log, ended.exit_code, signal_name=signal))
    if found:
        return replace(found, where=where)
    text = f"its container {container.name} ended with exit code {ended.exit_code}"
    restarts = f", {container.restarts} restarts" if container.restarts else ""
    return _of("POD_DIED", pod, f"{text}{restarts}{last_words(log)}")


def _memory_problem(pod: Pod, container: ContainerStatus) -> Problem:
    stated = [item for item in pod.spec.containers if item.name == container.name]
    limit = stated[0].resources.limits.get("memory") if stated else None
    if limit is None:
        text = f"the kernel killed its container {container.name}: the node ran out of memory"
        hint = "give the container a memory request, or use a node with more memory"
        return _of("POD_MEMORY", pod, text, hint)
    found = _of("POD_MEMORY", pod, f"the kernel killed its container {container.name}")
    measured, required = f"the limit of {limit} is used up", f"a memory limit above {limit}"
    return replace(found, measured=measured, required=required)


def _of(code: str, pod: Pod, message: str, hint: str | None = None) -> Problem:
    node = f" on node {pod.spec.node}" if pod.spec.node else ""
    return problem(code, message, hint=hint, where=f"pods/{pod.metadata.name}{node}")


def _line(text: str) -> str:
    return one_line(text[:_SHOWN_CHARACTERS])
