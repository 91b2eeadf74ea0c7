"""Reads a model's repository or an Ollama Modelfile, to write a kit for it.

In a repository only small texts and headers are read, never the weights.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from mealkit.errors import failure
from mealkit.files.pointers import MAX_POINTER_BYTES, pointer_in
from mealkit.importing.proposal import Proposal
from mealkit.pipeline.home import Home
from mealkit.untrusted import UntrustedError, read_file

if TYPE_CHECKING:
    from mealkit.importing.repository import Repository
    from mealkit.sources.hub import HubReader, Listing

_TEXTS = (
    "README.md",
    "config.json",
    "generation_config.json",
    "genai_config.json",
    "tokenizer_config.json",
    "chat_template.jinja",
    "model.safetensors.index.json",
    "modules.json",
    "*/config.json",
    "sentence_bert_config.json",
    "adapter_config.json",
    "preprocessor_config.json",
    "processor_config.json",
    "config_sentence_transformers.json",
    ".eval_results/*.yaml",
    ".eval_results/*.yml",
)
_MAX_TEXT_BYTES = 16 * 1024 * 1024
# The largest models have some 20 MB of texts, mostly the index of their weights.
_MOST_TEXT_BYTES = 32 * 1024 * 1024
# Each module of sentence-transformers has one of these.
_MOST_TEXTS = 32
_MAX_MODELFILE_BYTES = 4 * 1024 * 1024


def from_hub(source: str, engine: str | None, home: Home) -> Proposal:
    """Propose the kit of a model on the Hub, named as `hub_address` reads it.

    Raises:
        KitError: the source has another form (``USAGE``), or cannot be converted.
        SourceError: the Hub does not have it, or cannot be reached.
    """
    from mealkit.importing.from_hub import propose
    from mealkit.importing.hub_address import hub_address
    from mealkit.importing.hub_files import file_of_quantisation
    from mealkit.pipeline.kit.supplies import downloader
    from mealkit.recipe.weight_places import HubPlace
    from mealkit.sources.hub import HubReader, hub_endpoint
    from mealkit.sources.source import Supplies

    address = hub_address(source, hub_endpoint())
    place = HubPlace(source="hub", repo=address.repo, revision=address.revision)
    with downloader(home) as fetcher:
        supplies = Supplies(fetcher)
        with closing(HubReader(place, supplies)) as reader:
            file = address.file
            if address.quantisation is not None:
                sizes_bytes = reader.listing().sizes_bytes
                file = file_of_quantisation(address.repo, sizes_bytes, address.quantisation)
            return propose(_read(address.repo, reader, file), file, engine)


def from_modelfile(source: str, engine: str | None, home: Home) -> Proposal:  # noqa: ARG001
    """Propose the kit of an Ollama Modelfile.

    Raises:
        KitError: the Modelfile cannot be read, or names no local GGUF.
        SourceError: the GGUF is damaged.
    """
    from mealkit.importing.from_modelfile import propose
    from mealkit.importing.modelfile import decode_modelfile, named_files, parse_modelfile
    from mealkit.importing.modelfile_weights import chosen_model, with_all_parts

    try:
        path = Path(source).expanduser()
    except RuntimeError as error:
        raise failure("USAGE", f"there is no such user: {source}") from error
    try:
        data = read_file(path, _MAX_MODELFILE_BYTES)
    except (OSError, UntrustedError) as error:
        message = f"the Modelfile cannot be read: {error}"
        raise failure("KIT_FILE_MISSING", message, where=str(path)) from error
    directives = parse_modelfile(decode_modelfile(data, str(path)), str(path))
    named = named_files(directives, path.absolute().parent, str(path), _is_file)
    headers = [(item, _metadata(item, str(path))) for item in with_all_parts(named)]
    return propose(directives, chosen_model(headers, str(path)), str(path))


def _is_file(path: Path) -> bool:
    return _is(path.is_file)


def _is(asked: Callable[[], bool]) -> bool:
    try:
        return asked()
    except OSError:  # a name that is too long, or a folder that may not be read
        return False


def _metadata(file: Path, where: str) -> Mapping[str, Any]:
    """Read the metadata of a GGUF that a Modelfile names."""
    from mealkit.sources.gguf import read_gguf
    from mealkit.sources.ranges import FileRanges

    if not _is_file(file):
        what = "is a folder" if _is(file.is_dir) else "does not exist"
        hint = "name the GGUF file itself; for safetensors: mealkit new NAME --from hub OWNER/NAME"
        message = f"FROM names {file}, which {what}"
        raise failure("KIT_FILE_MISSING", message, where=where, hint=hint)
    ranges = FileRanges(file)
    head = ranges.read(0, MAX_POINTER_BYTES + 1)
    if pointer := pointer_in(head):
        message = f"FROM names {file}, which is {pointer.kind}"
        raise failure("WEIGHTS_FORMAT", message, where=where, hint=pointer.fix)
    if head[:4] != b"GGUF":
        raise failure("WEIGHTS_FORMAT", f"FROM names {file}, which is not a GGUF", where=where)
    return read_gguf(file.name, ranges).metadata


def _read(repo: str, reader: "HubReader", file: str | None) -> "Repository":
    from mealkit.importing.repository import Repository
    from mealkit.sources.hub import hub_endpoint

    listing = reader.listing()
    texts = [name for pattern in _TEXTS for name in _matching(listing, pattern)]
    wanted = _bounded(listing, list(dict.fromkeys(texts)))
    pinned = reader.pin(wanted, {}) if wanted else []
    read = {item.name: item.ranges.read(0, _MAX_TEXT_BYTES) for item in pinned}
    for name, data in read.items():
        if pointer := pointer_in(data):
            hint = "use a Hub that has the repository's files, and not only their pointers"
            raise failure("SOURCE_ANSWER", f"{name} is {pointer.kind}", where=repo, hint=hint)
    return Repository(
        repo=repo,
        commit=listing.commit,
        sizes_bytes=listing.sizes_bytes,
        texts={name: data.decode("utf-8-sig", errors="replace") for name, data in read.items()},
        headers=dict(_headers(reader, listing, file)),
        pipeline_tag=listing.pipeline_tag,
        address=_without_credentials(hub_endpoint()),
    )


def _without_credentials(address: str) -> str:
    parts = urlsplit(address)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def _bounded(listing: "Listing", names: Sequence[str]) -> list[str]:
    """Return the first texts whose sizes together are within the limit."""
    taken: list[str] = []
    left_bytes = _MOST_TEXT_BYTES
    for name in names:
        size_bytes = listing.sizes_bytes[name]
        if size_bytes < min(_MAX_TEXT_BYTES, left_bytes) and len(taken) < _MOST_TEXTS:
            taken.append(name)
            left_bytes -= size_bytes
    return taken


def _headers(
    reader: "HubReader", listing: "Listing", file: str | None
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Read the metadata of the GGUF that is named, or of the only one."""
    from mealkit.importing.gguf_names import part_of_name
    from mealkit.importing.hub_files import models_in_gguf
    from mealkit.sources.gguf import read_gguf

    part = part_of_name(file) if file else None
    named = part.names[0] if part else file
    there = models_in_gguf(listing.sizes_bytes)
    names = [name for name in there if name == named] or (there if len(there) == 1 else [])
    for item in reader.pin(names, {}) if names else ():
        yield item.name, dict(read_gguf(item.name, item.ranges).metadata)


def _matching(listing: "Listing", pattern: str) -> Sequence[str]:
    depth = pattern.count("/")
    names = (item for item in sorted(listing.sizes_bytes) if item.count("/") == depth)
    return [item for item in names if fnmatchcase(item, pattern)]
