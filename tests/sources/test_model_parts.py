"""A lock has all files of a model in several files: GGUF parts, and shards of safetensors."""

import json
from pathlib import Path

import pytest
from fakes.gguf import write_gguf

from mealkit.errors import MealkitError
from mealkit.sources.ranges import FileRanges
from mealkit.sources.read_shape import ModelFile, shape_of

NAMES = [f"big-0000{number}-of-00003.gguf" for number in (1, 2, 3)]


def gguf_of(folder: Path, names: list[str], count: int = 3) -> list[ModelFile]:
    found = []
    for number, name in enumerate(names):
        keys = {"general.architecture": "llama", "split.no": number, "split.count": count}
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        write_gguf(path, keys, {})
        found.append(ModelFile(name, "gguf", FileRanges(path)))
    return found


def test_parts_that_are_not_named_are_refused(tmp_path: Path) -> None:
    """Also where another model's parts would make up the number."""
    assert shape_of(gguf_of(tmp_path, NAMES)).architecture == "llama"
    assert shape_of(gguf_of(tmp_path, ["one.gguf"], count=1)).architecture == "llama"
    for names in (NAMES[:1], NAMES[:2], [*NAMES[:2], "draft/other-00001-of-00003.gguf"]):
        with pytest.raises(MealkitError, match="is one of 3 parts") as caught:
            shape_of(gguf_of(tmp_path, names))
        assert caught.value.problems[0].code == "KIT_INVALID"


@pytest.mark.parametrize(
    ("names", "code"),
    [(["a.safetensors"], "KIT_INVALID"), (None, "WEIGHTS_DAMAGED")],
)
def test_shards_that_are_not_named_are_refused(
    tmp_path: Path, safetensors, names: list[str] | None, code: str
) -> None:
    """By the index, which must be an object."""
    index = {"weight_map": {"x": "a.safetensors", "y": "b.safetensors"}}
    (tmp_path / "index").write_text("[]" if names is None else json.dumps(index))
    files = []
    for name in ("a.safetensors", "b.safetensors"):
        (tmp_path / name).write_bytes(safetensors({name: ("F32", [2], 8)}))
        files.append(ModelFile(f"m/{name}", "safetensors", FileRanges(tmp_path / name)))
    listed = FileRanges(tmp_path / "index")
    wholly = [*files, ModelFile("m/model.safetensors.index.json", "json", listed)]
    if names is not None:
        assert shape_of(wholly).parameters == 4
    kept = [item for item in wholly if not item.path.endswith(".safetensors")]
    assert shape_of(kept).parameters == 0  # no engine reads the index then
    kept += [item for item in files if item.path.removeprefix("m/") in (names or item.path)]
    with pytest.raises(MealkitError, match=code):
        shape_of(kept)
