"""A file that a lock pins: of the model, or of a data set."""

from typing import Annotated, Literal

from mealkit.digest import Digest
from mealkit.recipe.answers import DECIDES_ANSWERS, KEEPS_ANSWERS, StrictModel
from mealkit.recipe.origins import Origin
from mealkit.strings import Bytes, RelativePath


class LockedFile(StrictModel):
    """One file of the model or of a data set: its path, and the digest of its bytes."""

    path: Annotated[RelativePath, DECIDES_ANSWERS]
    """The file's path below /models, or below the folder of the data sets."""
    sha256: Annotated[Digest, DECIDES_ANSWERS]
    """The digest of the file's bytes."""
    size_bytes: Annotated[Bytes, DECIDES_ANSWERS]
    """The file's size."""
    format: Annotated[
        Literal["safetensors", "gguf", "onnx", "onnx-data", "json", "text", "pickle", "data"],
        KEEPS_ANSWERS,
    ]
    """The file's format, detected from its content."""
    origins: Annotated[tuple[Origin, ...], KEEPS_ANSWERS]
    """The place where the file was found, then its other sources, in the kit's order."""
