"""What the tests of policies share: digests, a time, and lines of a policy's file."""

from dataclasses import replace
from pathlib import Path

from fakes.little import base_of, layer_of
from mealkit.assembly.lean import LAYER_KIND
from mealkit.digest import Digest
from mealkit.oci.image import Image, image_of
from mealkit.oci.tar import TarDirectory, TarFile
from mealkit.paths import SETTINGS
from mealkit.plan.layers import LayerKind
from mealkit.recipe.lock import LOCK_NAME, Lock, lock_bytes
from mealkit.recipe.requirements import ANNOTATION
from mealkit.trust.policy_file import LoadedPolicy

IMAGE = Digest.of(b"image")
OTHER = Digest.of(b"another image")
DAY = 24 * 60 * 60
NOW = 1_796_000_000  # 2026-11-30


def line_of(loaded: LoadedPolicy, text: str) -> str:
    """The place of the first line of a policy that has this text."""
    lines = Path(loaded.path).read_text().splitlines()
    number = next(index for index, line in enumerate(lines, 1) if text in line)
    return f"{loaded.path}:{number}"


def kit_image(lock: Lock, extra: bytes = b"", architecture: str = "amd64") -> Image:
    """An image that has a lock in its kit layer, as mealkit's, and one more layer."""
    kit = layer_of(
        "kit",
        TarDirectory("etc"),
        TarDirectory(SETTINGS),
        TarFile.of(f"{SETTINGS}/{LOCK_NAME}", lock_bytes(lock)),
    )
    kit = replace(kit, annotations={LAYER_KIND: LayerKind.KIT.value})
    base = layer_of("base", TarFile.of("x", extra))
    image = base_of(base, kit, architecture=architecture)
    stated = lock.requirements.model_dump_json()
    return image_of(image.config, image.layers, {ANNOTATION: stated})


def renamed(lock: Lock, name: str, version: str = "1.0.0") -> Lock:
    """A lock of another kit, or of another version."""
    about = lock.about.model_copy(update={"name": name, "version": version})
    return lock.model_copy(update={"about": about})
