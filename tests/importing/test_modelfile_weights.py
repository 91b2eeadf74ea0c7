"""Of the GGUFs that a Modelfile names, a kit takes one model with all its parts."""

from pathlib import Path

import pytest

from mealkit.errors import MealkitError
from mealkit.importing.modelfile_weights import chosen_model, with_all_parts

LLAMA = {"general.architecture": "llama"}
CLIP = {"general.architecture": "clip"}
PARTS = [f"big-0000{number}-of-00003.gguf" for number in (1, 2, 3)]


def chosen(**files):
    headers = [(Path("/srv", name), metadata) for name, metadata in files.items()]
    return chosen_model(headers, "Modelfile")


@pytest.mark.parametrize("named", [PARTS[:1], PARTS[1:2], PARTS, PARTS[::-1]])
def test_all_parts_belong_to_a_model(named):
    """Whichever of them are named."""
    found = with_all_parts([Path("/srv", name) for name in named])
    assert found == [Path("/srv", name) for name in PARTS]
    split = {**LLAMA, "split.count": 3}
    assert chosen(**dict.fromkeys(PARTS, split)).files == PARTS


def test_a_projector_is_listed():
    """In any order, by its metadata."""
    for names in (("m.gguf", "p.gguf"), ("p.gguf", "m.gguf")):
        files = {name: CLIP if name == "p.gguf" else LLAMA for name in names}
        found = chosen(**files)
        assert found.files == ["m.gguf"]
        assert [item.what for item in found.left_out] == ["FROM p.gguf"]


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"a.gguf": LLAMA, "b.gguf": LLAMA}, "several models: a.gguf and b.gguf"),
        ({"p.gguf": CLIP}, "only files that read pictures"),
        ({"l.gguf": {**LLAMA, "general.type": "adapter"}}, "an adapter"),
        ({"i.gguf": {"general.type": "imatrix"}}, "was quantised"),
        ({"f.gguf": {"general.architecture": "flux"}}, "pictures or sound"),
        ({"t.gguf": {"general.architecture": "t5"}}, "an encoder and a decoder"),
        ({"sha256-ab": {**LLAMA, "split.count": 2}}, "one of 2 parts"),
    ],
)
def test_what_is_not_one_model_is_refused(files, said):
    """The files are named."""
    with pytest.raises(MealkitError, match=said):
        chosen(**files)
