"""What a kit needs of a machine, as the lock and the manifest's annotation state it."""

from pydantic import BaseModel, ConfigDict

from mealkit.kit.model import Architecture, Gpu


class Requirements(BaseModel):
    """The kit's side of the preflight; a few hundred bytes, readable before anything is pulled."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    architectures: tuple[Architecture, ...]
    """The architectures that the image is built for."""
    gpu: Gpu
    """Whether a GPU is needed."""
    memory_bytes: int
    """Memory that the container needs while it answers."""
    disk_bytes: int
    """Disk that the unpacked image needs, weights included."""
    weights_bytes: int
    """Bytes of weights, which arrive by pull or by mount."""
