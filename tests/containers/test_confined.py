"""What a stranger's program can do where it is confined: nothing, and not for long."""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from mealkit.containers.confined import Confined, Ending

SOURCE = Path(__file__).with_name("hostile.c")
LOADER = "usr/bin/loader"
DRIVER = """
import json, sys
from dataclasses import asdict
from pathlib import Path
from mealkit.containers.confined import Confined
root, command, seconds = json.loads(sys.argv[1])
with Confined(Path(root), command, {"LC_ALL": "C"}, seconds) as process:
    print(json.dumps(asdict(process.wait())))
"""
Confine = Callable[..., Ending]


@pytest.fixture(scope="module")
def root() -> Iterator[Path]:
    """A root with nothing but the hostile program, in a folder that every user may enter."""
    folder = Path(tempfile.mkdtemp(prefix="mealkit-hostile-"))
    folder.chmod(0o755)
    (folder / "usr/bin").mkdir(parents=True)
    (folder / "usr/lib").mkdir()
    # As open as can be: what keeps it from being written is not its mode.
    (folder / "usr").chmod(0o777)
    subprocess.run(["gcc", "-O1", "-static", "-o", folder / LOADER, SOURCE], check=True)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(params=["this user", *(["another user"] if os.geteuid() == 0 else [])])
def confine(request: pytest.FixtureRequest, root: Path, told_by_another_user) -> Confine:
    """Run an attack to its end, started by root and by an unprivileged user."""

    def run(*attack: str, seconds: float = 30) -> Ending:
        command = [LOADER, *attack]
        if request.param == "this user":
            with Confined(root, command, {"LC_ALL": "C"}, seconds) as process:
                return process.wait()
        order = json.dumps([str(root), command, seconds])
        return Ending(**json.loads(told_by_another_user(DRIVER, order)))

    return run


def lines(ending: Ending) -> list[str]:
    assert ending.step is None, ending
    return ending.said.splitlines()


def wait_for(condition: Callable[[], Any]) -> Any:
    """Wait for a condition; the limit only bounds a failure."""
    end = time.monotonic() + 60
    while not (found := condition()):
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)
    return found


def running(root: Path) -> list[int]:
    """Return the processes of this machine that run a program of the root."""
    program = (root / LOADER).stat()
    found = []
    for link in Path("/proc").glob("[0-9]*/exe"):
        with contextlib.suppress(OSError):
            if os.path.samestat(link.stat(), program):
                found.append(int(link.parts[2]))
    return found


def test_it_is_nobody_and_is_told_nothing(confine):
    """No root, no name of this machine, no variable and no descriptor of the builder."""
    found = lines(confine("who"))
    assert found == ["uid 65534", "gid 65534", "host confined", "environment LC_ALL=C"]


def test_it_is_nobody_on_the_machine_too(root):
    """The kernel knows a program that root started as nobody's, in namespaces of its own."""
    if os.geteuid():
        pytest.skip("this user is not root")
    with Confined(root, [LOADER, "hang"], {}, 30):
        found = wait_for(lambda: running(root))
        status = Path(f"/proc/{found[0]}/status").read_text()
        shared = [
            kind
            for kind in ("cgroup", "ipc", "mnt", "net", "pid", "uts")
            if Path(f"/proc/{found[0]}/ns/{kind}").readlink()
            == Path("/proc/self/ns", kind).readlink()
        ]
    assert shared == []
    fields = dict(line.split(":", 1) for line in status.splitlines())
    assert fields["Uid"].split() == ["65534"] * 4
    assert fields["Groups"].split() == []
    assert {fields[name].strip() for name in ("CapPrm", "CapEff", "CapBnd", "CapAmb")} == {"0" * 16}
    assert (fields["NoNewPrivs"].strip(), fields["Seccomp"].strip()) == ("1", "2")


def test_it_sees_no_file_and_no_process_of_this_machine(confine, root):
    """The root is all there is: no home, no /etc, no /proc, no device."""
    secret = root.parent / f"{root.name}-secret"
    secret.write_text("a key\n")
    secret.chmod(0o644)
    try:
        found = lines(confine("look", str(secret)))
    finally:
        secret.unlink()
    assert found == [
        "read No such file or directory",
        "list No such file or directory",
        "devices No such file or directory",
        "root has usr",
    ]


def test_it_reaches_no_network(confine):
    """A server on loopback is not asked, and no socket of any kind is to be had."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        found = lines(confine("reach"))
        with pytest.raises(BlockingIOError):
            server.accept()
    assert {line.split(" ")[-1] for line in found} == {"implemented"}
    assert len(found) == 4


def test_it_gains_no_rights(confine):
    """No other user, namespace, mount or key, and no hold on the process that watches it."""
    number, *found = lines(confine("rise"))
    assert number == "pid 2"
    assert len(found) == 11
    assert [line for line in found if line.endswith("done")] == []


def test_it_writes_nothing(confine, root):
    """Nothing can be made, changed or moved in its root, and no memory outlives a process."""
    before = sorted(root.rglob("*"))
    found = lines(confine("fill"))
    assert len(found) == 9
    assert [line for line in found if line.endswith("done")] == []
    assert sorted(root.rglob("*")) == before


def test_it_leaves_no_process(confine, root):
    """What it starts ends with it, whatever family that belongs to."""
    ending = confine("linger")
    assert (ending.code, lines(ending)) == (0, ["left"])
    assert running(root) == []


@pytest.mark.parametrize("attack", ["hang", "spin", "chatter"])
def test_it_ends_when_its_time_is_up(confine, root, attack):
    """A program that ignores every signal, computes for ever or fills its streams is ended."""
    ending = confine(attack, seconds=0.5)
    assert (ending.late, ending.code) == (True, None)
    assert running(root) == []


def test_it_takes_bounded_memory_and_processes(confine):
    """Some processes, of 2 GiB each at most."""
    (forks,) = lines(confine("bomb"))
    assert 0 <= int(forks.split()[1]) <= 64
    (taken,) = lines(confine("eat"))
    assert 256 < int(taken.split()[1]) < 2048


def test_it_ends_with_its_starter(root):
    """A starter that is killed leaves nothing behind."""
    order = json.dumps([str(root), [LOADER, "hang"], 600])
    starter = subprocess.Popen([sys.executable, "-c", DRIVER, order])
    wait_for(lambda: running(root))
    starter.send_signal(signal.SIGKILL)
    starter.wait()
    wait_for(lambda: not running(root))


def test_what_cannot_be_started_says_so(root):
    """A step that fails is told apart from a program that ends."""
    with Confined(root, ["usr/bin/none"], {}, 30) as process:
        ending = process.wait()
    assert asdict(ending) == asdict(Ending(step="start", errno=2))


def test_without_namespaces_nothing_is_run(root, tmp_path):
    """Where a user may make no namespaces, the program is not run in any other way."""
    if os.geteuid():
        pytest.skip("it takes root to forbid namespaces to a process")
    shut = tmp_path / "shut.py"
    shut.write_text(
        "import os, sys\n"
        "open('/proc/sys/user/max_user_namespaces', 'w').write('0')\n"
        "open('/proc/sys/user/max_mnt_namespaces', 'w').write('0')\n"
        "os.execv(sys.executable, [sys.executable, *sys.argv[1:]])\n"
    )
    order = json.dumps([str(root), [LOADER, "who"], 30])
    # In a user namespace of its own, whose limits are no other process's.
    command = ["unshare", "--user", "--map-root-user", sys.executable, shut, "-c", DRIVER, order]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    ending = Ending(**json.loads(done.stdout))
    assert (ending.step, ending.errno, ending.said) == ("make namespaces", 28, "")
