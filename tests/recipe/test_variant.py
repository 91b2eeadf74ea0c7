"""A lock of several architectures, as one plain lock for each, and back."""

import copy

import pytest
from fakes.kits import KIT, FixedInputs, kit_of, parts_of
from pydantic import ValidationError

from mealkit.errors import LockError
from mealkit.lock.drift import drift, needs_network
from mealkit.lock.resolve import Upgrade, resolve
from mealkit.recipe.lock import lock_bytes, read_lock
from mealkit.recipe.variant import architectures_of, joined, plain_lock, plain_locks


def form_of(*architectures, **runtime):
    form = copy.deepcopy(KIT)
    form["hardware"]["architectures"] = list(architectures)
    form["runtime"] |= runtime
    return form


def lock_of(*architectures, previous=None, inputs=None, upgrade=frozenset(), **runtime):
    parts = parts_of(form_of(*architectures, **runtime))
    return resolve(parts, inputs or FixedInputs(), previous, upgrade)


BOTH = ("amd64", "arm64")


def test_one_architecture_says_nothing_of_variants():
    """The plain lock is what it always was."""
    lock = lock_of("amd64")
    assert b"variants" not in lock_bytes(lock)
    assert plain_locks(lock) == (lock,)


@pytest.mark.parametrize("bytecode", [None, True])
def test_each_variant_is_the_lock_of_a_kit_for_it_alone(bytecode):
    """Except for bytecode: the default for several architectures is none."""
    lock = lock_of(*BOTH, bytecode=bytecode)
    assert architectures_of(lock) == BOTH
    for name in BOTH:
        plain, alone = plain_lock(lock, name), lock_of(name)
        runtime = alone.runtime.model_copy(update={"bytecode": bool(bytecode)})
        assert plain.runtime == runtime
        assert plain.requests == alone.requests
        assert plain.recipe == alone.recipe
        assert [item.value for item in plain.requirements.architectures] == [name]


def test_a_lock_of_two_reads_back_as_itself():
    """It is written, read, taken apart and joined, and stays the same."""
    lock = lock_of(*BOTH)
    assert read_lock(lock_bytes(lock)) == lock
    assert joined(plain_locks(lock)) == lock


def test_the_order_of_architectures_changes_nothing():
    """The lock has an order of its own."""
    assert lock_bytes(lock_of("arm64", "amd64")) == lock_bytes(lock_of(*BOTH))


def test_the_recipe_is_that_of_all_variants():
    """Another package of one variant is another recipe."""
    lock = lock_of(*BOTH)
    wheel = lock.variants["arm64"].engine_packages[0].model_copy(update={"version": "2.0"})
    own = lock.variants["arm64"].model_copy(update={"engine_packages": (wheel,)})
    other = lock.model_copy(update={"variants": {"arm64": own}})
    assert other.recipe != lock.recipe
    assert plain_lock(other, "amd64").recipe == plain_lock(lock, "amd64").recipe


def test_what_is_shared_is_resolved_once():
    """Weights are asked for once; packages and the base for each architecture."""
    inputs = FixedInputs()
    lock = lock_of(*BOTH, inputs=inputs)
    assert sorted(inputs.asked) == ["base"] * 2 + ["packages"] * 4 + ["weights"]
    again = FixedInputs("new")
    assert lock_of(*BOTH, previous=lock, inputs=again) == lock
    assert again.asked == []


def test_an_upgrade_is_of_every_variant():
    """New weights are resolved once, and are those of all."""
    inputs = FixedInputs("new")
    lock = lock_of(
        *BOTH, previous=lock_of(*BOTH), inputs=inputs, upgrade=frozenset({Upgrade.WEIGHTS})
    )
    assert inputs.asked == ["weights"]
    first, second = plain_locks(lock)
    assert first.model == second.model


def test_an_architecture_is_added_without_resolving_the_other_again():
    """The lock names what is missing; only that is asked for."""
    before = lock_of("amd64")
    parts = parts_of(form_of(*BOTH))
    changes = drift(parts, before)
    assert "variants.arm64" in [change.path for change in changes]
    assert needs_network(changes)
    inputs = FixedInputs("new")
    lock = resolve(parts, inputs, before)
    assert inputs.asked == ["base", "packages", "packages"]
    assert plain_lock(lock, "amd64").gateway == before.gateway
    assert drift(parts, lock) == []


@pytest.mark.parametrize("kept", BOTH)
def test_an_architecture_is_taken_away_without_the_network(kept):
    """What is left was resolved before."""
    parts = parts_of(form_of(kept))
    before = lock_of(*BOTH)
    changes = drift(parts, before)
    assert changes
    assert not needs_network(changes)
    inputs = FixedInputs("new")
    lock = resolve(parts, inputs, before)
    assert (inputs.asked, architectures_of(lock)) == ([], (kept,))


def test_another_package_is_named_for_each_variant():
    """What a kit asks for anew is told for every architecture."""
    before = lock_of(*BOTH)
    changes = drift(parts_of(form_of(*BOTH, requirements=["numpy<2"])), before)
    paths = {change.path for change in changes}
    assert {"requests.packages", "variants.arm64.requests.packages"} <= paths


def test_locks_of_two_kits_are_not_joined():
    """An index of images that do not belong together is told."""
    form = form_of("arm64")
    form["hyperparameters"]["pooling"] = "cls"
    with pytest.raises(LockError, match="LOCK_INVALID"):
        joined([lock_of("amd64"), resolve(parts_of(form), FixedInputs())])
    with pytest.raises(LockError, match="LOCK_INVALID"):
        joined([lock_of("amd64"), lock_of("amd64")])


@pytest.mark.parametrize(
    "form",
    [form_of("amd64", "amd64"), form_of(), form_of("riscv64")],
)
def test_kits_that_cannot_be_built_for_both_are_refused(form):
    """An architecture twice, none, and an unknown one."""
    with pytest.raises(ValidationError):
        kit_of(form)
