"""The parsers of untrusted bytes, each as it is called."""

import contextlib
import gzip
import json
import os
import tempfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import h11
import httpx2
from fakes.cog_projects import GREETING
from fakes.engines import estimate, memory_of
from fakes.listed import listed_entry
from fakes.odd_server import odd_server
from worker.endpoints.asking import CHAT

from fuzz import seeds
from fuzz.harness import Target
from mealkit.assembly.debian_root import unpacked
from mealkit.assembly.wheel_tree import wheel_tree
from mealkit.catalogue.catalogue import Catalogue
from mealkit.catalogue.readme import readme_html
from mealkit.catalogue.records import new_record, read_record
from mealkit.containers.root import unpack_root
from mealkit.digest import Digest
from mealkit.engines.handler_source import Handler, handler_problems
from mealkit.errors import MealkitError
from mealkit.evidence.recognition import Evidence, last_words, recognise
from mealkit.importing.cog_files import CogProject
from mealkit.importing.from_cog import cog_proposal
from mealkit.importing.from_hub import propose
from mealkit.importing.modelfile import parse_modelfile
from mealkit.importing.proposal import proposal_files
from mealkit.importing.repository import Repository
from mealkit.kit.load import load_kit
from mealkit.memory.setting import Setting
from mealkit.oci.choosing import Source, choose
from mealkit.oci.descriptor import LAYER, LAYER_GZIP, Descriptor
from mealkit.oci.image import BytesBlob, Image, Layer, read_image
from mealkit.oci.index import Index
from mealkit.oci.reference import Reference
from mealkit.recipe.lock import read_lock
from mealkit.recipe.requirements import ANNOTATION, read_requirements
from mealkit.recipe.weight_places import HubPlace
from mealkit.runtime.api.file_answer import Accepted
from mealkit.runtime.api.form_data import read_form
from mealkit.runtime.api.form_values import form_values
from mealkit.runtime.api.reading import read_object as gateway_reads
from mealkit.runtime.http.protocol import _Strict
from mealkit.runtime.life.worker_process import read_problem
from mealkit.sources.debian.package_index import PackageIndex
from mealkit.sources.debian.paragraphs import paragraphs
from mealkit.sources.debian.release import parse_release, signed_text
from mealkit.sources.download import Downloader
from mealkit.sources.file_cache import FileCache
from mealkit.sources.formats import classify
from mealkit.sources.gguf import read_gguf
from mealkit.sources.hub import HubReader
from mealkit.sources.protobuf import external_files
from mealkit.sources.read_shape import ModelFile, read_config, shape_of
from mealkit.sources.safetensors import read_safetensors
from mealkit.sources.source import Supplies
from mealkit.stores.registry.auth import challenges_of
from mealkit.untrusted import parse_json
from mealkit.web.http_client import open_client
from mealkit.web.retry import Retry
from mealkit.worker.endpoints.generation import chat_request
from mealkit.worker.endpoints.request import read_request
from mealkit.worker.generation.tool_calls import ToolReader
from mealkit.worker.tokenizer.vocabulary import Vocabulary

ENGINES = ("transformers", "vllm", "llama-cpp", "onnx")


def worker_reads(data: bytes) -> None:
    read_request(data, chat_request)


def form(data: bytes) -> None:
    """Read a form whose Content-Type is the first line."""
    content_type, _, body = data.partition(b"\n")
    form_values(read_form(body, content_type.decode("latin-1")), seeds.FORM_SCHEMA, 1000)


