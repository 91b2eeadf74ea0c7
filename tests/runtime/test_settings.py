"""The container's settings, from environment variables."""

import pytest

from mealkit.errors import ContainerError
from mealkit.runtime.settings import DEFAULT_PORT, read_settings


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MEALKIT_PORT", "eighty"),
        ("MEALKIT_PORT", "70000"),
        ("MEALKIT_MODELS", "models"),
        ("MEALKIT_LOG_LEVEL", "loud"),
        ("MEALKIT_IMAGE_DIGEST", "latest"),
        ("MEALKIT_HOST", "999.0.0.1"),
    ],
)
def test_settings_that_cannot_be_used(start, name, value):
    """A bad setting is named, with its value."""
    kit = start(environment={name: value})
    assert kit.wait_end() == 9
    assert kit.lines[-1]["code"] == "CONFIG_INVALID"
    assert value in kit.lines[-1]["message"]


def read(**changes):
    """Read settings whose files are nowhere."""
    return read_settings({"MEALKIT_ETC": "/nowhere", **changes})


def refused(**changes):
    with pytest.raises(ContainerError) as caught:
        read(**changes)
    (problem,) = caught.value.problems
    return problem.code, problem.where


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *[("MEALKIT_PORT", text) for text in ("", "-1", "65536", "٣", "8e3", "9" * 5000)],
        ("PORT", "eighty"),
        *[("MEALKIT_CONNECTIONS", text) for text in ("0", "-1", "10000000", "9" * 5000)],
        *[("MEALKIT_STATE", text) for text in ("", "state", "./a")],
        *[("MEALKIT_AUTH", text) for text in ("", "on", "OFF")],
        *[("MEALKIT_OPEN", text) for text in ("health", "metrics,keys")],
        *[("MEALKIT_HOSTS", text) for text in ("a b", "http://a", "-a", "a.")],
        ("MEALKIT_FORWARDED", "yes"),
        *[("MEALKIT_ORIGINS", text) for text in ("a.invalid", "https://a/b", "https://")],
        ("MEALKIT_IMAGE_DIGEST", "sha256:0"),
        ("MEALKIT_KEYS_FILE", "keys"),
        *[
            ("MEALKIT_VERIFIED", text)
            for text in ("[1]", "{", '{"a": 1}', '{"a": ["b"]}', "[" * 9999)
        ],
        *[
            ("MEALKIT_OPS", text)
            for text in (
                "{",
                "[]",
                '{"costs": {}}',
                '{"cost": {}, "cost": {}}',
                "[" * 9999,
                "{}" + " " * 200_000,
            )
        ],
        *[
            ("MEALKIT_USAGE_DATABASE", text)
            for text in (
                "mysql://a",
                "postgresql://",
                "postgres://u:p@ss@h/d",
                "postgres://u:p/s@h/d",
            )
        ],
    ],
    ids=range(44),
)
def test_a_value_that_cannot_be_used_names_its_variable(name, value):
    """Every setting has a form."""
    assert refused(**{name: value}) == ("CONFIG_INVALID", name)


def test_a_deployment_states_sections_of_operations():
    """The sections are read with the kit's own bounds; without any, the kit's are used."""
    ops = read(MEALKIT_OPS='{"cost": {"gpu_hour": "2.50"}}').ops
    assert ops.cost.gpu_hour == "2.50"
    assert ops.model_fields_set == {"cost"}
    assert read().ops is None


def test_without_settings_the_image_decides():
    """The defaults are a kit's image, whose metrics are open and whose answers need a key."""
    settings = read_settings({})
    assert (settings.host, settings.port, settings.auth) == ("::", DEFAULT_PORT, "keys")
    assert settings.open == {"metrics"}
    assert (settings.keys_file, settings.image_digest, settings.hosts) == (None, None, frozenset())
    assert settings.lock_path == settings.etc / "kit.lock"


@pytest.mark.parametrize(
    ("variables", "port"),
    [
        ({"PORT": "9000"}, 9000),
        ({"PORT": "9000", "MEALKIT_PORT": "9001"}, 9001),
        ({"PORT": ""}, DEFAULT_PORT),
        # In Kubernetes, a service that is named mealkit sets it in every pod beside it.
        ({"MEALKIT_PORT": "tcp://10.0.0.1:80"}, DEFAULT_PORT),
        ({"MEALKIT_PORT": "tcp://10.0.0.1:80", "PORT": "9000"}, 9000),
    ],
)
def test_a_platform_may_set_the_port(variables, port):
    """PORT is the port where the user states none, and a service's address is not a port."""
    assert read(**variables).port == port


def test_lists_of_names():
    """Blanks, empty words and case do not matter."""
    settings = read(MEALKIT_HOSTS=" Kit.Example, ,*", MEALKIT_ORIGINS="HTTPS://A.invalid:8443")
    assert settings.hosts == {"kit.example", "*"}
    assert settings.origins == {"https://a.invalid:8443"}
    assert read(MEALKIT_OPEN="").open == frozenset()
    assert read(MEALKIT_OPEN="docs, metrics").open == {"docs", "metrics"}


@pytest.mark.parametrize(
    ("changes", "needs_none"),
    [
        ({}, False),
        ({"MEALKIT_AUTH": "off"}, True),
        ({"MEALKIT_HOST": "127.0.0.1"}, True),
        ({"MEALKIT_HOST": "::1"}, True),
        ({"MEALKIT_HOST": "localhost"}, True),
        ({"MEALKIT_HOST": "127.0.0.1", "MEALKIT_KEYS": "a"}, False),
        ({"MEALKIT_HOST": "127.0.0.1", "MEALKIT_KEYS_FILE": "/keys"}, False),
        ({"MEALKIT_HOST": "10.127.0.1"}, False),
        ({"MEALKIT_HOST": "::"}, False),
    ],
)
def test_who_needs_no_key(changes, needs_none):
    """Only what this machine alone reaches is open without a word, and only without keys."""
    assert read(**changes).needs_no_keys is needs_none


@pytest.mark.parametrize("name", ["MEALKIT_KEYS", "MEALKIT_KEYS_FILE"])
def test_keys_that_would_not_be_asked_for(name):
    """Keys beside MEALKIT_AUTH=off are refused, not ignored."""
    assert refused(MEALKIT_AUTH="off", **{name: "/keys"}) == ("CONFIG_INVALID", name)


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"serving": 1}', '{"serving": {"port": "9"}}', "[" * 100_000]
)
def test_a_lock_that_is_none_leaves_the_port_as_it_is(tmp_path, text):
    """What is wrong with it is told later."""
    (tmp_path / "kit.lock").write_text(text)
    assert read_settings({"MEALKIT_ETC": str(tmp_path)}).port == DEFAULT_PORT
