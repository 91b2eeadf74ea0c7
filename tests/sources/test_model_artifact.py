"""Weights in a registry: ModelPack, ModelKit and Docker's models, pinned by header and verified."""

import gzip
import io
import json
import tarfile
import time
from collections.abc import Iterator
from contextlib import closing
from shutil import rmtree

import pytest
from fakes.served import Registry, settled

from mealkit.digest import Digest
from mealkit.errors import MealkitError
from mealkit.oci.artifact import Artifact, Attachment, artifact_of
from mealkit.oci.image import BytesBlob
from mealkit.oci.model_artifacts import FILE_PATH, MODELPACK, MODELPACK_CONFIG, TITLE
from mealkit.oci.reference import Reference
from mealkit.recipe.kit import Task
from mealkit.recipe.lock import LockedModel
from mealkit.recipe.origins import OciOrigin
from mealkit.sources.fallback import open_place
from mealkit.sources.folder_changes import changed_weights
from mealkit.sources.retrieval import fetch_weights
from mealkit.sources.source import Supplies
from mealkit.sources.weights import resolve_weights
from mealkit.stores.registry.artifact_reader import RegistryArtifacts
from mealkit.stores.registry.push import push
from mealkit.stores.registry.reaching import Registries

CNCF = "application/vnd.cncf.model"
KITOPS = "application/vnd.kitops.modelkit"
DOCKER = "application/vnd.docker.ai"
CONFIG = b'{"model_type": "bert"}'
JINJA = b"{{ messages }}"


@pytest.fixture(scope="module")
def registry(tmp_path_factory) -> Iterator[Registry]:
    with Registry(tmp_path_factory.mktemp("models") / "registry") as server:
        yield server


@pytest.fixture(scope="module")
def registries() -> Iterator[Registries]:
    with Registries.from_environment() as opened:
        yield opened


@pytest.fixture(scope="module")
def artifacts() -> Iterator[RegistryArtifacts]:
    """The registries as the pipeline hands them to the sources."""
    with closing(RegistryArtifacts()) as opened:
        yield opened


@pytest.fixture
def reading(downloader, artifacts) -> Supplies:
    return Supplies(downloader, artifacts=artifacts)


@pytest.fixture
def weights(safetensors) -> bytes:
    return safetensors({"w": ("F32", [5000], 20_000)})


@pytest.fixture
def pushed(registry, registries):
    """Push an artifact as models/NAME:1; return the reference as a kit writes it."""

    def run(artifact: Artifact, name: str) -> str:
        push(artifact, Reference(registry.host, f"models/{name}", "1"), registries)
        return f"{registry.host}/models/{name}:1"

    return run


def layer(media_type: str, data: bytes, path: str | None = None, **more: str) -> Attachment:
    names = {} if path is None else {FILE_PATH: path}
    return Attachment(media_type, BytesBlob(data), {**names, **more})


def pack(*layers: Attachment, artifact_type: str = MODELPACK) -> Artifact:
    return artifact_of(artifact_type, layers, config=layer(MODELPACK_CONFIG, b"{}"))


def tar_of(files: dict[str, bytes], link: str | None = None) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
        if link is not None:
            info = tarfile.TarInfo(link)
            info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
            tar.addfile(info)
    return buffer.getvalue()


def place(reference: str, *files: str, **more: object) -> dict[str, object]:
    return {"source": "oci", "reference": reference, "files": files or ["*"], **more}


def as_raw(weights: bytes) -> Artifact:
    """As mealkit and modctl write it."""
    return pack(
        layer(f"{CNCF}.weight.v1.raw", weights, "model.safetensors"),
        layer(f"{CNCF}.weight.config.v1.raw", CONFIG, "config.json"),
    )


def as_titles(weights: bytes) -> Artifact:
    """With oras' names only, and the type that Docker's runner gives to a ModelPack's weights."""
    return pack(
        layer(f"{CNCF}.weight.v1.safetensors", weights, **{TITLE: "model.safetensors"}),
        layer(f"{CNCF}.weight.config.v1.raw", CONFIG, **{TITLE: "config.json"}),
    )


