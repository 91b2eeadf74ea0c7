"""Another version of one package, by request."""

from pathlib import Path

import pytest
from fakes.little import Heard
from fakes.wheels import write_wheel

from mealkit.errors import KitError, LockError
from mealkit.lock.salt import changed_lock
from mealkit.pipeline.home import Home
from mealkit.pipeline.kit.locking import lock_kit
from mealkit.pipeline.kit.opened_kit import OpenedKit, open_kit
from mealkit.pipeline.proof.changed_packages import another_package


@pytest.fixture
def opened(kit: Path, home: Home) -> OpenedKit:
    """A locked kit that has a second version of numpy."""
    lock_kit(kit, upgrade=frozenset(), home=home, progress=Heard())
    write_wheel(kit / "wheels", "numpy", {"numpy.py": b""}, version="98.0")
    return open_kit(kit, home)


def test_only_that_package_has_another_version(opened: OpenedKit, home: Home):
    """The others stay as they are locked."""
    assert opened.lock
    pinch = another_package(opened, opened.lock, "numpy==98.0", home, Heard())
    assert pinch.change.model_dump() == {
        "field": "package numpy",
        "pinned": "99.0",
        "changed": "98.0",
        "together": {},
        "spoils": False,
    }
    changed = changed_lock(opened.parts, opened.lock, "amd64", pinch)
    differing = set(changed.engine.packages) ^ set(opened.lock.engine.packages)
    assert {(wheel.name, wheel.version) for wheel in differing} == {
        ("numpy", "98.0"),
        ("numpy", "99.0"),
    }


def test_what_cannot_be_resolved_is_a_problem(opened: OpenedKit, home: Home):
    """It must name another version of a package of the engine, and one that exists."""
    assert opened.lock
    for wanted, code in (
        ("numpy", "USAGE"),
        ("nympy==1", "USAGE"),
        ("numpy==", "USAGE"),
        ("-r x==1", "USAGE"),
        ("starlette==1", "USAGE"),
        ("numpy==97.0", "PACKAGES_UNSOLVABLE"),
    ):
        with pytest.raises((KitError, LockError)) as error:
            another_package(opened, opened.lock, wanted, home, Heard())
        assert error.value.problems[0].code == code, wanted
