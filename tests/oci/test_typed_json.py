"""Configs and manifests have the types that image-spec asks for, or their faults are told."""

import pytest

from mealkit.oci.descriptor import MANIFEST
from mealkit.oci.typed_json import config_faults, manifest_faults, type_faults

CONFIG = {
    "architecture": "amd64",
    "os": "linux",
    "rootfs": {"type": "layers", "diff_ids": ["a", "b"]},
    "history": [{}, {"empty_layer": True}, {}],
    "config": {"Env": ["A="], "ExposedPorts": {"80/tcp": {}}, "Labels": {"a": "b"}, "User": "1"},
}


def test_a_config_as_it_should_be_has_no_faults():
    """Neither the strict check nor the lenient one has anything to say."""
    assert config_faults(CONFIG) == type_faults(CONFIG) == []


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"architecture": ""}, "architecture is '', not a name"),
        ({"os": 1}, "os is 1, not a name"),
        ({"rootfs": {"type": "x", "diff_ids": ["a", "b"]}}, "rootfs.type is 'x'"),
        ({"history": [{}]}, "the history has 1 layers"),
        ({"config": [1]}, "config is not an object"),
        *(
            ({"config": {name: value}}, f"{name} has the wrong type")
            for name, value in [
                ("Env", ["A"]),
                ("Env", ["=A"]),
                ("Env", "A=1"),
                ("Entrypoint", "sh"),
                ("Cmd", [1]),
                ("ExposedPorts", {"80": 1}),
                ("Volumes", ["/a"]),
                ("Labels", {"a": 1}),
                ("User", 1),
                ("StopSignal", 9),
            ]
        ),
    ],
    ids=str,
)
def test_a_field_of_the_wrong_form_is_told(changes, said):
    """One sentence for each, with the value."""
    found = config_faults(CONFIG | changes)
    assert [said in text for text in found] == [True]


def test_a_null_field_is_no_field():
    """Docker writes null for what is not set."""
    run = dict.fromkeys(("Env", "Cmd", "Entrypoint", "Labels", "Volumes", "ExposedPorts", "User"))
    assert config_faults(CONFIG | {"config": run}) == type_faults(CONFIG | {"config": run}) == []


def test_other_tools_configs_are_used_though_they_are_not_perfect():
    """A missing name and a variable without a value run all the same."""
    form = {"config": {"Env": ["A"], "ExposedPorts": {"80": 1}}}
    assert type_faults(form) == []


@pytest.mark.parametrize(
    "form",
    [
        {"architecture": 1},
        {"created": "a\0"},
        {"config": "x"},
        {"config": {"Env": ["A=\0"]}},
        {"config": {"User": "a\0b"}},
        {"config": {"Cmd": "sh"}},
        {"config": {"Volumes": []}},
        {"config": {"Labels": {"a": None}}},
    ],
    ids=str,
)
def test_what_no_process_can_be_given_is_told(form):
    """NUL ends a text in every system call, and another type ends readers."""
    assert len(type_faults(form)) == 1


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"schemaVersion": 1}, "schemaVersion is 1, not 2"),
        ({"schemaVersion": None}, "schemaVersion is None"),
        ({"mediaType": "a/b"}, "mediaType is a/b"),
        ({"annotations": {"a": 1}}, "annotations are not texts"),
    ],
)
def test_a_manifests_own_fields_are_checked(changes, said):
    """Its version, its type and its annotations."""
    good = {"schemaVersion": 2}
    assert manifest_faults(good, MANIFEST) == []
    assert [said in text for text in manifest_faults(good | changes, MANIFEST)] == [True]