def as_tars(weights: bytes) -> Artifact:
    """One archive that is plain and one that is compressed."""
    return pack(
        layer(f"{CNCF}.weight.v1.tar", tar_of({"./model.safetensors": weights}), "."),
        layer(f"{CNCF}.weight.config.v1.tar+gzip", gzip.compress(tar_of({"config.json": CONFIG}))),
    )


def as_modelkit(weights: bytes) -> Artifact:
    """As KitOps writes it: raw layers are named by the Kitfile, which is the config."""
    parts = [
        layer(f"{KITOPS}.model.v1.raw", weights),
        layer(f"{KITOPS}.modelpart.v1.tar+gzip", gzip.compress(tar_of({"config.json": CONFIG}))),
    ]
    model = {"path": "./model.safetensors", "digest": str(parts[0].blob.digest)}
    kitfile = json.dumps({"manifestVersion": "1.0.0", "model": model}).encode()
    config = layer(f"{KITOPS}.config.v1+json", kitfile)
    return artifact_of(f"{KITOPS}.manifest.v1+json", parts, config=config)


def as_docker(weights: bytes) -> Artifact:
    """As Docker's runner writes it: files by their type, and the others in an archive."""
    layers = [
        layer(f"{DOCKER}.safetensors", weights),
        layer(f"{DOCKER}.vllm.config.tar", tar_of({"config.json": CONFIG})),
    ]
    config = layer(f"{DOCKER}.model.config.v0.1+json", b"{}")
    return artifact_of(f"{DOCKER}.model.config.v0.1+json", layers, config=config)


def as_docker_files(weights: bytes) -> Artifact:
    """As Docker's runner writes it since v0.2: a layer for each file, with ModelPack's names."""
    layers = [
        layer(f"{DOCKER}.safetensors", weights, "model.safetensors"),
        layer(f"{DOCKER}.model.file", CONFIG, "config.json"),
    ]
    config = layer(f"{DOCKER}.model.config.v0.2+json", b"{}")
    return artifact_of(f"{DOCKER}.model.config.v0.2+json", layers, config=config)


@pytest.mark.parametrize(
    "form", [as_raw, as_titles, as_tars, as_modelkit, as_docker, as_docker_files]
)
def test_the_files_of_every_format_are_locked_and_fetched(
    form, weights, pushed, model, reading, tmp_path, cache
):
    """By their names, with the digests of their own bytes, the manifest's digest and no host."""
    artifact = form(weights)
    kit = model(place(pushed(artifact, form.__name__), "model.safetensors", "*.json"))
    files, shape, notices = resolve_weights(tmp_path, kit, reading)
    assert {file.path: file.sha256 for file in files} == {
        "model.safetensors": Digest.of(weights),
        "config.json": Digest.of(CONFIG),
    }
    assert shape.parameters == 5000
    repository = f"models/{form.__name__}"
    origins = [OciOrigin(repository=repository, digest=artifact.digest, file=f.path) for f in files]
    assert [file.origins for file in files] == [(origin,) for origin in origins]
    assert [notice.code for notice in notices] == ["SOURCE_UNPINNED"]
    assert f":1@{artifact.digest}" in notices[0].hint
    for file in files:
        cache.drop(file.sha256)
    paths = fetch_weights(tmp_path, kit, files, reading)
    assert paths[Digest.of(weights)].read_bytes() == weights
    assert paths[Digest.of(CONFIG)].read_bytes() == CONFIG
    stored = {path.name for path in (tmp_path / "cache" / "sha256").iterdir()}
    assert stored == {digest.hex for digest in paths}


