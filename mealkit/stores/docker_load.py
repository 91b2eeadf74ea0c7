"""Loads an image into a Docker engine, as the tar that ``docker load`` reads, while building it.

Layers that the engine already has are left out (*sparse*); if one is missing then, everything is
sent, as always to podman. Raises ContainerError if the engine has another image at the end.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import docker
import docker.errors
import requests.exceptions

from mealkit.digest import canonical_json
from mealkit.errors import MealkitError, failure
from mealkit.oci.image import Image, Layer
from mealkit.oci.reference import Reference
from mealkit.oci.tar import TarFile, tar_chunks
from mealkit.progress import Advance, silent
from mealkit.untrusted import UntrustedError, parse_json

# The engine is silent while it applies a layer of any size, so there is no read timeout.
_PATIENCE = None


@dataclass(frozen=True, slots=True)
class LoadReport:
    """The engine's name for the image, and what was sent and reused."""

    image_id: str
    sent_bytes: int
    reused_layers: int


class _Refused(Exception):  # noqa: N818  carries the engine's words to where they are wrapped
    """The engine answered with an error."""


def load(
    image: Image,
    names: Sequence[str],
    client: docker.DockerClient,
    advance: Advance = silent,
) -> LoadReport:
    """Load an image into the engine under these names (``NAME[:TAG]``).

    Layers are sent as they are stored; the engine unpacks gzip itself, and zstd from version 23.
    ``advance`` gets the layers' bytes, once each, sent or already present. Docker does not document
    sparse loads; they work from version 20.10. So a full load follows if a sparse one fails.

    Raises:
        ContainerError: ``CLIENT_UNAVAILABLE``, or ``CLIENT_REFUSED`` with the engine's message.
        SourceError: ``SOURCE_CHANGED``: a layer's bytes no longer match its diff id.
        StoreError: ``REFERENCE_INVALID``: a name is not valid; ``BLOB_*`` from the layers.
        RegistryError: ``REGISTRY_*`` from layers that are in a registry.
    """
    tags = [_tag(name) for name in names]
    progress = _Progress(image.layers, advance)
    try:
        found = _inspect(client, [str(image.config_descriptor.digest), str(image.digest)])
        if found is not None:
            _name(client, found, tags)
            progress.all_done()
            return LoadReport(found, 0, len(image.layers))
        present = _present_layers(image, client)
        try:
            sent_bytes = _send(_archive(image, tags, present, progress), client)
        except _Refused:
            if not present:
                raise
            present = 0
            sent_bytes = _send(_archive(image, tags, present, progress), client)
        image_id = _loaded(image, tags, client)
    except _Refused as error:
        raise _refusal(str(error)) from error
    except (docker.errors.DockerException, requests.exceptions.RequestException) as error:
        raise failure("CLIENT_UNAVAILABLE", f"docker cannot be used: {_line(error)}") from error
    progress.all_done()
    return LoadReport(image_id, sent_bytes, present)


@dataclass(frozen=True, slots=True)
class Holder:
    """The image that has a name in the engine now, and its labels."""

    image_id: str
    labels: Mapping[str, str]


def holder_of(name: str, image: Image, client: docker.DockerClient) -> Holder | None:
    """Return the image with a name in the engine; None if it is ``image`` or none.

    Raises:
        ContainerError: ``CLIENT_UNAVAILABLE``.
        StoreError: ``REFERENCE_INVALID``.
    """
    try:
        found = client.images.get(_tag(name))
    except docker.errors.NotFound:
        return None
    except (docker.errors.DockerException, requests.exceptions.RequestException) as error:
        raise failure("CLIENT_UNAVAILABLE", f"docker cannot be used: {_line(error)}") from error
    if found.id in {str(image.config_descriptor.digest), str(image.digest)}:
        return None
    return Holder(str(found.id), found.labels)


def remove(image: Image, client: docker.DockerClient) -> None:
    """Remove an image and its names from the engine, if the engine has it and no container uses it.

    Raises:
        ContainerError: ``CLIENT_UNAVAILABLE``.
    """
    for identity in (image.config_descriptor.digest, image.digest):
        with suppress(docker.errors.NotFound):
            client.images.remove(str(identity), force=True)


@dataclass(frozen=True, slots=True)
class _Progress:
    """Reports each byte of each layer once, even if it is sent several times."""

    layers: Sequence[Layer]
    advance: Advance
    reached: dict[int, int] = field(default_factory=dict)

    def done(self, index: int, position_bytes: int) -> None:
        before = self.reached.get(index, 0)
        if position_bytes > before:
            self.reached[index] = position_bytes
            self.advance(position_bytes - before)

    def all_done(self) -> None:
        for index, layer in enumerate(self.layers):
            self.done(index, layer.blob.size_bytes)


def _tag(name: str) -> str:
    reference = Reference.parse(name)
    return f"{reference.name}:{reference.tag or 'latest'}"


