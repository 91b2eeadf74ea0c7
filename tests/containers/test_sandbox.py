"""What only the sandbox can get wrong: its processes, its records, its mounts and its namespaces."""

import json
import os
import pickle
import signal
import socket
import subprocess
import sys
import urllib.request
from dataclasses import replace
from pathlib import Path

import pytest

from mealkit.containers import sandbox_init
from mealkit.containers.container import LINE_BYTES, Exit, Mount, UnpackedRoot
from mealkit.containers.sandbox import Sandbox
from mealkit.containers.sandbox_groups import make_group, memory_parent, processes_parent
from mealkit.errors import ContainerError, PreflightError


def pid_of(sandbox, name, which):
    return json.loads((sandbox._state / name / f"{which}.json").read_text())["pid"]


def gone(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def report_of(container):
    with urllib.request.urlopen(f"{container.url}/report", timeout=30) as answer:
        return answer.read().decode().splitlines()


@pytest.fixture
def started(sandbox, root_spec, until):
    container = sandbox.start(root_spec)
    until(lambda: "serving" in list(sandbox.logs(root_spec.name)))
    return container


def test_a_killed_keeper_takes_its_sandbox_along(sandbox, started, until):
    """No orphan runs on after kill -9, and the end counts as unseen."""
    keeper, init = (pid_of(sandbox, "probe", which) for which in ("keeper", "init"))
    os.kill(keeper, signal.SIGKILL)
    until(lambda: gone(keeper) and gone(init))
    assert sandbox.state("probe").exit == Exit()
    assert "its exit code was not recorded" in str(sandbox.state("probe").exit)
    assert sandbox.stop("probe", 1) == Exit()


def test_a_killed_first_process_is_recorded(sandbox, started, until):
    """Whoever kills it, the signal is known afterwards."""
    os.kill(pid_of(sandbox, "probe", "init"), signal.SIGKILL)
    until(lambda: sandbox.state("probe").exit is not None)
    assert sandbox.state("probe").exit == Exit(137, "SIGKILL")


def test_two_processes_and_nothing_else_run(sandbox, started):
    """A sandbox costs a keeper beside the kit itself, and the kit is the keeper's child."""
    keeper, init = (pid_of(sandbox, "probe", which) for which in ("keeper", "init"))
    assert Path(f"/proc/{keeper}/task/{keeper}/children").read_text().split() == [str(init)]
    session = Path(f"/proc/{keeper}/stat").read_text().rpartition(")")[2].split()[3]
    assert int(session) != os.getsid(0)


def test_it_outlives_the_process_that_started_it(sandbox, root_spec, until):
    """The starter may end, even by kill -9, and the kit runs on."""
    code = (
        "import os, pickle, sys\n"
        "from mealkit.containers.sandbox import Sandbox\n"
        "spec, state = pickle.load(sys.stdin.buffer)\n"
        "Sandbox(state).start(spec)\n"
        "os.kill(os.getpid(), 9)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], input=pickle.dumps((root_spec, sandbox._state)), check=False
    )
    assert done.returncode == -signal.SIGKILL
    until(lambda: "serving" in list(sandbox.logs("probe")))
    assert report_of(sandbox.state("probe"))


def test_a_pid_that_was_given_again_is_not_the_sandbox(sandbox, started, until):
    """A live process with the recorded pid but another start time does not count, nor is it killed."""
    assert sandbox.stop("probe", 60) == Exit(0)
    bystander = subprocess.Popen(["sleep", "1000"])
    try:
        for which in ("init", "keeper"):
            path = sandbox._state / "probe" / f"{which}.json"
            path.write_text(json.dumps({**json.loads(path.read_text()), "pid": bystander.pid}))
        assert sandbox.state("probe").exit == Exit(0)
        sandbox.stop("probe", 0)
        sandbox.remove("probe")
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()


def test_a_record_of_an_earlier_boot_has_ended(sandbox, started):
    """Start times count from the boot, so those of another boot mean nothing."""
    path = sandbox._state / "probe" / "record.json"
    form = path.read_text()
    path.write_text(json.dumps({**json.loads(form), "boot": "another"}))
    assert sandbox.state("probe").exit == Exit()
    path.write_text(form)
    assert sandbox.state("probe").exit is None


def test_foreign_folders_in_the_state_are_left_alone(sandbox):
    """Half a record, or anything else, is no sandbox."""
    (sandbox._state / "half").mkdir(parents=True)
    (sandbox._state / "half/record.json").write_text("{")
    (sandbox._state / "file").touch()
    assert sandbox.list() == []
    with pytest.raises(ContainerError) as error:
        sandbox.state("half")
    assert error.value.problems[0].code == "CONTAINER_NOT_FOUND"


@pytest.mark.parametrize("name", ["../../etc", "/etc", ".", "probe/../probe"])
def test_names_do_not_climb(sandbox, name):
    """A name never leads out of the state folder."""
    with pytest.raises(ContainerError):
        sandbox.remove(name)
    assert Path("/etc").is_dir()


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"entrypoint": ("/app/none",)}, "/app/none: No such file"),
        ({"entrypoint": ("/opt/full/there",)}, "/opt/full/there: Permission denied"),
        ({"working_directory": "/none"}, "/none"),
    ],
)
def test_a_start_that_fails_names_the_step_and_leaves_nothing(sandbox, root_spec, change, text):
    """The reason travels out of the namespaces; no process and no record stay."""
    spec = replace(root_spec, content=replace(root_spec.content, **change))
    with pytest.raises(ContainerError, match=text) as error:
        sandbox.start(spec)
    assert error.value.problems[0].code == "CONTAINER_FAILED"
    assert sandbox.list() == []
    assert [path.name for path in sandbox._state.iterdir()] == [".lock"]


