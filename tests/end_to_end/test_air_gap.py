"""docs/how-to/carry-a-kit-across-an-air-gap.md carried out: from save to an answer without a network."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from fakes.served import ROOT, Demo

from mealkit.trust.signing_keys import Algorithm, new_key

pytestmark = [pytest.mark.online, pytest.mark.xdist_group("demo")]

PAGE = ROOT / "docs" / "how-to" / "carry-a-kit-across-an-air-gap.md"
# Up, so that there are addresses of this machine; there is no other interface, and no route.
WITHOUT_NETWORK = ("unshare", "--net", "sh", "-e", "-c", 'ip link set lo up; exec sh -e "$1"', "sh")
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def commands(*sections: str) -> str:
    """The commands of sections of the page, as a script."""
    text = PAGE.read_text()
    parts = {part.partition("\n")[0]: part for part in re.split(r"^## ", text, flags=re.MULTILINE)}
    lines = [
        line.removeprefix("$ ")
        for section in sections
        for _, block in BLOCK.findall(parts[section])
        for line in block.splitlines()
        if line.startswith("$ ")
    ]
    return "\n".join(lines) + "\n"


def policy() -> str:
    (found,) = (block for kind, block in BLOCK.findall(PAGE.read_text()) if kind == "yaml")
    return str(found)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a key pair."""
    pair = zip(("team.key", "team.key.pub"), new_key(Algorithm.ECDSA_P256, None), strict=True)
    for name, data in pair:
        (tmp_path / name).write_bytes(data)
        (tmp_path / name).chmod(0o600)
    return tmp_path


def carry_out(script: str, folder: Path, home: Path, *within: str) -> str:
    (folder / "script").write_text(script)
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    path = f"{Path(sys.executable).parent}:{kept['PATH']}"
    done = subprocess.run(
        [*within, "script"] if within else ["sh", "-e", "script"],
        cwd=folder,
        env={**kept, "PATH": path, "MEALKIT_HOME": str(home), "XDG_CONFIG_HOME": str(folder)},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, f"{script}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def test_a_kit_answers_where_there_is_no_network(demo: Demo, folder: Path):
    """Signed, saved in volumes, carried, checked by a policy, loaded, and run in the sandbox."""
    if os.geteuid() != 0 or not shutil.which("ip"):
        pytest.skip("only root can make a network without a route")
    carry_out(commands("Save"), folder, demo.home.root)
    other = folder / "other"
    other.mkdir()
    for file in folder.glob("kits.tar.*"):
        file.rename(other / file.name)
    (other / "policy.yaml").write_text(policy())
    sections = ("Look at it before you load it", "Load and run")
    output = carry_out(commands(*sections), other, other / "home", *WITHOUT_NETWORK)
    answer, _ = json.JSONDecoder().raw_decode(output[output.index('{"object"') :])
    assert len(answer["data"][0]["embedding"]) == 384
    # And the archive as a whole, for other tools.
    for file in other.glob("kits.tar.*"):
        file.rename(folder / file.name)
    shown = carry_out(commands("With other tools"), folder, demo.home.root)
    assert shown.count(str(demo.report.digest)) == 2
    assert (folder / "joined.tar").stat().st_size > (folder / "kit.tar").stat().st_size
