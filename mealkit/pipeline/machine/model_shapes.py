"""Finds the model to estimate in kits, images, files and on the Hub, and reads its headers.

For remote models it reads a few KB, by ranges; for kits and images only the lock.
"""

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from mealkit.engines.registry import usual_engine
from mealkit.errors import MealkitError, failure
from mealkit.importing.gguf_names import is_projector_name, part_of_name
from mealkit.memory.describe import shape_of_config, shape_of_gguf
from mealkit.memory.shape import Shape
from mealkit.pipeline.home import Home
from mealkit.pipeline.machine.stated_needs import open_recipe
from mealkit.pipeline.opening_images import open_image
from mealkit.pipeline.targets import HubModel, WeightFiles, read_target
from mealkit.progress import Progress
from mealkit.recipe.lock import Lock
from mealkit.recipe.requirements import Demand
from mealkit.sources.ranges import FileRanges, RangeReader

_PATTERNS = (["model*.safetensors"], ["*.safetensors"], ["*.gguf"])


@dataclass(frozen=True, slots=True)
class FoundModel:
    """A model: its shape, and the values that its kit pins."""

    name: str
    shape: Shape
    engine: str
    demand: Demand | None = None
    """The values that the kit pins; None: it pins none, or its engine has no memory model."""
    concurrency: int = 1


def find_model(target: str, home: Home, allowed: Sequence[Path], progress: Progress) -> FoundModel:
    """Return the model of a kit, an image, ``hub:OWNER/REPO[/FILE][@REVISION]`` or files.

    Raises:
        PreflightError: the files contain too little about the model (``ESTIMATE_UNKNOWN``).
        MealkitError: the target cannot be read.
    """
    match read_target(target):
        case HubModel() as model:
            return _on_the_hub(model.text, home)
        case WeightFiles() as files:
            return _read(target, _ranges(files.path))
        case _:
            return _locked(_lock_of(target, home, allowed, progress))


def _lock_of(target: str, home: Home, allowed: Sequence[Path], progress: Progress) -> Lock:
    from mealkit.pipeline.image.image_lock import lock_of

    found = open_recipe(target, home, allowed, progress)
    if isinstance(found, Lock):
        return found
    with open_image(found, home, progress=progress) as image:
        return lock_of(image)


def _ranges(path: Path) -> dict[str, RangeReader]:
    """Return readers of a folder's files; or of one model's files and the config.json beside it."""
    one = [path.with_name(name) for name in (*_parts(path.name), "config.json")]
    names = path.iterdir() if path.is_dir() else one
    return {file.name: FileRanges(file) for file in sorted(names) if file.is_file()}


def _locked(lock: Lock) -> FoundModel:
    """Return the model in a lock, and how its engine will serve it."""
    shape, demand = lock.model.shape.described, lock.requirements.demand
    name = f"{lock.about.name} {lock.about.version}"
    if shape is None:
        raise failure(
            "ESTIMATE_UNKNOWN", "the model's files contain too little about it", where=name
        )
    if demand is None:
        # The lock's engine has no memory model: it is estimated as plain PyTorch.
        engine = usual_engine("safetensors", generates=False)
        return FoundModel(name, shape, engine, concurrency=lock.serving.max_concurrency)
    return FoundModel(name, shape, demand.engine, demand, demand.concurrency)


def _on_the_hub(target: str, home: Home) -> FoundModel:
    from mealkit.importing.hub_address import hub_address
    from mealkit.importing.hub_files import file_of_quantisation
    from mealkit.pipeline.kit.supplies import downloader
    from mealkit.recipe.weight_places import HubPlace
    from mealkit.sources.hub import HubReader, hub_endpoint
    from mealkit.sources.source import PinnedFile, Supplies

    address = hub_address(target.removeprefix("hub:"), hub_endpoint())
    repo, revision = address.repo, address.revision
    with downloader(home) as fetcher:
        supplies = Supplies(fetcher)
        place = HubPlace(source="hub", repo=repo, revision=revision)
        with closing(HubReader(place, supplies)) as reader:
            file = address.file
            if address.quantisation is not None:
                sizes_bytes = reader.listing().sizes_bytes
                file = file_of_quantisation(repo, sizes_bytes, address.quantisation)
            patterns = [_parts(file)] if file else _PATTERNS

            def pinned(names: Sequence[str]) -> list[PinnedFile]:
                try:
                    return reader.pin(names, {})
                except MealkitError as error:
                    if error.problems[0].code != "SOURCE_NOT_FOUND" or names == patterns[-1]:
                        raise
                    return []

            files = next(filter(None, map(pinned, patterns)))
            files = [*files, *pinned(["config.json"])]
            return _read(f"{repo}@{revision}", {item.name: item.ranges for item in files})


def _parts(name: str) -> list[str]:
    """Return the names of all parts of the model of which a file is a part."""
    part = part_of_name(name)
    return list(part.names) if part else [name]


def _read(name: str, files: Mapping[str, RangeReader]) -> FoundModel:
    """Read the headers of a model's files."""
    tensors = [item for item in sorted(files) if item.endswith(".safetensors")]
    # Some publishers put the whole model there twice, under different names.
    tensors = [item for item in tensors if item.startswith("model")] or tensors
    graphs = [
        item for item in sorted(files) if item.endswith(".gguf") and not is_projector_name(item)
    ]
    if tensors and "config.json" in files:
        return _from_safetensors(name, {item: files[item] for item in tensors}, files)
    if graphs:
        return _from_gguf(name, {item: files[item] for item in graphs})
    raise failure(
        "ESTIMATE_UNKNOWN",
        f"there are no GGUF files, and no safetensors with a config.json: {', '.join(files)}",
        where=name,
    )


def _from_safetensors(
    name: str, weights: Mapping[str, RangeReader], files: Mapping[str, RangeReader]
) -> FoundModel:
    from mealkit.sources.read_shape import read_config
    from mealkit.sources.safetensors import read_safetensors

    tensors: dict[str, tuple[str, int]] = {}
    for file, ranges in weights.items():
        tensors |= read_safetensors(file, ranges).by_name
    config = read_config("config.json", files["config.json"])
    if not isinstance(config, dict):
        raise failure("WEIGHTS_DAMAGED", "config.json is not a map", where=name)
    shape = shape_of_config(config, tensors)
    return FoundModel(name, shape, usual_engine("safetensors", generates=shape.generates))


def _from_gguf(name: str, graphs: Mapping[str, RangeReader]) -> FoundModel:
    from mealkit.sources.gguf import read_gguf
    from mealkit.sources.model_parts import require_all_parts

    parts = [item for item in graphs if "-of-" in item]
    if len(graphs) > 1 and len(parts) != len(graphs):
        raise failure(
            "ESTIMATE_UNKNOWN",
            f"there are several models: {', '.join(graphs)}",
            where=name,
            hint="name one of them: hub:OWNER/REPO/FILE, or its path",
        )
    by_name = {item: read_gguf(item, ranges) for item, ranges in graphs.items()}
    require_all_parts(by_name)
    headers = list(by_name.values())
    totals: dict[str, int] = {}
    for header in headers:
        for dtype, size_bytes in header.bytes_by_dtype.items():
            totals[dtype] = totals.get(dtype, 0) + size_bytes
    parameters = sum(header.parameters for header in headers)
    shape = shape_of_gguf(headers[0].metadata, totals, parameters)
    return FoundModel(name, shape, usual_engine("gguf", generates=shape.generates))
