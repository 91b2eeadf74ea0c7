"""A path in a kit leads to the field of the models that describes it."""

import pytest

from mealkit.kit.fields import field_at, homes_of, is_size, model_at, names_of
from mealkit.recipe.kit import Contact, Hardware, Kit

DATA = {
    "model": {
        "weights": [
            {"source": "hub", "mirrors": [{"source": "http"}]},
            {"source": "folder"},
            {"source": "nowhere"},
            "text",
        ]
    },
    "runtime": {"base": {"source": "image"}},
}


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ((), "Kit"),
        (("owner",), "Contact"),
        (("hardware",), "Hardware"),
        (("prompts", "any"), "Prompt"),
        (("model", "weights", 0, "nothing"), None),
        (("model", "weights", 2), None),
        (("model", "weights", 3), None),
        (("model", "weights", 99), None),
        (("nothing",), None),
        (("name",), None),
        (("owner", "team", "deeper"), None),
    ],
)
def test_a_path_leads_to_a_model_or_nowhere(path, name):
    """Where the data does not say which of several it is, it is none."""
    found = model_at(Kit, DATA, path)
    assert (found and found.__name__) == name


def test_the_data_decides_between_models():
    """By its source."""
    hub, folder = (model_at(Kit, DATA, ("model", "weights", index)) for index in (0, 1))
    assert "repo" in names_of(hub)
    assert "path" in names_of(folder)
    mirror = model_at(Kit, DATA, ("model", "weights", 0, "mirrors", 0))
    assert "url" in names_of(mirror)
    assert "reference" in names_of(model_at(Kit, DATA, ("runtime", "base")))


def test_an_item_of_a_list_is_explained_by_the_lists_field():
    """The nearest field above it that has a name."""
    field = field_at(Kit, DATA, ("model", "weights", 0, "files", 3))
    assert field is field_at(Kit, DATA, ("model", "weights", 0, "files"))
    assert field is not None
    assert field.description


def test_an_unknown_field_has_no_explanation():
    """Its parent's would be wrong."""
    assert field_at(Kit, DATA, ("owner", "nothing")) is None
    assert field_at(Kit, DATA, ()) is None


def test_a_misplaced_field_is_known_by_where_it_belongs():
    """Outside of lists and maps."""
    assert homes_of(Kit, "team") == ["owner"]
    assert homes_of(Kit, "gpu") == ["hardware"]
    assert homes_of(Kit, "repo") == []
    assert homes_of(Kit, 0) == []


def test_names_are_those_of_the_file():
    """An alias is what kit.yaml writes."""
    assert "apiVersion" in names_of(Kit)
    assert "team" in names_of(Contact)


def test_sizes_are_known():
    """Alone, and where another word may stand in their place."""
    fields = Hardware.model_fields
    assert is_size(fields["memory"])
    assert is_size(fields["disk"])
    assert not is_size(fields["gpu"])
    assert not is_size(None)
