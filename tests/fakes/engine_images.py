"""The images of the container engine, as tests that run side by side can look at and remove them."""

from contextlib import closing, suppress
from typing import Any

import docker
from docker.errors import DockerException


def image_tags(client: docker.DockerClient) -> set[str]:
    """Return the names of all images, in one request.

    ``client.images.list()`` asks again for each of them, and fails for one that another test
    removes meanwhile.
    """
    return {tag for image in images_with_labels(client) for tag in image["RepoTags"] or ()}


def images_with_labels(client: docker.DockerClient) -> list[dict[str, Any]]:
    """Return what the engine lists: ``Id``, ``RepoTags`` and ``Labels`` of each image."""
    found: list[dict[str, Any]] = client.api.images()
    return found


def engine_tags() -> set[str]:
    """Return the names of the engine's images; none where there is no engine."""
    try:
        client = docker.from_env()
    except DockerException:
        return set()
    with closing(client):
        return image_tags(client)


def remove_tags(tags: set[str]) -> None:
    """Remove names, and images that have no other name; another test's images stay."""
    if not tags:
        return
    with closing(docker.from_env()) as client:
        for tag in tags:
            with suppress(DockerException):
                client.images.remove(tag)
