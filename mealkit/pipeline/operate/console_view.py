"""What the console shows: the deployments and kits of this machine, with health and load.

It only reads: unlike ``mealkit status`` it does not repair what an interrupted command left.
"""

import http.client
import re
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

from mealkit.containers.container import Container
from mealkit.deploy.deployment import LABEL_ID, Deployment, Revision, State
from mealkit.errors import MealkitError
from mealkit.pipeline.deployment_files import DeploymentFiles, deployment_names
from mealkit.pipeline.home import Home
from mealkit.pipeline.machine.clients import running_kits
from mealkit.untrusted import UntrustedError, parse_json_object

_SECONDS = 2.0
_MOST_BYTES = 1024 * 1024
_AT_ONCE = 16
_MOST_EVENTS = 500
_MOST_REVISIONS = 50
_SAMPLE = re.compile(rb"^(\w+)(?:\{[^\n]*\})? ([0-9.eE+-]{1,30})\s", re.MULTILINE)
# The samples that a load is made of, and its fields.
_FIELDS = {
    b"mealkit_requests_running": "running",
    b"mealkit_requests_waiting": "waiting",
    b"mealkit_tokens_total": "tokens",
}

View = dict[str, Any]


def host_view(home: Home) -> View:
    """Return the deployments of this machine, and the kits that run apart from them."""
    deployments = [_read(name, home) for name in deployment_names(home)]
    ids = {item.id for item in deployments if isinstance(item, Deployment)}
    kits = [item for item in running_kits(home) if item.labels.get(LABEL_ID) not in ids]
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        shown = pool.map(lambda make: make(), _views(deployments, kits))
        found = list(shown)
    return {"deployments": found[: len(deployments)], "kits": found[len(deployments) :]}


def history_view(name: str, home: Home) -> list[View]:
    """Return the last events of a deployment, the newest first.

    Raises:
        DeploymentError: ``DEPLOYMENT_NOT_FOUND``, ``DEPLOYMENT_INVALID``.
    """
    files = DeploymentFiles(home, name)
    files.required()
    events = files.events()[-_MOST_EVENTS:]
    return [item.model_dump(mode="json") for item in reversed(events)]


def _views(
    deployments: Iterable[Deployment | View], kits: Iterable[Container]
) -> Sequence[Callable[[], View]]:
    def of_deployment(item: Deployment | View) -> Callable[[], View]:
        return lambda: item if isinstance(item, dict) else _deployment(item)

    def of_kit(item: Container) -> Callable[[], View]:
        return lambda: _kit(item)

    return [*map(of_deployment, deployments), *map(of_kit, kits)]


def _read(name: str, home: Home) -> Deployment | View:
    """Return a deployment; or what is wrong with its file, so that the others are shown."""
    try:
        return DeploymentFiles(home, name).required()
    except MealkitError as error:
        return {"name": name, "problem": error.problems[0].as_json(), "revisions": []}


def _deployment(item: Deployment) -> View:
    serving = None if item.serving is None else item.revision(item.serving)
    health = {"health": "down"} if serving is None else _state(item.address, item.port)
    return {
        "name": item.name,
        "url": item.url,
        "client": item.client,
        "serving": item.serving,
        "change": item.change and item.change.model_dump(mode="json"),
        "revisions": [_revision(each) for each in item.revisions[: -_MOST_REVISIONS - 1 : -1]],
        **health,
    }


def _revision(item: Revision) -> View:
    gate = item.failed_gate
    return {
        "number": item.number,
        "kit": item.kit or item.reference,
        "recipe": item.recipe,
        "image": item.image,
        "user": item.user,
        "seconds": item.created_seconds,
        "why": item.reason,
        "state": item.state.value,
        "can_return": item.state is State.KEPT,
        "claims": [claim.model_dump(mode="json") for claim in item.tested],
        "gate": gate and gate.model_dump(mode="json"),
    }


def _kit(item: Container) -> View:
    facts = {
        "name": item.name,
        "kit": item.kit,
        "recipe": item.recipe,
        "client": item.client,
        "url": item.url,
        "seconds": item.started_seconds,
    }
    if item.exit is not None:
        return {**facts, "health": f"ended: {item.exit}"}
    return {**facts, **_state(item.address, item.port)}


def _state(address: str, port: int) -> View:
    """Ask a kit for its health and its load; both are open to callers without a key."""
    try:
        said = parse_json_object(_get(address, port, "/v1/health/ready")[1])
    except (OSError, http.client.HTTPException, UntrustedError) as error:
        return {"health": "no answer", "reason": type(error).__name__}
    state = {"health": str(said.get("status"))[:100], "reason": str(said.get("reason"))[:1000]}
    try:
        status, body = _get(address, port, "/metrics")
    except (OSError, http.client.HTTPException):
        return state
    return {**state, **_load(body)} if status == 200 else state


def _load(metrics: bytes) -> View:
    return {
        _FIELDS[found[1]]: float(found[2])
        for found in _SAMPLE.finditer(metrics)
        if found[1] in _FIELDS
    }


def _get(address: str, port: int, path: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(_reachable(address), port, timeout=_SECONDS)
    try:
        connection.request("GET", path, headers={"Connection": "close"})
        answer = connection.getresponse()
        return answer.status, answer.read(_MOST_BYTES)
    finally:
        connection.close()


def _reachable(address: str) -> str:
    """Return an address that can be asked: one that listens everywhere is asked on loopback."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(address, address)  # noqa: S104


def own_host(header: str) -> bool:
    """Return whether a Host header names this machine's loopback, at any port.

    Another name may lead here, if a page has changed its DNS entry (DNS rebinding).
    """
    try:
        found = urlsplit(f"//{header}")
        _ = found.port
    except ValueError:
        return False
    return found.hostname in {"localhost", "127.0.0.1", "::1"} and not found.path