def test_a_lock_reads_only_headers(weights, pushed, model, reading, tmp_path, registry):
    """The digests are in the manifest, so nothing is downloaded, whatever a file's size."""
    kit = model(place(pushed(as_raw(weights), "headers"), "model.safetensors"))
    resolve_weights(tmp_path, kit, reading)
    assert not (tmp_path / "cache" / "sha256").exists()
    log, deadline = "", time.monotonic() + 30
    while '"GET /v2/models/headers/blobs/' not in log and time.monotonic() < deadline:
        log = settled(registry.folder / "log")
    (asked,) = (line for line in log.splitlines() if '"GET /v2/models/headers/blobs/' in line)
    assert '" 206 16384 ' in asked


def test_a_tag_that_moved_gives_what_was_locked(weights, pushed, model, reading, tmp_path, cache):
    """The lock has the digest; only another lock follows the tag."""
    kit = model(place(pushed(as_raw(weights), "moving")))
    files, *_ = resolve_weights(tmp_path, kit, reading)
    other = json.dumps({"model_type": "other"}).encode()
    pushed(pack(layer(f"{CNCF}.weight.config.v1.raw", other, "config.json")), "moving")
    paths = fetch_weights(tmp_path, kit, files, reading)
    assert paths[Digest.of(CONFIG)].read_bytes() == CONFIG


def test_a_changed_folder_leaves_an_artifact_as_it_is_locked(
    weights, pushed, model, reading, tmp_path, cache
):
    """A file beside it is resolved anew, with the artifact pinned to the locked digest."""
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "own.json").write_text("{}")
    folder = {"source": "folder", "path": "own", "files": ["own.json"]}
    reference = pushed(as_raw(weights), "beside")
    kit = model(place(reference), folder)
    files, shape, _ = resolve_weights(tmp_path, kit, reading)
    (tmp_path / "own" / "own.json").write_text('{"a": 1}')
    locked = locked_model(files, shape)
    changed = changed_weights(tmp_path, kit, locked, reading)
    assert changed is not None
    assert changed.model.weights[0].reference == f"{reference}@{as_raw(weights).digest}"


def locked_model(files, shape) -> LockedModel:
    return LockedModel(name="m", license="MIT", task=Task.EMBEDDINGS, files=files, shape=shape)


def test_several_parts_without_names_are_numbered(safetensors, pushed, model, reading, tmp_path):
    """As Docker's runner names the parts of a model."""
    parts = [safetensors({name: ("F32", [8], 32)}) for name in ("a", "b")]
    layers = [layer(f"{DOCKER}.safetensors", part) for part in parts]
    layers.append(layer(f"{DOCKER}.chat.template.jinja", JINJA))
    config = layer(f"{DOCKER}.model.config.v0.1+json", b"{}")
    artifact = artifact_of(f"{DOCKER}.model.config.v0.1+json", layers, config=config)
    files, *_ = resolve_weights(tmp_path, model(place(pushed(artifact, "parts"))), reading)
    assert [file.path for file in files] == [
        "model-00001-of-00002.safetensors",
        "model-00002-of-00002.safetensors",
        "template.jinja",
    ]


def test_a_mirror_helps_where_a_registry_fails(weights, pushed, model, reading, tmp_path, registry):
    """An artifact is one place among others: any with the same bytes will do."""
    good = pushed(as_raw(weights), "good")
    gone = f"{registry.host}/models/gone:1"
    mirrors = [{"source": "oci", "reference": good}]
    kit = model(place(gone, "config.json", mirrors=mirrors))
    files, _, notices = resolve_weights(tmp_path, kit, reading)
    assert [file.sha256 for file in files] == [Digest.of(CONFIG)]
    assert "SOURCE_NOT_FOUND" in [notice.code for notice in notices]
    paths = fetch_weights(tmp_path, kit, files, reading)
    assert paths[Digest.of(CONFIG)].read_bytes() == CONFIG


