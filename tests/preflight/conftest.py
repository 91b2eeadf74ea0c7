"""Fixtures: the memory estimator's, a kernel's files by hand, and recorded machines with changes."""

import pytest
from fakes.machines import MACHINES, facts_of, lines_of
from memory.conftest import setting, shape

from mealkit.preflight.facts import Facts, read_facts
from mealkit.preflight.roots import Roots

__all__ = ["setting", "shape"]

ROOTS = ("proc", "sys", "dev", "etc", "run")


@pytest.fixture
def tree(tmp_path):
    """Write files below a root, and read the facts from there."""

    def read(files: dict[str, str], machine: str = "x86_64") -> Facts:
        for name in ROOTS:
            (tmp_path / name).mkdir(exist_ok=True)
        for name, text in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return read_facts(roots=Roots(*(tmp_path / name for name in ROOTS)), machine=machine)

    return read


@pytest.fixture
def recording(tmp_path):
    """Change lines of a recorded machine, and read the facts of what comes out."""

    def read(name: str, changes: dict[str, str], **options) -> Facts:
        lines = lines_of((MACHINES / f"{name}.machine").read_text()) | changes
        path = tmp_path / "changed.machine"
        path.write_text("".join(f"{key} = {value}\n" for key, value in lines.items() if value))
        return facts_of(path, tmp_path / "roots", **options)

    return read
