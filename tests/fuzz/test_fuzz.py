"""Every parser of what others wrote, on thousands of inputs that are nearly right."""

import zlib

import pytest

from fuzz.harness import Target, fuzz
from fuzz.mutate import inputs
from fuzz.targets import TARGETS


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_a_parser_takes_its_input_or_refuses_it(target):
    """A parser gives something or refuses with its own errors; nothing crashes, nothing hangs."""
    found = fuzz(target, inputs(target.seeds, target.inputs, zlib.crc32(target.name.encode())))
    print(
        f"{target.name}: {found.inputs} inputs, {found.taken} taken, {len(found.crashes)} crashes"
    )
    assert found.inputs == target.inputs
    assert found.taken >= len(target.seeds), "not even its valid inputs are taken"
    assert not found.crashes, "\n".join(f"{what}\n  {data[:400]!r}" for what, data in found.crashes)


def test_a_crash_is_told():
    """A parser that raises something else, or goes on without end, does not pass."""

    def run(data):
        return {}[data]

    found = fuzz(Target("broken", run, [b"x"]), inputs([b"x"], 20, 1))
    assert (found.inputs, found.taken, len(found.crashes) > 0) == (20, 0, True)
    assert found.crashes[0][0].startswith("KeyError")


def test_inputs_are_the_same_for_the_same_number():
    """A crash that was seen once is seen again."""
    seeds = [b"some text", b"{}"]
    assert list(inputs(seeds, 50, 3)) == list(inputs(seeds, 50, 3))
    assert list(inputs(seeds, 50, 3)) != list(inputs(seeds, 50, 4))
