import pytest

from mealkit.errors import MealkitError
from mealkit.stores.registry.registry_endpoint import (
    RegistryEndpoint,
    endpoint_of,
    mirrors_of,
    plain_of,
)


def test_the_hub_answers_under_another_name():
    """The name people write and the API's host differ for one registry; short names get library."""
    endpoint = endpoint_of("docker.io")
    assert endpoint.authority != endpoint.registry
    assert endpoint.repository("python") == "library/python"
    assert endpoint.repository("some/python") == "some/python"


@pytest.mark.parametrize("name", ["docker.io", "index.docker.io", "registry-1.docker.io"])
def test_the_hub_has_several_names_and_its_mirrors_the_same_repositories(name):
    """A mirror of the Hub knows short names as the Hub does."""
    assert endpoint_of(name) == endpoint_of("docker.io")
    (mirror,) = mirrors_of(f"{name}=m.example/cache")["docker.io"]
    assert mirror.repository("python") == "cache/library/python"


def test_registries_without_tls_are_named_one_by_one():
    """White space, commas and a scheme are fine; mirrors need to be named too."""
    plain = plain_of("registry:5000, http://other.example/\t[fd00::1]:80")
    assert plain == {"registry:5000", "other.example", "[fd00::1]:80"}
    assert endpoint_of("registry:5000", plain).may_be_plain
    assert not endpoint_of("registry:5001", plain).may_be_plain
    assert mirrors_of("a.example=http://other.example", plain)["a.example"][0].may_be_plain
    with pytest.raises(MealkitError) as caught:
        plain_of("registry:5000/team")
    assert caught.value.problems[0].where == "MEALKIT_PLAIN_HTTP"


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
