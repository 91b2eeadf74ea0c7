"""The user's configuration: strict, and with the line of each problem."""

import pytest

from mealkit.errors import KitError
from mealkit.pipeline.configuration import read_configuration


@pytest.fixture
def written(tmp_path):
    """Write the configuration, and return the environment that names it."""

    def write(text):
        folder = tmp_path / "mealkit"
        folder.mkdir()
        (folder / "config.yaml").write_bytes(text if isinstance(text, bytes) else text.encode())
        return {"XDG_CONFIG_HOME": str(tmp_path)}

    return write


def test_the_catalogues_are_listed_in_order(written, tmp_path):
    """A folder is relative to the file's own."""
    environment = written("catalogs:\n- registry.example.org/a\n- oci:share\n")
    folder = f"oci:{tmp_path}/mealkit/share"
    assert read_configuration(environment).catalogs == ("registry.example.org/a", folder)


def test_the_environment_replaces_the_file(written):
    """For a pipeline, or one command; an empty variable means no catalogue."""
    environment = written("catalogs: [a.example.org/a]")
    stated = {**environment, "MEALKIT_CATALOGS": "b.example.org/b oci:/c"}
    assert read_configuration(stated).catalogs == ("b.example.org/b", "oci:/c")
    assert read_configuration({**environment, "MEALKIT_CATALOGS": ""}).catalogs == ()


@pytest.mark.parametrize("text", ["", "# nothing yet\n"])
def test_nothing_is_configured_without_a_file_or_in_an_empty_one(written, tmp_path, text):
    """Then a name is one in the local store."""
    assert read_configuration({"HOME": str(tmp_path / "nobody")}).catalogs == ()
    assert read_configuration(written(text)).catalogs == ()


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("catalogs: []\ncatalogues: []\n", 2, "catalogues"),
        ("\ncatalogs: 7\n", 2, "catalogs"),
        ("catalogs:\n- a.example.org/a\n- 7\n", 3, "catalogs[1]"),
        ("catalogs: []\ncatalogs: []\n", 2, "appears twice"),
        ("catalogs: [\n", 1, ""),
        ("- a\n", 1, ""),
    ],
)
def test_a_mistake_has_a_line(written, text, line, said):
    """Unknown fields and wrong values are not ignored."""
    with pytest.raises(KitError) as error:
        read_configuration(written(text))
    (found,) = error.value.problems
    assert (found.code, found.where.rpartition(":")[2]) == ("SETTINGS_INVALID", str(line))
    assert said in found.message


def test_a_file_that_is_not_text_is_refused(written):
    """Such as one that another program wrote there."""
    with pytest.raises(KitError, match="SETTINGS_INVALID"):
        read_configuration(written(b"\xff\xfe"))