def test_a_mount_without_any_place_is_refused(sandbox, root_spec):
    """The shared root is never written to, so a top folder that it lacks cannot be made."""
    mounts = (*root_spec.mounts, Mount(root_spec.mounts[0].source, "/none/file"))
    with pytest.raises(ContainerError, match="no folder for the mount point"):
        sandbox.start(replace(root_spec, mounts=mounts))
    assert sandbox.list() == []


def test_new_mount_points_hide_nothing(sandbox, root_spec, probe_root, until):
    """A file mounted into a folder with content stands beside that content; the root on disk stays as it is."""
    before = sorted(probe_root.rglob("*"))
    source = root_spec.mounts[0].source
    mounts = (
        Mount(source, "/opt/full/a/b/new"),
        Mount(source, "/opt/full/there"),
        Mount(source, "/opt/full/z"),
    )
    sandbox.start(replace(root_spec, mounts=mounts))
    inside = Path("/proc", str(pid_of(sandbox, "probe", "init")), "root/opt/full")
    assert sorted(path.name for path in inside.iterdir()) == ["a", "link", "there", "z"]
    assert {(inside / name).read_text() for name in ("a/b/new", "there", "link", "z")} == {
        "the weights\n"
    }
    with pytest.raises(OSError, match="Read-only"):
        (inside / "more").touch()
    with pytest.raises(OSError, match="Read-only"):
        (inside / "z").write_text("changed")
    assert sorted(probe_root.rglob("*")) == before
    assert (probe_root / "opt/full/there").read_text() == "already there\n"


def test_a_link_in_the_root_leads_nowhere_outside(sandbox, root_spec):
    """/leads-out points to /etc, which the root has not: nothing of the host's /etc is touched."""
    mounts = (Mount(root_spec.mounts[0].source, "/leads-out/hostname"),)
    with pytest.raises(ContainerError):
        sandbox.start(replace(root_spec, mounts=mounts))


