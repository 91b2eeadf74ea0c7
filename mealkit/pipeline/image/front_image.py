"""Makes the image of a deployment's front: HAProxy from Debian's signed packages, and nothing else.

It is made once per home, and needs no network from then on. Raises DeploymentError if it cannot be
made.
"""

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from mealkit.errors import MealkitError, failures, problem
from mealkit.oci.descriptor import LAYER, Platform
from mealkit.oci.image import Image, Layer, image_of
from mealkit.oci.tar import tar_chunks
from mealkit.paths import USER_ID
from mealkit.pipeline.home import Home
from mealkit.pipeline.image.fetching_inputs import fetch_locked_debs
from mealkit.preflight.cpu import architecture
from mealkit.progress import Progress
from mealkit.stores.local import LocalStore

if TYPE_CHECKING:
    from mealkit.containers.docker import DockerClient
    from mealkit.containers.front import Front
    from mealkit.containers.front_spec import FrontSpec

_SUITE = "trixie"
_PROGRAM = "haproxy"
_NAME = f"mealkit-front/{_PROGRAM}:{_SUITE}"


def front_image(home: Home, progress: Progress) -> Image:
    """Return the image of the front, from the home or made now.

    Raises:
        SourceError, LockError, StoreError: it could not be made; the first problem says so.
    """
    store = LocalStore(home.front)
    platform = Platform("linux", architecture())
    if store.index().named(_NAME) is None:
        try:
            with store.use():
                store.put(_made(store, platform, home, progress), [_NAME])
        except MealkitError as error:
            raise _unavailable(error) from error
    return store.image(_NAME, platform)


def open_front(
    client: "DockerClient", spec: "FrontSpec", home: Home, progress: Progress
) -> "Front":
    """Return the front of a deployment in an engine; nothing is made or started yet."""
    from mealkit.containers.front import Front
    from mealkit.stores.docker_load import load

    def loaded() -> str:
        image = front_image(home, progress)
        with client.connected("load the image of the front") as sdk:
            return load(image, [_NAME], sdk).image_id

    return Front(client, spec, home.fronts / spec.name, loaded)


def _made(store: LocalStore, platform: Platform, home: Home, progress: Progress) -> Image:
    from mealkit.assembly.debian_root import debian_root
    from mealkit.sources.debian.known_packages import DebianMemory
    from mealkit.sources.debian.mirrors import debian_mirrors
    from mealkit.sources.debian.resolver import resolve_program

    with progress.step(f"resolving {_PROGRAM} of Debian {_SUITE} for the front"):
        packages = resolve_program(
            _SUITE,
            _PROGRAM,
            platform.architecture,
            mirrors=debian_mirrors(),
            cache=home.indexes,
            memory=DebianMemory(home.debian),
        )
    files = fetch_locked_debs(packages, home, progress)
    with tempfile.TemporaryDirectory(prefix="mealkit-") as scratch:
        debs = [(package.name, files[package.sha256]) for package in packages]
        entries = debian_root(debs, None, Path(scratch))
        blob = store.add(tar_chunks(entries))
    version = next(package.version for package in packages if package.name == _PROGRAM)
    layer = Layer(LAYER, blob, blob.digest, f"mealkit: {_PROGRAM} {version} of Debian {_SUITE}")
    config = {
        "architecture": platform.architecture,
        "os": platform.os,
        "config": {
            "User": f"{USER_ID}:{USER_ID}",
            "Entrypoint": [f"/usr/sbin/{_PROGRAM}"],
            "WorkingDir": "/",
            "Labels": {"dev.mealkit.front.version": version},
        },
    }
    return image_of(config, (layer,), {})


def _unavailable(error: MealkitError) -> MealkitError:
    message = f"{_PROGRAM} of Debian {_SUITE} could not be fetched or unpacked"
    return failures([problem("FRONT_IMAGE", message), *error.problems])
