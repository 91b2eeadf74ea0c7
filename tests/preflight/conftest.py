"""Fixtures of the memory estimator, which fitting is tested with too, and a kernel's files by hand."""

import pytest
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