@pytest.mark.parametrize("is_stated", [True, False], ids=["digests", "tags"])
def test_a_mirror_with_another_artifact_of_the_same_name_is_read_at_its_own_digest(
    is_stated, weights, pushed, model, reading, tmp_path, registry, registries
):
    """A lock has no hosts; a mirror that packed the same files otherwise still gives them."""
    with Registry(tmp_path / "other") as other:
        first, second = as_raw(weights), as_tars(weights)
        for server, artifact in ((other, first), (registry, second)):
            push(artifact, Reference(server.host, "models/twin", "1"), registries)
        ends = [f"@{item.digest}" if is_stated else "" for item in (first, second)]
        mirror = {"source": "oci", "reference": f"{registry.host}/models/twin:1{ends[1]}"}
        kit = model(place(f"{other.host}/models/twin:1{ends[0]}", mirrors=[mirror]))
        files, _, _ = resolve_weights(tmp_path, kit, reading)
        assert [origin.digest for origin in files[0].origins] == [first.digest, second.digest]
        rmtree(tmp_path / "other")
        fetched = fetch_weights(tmp_path, kit, files, reading)
    assert [fetched[file.sha256].read_bytes() for file in files] == [CONFIG, weights]


def test_entries_from_one_repository_are_each_read_at_their_own_digest(
    weights, safetensors, pushed, model, reading, tmp_path, registry, registries
):
    """A pattern of the first entry also matches the path of the second's file."""
    other = safetensors({"v": ("F32", [4], 16)})
    first = pack(layer(f"{CNCF}.weight.v1.raw", weights, "model.safetensors"))
    second = pack(layer(f"{CNCF}.weight.v1.raw", other, "adapter.safetensors"))
    for tag, artifact in (("1", first), ("2", second)):
        push(artifact, Reference(registry.host, "models/two", tag), registries)
    entries = [
        place(f"{registry.host}/models/two:1", "*.safetensors"),
        place(f"{registry.host}/models/two:2", "*.safetensors", into="adapters"),
    ]
    kit = model(*entries)
    files, _, _ = resolve_weights(tmp_path, kit, reading)
    fetched = fetch_weights(tmp_path, kit, files, reading)
    assert [fetched[file.sha256].read_bytes() for file in files] == [other, weights]


def test_an_archive_is_read_once_for_all_files_that_are_wanted(
    weights, pushed, model, reading, tmp_path
):
    """The second file is in the cache when the first was fetched; another file is not."""
    data = {"model.safetensors": weights, "config.json": CONFIG, "other.json": b"{}"}
    reference = pushed(pack(layer(f"{CNCF}.weight.v1.tar", tar_of(data))), "once")
    (entry,) = model(place(reference)).weights
    wanted = ["config.json", "model.safetensors"]
    with closing(open_place(entry, tmp_path, reading, names=wanted)) as reader:
        reader.fetch("config.json", Digest.of(CONFIG), len(CONFIG))
        cache = reading.downloader.cache
        assert cache.path(Digest.of(weights)) is not None
        assert cache.path(Digest.of(b"{}")) is None
        found = reader.fetch("model.safetensors", Digest.of(weights), len(weights))
        assert found.read_bytes() == weights
        with pytest.raises(MealkitError) as raised:
            reader.fetch("config.json", Digest.of(b"x"), 1)
    assert raised.value.problems[0].code == "SOURCE_DIGEST"


def test_an_asserted_digest_decides(weights, pushed, model, reading, tmp_path):
    """Before anything is downloaded, and for a file in an archive after its bytes were read."""
    for form in (as_raw, as_tars):
        reference = pushed(form(weights), "asserted")
        kit = model(place(reference, sha256={"config.json": "0" * 64}))
        with pytest.raises(MealkitError) as caught:
            resolve_weights(tmp_path, kit, reading)
        assert caught.value.problems[0].code == "SOURCE_DIGEST"


def test_a_layer_that_is_damaged_in_the_registry_is_not_used(
    weights, pushed, model, reading, tmp_path, registry, cache
):
    """The bytes are compared with the digest in the lock; nothing of them stays."""
    kit = model(place(pushed(as_raw(weights), "damaged"), "model.safetensors"))
    files, *_ = resolve_weights(tmp_path, kit, reading)
    digest = files[0].sha256
    blobs = registry.folder / "data/docker/registry/v2/blobs/sha256"
    data = blobs / digest.hex[:2] / digest.hex / "data"
    data.write_bytes(weights[:-1] + b"\xff")
    with pytest.raises(MealkitError) as caught:
        fetch_weights(tmp_path, kit, files, reading)
    data.write_bytes(weights)
    assert caught.value.problems[0].code == "SOURCE_DIGEST"
    assert cache.path(digest) is None
    assert not list(cache.parts.glob("*.part"))


