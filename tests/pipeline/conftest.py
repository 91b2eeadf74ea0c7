"""Little kits and homes for the verbs; nothing here can reach a network."""

from collections.abc import Callable
from pathlib import Path

import pytest
from fakes.little import OFFLINE, Heard, little_kit
from memory.conftest import hub, safetensors_head

from mealkit.pipeline.home import Home, home_at
from mealkit.pipeline.image.building import BuildReport, build_kit
from mealkit.pipeline.image.naming_builds import Taken
from mealkit.pipeline.image.outputs import Outputs

__all__ = ["hub", "safetensors_head"]


@pytest.fixture(autouse=True)
def _offline(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in OFFLINE.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("SOURCE_DATE_EPOCH", raising=False)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A home of this test alone, not yet on disk."""
    return home_at(tmp_path / "home")


@pytest.fixture
def kit(tmp_path: Path) -> Path:
    """A little kit without a lock."""
    return little_kit(tmp_path / "kit")


@pytest.fixture
def build(home: Home) -> Callable[..., BuildReport]:
    """Build a kit into the test's home; ``again`` gives its name to another image."""

    def run(
        folder: Path,
        outputs: Outputs | None = None,
        *,
        frozen: bool = False,
        again: bool = False,
    ) -> BuildReport:
        return build_kit(
            folder,
            frozen=frozen,
            outputs=outputs or Outputs(),
            home=home,
            progress=Heard(),
            taken=Taken.REPLACED if again else Taken.REFUSED,
        )

    return run
