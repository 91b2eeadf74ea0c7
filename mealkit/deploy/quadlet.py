"""Units for podman on one machine, where systemd restarts the container.

podman from 5.0 on reads quadlets: it has a generator that makes services of them. For older ones
there is a plain service that calls ``podman run``. podman does not read the health check of an OCI
image, so it is stated again.
"""

import json
from collections.abc import Iterator, Mapping

from mealkit.deploy.one_host import (
    KEYS_TARGET,
    PIDS,
    TMP_BYTES,
    host_of,
    memory_of,
    require_one_host,
    secret_files,
    user_of,
    variables_of,
)
from mealkit.deploy.unit_text import literal, unit_text, word
from mealkit.deploy.workload import Workload
from mealkit.paths import STATE
from mealkit.plan.planning import health_of

_RESTART = {"unless-stopped": "always"}
# A kit that ends again and again is not started more often than this: systemd.unit(5).
_BURST = (("StartLimitIntervalSec", "600"), ("StartLimitBurst", "5"))
_RESTART_SECONDS = "5"


def quadlet_files(workload: Workload) -> Mapping[str, str]:
    """Return the units: quadlets, and a plain service for podman before 5.0.

    Raises:
        DeploymentError: ``DEPLOY_UNFIT``, podman cannot do what deploy.yaml asks for.
    """
    require_one_host(workload, "podman")
    name = workload.name
    files = {
        f"{name}.container": _container(workload),
        f"{name}.network": unit_text(("Network", _network(workload))),
    }
    if workload.file.state.place != "memory":
        files[f"{name}-state.volume"] = unit_text(("Volume", _labels(workload)))
    return files | {f"podman-4/{name}.service": _service(workload)}


def _container(workload: Workload) -> str:
    return unit_text(
        ("Unit", _unit(workload)),
        ("Container", _lines(workload)),
        (
            "Service",
            (
                ("Restart", _RESTART.get(workload.file.restart, workload.file.restart)),
                ("RestartSec", _RESTART_SECONDS),
                ("TimeoutStartSec", str(workload.pull_seconds + workload.start_seconds)),
                ("TimeoutStopSec", str(workload.stop_seconds + 10)),
            ),
        ),
        ("Install", (("WantedBy", "default.target multi-user.target"),)),
    )


def _unit(workload: Workload) -> Iterator[tuple[str, str]]:
    yield "Description", literal(f"{workload.kit}, a kit of mealkit")
    yield "Wants", "network-online.target"
    yield "After", "network-online.target"
    yield from _BURST


def _lines(workload: Workload) -> Iterator[tuple[str, str]]:
    yield "Image", str(workload.image)
    yield "ContainerName", workload.name
    yield "Network", f"{workload.name}.network"
    yield "PublishPort", f"{host_of(workload)}:{workload.port}"
    yield from (("Environment", item) for item in _environment(workload))
    yield from _labels(workload)
    yield "User", user_of(workload).partition(":")[0]
    yield "Group", user_of(workload).partition(":")[0]
    yield "ReadOnly", "true"
    yield "ReadOnlyTmpfs", "false"
    yield "DropCapability", "all"
    yield "NoNewPrivileges", "true"
    yield "Tmpfs", f"/tmp:{_tmp_options()}"  # noqa: S108  the container's own
    if workload.file.state.place == "memory":
        yield "Tmpfs", f"/{STATE}:{_state_options(workload)}"
    else:
        yield "Volume", f"{workload.name}-state.volume:/{STATE}:U"
    yield from (("Secret", item) for item in _secrets(workload))
    yield from (("AddDevice", device) for device in _devices(workload))
    yield from _watched(workload)
    yield "PidsLimit", str(PIDS)
    if workload.shm_bytes:
        yield "ShmSize", str(workload.shm_bytes)
    # The generator has keys of its own for these only in newer versions.
    yield "PodmanArgs", " ".join(_limits(workload))


def _watched(workload: Workload) -> Iterator[tuple[str, str]]:
    health = health_of(workload.lock.runtime.interpreter)
    yield "HealthCmd", literal(json.dumps(list(health.command)))
    yield "HealthInterval", f"{health.interval_seconds}s"
    yield "HealthTimeout", f"{health.timeout_seconds}s"
    yield "HealthRetries", str(health.retries)
    yield "HealthStartPeriod", f"{workload.start_seconds}s"
    # The unit is started when the kit is ready.
    yield "Notify", "healthy"
    yield "StopTimeout", str(workload.stop_seconds)


