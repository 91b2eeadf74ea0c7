"""Example kits, built from their committed locks in a home of the test's own, and run."""

import shutil
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from fakes.engine_images import engine_tags, remove_tags
from fakes.little import Heard

from mealkit.errors import MealkitError
from mealkit.pipeline.home import home_at
from mealkit.pipeline.machine.clients import stop_kit
from mealkit.pipeline.run.run_request import RunRequest
from mealkit.pipeline.run.running import RunReport, run_kit


@pytest.fixture
def run_kit_named(tmp_path: Path, test_cache: Path) -> Iterator[Callable[[Path, str], RunReport]]:
    """Copy a kit, run it with a client under a name that no other run uses; stop it at the end."""
    files = test_cache / "home" / "files"
    files.mkdir(parents=True, exist_ok=True)
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "files").symlink_to(files)
    home = home_at(tmp_path / "home")
    names: list[str] = []
    kits: set[str] = set()
    before = engine_tags()

    def run(kit: Path, client: str) -> RunReport:
        copy = tmp_path / "copies" / kit.name
        shutil.copytree(kit, copy)
        kits.add(f"mealkit-run/{kit.name}")
        names.append(f"mealkit-test-{kit.name}-{uuid.uuid4().hex[:12]}")
        request = RunRequest(str(copy), name=names[-1], port=0, client=client)
        return run_kit(request, home, Heard())

    yield run
    for name in names:
        with suppress(MealkitError):
            stop_kit(name, timeout_seconds=10, home=home)
    left = engine_tags() - before
    remove_tags({tag for tag in left if tag.partition(":")[0] in kits})