def test_the_host_is_out_of_sight(sandbox, started):
    """No mount of the host stays, and only the root's folders show."""
    init = pid_of(sandbox, "probe", "init")
    targets = {line.split()[4] for line in Path(f"/proc/{init}/mountinfo").read_text().splitlines()}
    allowed = ("/", "/proc", "/sys", "/dev", "/tmp", "/var/lib/mealkit", "/models")  # noqa: S108
    assert {
        target
        for target in targets
        if not target.startswith(tuple(f"{top}/" for top in allowed[1:]))
    } <= set(allowed)
    assert "list / app dev leads-out models opt proc sys tmp var" in [
        " ".join(["list", "/", *sorted(line.split()[2:])])
        for line in report_of(started)
        if line.startswith("list / ")
    ]


def test_mounts_do_not_show_on_the_host(sandbox, started, probe_root):
    """Everything is mounted in a namespace of its own."""
    assert str(probe_root) not in Path("/proc/self/mountinfo").read_text()


def test_the_environment_of_the_process_is_the_specs(sandbox, started):
    """Nothing of the caller's environment is left in the kit's process."""
    init = pid_of(sandbox, "probe", "init")
    names = {
        item.split(b"=")[0]
        for item in Path(f"/proc/{init}/environ").read_bytes().split(b"\0")
        if item
    }
    assert names == {
        *(b"PATH", b"HOME", b"MEALKIT_HOST", b"MEALKIT_PORT"),
        *(b"LISTEN_FDS", b"LISTEN_PID"),
    }


def test_the_shared_root_serves_several(sandbox, root_spec, until):
    """Sandboxes with one root do not see each other's files."""
    for name in ("one", "two"):
        sandbox.start(replace(root_spec, name=name))
    for name in ("one", "two"):
        until(lambda name=name: "serving" in list(sandbox.logs(name)))
        assert "write /var/lib/mealkit ok" in report_of(sandbox.state(name))


def test_a_gpu_is_asked_for_where_there_is_none(sandbox, root_spec):
    """The hardware's problem, before anything starts."""
    if list(Path("/dev").glob("nvidia*")) or Path("/dev/dri").exists() or Path("/dev/kfd").exists():
        pytest.skip("this machine has a GPU")
    with pytest.raises(PreflightError) as error:
        sandbox.start(replace(root_spec, gpus=True))
    assert error.value.problems[0].code == "HW_NO_GPU"


def test_what_it_does_not_isolate_is_said(sandbox):
    """The sandbox does not pretend to be an engine."""
    assert any("network" in line for line in sandbox.limits())


def test_the_kernels_rarer_calls_are_refused(started):
    """No namespace, and with it no rights, is to be had; nor keys, mounts, tracing or raw sockets."""
    found = dict(line.split()[1:3] for line in report_of(started) if line.startswith("call "))
    names = ("clone", "setns", "ptrace", "add_key", "mount", "bpf", "packets")
    assert {found[name] for name in names} == {"EPERM"}
    assert (found["io_uring"], found["vsock"]) == ("ENOSYS", "EAFNOSUPPORT")
    assert "nested EPERM" in report_of(started)


def test_processes_are_limited_and_leave_no_core(sandbox, started):
    """By the user's limit, and by a control group where this user may make one."""
    report = report_of(started)
    assert {"core 0", "processes 4096"} <= set(report)
    parent = processes_parent()
    if parent is None:
        pytest.skip("this user may not create control groups for processes")
    init = pid_of(sandbox, "probe", "init")
    lines = Path(f"/proc/{init}/cgroup").read_text().splitlines()
    inside = next(line.split(":", 2)[2] for line in lines if line.split(":")[1] == "pids")
    assert Path(f"/sys/fs/cgroup/pids{inside}/pids.max").read_text() == "4096\n"
    sandbox.remove("probe")
    assert not Path(f"/sys/fs/cgroup/pids{inside}").exists()


