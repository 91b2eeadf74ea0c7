"""The Hub, as a loopback server under the real huggingface_hub client."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mealkit.digest import Digest
from mealkit.errors import MealkitError, Problem, SourceError
from mealkit.recipe.kit import Model
from mealkit.recipe.origins import HubOrigin
from mealkit.sources.retrieval import fetch_weights
from mealkit.sources.source import Supplies
from mealkit.sources.weights import resolve_weights

MakeModel = Callable[..., Model]
COMMIT = "0123456789abcdef0123456789abcdef01234567"
CONFIG = b'{"num_hidden_layers": 6, "hidden_size": 64, "num_attention_heads": 8}'


@pytest.fixture
def weights(safetensors: Callable[..., bytes]) -> bytes:
    return safetensors({"w": ("F32", [50_000], 200_000)})


@pytest.fixture
def filled(hub: Any, weights: bytes) -> Any:
    """A Hub with one model: large weights in LFS, a small configuration in git."""
    hub.add("model.safetensors", weights, lfs=True)
    hub.add("config.json", CONFIG)
    return hub


def entry(**fields: Any) -> dict[str, object]:
    return {
        "source": "hub",
        "repo": "example/model",
        "revision": COMMIT,
        "files": ["model.safetensors", "config.json"],
        **fields,
    }


def codes(error: "pytest.ExceptionInfo[Any]") -> list[str]:
    raised = error.value
    assert isinstance(raised, MealkitError)
    return [item.code for item in raised.problems]


def test_a_model_is_locked_and_fetched(
    filled: Any, tmp_path: Path, supplies: Supplies, model: MakeModel, weights: bytes
) -> None:
    """Digests, origins and shape are locked; the bytes that come later are the locked ones."""
    kit = model(entry())
    files, shape, notices = resolve_weights(tmp_path, kit, supplies)
    assert [(file.path, file.sha256) for file in files] == [
        ("config.json", Digest.of(CONFIG)),
        ("model.safetensors", Digest.of(weights)),
    ]
    assert files[1].origins == (
        HubOrigin(repo="example/model", commit=COMMIT, file="model.safetensors"),
    )
    assert shape.described is not None
    assert (shape.parameters, shape.described.layers, notices) == (50_000, 6, [])
    assert filled.sent_bytes < 50_000
    filled.seen.clear()
    paths = fetch_weights(tmp_path, kit, files, supplies)
    assert paths[Digest.of(weights)].read_bytes() == weights
    assert [seen.path for seen in filled.seen] == [
        f"/example/model/resolve/{COMMIT}/model.safetensors"
    ]


def test_a_hundred_gigabytes_are_locked_from_their_headers(
    hub: Any, tmp_path: Path, supplies: Supplies, model: MakeModel, safetensors: Any
) -> None:
    """Locking ten shards of ten gigabytes moves less than a megabyte."""
    shard_bytes = 10 * 10**9
    for number in range(10):
        head = safetensors(
            {
                f"layer.{number}.{part}": ("BF16", [shard_bytes // 200], shard_bytes // 100)
                for part in range(100)
            },
            header_only=True,
        )
        hub.claim(f"model-{number:05}.safetensors", head, len(head) + shard_bytes)
    hub.add("config.json", CONFIG)
    kit = model(entry(files=["*.safetensors", "config.json"]))
    files, shape, _ = resolve_weights(tmp_path, kit, supplies)
    assert len(files) == 11
    assert shape.described is not None
    assert shape.described.bytes_by_dtype == {"BF16": 100 * 10**9}
    assert shape.parameters == 50 * 10**9
    assert hub.sent_bytes < 1_000_000


def test_a_branch_is_resolved_and_reported(
    filled: Any, tmp_path: Path, supplies: Supplies, model: MakeModel, weights: bytes
) -> None:
    """A branch becomes a commit in the lock, and the author is told what to write."""
    kit = model(entry(revision="main"))
    files, _, notices = resolve_weights(tmp_path, kit, supplies)
    assert [item.code for item in notices] == ["SOURCE_UNPINNED"]
    assert "'main'" in notices[0].message
    assert COMMIT in notices[0].message
    assert COMMIT in notices[0].hint
    assert files[0].origins[0] == HubOrigin(repo="example/model", commit=COMMIT, file="config.json")
    filled.seen.clear()
    paths = fetch_weights(tmp_path, kit, files, supplies)
    assert paths[Digest.of(weights)].read_bytes() == weights
    assert all(COMMIT in seen.path for seen in filled.seen)


def test_a_flipped_byte_is_refused(
    filled: Any, tmp_path: Path, supplies: Supplies, model: MakeModel
) -> None:
    """What the Hub's own client accepts without a word is refused with both digests."""
    kit = model(entry())
    files, _, _ = resolve_weights(tmp_path, kit, supplies)
    filled.fault("model.safetensors", flipped_at=100_000)
    with pytest.raises(SourceError) as error:
        fetch_weights(tmp_path, kit, files, supplies)
    assert codes(error) == ["SOURCE_DIGEST"]
    assert files[1].sha256 in error.value.problems[0].message


