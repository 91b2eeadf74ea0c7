"""Finds out before a build whether the name for a container is free, and what may be replaced.

Raises ContainerError, and DeploymentError for a name of a deployment.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace

from mealkit.containers.container import LABEL_HOME, LABEL_RUN, Container
from mealkit.deploy.deployment import LABEL_DEPLOYMENT
from mealkit.errors import MealkitError, failure
from mealkit.pipeline.home import Home
from mealkit.pipeline.kit.opened_kit import OpenedKit
from mealkit.pipeline.machine.clients import ContainerClient, client_of, clients
from mealkit.pipeline.machine.stated_needs import Stated
from mealkit.pipeline.run.kept_records import records_of
from mealkit.pipeline.run.names_of_own import name_of_own
from mealkit.pipeline.run.run_request import RunRequest
from mealkit.pipeline.targets import ImageTarget
from mealkit.preflight.here import port_is_free


def name_of(content: OpenedKit | ImageTarget, stated: Stated | None) -> str | None:
    """Return the name that a container gets unless the caller chooses one; None: not known yet."""
    if isinstance(content, OpenedKit):
        return content.parts.kit.name
    return stated.name.partition(":")[0] if stated else None


def before_build(
    request: RunRequest, name: str | None, home: Home
) -> tuple[RunRequest, RunRequest]:
    """Check a name before a build; return the request, and the one to check the machine with.

    A kit that replaces another one gets its port, unless the caller chooses one. The machine is
    checked as if that port were free.

    Raises:
        ContainerError: ``CONTAINER_EXISTS``.
        DeploymentError: ``DEPLOYMENT_PART``.
    """
    if name is None:
        return request, request
    if not request.replaces:
        client = _client(request, home)
        if client is not None:
            require_free_name(name, client, home)
        return request, request
    old = replaced_by(request, name, home)
    if old is None:
        return request, request
    if request.port is None and old.port:
        request = replace(request, port=old.port)
    return request, replace(request, port=0) if request.port == old.port else request


def require_client(request: RunRequest, home: Home) -> None:
    """Check that a container client works, before a kit is locked and built for it.

    Raises:
        ContainerError: ``CLIENT_NONE`` or ``CLIENT_UNAVAILABLE``.
    """
    from mealkit.containers.select import choose

    choose(clients(home), request.client)


def require_free_port(request: RunRequest, kits_port: int) -> None:
    """Check the port of a kit without a lock, which states its needs only after it was built.

    Raises:
        ContainerError: ``PORT_TAKEN``.
    """
    port = kits_port if request.port is None else request.port
    is_asked = request.is_published and port and "PORT_TAKEN" not in request.overrides
    if is_asked and port_is_free(request.address, port) is False:
        raise failure("PORT_TAKEN", f"port {port} of {request.address} is in use", where="--port")


def replaced_by(request: RunRequest, name: str, home: Home) -> Container | None:
    """Return the kit that a request replaces; see `replaceable`."""
    client = _client(request, home)
    return None if client is None else replaceable(request.name or name, client, home)


def _client(request: RunRequest, home: Home) -> ContainerClient | None:
    """Return the client that will be used; None: none works, as the checks of the machine say."""
    from mealkit.containers.select import choose

    with suppress(MealkitError):
        return choose(clients(home), request.client)
    return None


@contextmanager
def trial_of(request: RunRequest, home: Home) -> Iterator[RunRequest]:
    """Yield the request for trying a kit: it has another name, no port and no callers.

    At the end, its container is removed, and what it recorded: no caller has asked it.
    """
    with name_of_own("try", home) as name:
        try:
            yield replace(request, name=name, port=0, keys=None, replaces=False, is_published=False)
        finally:
            with suppress(MealkitError):
                client_of(name, home).remove(name)
            shutil.rmtree(records_of(name, home), ignore_errors=True)


def require_free_name(name: str, client: ContainerClient, home: Home) -> None:
    """Check that a client has no container with a name.

    Raises:
        ContainerError: ``CONTAINER_EXISTS``, with the commands that free the name.
    """
    holder = client.holder(name)
    if holder is not None:
        raise _taken(holder, home)


def replaceable(name: str, client: ContainerClient, home: Home) -> Container | None:
    """Return the kit of this home that has a name; None if the name is free.

    Raises:
        ContainerError: ``CONTAINER_EXISTS``, a container that is not this home's has the name.
        DeploymentError: ``DEPLOYMENT_PART``, it is a deployment's.
    """
    holder = client.holder(name)
    if holder is None:
        return None
    deployment = holder.labels.get(LABEL_DEPLOYMENT)
    if deployment is not None:
        message = f"{name} belongs to the deployment {deployment}"
        raise failure("DEPLOYMENT_PART", message, hint=f"mealkit up {deployment} KIT")
    if not _is_kit(holder) or _is_foreign(holder, home):
        raise _taken(holder, home)
    return holder


def _taken(holder: Container, home: Home) -> MealkitError:
    name, client = holder.name, holder.client
    if not _is_kit(holder):
        return failure(
            "CONTAINER_EXISTS",
            f"{client} has a container named {name}, which mealkit did not start",
            where="--name",
            hint="choose another name: mealkit run --name NAME; or, if it is not needed:"
            f" {client} rm {name}",
        )
    state = f"which {holder.exit}" if holder.exit else "which runs"
    if _is_foreign(holder, home):
        return failure(
            "CONTAINER_EXISTS",
            f"{client} has a kit named {name} of another home: {holder.kit}, {state}",
            where="--name",
            hint=f"choose another name: mealkit run --name NAME; or: mealkit stop {name}",
        )
    return failure(
        "CONTAINER_EXISTS",
        f"{client} has a kit named {name}: {holder.kit}, {state}",
        where="--name",
        hint=f"mealkit stop {name}; or replace it: mealkit run --replace; or choose another name:"
        " mealkit run --name NAME",
    )


def _is_kit(holder: Container) -> bool:
    return holder.labels.get(LABEL_RUN) == holder.name


def _is_foreign(holder: Container, home: Home) -> bool:
    return holder.labels.get(LABEL_HOME, home.id) != home.id