def test_a_kit_has_no_network_but_the_socket_it_was_handed(sandbox, started):
    """It answers, and reaches neither this machine's loopback services nor its other addresses."""
    assert [line for line in report_of(started) if line.startswith("interface")] == ["interface lo"]
    with socket.create_server(("127.0.0.1", 0)) as service:
        port = service.getsockname()[1]
        assert connected(started, "127.0.0.1", port) == "ECONNREFUSED"
    assert connected(started, "192.0.2.1", 80) == "ENETUNREACH"
    # What the host has bound inside of no namespace: its abstract sockets.
    init = pid_of(sandbox, "probe", "init")
    assert os.readlink(f"/proc/{init}/ns/net") != os.readlink("/proc/self/ns/net")  # noqa: PTH115
    assert os.readlink(f"/proc/{init}/ns/cgroup") != os.readlink("/proc/self/ns/cgroup")  # noqa: PTH115


def test_a_kit_that_fetches_has_this_machines_network(sandbox, root_spec, until):
    """Because its requests name files elsewhere; that is said before it starts."""
    started = sandbox.start(replace(root_spec, fetches=True))
    until(lambda: "serving" in list(sandbox.logs("probe")))
    with socket.create_server(("127.0.0.1", 0)) as service:
        assert connected(started, "127.0.0.1", service.getsockname()[1]) == "ok"


def connected(container, address, port):
    with urllib.request.urlopen(f"{container.url}/connect/{address}/{port}", timeout=30) as answer:
        return answer.read().decode()


def test_the_port_is_held_from_the_start(sandbox, started, root_spec):
    """Nobody else gets it while the kit starts, and it is free once the kit has ended."""
    spec = replace(root_spec, name="second", host_port=started.port)
    with pytest.raises(ContainerError) as error:
        sandbox.start(spec)
    assert error.value.problems[0].code == "PORT_TAKEN"
    sandbox.remove("probe")
    assert sandbox.start(spec).port == started.port


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="the calls' numbers are this one's")
def test_the_starters_keyring_stays_behind(sandbox, root_spec, until):
    """Keys of whoever starts a kit are not in its keyring, filter or not."""
    code = """if True:
        import ctypes, pickle, sys
        from mealkit.containers.sandbox_launch import launch
        from mealkit.containers.sandbox_plan import namespaces, open_listener, plan
        from mealkit.containers.sandbox_record import create
        libc = ctypes.CDLL(None, use_errno=True)
        libc.syscall(250, 1, None)
        assert libc.syscall(248, b"user", b"mealkit-test-secret", b"x", 1, -3) > 0
        assert libc.syscall(250, 10, -3, b"user", b"mealkit-test-secret", 0) > 0
        spec, state = pickle.load(sys.stdin.buffer)
        state.mkdir()
        with open_listener(spec.host_address, 0) as listener:
            container, orders = plan(spec, listener.getsockname()[1], namespaces())
            launch(create(state, container, {**orders, "filter": ""}), [listener.fileno()])
    """
    asked = pickle.dumps((root_spec, sandbox._state))
    subprocess.run([sys.executable, "-c", code], input=asked, check=True)
    until(lambda: "serving" in list(sandbox.logs("probe")))
    found = [line for line in report_of(sandbox.state("probe")) if "secret of" in line]
    assert found == ["call secret of the starter ENOKEY"]


def test_lines_without_an_end_are_read_in_pieces(sandbox, started):
    """Whoever writes the log decides how long they are, and not how much memory reading takes."""
    log = sandbox._state / "probe" / "log"
    with log.open("ab") as stream:
        stream.write(b"x" * (3 * LINE_BYTES + 5) + b"\nlast\n")
    lines = list(sandbox.logs("probe", tail=5))
    assert [len(line) for line in lines] == [LINE_BYTES, LINE_BYTES, LINE_BYTES, 5, 4]
    assert list(sandbox.logs("probe"))[-5:] == lines


def test_a_kernel_that_forbids_it_is_quoted(tmp_path):
    """The switch that is off is named, and start says the same."""
    code = (
        "import sys; from pathlib import Path\n"
        "from mealkit.containers.sandbox import Sandbox\n"
        "print(Sandbox(Path(sys.argv[1])).available())"
    )
    script = 'echo 0 > /proc/sys/user/max_user_namespaces; exec "$@"'
    within = ["unshare", "--user", "--map-root-user", "sh", "-c", script, "sh"]
    done = subprocess.run(
        [*within, sys.executable, "-c", code, str(tmp_path)],
        check=True,
        capture_output=True,
        text=True,
    )
    assert (
        done.stdout.strip() == "user namespaces cannot be used here: user.max_user_namespaces is 0"
    )