def _service(workload: Workload) -> str:
    """Return a service that needs no generator, for podman from 4.3 on."""
    name = workload.name
    podman = "/usr/bin/podman"
    network = f"{podman} network create --opt isolate=true {name}"
    command = " \\\n    ".join(_options(workload))
    return unit_text(
        ("Unit", _unit(workload)),
        (
            "Service",
            (
                ("Type", "notify"),
                ("NotifyAccess", "all"),
                ("Environment", "PODMAN_SYSTEMD_UNIT=%n"),
                ("Restart", _RESTART.get(workload.file.restart, workload.file.restart)),
                ("RestartSec", _RESTART_SECONDS),
                ("TimeoutStartSec", str(workload.pull_seconds + workload.start_seconds)),
                ("TimeoutStopSec", str(workload.stop_seconds + 10)),
                ("ExecStartPre", f"-{network}"),
                ("ExecStart", f"{podman} run \\\n    {command}"),
                ("ExecStop", f"{podman} stop --ignore --time {workload.stop_seconds} {name}"),
                ("ExecStopPost", f"-{podman} rm --force --ignore {name}"),
            ),
        ),
        ("Install", (("WantedBy", "default.target multi-user.target"),)),
    )


def _options(workload: Workload) -> Iterator[str]:
    name, health = workload.name, health_of(workload.lock.runtime.interpreter)
    yield f"--name {name} --replace --rm --detach --cgroups=split --sdnotify=conmon"
    yield f"--network {name} --publish {host_of(workload)}:{workload.port}"
    for item in _environment(workload):
        yield f"--env {item}"
    for _, label in _labels(workload):
        yield f"--label {label}"
    yield f"--user {user_of(workload)} --read-only --read-only-tmpfs=false"
    yield "--cap-drop all --security-opt no-new-privileges"
    yield f"--tmpfs /tmp:{_tmp_options()}"
    if workload.file.state.place == "memory":
        yield f"--tmpfs /{STATE}:{_state_options(workload)}"
    else:
        yield f"--volume {name}-state:/{STATE}:U"
    yield from (f"--secret {item}" for item in _secrets(workload))
    for device in _devices(workload):
        yield f"--device {device}"
    yield f"--health-cmd {word(json.dumps(list(health.command)))}"
    yield f"--health-interval {health.interval_seconds}s --health-timeout {health.timeout_seconds}s"
    yield f"--health-retries {health.retries} --health-start-period {workload.start_seconds}s"
    shm = f" --shm-size {workload.shm_bytes}" if workload.shm_bytes else ""
    limits = " ".join(_limits(workload))
    yield f"--stop-timeout {workload.stop_seconds} --pids-limit {PIDS}{shm} {limits}"
    yield str(workload.image)


def _environment(workload: Workload) -> Iterator[str]:
    for name, value in variables_of(workload, (workload.name, "localhost")).items():
        yield word(f"{name}={value}")


def _secrets(workload: Workload) -> Iterator[str]:
    named = {KEYS_TARGET: workload.keys_secret} if workload.keys_secret is not None else {}
    named |= {item.target: item.secret for item in secret_files(workload)}
    for target, secret in named.items():
        yield f"{secret},target={target},mode=0444"


def _labels(workload: Workload) -> Iterator[tuple[str, str]]:
    for key, value in sorted({**workload.labels, **workload.annotations}.items()):
        yield "Label", word(f"{key}={value}")


def _network(workload: Workload) -> Iterator[tuple[str, str]]:
    yield "NetworkName", workload.name
    # Containers of other networks cannot reach it. podman cannot close the way out as well.
    yield "Options", "isolate=true"
    yield from _labels(workload)


def _limits(workload: Workload) -> Iterator[str]:
    yield f"--memory={memory_of(workload)} --memory-swap={memory_of(workload)}"
    if workload.file.resources.cpu_limit is not None:
        yield f"--cpus={workload.file.resources.cpu_limit:g}"


def _devices(workload: Workload) -> list[str]:
    """Return the GPUs as devices of the Container Device Interface, by NVIDIA's names."""
    if workload.gpus is None:
        return []
    return [f"nvidia.com/gpu={index}" for index in range(workload.gpus.count)]


def _tmp_options() -> str:
    return f"rw,nosuid,nodev,noexec,mode=1777,size={TMP_BYTES}"


def _state_options(workload: Workload) -> str:
    return f"rw,nosuid,nodev,exec,mode=0700,size={workload.state_bytes},U"
