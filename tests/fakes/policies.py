"""What the tests of policies share: digests, a time, and lines of a policy's file."""

from pathlib import Path

from mealkit.digest import Digest
from mealkit.trust.policy_file import LoadedPolicy

IMAGE = Digest.of(b"image")
OTHER = Digest.of(b"another image")
DAY = 24 * 60 * 60
NOW = 1_796_000_000  # 2026-11-30


def line_of(loaded: LoadedPolicy, text: str) -> str:
    """The place of the first line of a policy that has this text."""
    lines = Path(loaded.path).read_text().splitlines()
    number = next(index for index, line in enumerate(lines, 1) if text in line)
    return f"{loaded.path}:{number}"