def _inspect(client: docker.DockerClient, names: Iterable[str]) -> str | None:
    """Return the id of the first of these images in the engine."""
    for name in names:
        try:
            return client.images.get(name).id
        except docker.errors.NotFound:
            continue
    return None


def _name(client: docker.DockerClient, image_id: str, tags: Sequence[str]) -> None:
    for tag in tags:
        repository, _, version = tag.rpartition(":")
        client.api.tag(image_id, repository, version)


def _present_layers(image: Image, client: docker.DockerClient) -> int:
    """Return how many layers, from the bottom, are also in one of the engine's images.

    The engine finds a layer by the chain of diff ids below it, so only a common start counts.
    """
    wanted = [str(layer.diff_id) for layer in image.layers]
    longest = 0
    for item in client.api.images():
        try:
            root = client.images.get(item["Id"]).attrs.get("RootFS") or {}
        except docker.errors.NotFound:  # deleted since it was listed
            continue
        common = 0
        for mine, other in zip(wanted, root.get("Layers") or [], strict=False):
            if mine != other:
                break
            common += 1
        longest = max(longest, common)
    return longest


def _archive(
    image: Image, tags: Sequence[str], present: int, progress: _Progress
) -> Iterator[bytes | memoryview]:
    """Yield the archive: manifest.json, the config, and the missing layers."""
    config_name = f"{image.config_descriptor.digest.hex}.json"
    paths = [f"{index:03}-{layer.diff_id.hex}.tar" for index, layer in enumerate(image.layers)]
    manifest = [{"Config": config_name, "RepoTags": list(tags), "Layers": paths}]
    files = [
        TarFile.of("manifest.json", canonical_json(manifest)),
        TarFile.of(config_name, image.raw_config),
    ]
    for index, (path, layer) in enumerate(zip(paths, image.layers, strict=True)):
        if index >= present:
            blob = layer.blob
            content = _counted(layer, index, progress)
            files.append(TarFile(path, blob.size_bytes, content))
    return tar_chunks(files)


def _counted(
    layer: Layer, index: int, progress: _Progress
) -> Callable[[], Iterator[bytes | memoryview]]:
    def content() -> Iterator[bytes | memoryview]:
        position_bytes = 0
        for chunk in layer.blob.chunks():
            yield chunk
            position_bytes += len(chunk)
            progress.done(index, position_bytes)

    return content


def _send(archive: Iterator[bytes | memoryview], client: docker.DockerClient) -> int:
    """Post an archive; return its size in bytes. Raises ``_Refused`` if the engine refuses it."""
    sent_bytes = 0

    def body() -> Iterator[bytes]:
        nonlocal sent_bytes
        for chunk in archive:
            sent_bytes += len(chunk)
            yield bytes(chunk)

    api = client.api
    # Not api.load_image(): its read timeout of a minute is shorter than applying a large layer.
    with api.post(
        f"{api.base_url}/v{api.api_version}/images/load",
        data=body(),
        headers={"Content-Type": "application/x-tar"},
        stream=True,
        timeout=_PATIENCE,
    ) as response:
        lines = [line for line in response.iter_lines() if line]
    if response.status_code != 200:
        raise _Refused(_words(lines))
    for line in lines:  # the engine answers 200 first, and reports errors later
        form = _json(line)
        if "error" in form or "errorDetail" in form:
            raise _Refused(_words([line]))
    return sent_bytes


def _loaded(image: Image, tags: Sequence[str], client: docker.DockerClient) -> str:
    """Return the engine's id of the image."""
    config, manifest = str(image.config_descriptor.digest), str(image.digest)
    image_id = _inspect(client, [config, manifest, *tags])
    if image_id is None:
        raise _Refused("it reported no error, but does not have the image")
    if image_id not in {config, manifest}:  # its own manifest, in a containerd image store
        layers = client.images.get(image_id).attrs["RootFS"]["Layers"]
        if layers != [str(layer.diff_id) for layer in image.layers]:
            raise _Refused(f"the name {tags[0]} belongs to {image_id} there")
    return image_id


def _refusal(words: str) -> MealkitError:
    # Docker's words, and podman's.
    if "invalid diffID" in words or "Digest did not match" in words:
        return failure("SOURCE_CHANGED", f"the engine found a layer changed: {words}")
    hint = None
    if "no space left" in words:
        hint = "free space on the disk with the engine's data: docker system df"
    return failure("CLIENT_REFUSED", f"the engine cannot load the image: {words}", hint=hint)


def _words(lines: Sequence[bytes]) -> str:
    form = _json(lines[-1]) if lines else {}
    detail = form.get("errorDetail")
    text = form.get("error") or form.get("message")
    text = text or (detail.get("message") if isinstance(detail, dict) else None)
    return _line(text or b" ".join(lines).decode("utf-8", "replace") or "it gives no reason")


def _json(line: bytes) -> dict[str, Any]:
    try:
        form = parse_json(line)
    except UntrustedError:
        return {}
    return form if isinstance(form, dict) else {}


def _line(what: object) -> str:
    return " ".join(str(what).split())[:500]
