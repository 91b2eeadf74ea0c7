"""What uv refuses: each kind of mistake with its line, the value and what to write, by real uv."""

from pathlib import Path

import pytest
from fakes import wheels

from mealkit.errors import LockError, Owner, Problem
from mealkit.lock.kit_parts import PythonTarget
from mealkit.sources.python_packages import resolve_packages


def offer(index: Path, *named: str, **requires: str) -> None:
    for item in named:
        name, _, version = item.partition("==")
        text = {f"{name.replace('-', '_')}/__init__.py": b""}
        wheels.write_wheel(index, name, text, version=version, requires=requires.get(name, ""))


def refused(*requirements: str) -> tuple[Problem, ...]:
    """The problems of requirements that kit.yaml has from line 20 on, one a line."""
    places = {line: f"kit.yaml:{20 + number}" for number, line in enumerate(requirements)}
    with pytest.raises(LockError) as error:
        resolve_packages(requirements, PythonTarget("3.13", "amd64", "2.41"), places=places)
    problems = error.value.problems
    assert all(item.owner is Owner.KIT_AUTHOR for item in problems)
    return problems


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("skitlearn", "scikit-learn"),
        ("sklearn", "scikit-learn"),
        ("tabulat", "tabulate"),
        ("PIL", "pillow"),
        ("cv2", "opencv-python-headless"),
        ("yaml", "pyyaml"),
        ("bs4", "beautifulsoup4"),
        ("tranformers", "transformers"),
        ("pytorch", "torch"),
    ],
)
def test_a_package_that_does_not_exist_is_named_with_the_one_that_was_meant(
    index: Path, written: str, meant: str
) -> None:
    """A misspelt name, and the name of a module instead of its package's."""
    offer(index, "alpha==1.0")
    (problem,) = refused("alpha", written)
    assert problem.code == "PACKAGES_UNSOLVABLE"
    assert problem.message == f"no such package: {written}; did you mean {meant}?"
    assert problem.hint == f"write {meant} in runtime.requirements"
    assert problem.where == "kit.yaml:21"


def test_all_unknown_packages_are_told_at_once(index: Path) -> None:
    """In the order of the kit, with the versions that were asked for."""
    offer(index, "alpha==1.0")
    first, second = refused("numpi>=2", "alpha", "zzz-of-nobody")
    assert (first.where, second.where) == ("kit.yaml:20", "kit.yaml:22")
    assert first.hint == "write numpy>=2 in runtime.requirements"
    assert second.message == "no such package: zzz-of-nobody"
    assert "runtime.wheels" in second.hint


def test_a_missing_dependency_names_the_package_that_needs_it(index: Path) -> None:
    """The line is that of the requirement which brings it."""
    offer(index, "alpha==1.0", "beta==1.0", alpha="beta", beta="gone-away")
    (problem,) = refused("alpha")
    assert problem.message.startswith("no such package: gone-away, which beta")
    assert problem.where == "kit.yaml:20"


def test_a_version_that_does_not_exist_lists_the_nearest(index: Path) -> None:
    """Below, above and the newest; only the newest for one beyond it."""
    offer(index, "alpha==1.0", "alpha==1.4", "alpha==2.0", "alpha==3.0", "beta==1.0")
    (problem,) = refused("beta", "alpha==1.5")
    assert problem.code == "PACKAGES_UNSOLVABLE"
    assert problem.message.endswith("satisfies alpha==1.5; the nearest are 1.4, 2.0, 3.0")
    assert problem.hint == "write alpha==3.0 in runtime.requirements"
    assert problem.where == "kit.yaml:21"
    (beyond,) = refused("alpha>=9")
    assert beyond.message.endswith("satisfies alpha>=9; the newest is 3.0")


def test_a_version_without_a_wheel_names_one_that_has_it(index: Path) -> None:
    """And the line, for a package of the kit's own."""
    wheels.write_wheel(
        index, "alpha", {"a.py": b""}, version="1.0", tag="cp311-cp311-manylinux_2_28_x86_64"
    )
    offer(index, "alpha==2.0")
    (problem,) = refused("alpha==1.0")
    assert problem.code == "PACKAGES_SOURCE_ONLY"
    assert problem.where == "kit.yaml:20"
    assert problem.hint.startswith('require alpha==2.0, which has one, set runtime.python: "3.11"')


def test_requirements_that_exclude_each_other_are_told_in_order_with_their_lines(
    index: Path,
) -> None:
    """Each with its line, and what makes them exclude each other; the others are not named."""
    offer(index, "alpha==1.0", "alpha==2.0", "beta==1.0", "gamma==1.0", beta="alpha>=2")
    (problem,) = refused("gamma", "beta", "alpha<2")
    assert problem.code == "PACKAGES_UNSOLVABLE"
    both = "beta (kit.yaml:21), alpha<2 (kit.yaml:22)"
    assert problem.message.startswith(f"these exclude each other: {both}; beta")
    assert "depends on alpha>=2" in problem.message
    assert problem.hint == f"loosen or change one of them: {both}"
    assert problem.where == "kit.yaml:21"
    (twice,) = refused("alpha==1.0", "alpha==2.0")
    assert "alpha==1.0 (kit.yaml:20), alpha==2.0 (kit.yaml:21)" in twice.message