class Bytes:
    """A range reader over bytes."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.size_bytes = len(data)

    def read(self, offset: int, length: int) -> bytes:
        return self._data[offset : offset + length]


@contextmanager
def written(data: bytes, name: str = "data") -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="mealkit-fuzz-") as folder:
        path = Path(folder) / name
        path.write_bytes(data)
        yield path


def text_of(data: bytes) -> str:
    return data.decode(errors="replace")


def kit(data: bytes) -> None:
    with written(data, "kit.yaml") as path:
        for name in ("prompts", "wheels"):
            (path.parent / name).mkdir()
        (path.parent / "prompts" / "query.jinja").write_text("query: {{ text }}\n")
        (path.parent / "wheels" / "soup-1.0-py3-none-any.whl").write_bytes(b"")
        load_kit(path)


def lock(data: bytes) -> None:
    found = read_lock(data)
    if found.model.shape.described is not None:
        for engine in ENGINES:
            estimate(found.model.shape.described, Setting(memory_of(engine), 4096))


def blob_of(descriptor: Descriptor) -> BytesBlob:
    return BytesBlob(b"layer" + descriptor.digest.encode())


def image_facts(image: Image) -> None:
    _ = image.platform, image.annotations, image.labels, image.descriptor, image.layers
    if ANNOTATION in image.annotations:
        read_requirements(image.annotations, "image")


def manifest(data: bytes) -> None:
    image_facts(read_image(data, seeds.IMAGE.raw_config, blob_of))


def image_config(data: bytes) -> None:
    image_facts(read_image(seeds.IMAGE.raw_manifest, data, blob_of))


def _records() -> list[bytes]:
    entry = listed_entry()
    replaced = [Digest.of(b"record")]
    return [
        new_record(entry, [], 0).raw_manifest,
        new_record(None, replaced, 1).raw_manifest,
    ]


def _catalogues() -> list[bytes]:
    found = [item for raw in _records() if (item := read_record(raw))]
    return [Catalogue.merged(found, [item.digest for item in found]).as_bytes()]


def catalogue(data: bytes) -> None:
    found = Catalogue.parse(data, "host/catalog")
    assert len(found.kits) + len(found.faults) <= len(found.records)
    found.as_bytes()


def record(data: bytes) -> None:
    found = read_record(data)
    assert found is None or found.digest == Digest.of(data)


def index(data: bytes) -> None:
    found = Index.parse(data, "index.json")
    choose(found.entries(), Source("here", lambda _: data, lambda _: BytesBlob(data)), None)
    _ = found.names(), found.images()


def layer(media_type: str) -> Callable[[bytes], None]:
    def run(data: bytes) -> None:
        plain = data
        if media_type == LAYER_GZIP:
            with contextlib.suppress(OSError, EOFError, zlib.error):
                plain = gzip.decompress(data)
        item = Layer(media_type, BytesBlob(data), Digest.of(plain), "layer")
        with tempfile.TemporaryDirectory(prefix="mealkit-fuzz-") as folder:
            unpack_root([item], Path(folder) / "root")

    return run


def formats(data: bytes) -> None:
    for name in ("model.bin", "model.txt"):
        classify(name, Bytes(data), allow_pickle=True, is_graph_data=lambda: True)


def gguf(data: bytes) -> None:
    header = read_gguf("model", Bytes(data))
    described = shape_of([ModelFile("model", "gguf", Bytes(data))]).described
    if described is not None and header.parameters:
        estimate(described, Setting(memory_of("llama-cpp"), 4096))


def config(data: bytes) -> None:
    read_config("config.json", Bytes(data))
    described = shape_of([ModelFile("config.json", "json", Bytes(data))]).described
    for engine in ENGINES if described else ():
        estimate(described, Setting(memory_of(engine), 4096))


def deb(data: bytes) -> None:
    with written(data, "soup.deb") as path:
        for _ in unpacked("soup", path, path.parent):
            pass


def packages(data: bytes) -> None:
    found = PackageIndex()
    found.add(iter([data]))
    for name in list(found.names()):
        found.newest(name)
        found.providers(name)


def wheel(data: bytes) -> None:
    with written(data, "soup-1.0-py3-none-any.whl") as path:
        for member in wheel_tree([(path.name, path)]):
            for _ in member.chunks():
                pass


def cog(data: bytes) -> None:
    texts = {name: item for name, item in GREETING.items() if isinstance(item, str)}
    found = cog_proposal(CogProject("soup", {**texts, "cog.yaml": text_of(data)}, {}))
    proposal_files(found, "soup")


def cog_code(data: bytes) -> None:
    texts = {name: item for name, item in GREETING.items() if isinstance(item, str)}
    cog_proposal(CogProject("soup", {**texts, "predict.py": text_of(data)}, {}))


def repository(name: str) -> Callable[[bytes], None]:
    others = {
        "config.json": text_of(seeds.CONFIGS[0]),
        "tokenizer_config.json": '{"chat_template": "{{ 1 }}", "eos_token": "</s>"}',
        "generation_config.json": '{"temperature": 0.5, "top_k": 5}',
        "README.md": text_of(seeds.CARDS[0]),
    }

    def run(data: bytes) -> None:
        texts = {**others, name: text_of(data)}
        sizes = dict.fromkeys((*texts, "model.safetensors", "tokenizer.json"), 10)
        found = propose(Repository("a/b", "0" * 40, sizes, texts), None, "transformers")
        proposal_files(found, "soup")

    return run


@cache
def client() -> httpx2.Client:
    return open_client()


def hub(data: bytes) -> None:
    with (
        odd_server(200, {"Content-Type": "application/json"}, data) as address,
        tempfile.TemporaryDirectory(prefix="mealkit-fuzz-") as folder,
    ):
        os.environ["HF_ENDPOINT"] = address.rpartition("/")[0]
        supplies = Supplies(Downloader(FileCache(Path(folder)), client(), retry=Retry(1)))
        place = HubPlace(source="hub", repo="a/b", revision="main")
        try:
            reader = HubReader(place, supplies)
            reader.listing()
            with contextlib.suppress(MealkitError):  # the server has no such file
                reader.pin(["model.safetensors"], {})
        finally:
            del os.environ["HF_ENDPOINT"]


def request_head(data: bytes) -> None:
    connection = _Strict(h11.SERVER)
    connection.receive_data(data)
    while (event := connection.next_event()) is not h11.NEED_DATA:
        if event is h11.PAUSED or isinstance(event, h11.ConnectionClosed):
            break


def calls(data: bytes) -> None:
    reader = ToolReader({"cook"})
    told: list[object] = []
    text = text_of(data)
    for start in range(0, len(text), 7):
        told += reader.feed(text[start : start + 7])
    told += reader.end()


def log(data: bytes) -> None:
    text = text_of(data)
    last_words(text)
    for code in (1, 137):
        recognise(Evidence(text, exit_code=code, memory_limit_bytes=10))
    read_problem(text)


def handler(data: bytes) -> None:
    handler_problems(Handler("h.py:Handler", "kit.yaml:1", (3, 11)), {"h.py": text_of(data)})


def vocabulary(data: bytes) -> None:
    with written(data, "tokenizer.json") as path:
        found = Vocabulary(path.parent)
        found.piece(found.first_id)


def beside(name: str) -> Callable[[bytes], None]:
    def run(data: bytes) -> None:
        with written(data, name) as path:
            (path.parent / "tokenizer.json").write_bytes(seeds.TOKENIZERS[0])
            found = Vocabulary(path.parent)
            _ = found.chat_template, found.special_tokens, found.end_ids

    return run


def requirements(data: bytes) -> None:
    read_requirements({ANNOTATION: text_of(data)}, "image")


def _requirements() -> list[bytes]:
    found = read_lock(seeds.LOCKS[0])
    return [found.requirements.model_dump_json(by_alias=True).encode()]


TARGETS = [
    Target("json", parse_json, [*seeds.OBJECTS, *seeds.CONFIGS], inputs=1500),
    Target("json as Python", lambda data: parse_json(data, as_python=True), seeds.CONFIGS),
    Target("kit.yaml", kit, [seeds.LITTLE_KIT], inputs=250),
    Target("kit.lock", lock, seeds.LOCKS[:1], inputs=300),
    Target("image manifest", manifest, [seeds.IMAGE.raw_manifest], inputs=500),
    Target("image config", image_config, [seeds.IMAGE.raw_config], inputs=500),
    Target("image index", index, seeds.INDEXES, inputs=500),
    Target("catalogue", catalogue, _catalogues(), inputs=200),
    Target("catalogue's record", record, _records(), inputs=200),
    Target("README", lambda data: readme_html(text_of(data)), seeds.CARDS, inputs=200),
    Target("requirements", requirements, _requirements(), inputs=400),
    Target("layer", layer(LAYER), seeds.LAYERS, inputs=300),
    Target("compressed layer", layer(LAYER_GZIP), seeds.GZIP_LAYERS, inputs=200),
    Target(
        "safetensors",
        lambda data: read_safetensors("m", Bytes(data)),
        seeds.SAFETENSORS,
        inputs=800,
    ),
    Target("GGUF", gguf, seeds.GGUF, inputs=800),
    Target("ONNX", lambda data: external_files(Bytes(data)), seeds.ONNX, inputs=800),
    Target("pickle", formats, seeds.PICKLES, inputs=1000),
    Target("archive of arrays", formats, seeds.ARCHIVES, inputs=500),
    Target("packed archives", formats, seeds.PACKED, inputs=500),
    Target("config.json", config, seeds.CONFIGS, inputs=500),
    Target("deb", deb, seeds.DEBS, inputs=300),
    Target("Debian packages", packages, seeds.PARAGRAPHS, (ValueError,), inputs=500),
    Target(
        "Debian paragraphs",
        lambda data: list(paragraphs(text_of(data))),
        seeds.PARAGRAPHS,
        (ValueError,),
    ),
    Target(
        "Debian release",
        lambda data: parse_release(signed_text(data), "r"),
        seeds.RELEASES,
        inputs=500,
    ),
    Target("wheel", wheel, seeds.WHEELS, inputs=400),
    Target(
        "Modelfile",
        lambda data: parse_modelfile(text_of(data), "Modelfile"),
        seeds.MODELFILES,
        inputs=500,
    ),
    Target("cog.yaml", cog, [str(GREETING["cog.yaml"]).encode()], inputs=200),
    Target("Cog predictor", cog_code, [str(GREETING["predict.py"]).encode()], inputs=200),
    Target("model card", repository("README.md"), seeds.CARDS, inputs=40),
    Target("a repository's config", repository("config.json"), seeds.CONFIGS[:1], inputs=40),
    Target("Hub answer", hub, seeds.HUB, inputs=60),
    Target("reference", lambda data: Reference.parse(text_of(data)), seeds.REFERENCES, inputs=500),
    Target("challenge", lambda data: challenges_of(text_of(data)), seeds.CHALLENGES, inputs=500),
    Target("digest", lambda data: Digest(text_of(data)), [b"sha256:" + b"0" * 64], (ValueError,)),
    Target("request head", request_head, seeds.REQUESTS, (h11.RemoteProtocolError,), inputs=800),
    Target("request body", gateway_reads, seeds.OBJECTS, inputs=500),
    Target("form", form, seeds.FORMS, inputs=800),
    Target("Accept", lambda data: Accepted.of(text_of(data)).wants("image/png"), seeds.ACCEPTS),
    Target("worker's request body", worker_reads, [json.dumps(CHAT).encode()], inputs=500),
    Target("tool calls", calls, seeds.CALLS, inputs=500),
    Target("log", log, [*seeds.LOGS, *seeds.PROBLEMS], inputs=500),
    Target("handler", handler, seeds.HANDLERS, inputs=400),
    Target(
        "tokenizer.json",
        vocabulary,
        seeds.TOKENIZERS,
        inputs=300,
    ),
    Target(
        "tokenizer_config.json",
        beside("tokenizer_config.json"),
        [
            b'{"chat_template": [{"name": "default", "template": "x"}], "eos_token": {"content": "</s>"}}'
        ],
        inputs=150,
    ),
    Target(
        "generation_config.json",
        beside("generation_config.json"),
        [b'{"eos_token_id": [1, 2]}'],
        inputs=60,
    ),
]
