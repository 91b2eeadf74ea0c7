"""Save and load as pieces of work that ``fakes.kills`` runs in processes of their own."""

from pathlib import Path

from fakes.transfers import Tick, Ticking
from mealkit.pipeline.archives.loading import load
from mealkit.pipeline.archives.saving import SaveRequest, save
from mealkit.pipeline.home import home_at


def save_kit(tick: Tick, name: str, home: str, file: str) -> None:
    """Save an image of a home's store in volumes of 600 KiB."""
    save(SaveRequest([name], Path(file), 600 * 1024), home_at(Path(home)), Ticking(tick))


def load_kit(tick: Tick, home: str, *files: str) -> None:
    """Load an archive into a home."""
    load([Path(file) for file in files], home_at(Path(home)), Ticking(tick))