def test_an_asserted_digest_is_held_against_the_metadata(
    filled: Any, tmp_path: Path, supplies: Supplies, model: MakeModel
) -> None:
    """The kit's digest is compared before anything large is downloaded."""
    kit = model(entry(sha256={"model.safetensors": "0" * 64}))
    with pytest.raises(SourceError) as error:
        resolve_weights(tmp_path, kit, supplies)
    assert codes(error) == ["SOURCE_DIGEST"]
    assert filled.downloads("model.safetensors") == []


def test_a_size_that_is_not_the_stated_one_is_refused(
    filled: Any, tmp_path: Path, supplies: Supplies, model: MakeModel
) -> None:
    """A Hub that serves less than its metadata says is found out while locking."""
    filled.fault("model.safetensors", short_bytes=1000)
    with pytest.raises(SourceError) as error:
        resolve_weights(tmp_path, model(entry()), supplies)
    assert codes(error) == ["SOURCE_SIZE"]


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"repo": "example/none"}, "SOURCE_NOT_FOUND"),
        ({"revision": "f" * 40}, "SOURCE_NOT_FOUND"),
        ({"revision": "branch/with/slashes"}, "SOURCE_NOT_FOUND"),
        ({"files": ["none.json"]}, "SOURCE_NOT_FOUND"),
        ({"files": ["*.gguf"]}, "SOURCE_NOT_FOUND"),
    ],
)
def test_what_is_not_there_is_named(
    filled: Any,
    tmp_path: Path,
    supplies: Supplies,
    model: MakeModel,
    fields: dict[str, Any],
    code: str,
) -> None:
    """Repository, revision and file that do not exist are the kit author's."""
    with pytest.raises(SourceError) as error:
        resolve_weights(tmp_path, model(entry(**fields)), supplies)
    assert codes(error) == [code]


@pytest.mark.parametrize(
    ("status", "error_code", "code"),
    [
        (403, "GatedRepo", "SOURCE_DENIED"),
        (401, "GatedRepo", "SOURCE_DENIED"),
        (403, None, "SOURCE_DENIED"),
        (500, None, "SOURCE_UNREACHABLE"),
        (503, None, "SOURCE_UNREACHABLE"),
    ],
)
def test_refusals_of_the_api_have_their_codes(
    filled: Any,
    tmp_path: Path,
    supplies: Supplies,
    model: MakeModel,
    status: int,
    error_code: str | None,
    code: str,
) -> None:
    """Gated, refused and failing are told apart."""
    filled.api_status, filled.api_error_code = status, error_code
    with pytest.raises(SourceError) as error:
        resolve_weights(tmp_path, model(entry()), supplies)
    assert codes(error) == [code]


def test_a_gated_file_is_denied(
    filled: Any, tmp_path: Path, supplies: Supplies, model: MakeModel
) -> None:
    """Metadata may be public while the files want terms accepted."""
    filled.fault("model.safetensors", status=403, error_code="GatedRepo")
    with pytest.raises(SourceError) as error:
        resolve_weights(tmp_path, model(entry()), supplies)
    assert codes(error) == ["SOURCE_DENIED"]


