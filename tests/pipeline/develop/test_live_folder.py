"""The folder that stands in the place of a kit's layer, and the author's lock on it."""

import subprocess
import sys

from fakes.kits import KIT, FixedInputs, parts_of

from mealkit.lock.resolve import resolve
from mealkit.paths import AUTHOR, VERSION_NOW
from mealkit.pipeline.develop.live_folder import live_folder
from mealkit.pipeline.home import Home
from mealkit.recipe.lock import lock_bytes
from mealkit.runtime.life.edits import Edits

HOLD = """
import sys, time
from pathlib import Path
from mealkit.pipeline.develop.live_folder import live_folder
from mealkit.pipeline.home import Home
with live_folder("soup-dev", Home(Path(sys.argv[1]))) as live:
    print(live.mount.source, flush=True)
    time.sleep(600)
"""


def lock_of(description="A little kit."):
    return resolve(parts_of({**KIT, "description": description}), FixedInputs())


def test_each_version_is_whole(tmp_path):
    """Lock, prompts and code are at their paths in the image; the next version replaces all."""
    with live_folder("soup-dev", Home(tmp_path)) as live:
        root = live.mount.source
        assert live.mount.target == "/etc/mealkit"
        edits = Edits(str(root))
        for text in ("one", "two", "three"):
            lock = lock_of(text)
            live.put(lock)
            assert (root / "kit.lock").read_bytes() == lock_bytes(lock)
            for name, prompt in lock.prompts.items():
                assert (root / "prompts" / name).read_text() == prompt.text
            assert edits.begin() == live.version
        # The version before stays, because a module of it may be imported late.
        assert {item.name for item in root.iterdir() if item.name.startswith(".")} == {
            *(".2", ".3"),
            *(VERSION_NOW, AUTHOR),
        }
    assert not root.exists()


def test_two_authors_have_two_names(tmp_path):
    """A kit that is edited twice at the same time runs under two names."""
    home = Home(tmp_path)
    with live_folder("soup-dev", home) as one, live_folder("soup-dev", home) as other:
        assert (one.name, other.name) == ("soup-dev", "soup-dev-2")
        assert one.mount.source != other.mount.source
    with live_folder("soup-dev", home) as again:
        assert again.name == "soup-dev"


def test_a_killed_author_is_noticed_and_leaves_nothing(tmp_path):
    """The kernel takes the lock of a killed process; the next author removes what it left."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True
    ) as author:
        root = author.stdout.readline().strip()
        edits = Edits(root)
        assert not edits.has_author_left()
        author.kill()
        author.wait()
    assert edits.has_author_left()
    with live_folder("soup-dev", Home(tmp_path)) as live:
        assert live.name == "soup-dev"
        assert list((tmp_path / "edits").glob("*.d")) == [live.mount.source]
