import pytest

from mealkit.errors import MealkitError
from mealkit.stores.registry.registry_endpoint import RegistryEndpoint, endpoint_of, mirrors_of


def test_the_hub_answers_under_another_name():
    """The name people write and the API's host differ for one registry; short names get library."""
    endpoint = endpoint_of("docker.io")
    assert endpoint.authority != endpoint.registry
    assert endpoint.repository("python") == "library/python"
    assert endpoint.repository("some/python") == "some/python"


def test_mirrors_are_read_in_order():
    """Pairs name mirrors with ports and prefixes, in the order they are tried."""
    found = mirrors_of("a.example=m.example:5000/cache,https://n.example b.example=localhost:1")
    assert found == {
        "a.example": (
            RegistryEndpoint("m.example:5000", "m.example:5000", "cache/"),
            RegistryEndpoint("n.example", "n.example"),
        ),
        "b.example": (RegistryEndpoint("localhost:1", "localhost:1"),),
    }
    assert found["a.example"][0].repository("x/y") == "cache/x/y"


@pytest.mark.parametrize(
    ("setting", "code"),
    [
        ("a.example", "REFERENCE_INVALID"),
        ("a.example=", "REFERENCE_INVALID"),
        ("a.example=http://m.example", "REGISTRY_INSECURE"),
        ("a.example=ftp://localhost", "REGISTRY_INSECURE"),
    ],
)
def test_a_mirror_that_cannot_be_used_is_refused(setting, code):
    """A pair that cannot be read, or a mirror without TLS, is a problem with the setting's name."""
    with pytest.raises(MealkitError) as caught:
        mirrors_of(setting)
    assert caught.value.problems[0].code == code
    assert caught.value.problems[0].where == "MEALKIT_REGISTRY_MIRRORS"