def test_the_token_goes_to_the_hub_only(
    filled: Any,
    mirror: Any,
    tmp_path: Path,
    supplies: Supplies,
    model: MakeModel,
    weights: bytes,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The user's token is sent with metadata and files, and lost on the way to another host."""
    monkeypatch.setenv("HF_TOKEN", "token-of-the-test")
    mirror.add("model.safetensors", weights)
    kit = model(entry())
    files, _, _ = resolve_weights(tmp_path, kit, supplies)
    filled.fault("model.safetensors", location=f"{mirror.url}/plain/model.safetensors")
    fetch_weights(tmp_path, kit, files, supplies)
    sent = {
        seen.headers.get("Authorization", seen.headers.get("authorization")) for seen in filled.seen
    }
    assert sent == {"Bearer token-of-the-test"}
    assert all(
        "authorization" not in {name.lower() for name in seen.headers} for seen in mirror.seen
    )
    agents = {
        seen.headers.get("User-Agent", seen.headers.get("user-agent")) for seen in filled.seen
    }
    assert all(str(agent).startswith("mealkit/") for agent in agents)


def test_a_hub_that_is_down_is_replaced_by_its_mirror(
    filled: Any, mirror: Any, tmp_path: Path, supplies: Supplies, model: MakeModel, weights: bytes
) -> None:
    """With the Hub down and a mirror up, locking and fetching give the same lock and bytes."""
    mirror.add("model.safetensors", weights)
    mirror.add("config.json", CONFIG)
    kit = model(entry(mirrors=[{"source": "http", "url": f"{mirror.url}/plain"}]))
    before, _, _ = resolve_weights(tmp_path, kit, supplies)
    filled.stop()
    after, _, notices = resolve_weights(tmp_path, kit, supplies)
    assert after == before
    assert [item.code for item in notices] == ["SOURCE_UNREACHABLE"]
    supplies.downloader.cache.drop(Digest.of(weights))
    heard: list[Problem] = []
    paths = fetch_weights(tmp_path, kit, after, supplies, notice=heard.append)
    assert paths[Digest.of(weights)].read_bytes() == weights
    assert [item.code for item in heard] == ["SOURCE_UNREACHABLE"]


def test_a_branch_needs_its_hub(
    filled: Any, mirror: Any, tmp_path: Path, supplies: Supplies, model: MakeModel, weights: bytes
) -> None:
    """A branch of a Hub that is down is no origin, but the mirror's bytes can be locked."""
    mirror.add("model.safetensors", weights)
    mirror.add("config.json", CONFIG)
    filled.stop()
    kit = model(entry(revision="main", mirrors=[{"source": "http", "url": f"{mirror.url}/plain"}]))
    files, _, notices = resolve_weights(tmp_path, kit, supplies)
    assert [origin.source for origin in files[0].origins] == ["http"]
    assert {item.code for item in notices} == {"SOURCE_UNREACHABLE"}
    assert len(fetch_weights(tmp_path, kit, files, supplies)) == 2


def test_a_hub_that_is_down_without_a_mirror(
    filled: Any, tmp_path: Path, supplies: Supplies, model: MakeModel
) -> None:
    """Without a mirror, the Hub's outage is named; what is cached needs no Hub."""
    kit = model(entry())
    files, _, _ = resolve_weights(tmp_path, kit, supplies)
    fetch_weights(tmp_path, kit, files, supplies)
    filled.stop()
    assert len(fetch_weights(tmp_path, kit, files, supplies)) == 2
    supplies.downloader.cache.drop(files[1].sha256)
    with pytest.raises(SourceError) as error:
        fetch_weights(tmp_path, kit, files, supplies)
    assert codes(error) == ["SOURCE_UNREACHABLE"]


def test_a_pickle_in_a_hub_is_told_from_its_first_bytes(
    hub: Any, tmp_path: Path, supplies: Supplies, model: MakeModel
) -> None:
    """A huge pickle that calls itself safetensors is refused without being downloaded."""
    hub.claim("model.safetensors", b"\x80\x04\x95", 10**10)
    with pytest.raises(SourceError) as error:
        resolve_weights(tmp_path, model(entry(files=["model.safetensors"])), supplies)
    assert codes(error) == ["WEIGHTS_PICKLE"]
    assert hub.sent_bytes < 100_000


def test_the_hub_is_not_asked_offline(filled: Any, tmp_path: Path) -> None:
    """HF_HUB_OFFLINE is obeyed: no request, and the message names the variable."""
    script = f"""
from pathlib import Path
from mealkit.errors import SourceError
from mealkit.recipe.weight_places import HubPlace
from mealkit.sources.file_cache import FileCache
from mealkit.web.http_client import open_client
from mealkit.sources.download import Downloader
from mealkit.sources.hub import HubReader
from mealkit.sources.source import Supplies
from mealkit.digest import Digest
place = HubPlace(source="hub", repo="example/model", revision="{COMMIT}")
reader = HubReader(place, Supplies(Downloader(FileCache(Path({str(tmp_path)!r})), open_client())))
for ask in (
    lambda: reader.pin(["config.json"], {{}}),
    lambda: reader.fetch("config.json", Digest.of(b""), 0),
):
    try:
        ask()
    except SourceError as error:
        print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={"HF_HUB_OFFLINE": "1", "HF_ENDPOINT": filled.url, "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.count("SOURCE_UNREACHABLE: the Hub is not used, because HF_HUB_OFFLINE") == 2
    assert filled.seen == []


def test_a_plain_http_hub_beyond_loopback_is_refused(
    tmp_path: Path, supplies: Supplies, model: MakeModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Digests that anyone on the way could change are not believed."""
    monkeypatch.setenv("HF_ENDPOINT", "http://hub.example.invalid")
    with pytest.raises(SourceError) as error:
        resolve_weights(tmp_path, model(entry()), supplies)
    assert codes(error) == ["SOURCE_INSECURE"]
