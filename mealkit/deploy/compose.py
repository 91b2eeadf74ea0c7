"""The file for docker compose: one host, where Docker restarts the containers.

It is valid for ``docker compose`` 2 and for ``docker-compose`` 1.29. The version that older files
begin with is left out: the first warns about it, and the second reads fewer fields with it.
"""

from collections.abc import Mapping
from typing import Any

from mealkit.deploy.one_host import (
    KEYS_TARGET,
    PIDS,
    TMP_BYTES,
    has_way_out,
    host_of,
    memory_of,
    require_one_host,
    secret_files,
    user_of,
    variables_of,
)
from mealkit.deploy.workload import Workload
from mealkit.deploy.yaml_text import yaml_document
from mealkit.paths import STATE

_MASQUERADE = "com.docker.network.bridge.enable_ip_masquerade"


def compose_files(workload: Workload) -> Mapping[str, str]:
    """Return the file for docker compose.

    Raises:
        DeploymentError: ``DEPLOY_UNFIT``, compose cannot do what deploy.yaml asks for.
    """
    require_one_host(workload, "compose")
    # A kit that makes no calls gets no way out: its packets keep an address without a way back.
    options = {} if has_way_out(workload) else {"driver_opts": {_MASQUERADE: "false"}}
    form: dict[str, Any] = {
        "services": {workload.name: _service(workload)},
        "networks": {"kit": {"driver": "bridge", **options}},
    }
    if workload.file.state.place != "memory":
        form["volumes"] = {"state": {}}
    files = {item.target: item.file for item in secret_files(workload)}
    if workload.keys_secret is not None:
        files = {KEYS_TARGET: workload.file.keys.file, **files}
    if files:
        form["secrets"] = {name: {"file": f"./{file}"} for name, file in files.items()}
    return {"compose.yaml": compose_document(form)}


def _service(workload: Workload) -> dict[str, Any]:
    file = workload.file
    secrets = [KEYS_TARGET] if workload.keys_secret is not None else []
    secrets += [item.target for item in secret_files(workload)]
    form: dict[str, Any] = {
        "image": str(workload.image),
        "labels": {**workload.labels, **workload.annotations},
        "environment": variables_of(workload, (workload.name, "localhost")),
        "user": user_of(workload),
        "ports": [f"{host_of(workload)}:{workload.port}"],
        "networks": ["kit"],
        "read_only": True,
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges:true"],
        "tmpfs": [f"/tmp:rw,nosuid,nodev,noexec,mode=1777,size={TMP_BYTES}"],  # noqa: S108
        "mem_limit": memory_of(workload),
        "memswap_limit": memory_of(workload),
        "pids_limit": PIDS,
        # The test, interval and retries are those of the image.
        "healthcheck": {"start_period": f"{workload.start_seconds}s"},
        "stop_grace_period": f"{workload.stop_seconds}s",
        "restart": file.restart,
        "logging": {"driver": "json-file", "options": {"max-size": "10m", "max-file": "3"}},
    }
    if file.state.place == "memory":
        owned = f"uid={user_of(workload).partition(':')[0]},mode=0700"
        state = f"/{STATE}:rw,nosuid,nodev,exec,{owned},size={workload.state_bytes}"
        form["tmpfs"].append(state)
    else:
        form["volumes"] = [f"state:/{STATE}"]
    if file.resources.cpu_limit is not None:
        form["cpus"] = file.resources.cpu_limit
    if workload.shm_bytes:
        form["shm_size"] = workload.shm_bytes
    if secrets:
        form["secrets"] = secrets
    if workload.gpus is not None:
        form["deploy"] = {"resources": {"reservations": {"devices": [_device(workload)]}}}
    return form


def _device(workload: Workload) -> dict[str, Any]:
    count = workload.gpus.count if workload.gpus else 0
    return {"driver": "nvidia", "count": count, "capabilities": ["gpu", "utility", "compute"]}


def compose_document(form: Mapping[str, Any]) -> str:
    """Return a file for compose or Swarm, whose readers replace ``$NAME`` in every value.

    No text in it is a variable of the machine that reads it.
    """
    return yaml_document(_literal(form))


def _literal(value: Any) -> Any:
    match value:
        case str():
            return value.replace("$", "$$")
        case Mapping():
            return {key: _literal(item) for key, item in value.items()}
        case list() | tuple():
            return [_literal(item) for item in value]
        case _:
            return value
