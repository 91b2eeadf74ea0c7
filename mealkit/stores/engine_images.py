"""Describes and removes images that mealkit loaded into a container engine.

An image that a container uses, or that has a name which mealkit did not give, is left alone.
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import docker
import docker.errors
import requests.exceptions

from mealkit.errors import failure

RUN_NAMES = "mealkit-run/"
"""The beginning of the names that mealkit gives to images that it loads to run them."""


@dataclass(frozen=True, slots=True)
class EngineImage:
    """An image in an engine; ``size_bytes`` includes layers that other images share."""

    id: str
    names: tuple[str, ...]
    size_bytes: int


def unused_image(identity: str, client: docker.DockerClient) -> EngineImage | None:
    """Return an image; None if it is gone, a container uses it, or it has another's name.

    Raises:
        ContainerError: ``CLIENT_UNAVAILABLE``.
    """
    with _reached():
        try:
            found = client.images.get(identity)
        except docker.errors.NotFound:
            return None
        names = tuple(found.tags)
        if any(not _is_ours(name) for name in names):
            return None
        own: dict[str, str | list[str] | bool] = {"ancestor": str(found.id)}
        if client.containers.list(all=True, filters=own, ignore_removed=True):
            return None
        return EngineImage(str(found.id), names, int(found.attrs.get("Size") or 0))


def remove_unused(image: EngineImage, client: docker.DockerClient) -> bool:
    """Remove an image by its names, never by force; return whether it is gone.

    Raises:
        ContainerError: ``CLIENT_UNAVAILABLE``.
    """
    with _reached():
        for name in image.names or (image.id,):
            # A container may have been made from it meanwhile: then it stays.
            with suppress(docker.errors.APIError):
                client.images.remove(name, force=False)
        try:
            client.images.get(image.id)
        except docker.errors.NotFound:
            return True
        return False


def _is_ours(name: str) -> bool:
    return name.removeprefix("localhost/").startswith(RUN_NAMES)  # podman adds a registry


@contextmanager
def _reached() -> Iterator[None]:
    try:
        yield
    except (docker.errors.DockerException, requests.exceptions.RequestException) as error:
        message = f"the container engine cannot be used: {str(error)[:300]}"
        raise failure("CLIENT_UNAVAILABLE", message) from error
