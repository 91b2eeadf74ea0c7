"""README.md's first screen, and the tutorials, carried out by a reader who writes and types what they show."""

import os
import re
import shutil
import sys
from pathlib import Path

import pytest
from fakes.served import ROOT

from benchmarks.pages import Command, Edit, WrittenFile, differences, play, steps_of

README = (ROOT / "README.md").read_text("utf-8")
FIRST_SCREEN, _, REST = README.partition("\n## ")


@pytest.fixture(scope="module")
def variables(tmp_path_factory, test_cache):
    """One home for all pages, with the inputs that this machine has fetched, and the tests' mealkit."""
    home = tmp_path_factory.mktemp("home")
    files = test_cache / "home" / "files"
    files.mkdir(parents=True, exist_ok=True)
    (home / "files").symlink_to(files)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    yield {"MEALKIT_HOME": str(home), "PATH": path}
    shutil.rmtree(home)


def test_the_first_screen_shows_a_kit_a_command_and_the_answer():
    """Before any table or list: two small files, and what comes of them; then how to install mealkit."""
    kinds = [type(step) for step in steps_of(FIRST_SCREEN)]
    assert kinds[:2] == [WrittenFile, WrittenFile]
    assert Command in kinds
    assert not re.search(r"^(\||- )", FIRST_SCREEN, re.MULTILINE)
    assert len(FIRST_SCREEN.splitlines()) < 50
    assert REST.startswith("Install\n")
    assert README.count("never-run.md") == 1


PAGES = {"README.md": FIRST_SCREEN} | {
    page.name: page.read_text("utf-8") for page in sorted((ROOT / "docs/tutorial").glob("*.md"))
}


@pytest.mark.docker
@pytest.mark.online
@pytest.mark.xdist_group("pages")
@pytest.mark.parametrize("page", PAGES)
def test_a_reader_gets_what_the_page_shows(page, tmp_path, variables):
    """The files and commands of README.md's first screen, and of each tutorial, do what they say."""
    (tmp_path / "kits").symlink_to(ROOT / "kits")
    assert list(play(steps_of(PAGES[page]), tmp_path, variables))


def test_a_page_is_read_as_steps():
    """Files, edits and commands with their output; a command may go on in the next line."""
    page = """
```yaml
# kit/kit.yaml
name: kit
```

```yaml
no: file
```

```diff
# kit/kit.yaml
-name: kit
+name: other
```

```
$ echo one \\
    two
one two
$ true  # nothing
```
"""
    assert steps_of(page) == [
        WrittenFile("kit/kit.yaml", "name: kit\n"),
        Edit("kit/kit.yaml", "name: kit", "name: other"),
        Command("echo one  two", ("one two",)),
        Command("true", ()),
    ]


def test_a_page_is_compared_by_its_words():
    """Numbers, digests and spaces may differ, and dots stand for anything; other words may not."""
    output = "recipe  sha256:0a1b2c3d4e5f\nready after 3.25 s, in podman\n"
    assert differences(["recipe sha256:ffee0011...", "ready after 800 ms, in podman"], output) == []
    assert differences(["recipe ... podman"], output) == []
    assert differences(["ready after 1 s, in docker"], output) == ["ready after 1 s, in docker"]
