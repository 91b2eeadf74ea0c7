"""A kit that states less memory or disk space than it certainly needs is refused before a start."""

import json

import pytest
from fakes.builds import little_form, little_lock

from mealkit.errors import MealkitError, Owner
from mealkit.lock.hardware_check import hardware_problems, require_disk
from mealkit.recipe.kit import Kit
from mealkit.units import parse_size


def kit(**hardware):
    form = {**little_form(), "hardware": {"gpu": "none", **hardware}}
    return Kit.model_validate_json(json.dumps(form))


def where(path):
    return f"kit.yaml:{'.'.join(path)}"


@pytest.mark.parametrize("memory", ["1MiB", "20MiB", "47MiB"])
def test_memory_that_no_gateway_starts_with(memory):
    """Both numbers, the line, and the author."""
    (found,) = hardware_problems(kit(memory=memory), where)
    assert (found.code, found.owner) == ("KIT_HARDWARE", Owner.KIT_AUTHOR)
    assert found.where == "kit.yaml:hardware.memory"
    assert found.measured.endswith(" stated")
    assert found.required.startswith("at least 48.0 MiB")
    assert "delete the line" in found.hint


@pytest.mark.parametrize("memory", ["auto", "48MiB", "2GiB"])
def test_memory_that_may_be_enough(memory):
    """What an engine needs is an estimate, and an estimate blocks nothing."""
    assert hardware_problems(kit(memory=memory), where) == []


@pytest.mark.parametrize(
    ("disk", "refused"), [("1MiB", True), ("auto", False), ("9GiB", False)], ids=str
)
def test_disk_space_below_the_kits_own_files(tmp_path, disk, refused):
    """The weights and the packages are certain."""
    lock, _ = little_lock(tmp_path)
    needs = lock.requirements
    if disk != "auto":
        needs = needs.model_copy(update={"disk_bytes": parse_size(disk)})
    if not refused:
        require_disk(kit(disk=disk), needs, 5_000_000)
        return
    with pytest.raises(MealkitError) as caught:
        require_disk(kit(disk=disk), needs, 5_000_000)
    (found,) = caught.value.problems
    assert (found.code, found.where) == ("KIT_HARDWARE", "hardware.disk")
    assert (found.measured, found.required[:9]) == ("1.0 MiB stated", "at least ")