def raw(path: str, data: bytes = CONFIG) -> Attachment:
    return layer(f"{CNCF}.weight.config.v1.raw", data, path)


def tar(files: dict[str, bytes], link: str | None = None, kind: str = "tar") -> Attachment:
    return layer(f"{CNCF}.weight.config.v1.{kind}", tar_of(files, link))


HOSTILE = {
    "a name points outside": ([raw("../config.json")], "a file named '../config.json'"),
    "a name is absolute": ([raw("/etc/config.json")], "a file named '/etc/config.json'"),
    "a name hides something": ([raw("a\u202ejson.config")], "a file named"),
    "a name occurs twice": ([raw("a.json"), raw("./a.json", b"{}")], "the file 'a.json' twice"),
    "a tar points outside": ([tar({"../config.json": CONFIG})], "a file named '../config.json'"),
    "a tar's link points outside": ([tar({}, "../x")], "a file named '../x'"),
    "a tar has a name twice": (
        [raw("config.json"), tar({"config.json": b"{}"})],
        "the file 'config.json' twice",
    ),
    "two tars have a name": (
        [tar({"config.json": CONFIG}), tar({"config.json": b"{}"})],
        "the file 'config.json' twice",
    ),
    "a tar is none": ([layer(f"{CNCF}.weight.v1.tar", b"x" * 600)], "it is not a tar"),
    "a gzip is none": ([tar({"config.json": CONFIG}, kind="tar+gzip")], "not complete gz data"),
    "another type": (
        [layer("application/vnd.example.weights", CONFIG, "config.json")],
        "others have the types 'application/vnd.example.weights'",
    ),
    "a layer without a name": ([layer(f"{CNCF}.weight.v1.raw", CONFIG)], "there is no config.json"),
    "a link": ([tar({}, "config.json")], "there is no config.json"),
}


@pytest.mark.parametrize("case", HOSTILE, ids=lambda case: case.replace(" ", "-"))
def test_a_hostile_artifact_is_a_problem_that_names_it(case, pushed, model, reading, tmp_path):
    """Whatever is wrong with it, the problem says what, and nothing is written."""
    layers, words = HOSTILE[case]
    reference = pushed(pack(*layers), "hostile")
    kit = model(place(reference, "config.json", *(["*.json"] if "twice" in words else [])))
    with pytest.raises(MealkitError) as caught:
        resolve_weights(tmp_path, kit, reading)
    found = caught.value.problems[0]
    assert found.code in {"SOURCE_ANSWER", "SOURCE_NOT_FOUND"}
    assert words in found.message
    assert found.where == reference
    assert not (tmp_path / "config.json").exists()


def test_what_is_no_model_is_refused(pushed, model, reading, tmp_path):
    """An artifact of another kind, by its type."""
    other = artifact_of("application/vnd.example.other", [raw("config.json")])
    with pytest.raises(MealkitError) as caught:
        resolve_weights(tmp_path, model(place(pushed(other, "other"))), reading)
    assert "not a ModelPack" in caught.value.problems[0].message


def test_a_size_that_is_not_the_layers_is_refused(weights, pushed, model, reading, tmp_path):
    """A manifest that states more or fewer bytes than the registry has is not used."""
    good = as_raw(weights)
    form = json.loads(good.raw_manifest)
    form["layers"][0]["size"] -= 1
    bad = Artifact(json.dumps(form).encode(), good.blobs)
    with pytest.raises(MealkitError) as caught:
        resolve_weights(tmp_path, model(place(pushed(bad, "sizes"))), reading)
    assert caught.value.problems[0].code.startswith("SOURCE_")
