"""The file for ``docker stack deploy``: the service of Swarm, for those who apply files.

``mealkit deploy apply --target swarm`` needs no file: it also tries a candidate, keeps a history,
and says why an update failed.
"""

from collections.abc import Mapping
from typing import Any

from mealkit.deploy.compose import compose_document
from mealkit.deploy.one_host import PIDS, TMP_BYTES, memory_of, secret_files, user_of, variables_of
from mealkit.deploy.swarm_service import (
    KEYS_TARGET,
    generic_resource,
    is_published_by_host,
    network_name,
    publishes,
    require_swarm,
    stops_first,
    swarm_hosts,
    untemplated,
)
from mealkit.deploy.workload import Workload
from mealkit.paths import STATE

_VERSION = "3.9"
_CONDITIONS = {"no": "none", "on-failure": "on-failure"}


def stack_files(workload: Workload) -> Mapping[str, str]:
    """Return the file for ``docker stack deploy``.

    Raises:
        DeploymentError: ``DEPLOY_UNFIT``, Swarm cannot do what deploy.yaml asks for.
    """
    require_swarm(workload)
    network = {"driver": "overlay", "attachable": True, "name": network_name(workload.name)}
    form: dict[str, Any] = {
        "version": _VERSION,
        "services": {workload.name: _service(workload)},
        "networks": {"kit": network},
    }
    if workload.file.state.place == "pvc":
        form["volumes"] = {"state": {}}
    names = [item["source"] for item in _secrets(workload)]
    if names:
        form["secrets"] = {name: {"external": True} for name in names}
    return {"stack.yaml": compose_document(form)}


def _service(workload: Workload) -> dict[str, Any]:
    environment = variables_of(workload, swarm_hosts(workload.name))
    form: dict[str, Any] = {
        "image": str(workload.image),
        "labels": {**workload.labels, **workload.annotations},
        "environment": {name: untemplated(value) for name, value in environment.items()},
        "user": user_of(workload),
        "networks": ["kit"],
        "read_only": True,
        "cap_drop": ["ALL"],
        "volumes": _volumes(workload),
        # The test, interval and retries are those of the image.
        "healthcheck": {"start_period": f"{workload.start_seconds}s"},
        "stop_signal": "SIGTERM",
        "stop_grace_period": f"{workload.stop_seconds}s",
        "logging": {"driver": "json-file", "options": {"max-size": "10m", "max-file": "3"}},
        "deploy": _deploy(workload),
    }
    if publishes(workload):
        form["ports"] = [
            {
                "target": workload.port,
                "published": workload.file.publish.port or workload.port,
                "protocol": "tcp",
                "mode": workload.file.publish.mode,
            }
        ]
    if secrets := _secrets(workload):
        form["secrets"] = secrets
    return form


def _secrets(workload: Workload) -> list[dict[str, Any]]:
    user, _, group = user_of(workload).partition(":")
    keys = {} if workload.keys_secret is None else {KEYS_TARGET: workload.keys_secret}
    named = {**keys, **{item.target: item.secret for item in secret_files(workload)}}
    owner = {"uid": user, "gid": group, "mode": 0o440}
    return [{"source": name, "target": target, **owner} for target, name in named.items()]


def _deploy(workload: Workload) -> dict[str, Any]:
    rollout = workload.file.rollout
    is_stopping = is_published_by_host(workload) or stops_first(workload)
    update = {
        "parallelism": 1,
        "delay": "0s",
        "failure_action": "rollback",
        "monitor": f"{max(1, rollout.settle_seconds)}s",
        "max_failure_ratio": 0,
        "order": "stop-first" if is_stopping else "start-first",
    }
    labels = sorted(workload.file.node_selector.items())
    restart = {"condition": _CONDITIONS.get(workload.file.restart, "any"), "delay": "5s"}
    is_published = publishes(workload) and not is_published_by_host(workload)
    return {
        "mode": "replicated",
        "replicas": workload.file.replicas,
        "endpoint_mode": "vip" if is_published else "dnsrr",
        "update_config": update,
        "rollback_config": {**update, "failure_action": "pause"},
        "restart_policy": restart,
        "resources": _resources(workload),
        "placement": {
            "constraints": [f"node.labels.{key}=={value}" for key, value in labels],
            "preferences": [{"spread": "node.id"}],
        },
    }


def _resources(workload: Workload) -> dict[str, Any]:
    wanted, memory = workload.file.resources, str(memory_of(workload))
    limits: dict[str, Any] = {"memory": memory, "pids": PIDS}
    if wanted.cpu_limit is not None:
        limits["cpus"] = f"{wanted.cpu_limit:g}"
    reserved: dict[str, Any] = {"memory": memory, "cpus": f"{wanted.cpu:g}"}
    if workload.gpus is not None:
        kind = generic_resource(workload.gpus.resource)
        unit = {"kind": kind, "value": workload.gpus.count}
        reserved["generic_resources"] = [{"discrete_resource_spec": unit}]
    return {"limits": limits, "reservations": reserved}


def _volumes(workload: Workload) -> list[dict[str, Any]]:
    state: dict[str, Any] = {"type": "volume", "target": f"/{STATE}"}
    if workload.file.state.place == "memory":
        state = _tmpfs(f"/{STATE}", workload.state_bytes)
    elif workload.file.state.place == "pvc":
        state["source"] = "state"
    found = [_tmpfs("/tmp", TMP_BYTES), state]  # noqa: S108  the container's own
    if workload.shm_bytes:
        found.append(_tmpfs("/dev/shm", workload.shm_bytes))  # noqa: S108
    return found


def _tmpfs(target: str, size_bytes: int) -> dict[str, Any]:
    return {"type": "tmpfs", "target": target, "tmpfs": {"size": size_bytes}}
