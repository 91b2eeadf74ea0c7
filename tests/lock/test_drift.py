"""Drift is what a kit says that its lock does not, and whether only the outside can resolve it."""

import copy

import pytest
from fakes.kits import KIT, FixedInputs, parts_of, with_value

from mealkit.lock.compare import Change
from mealkit.lock.drift import asks_outside, drift, needs_network
from mealkit.lock.resolve import resolve

PAIRS = {"source": "folder", "path": "data", "files": ["pairs.jsonl"]}


def lock_of(form=KIT, **changes):
    return resolve(parts_of(form, **changes), FixedInputs())


def form_for(*architectures):
    form = copy.deepcopy(KIT)
    form["hardware"]["architectures"] = list(architectures)
    return form


def test_a_fresh_lock_has_no_drift():
    """A lock that says what the kit says has drifted nowhere."""
    assert drift(parts_of(KIT), lock_of()) == []


@pytest.mark.parametrize(
    ("path", "value", "reported", "network"),
    [
        ("hyperparameters.max_length", 128, "hyperparameters.max_length", False),
        ("owner.team", "others", "about.owner.team", False),
        ("serving.port", 9000, "serving.port", False),
        ("runtime.settings.threads", 4, "engine.settings.threads", False),
        ("runtime.requirements", ["a"], "requests.packages", True),
        ("runtime.exclude", ["sympy"], "engine.excluded", True),
        ("runtime.base.suite", "bookworm", "requests.base", True),
        ("model.weights.0.files", ["a"], "requests.weights", True),
        ("datasets", {"a": PAIRS}, "requests.datasets", True),
        ("cases", [{"name": "a", "request": {"input": "b"}}], "cases.a", False),
    ],
)
def test_drift_names_what_the_kit_says_anew(path, value, reported, network):
    """Each edit of the kit is named, and whether bringing the lock up to date needs the network."""
    changes = drift(parts_of(with_value(KIT, path, value)), lock_of())

    assert reported in [change.path for change in changes]
    assert needs_network(changes) is network


def test_drift_names_the_prompts_line():
    """An edited prompt is reported by its line."""
    lock = resolve(parts_of(KIT, prompts={"query": "one\ntwo\n"}), FixedInputs())

    changes = drift(parts_of(KIT, prompts={"query": "one\nzwei\n"}), lock)

    assert [(c.path, c.before, c.after) for c in changes if "text" in c.path] == [
        ("prompts.query.text:2", "two", "zwei")
    ]


@pytest.mark.parametrize(
    ("path", "after", "expected"),
    [
        ("requests.packages", ["a"], True),
        ("variants.arm64.requests.base", {}, True),
        ("variants.arm64", "to be resolved", True),
        ("variants.arm64", None, False),
        ("requests.base", None, False),
        ("about.requests", "x", False),
        ("hyperparameters.requests_per_minute", 1, False),
        ("variants.arm64.runtime.python", "3.13", False),
    ],
)
def test_only_inputs_that_are_asked_for_anew_need_the_network(path, after, expected):
    """What is taken away, and what the kit itself says, is locked without it."""
    change = Change(path, "before", after)
    assert asks_outside(change) is needs_network([change]) is expected


def test_a_new_architecture_is_named_as_a_whole():
    """All of it is still to be resolved."""
    changes = drift(parts_of(form_for("amd64", "arm64")), lock_of())
    assert Change("variants.arm64", None, "to be resolved") in changes
    assert needs_network(changes)


def test_an_architecture_less_needs_no_network():
    """What is locked for the others is kept."""
    changes = drift(parts_of(form_for("arm64")), lock_of(form_for("amd64", "arm64")))
    assert changes
    assert not needs_network(changes)


def test_a_request_of_one_architecture_names_it():
    """The second architecture's own requests are under its name."""
    both = form_for("amd64", "arm64")
    changed = with_value(both, "runtime.requirements", ["a"])
    paths = [change.path for change in drift(parts_of(changed), lock_of(both))]
    assert {"requests.packages", "variants.arm64.requests.packages"} <= set(paths)
