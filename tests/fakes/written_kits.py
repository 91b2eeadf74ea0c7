"""Kits as ``mealkit new`` writes them, run as they are written."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fakes.little import Heard
from fakes.promises import assert_kept, measured
from fakes.served import ROOT
from mealkit.engines.whole_schema import full_schema
from mealkit.importing.scaffold import write_new_kit
from mealkit.pipeline.home import Home
from mealkit.pipeline.kit.locking import lock_kit
from mealkit.recipe.lock import read_lock

_WHEELS = {
    "llama-cpp": ROOT / "kits/tiny-chat-llama-cpp/wheels",
    "transformers": ROOT / "kits/tiny-chat-transformers/wheels",
    "vllm": ROOT / "kits/tiny-chat-transformers/wheels",
}


def allowed_for(engine: str) -> tuple[Path, ...]:
    """Return the folder that the kit's wheels are linked to."""
    return (_WHEELS[engine],) if engine in _WHEELS else ()


def written_kit(folder: Path, engine: str, task: str) -> Path:
    """Write a new kit, and put the wheel in place that its script would make.

    The wheel is the one that ``make test`` has made by the same script.
    """
    kit = write_new_kit(folder, engine, full_schema(), task).parent
    for place in allowed_for(engine):
        wheels = list(place.glob("*.whl"))
        if not wheels:
            pytest.skip(f"the wheel is not there: make .engines/{engine}/.ready")
        for wheel in wheels:
            (kit / "wheels" / wheel.name).symlink_to(wheel)
    return kit


def assert_runs(
    kit: Path, engine: str, home: Home, serve: Callable[..., Any], client: str = "sandbox"
) -> str:
    """Lock, build and run a kit, and compare its answers with its cases; return its address."""
    allowed = allowed_for(engine)
    url: str = serve(kit, home, client, allowed=allowed).url
    assert (kit / "kit.lock").is_file()
    assert_kept(measured(url, kit, home, allowed))
    return url


def assert_same_salt(kit: Path, engine: str, example: Path, home: Home) -> None:
    """Lock a kit with the packages of an example: the same salt decides the answers of both.

    So what the example's tests show of its answers is true of the new kit's.
    """
    (kit / "kit.lock").write_bytes((example / "kit.lock").read_bytes())
    report = lock_kit(
        kit, upgrade=frozenset(), home=home, progress=Heard(), allowed=allowed_for(engine)
    )
    assert report.salt == read_lock((example / "kit.lock").read_bytes()).salt