def test_root_of_a_namespace_without_other_users_runs_it_too(sandbox, root_spec, until):
    """In a rootless container, root cannot become another user; the sandbox makes a user namespace."""
    code = (
        "import pickle, sys\n"
        "from mealkit.containers.sandbox import Sandbox\n"
        "spec, state = pickle.load(sys.stdin.buffer)\n"
        "Sandbox(state).start(spec)\n"
    )
    subprocess.run(
        ["unshare", "--user", "--map-root-user", sys.executable, "-c", code],
        input=pickle.dumps((root_spec, sandbox._state)),
        check=True,
    )
    until(lambda: "serving" in list(sandbox.logs("probe")))
    found = report_of(sandbox.state("probe"))
    assert {"uid 65532", "CapEff:\t0000000000000000", "nested EPERM"} <= set(found)
    assert "write core_pattern ok" not in found


def test_an_init_that_nobody_waits_for_gives_up(tmp_path):
    """If the starter was killed, its half-made sandbox ends instead of running unseen."""
    (tmp_path / "plan.json").write_text("{}")
    os.mkfifo(tmp_path / "setup")
    done = subprocess.run(
        [sys.executable, "-I", "-S", sandbox_init.__file__, tmp_path],
        check=False,
        capture_output=True,
    )
    assert done.returncode != 0
    assert not (tmp_path / "init.json").exists()


def test_a_root_that_is_not_there_is_refused(sandbox, root_spec, tmp_path):
    """Nothing starts on a missing root."""
    with pytest.raises(ContainerError, match="is not a root"):
        sandbox.start(replace(root_spec, content=UnpackedRoot(tmp_path / "none", ("/x",))))


def test_a_state_folder_that_cannot_be_written(root_spec, tmp_path):
    """The disk's problem is ours, not a traceback."""
    (tmp_path / "file").touch()
    with pytest.raises(Exception, match="DISK_DENIED"):
        Sandbox(tmp_path / "file").start(root_spec)


class TestMemoryGroups:
    """The layouts of /sys/fs/cgroup, as real folders."""

    def test_version_2_uses_the_parent_that_delegates(self, tmp_path):
        """A group with processes cannot be divided, so a sibling is made."""
        system, own = tmp_path / "fs", tmp_path / "own"
        session = system / "user/app.slice/run.scope"
        session.mkdir(parents=True)
        (system / "cgroup.controllers").touch()
        for folder, enabled in ((session, ""), (session.parent, "memory pids\n")):
            (folder / "cgroup.subtree_control").write_text(enabled)
            (folder / "cgroup.controllers").write_text("memory pids")
            (folder / "cgroup.procs").touch()
        own.write_text("0::/user/app.slice/run.scope\n")
        assert memory_parent(system, own) == session.parent
        group = make_group(session.parent, "kit", 1000)
        assert (group / "memory.max").read_text() == "1000"
        assert (group / "memory.swap.max").read_text() == "0"

    def test_version_1_uses_the_groups_own_folder(self, tmp_path):
        """The memory hierarchy stands apart there."""
        system, own = tmp_path / "fs", tmp_path / "own"
        (system / "memory/here").mkdir(parents=True)
        (system / "memory/here/memory.limit_in_bytes").touch()
        own.write_text("4:memory:/here\n0::/\n")
        assert memory_parent(system, own) == system / "memory/here"
        group = make_group(system / "memory/here", "kit", 1000)
        assert (group / "memory.limit_in_bytes").read_text() == "1000"

    def test_without_delegation_there_is_none(self, tmp_path):
        """Nothing is guessed."""
        (tmp_path / "own").write_text("0::/\n4:memory:/none\n")
        assert memory_parent(tmp_path, tmp_path / "own") is None
