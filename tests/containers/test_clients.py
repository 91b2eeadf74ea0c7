"""What every container client promises, tried with a real program in real containers."""

import contextlib
import http.client
import socket
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from mealkit.containers.container import Exit, LoadedImage, Mount, UnpackedRoot
from mealkit.errors import ContainerError


def ask(container, path):
    with urllib.request.urlopen(f"{container.url}{path}", timeout=30) as answer:
        return answer.read().decode()


def provoke(container, path):
    """Ask for something that ends the probe before it answers."""
    with contextlib.suppress(urllib.error.URLError, ConnectionError, http.client.HTTPException):
        ask(container, path)


def code_of(error):
    return error.value.problems[0].code


@pytest.fixture
def started(client, spec, until):
    """A probe that serves."""
    container = client.start(spec)
    until(lambda: "serving" in list(client.logs(spec.name)))
    return container


@pytest.fixture(scope="module")
def reports():
    """What the probe found in each client's container."""
    return {}


@pytest.fixture
def report(request, reports):
    """What the probe found, as a list of lines; tests that only read share one start."""
    client = request.node.callspec.params["client"]
    if client not in reports:
        reports[client] = ask(request.getfixturevalue("started"), "/report").splitlines()
    return reports[client]


def test_is_available(client):
    """A client that works says nothing."""
    assert client.available() is None


def test_runs_without_rights(client, report):
    """The kit is user 65532, has no capability in any set, and cannot get one."""
    assert {"uid 65532", "gid 65532", "pid 1", "NoNewPrivs:\t1"} <= set(report)
    for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert f"{name}:\t0000000000000000" in report
    assert not [line for line in report if line.startswith("Groups:") and " 0" in line]


def test_root_is_read_only_and_state_is_writable(client, report):
    """Only /tmp and /var/lib/mealkit take files."""
    found = {line.split()[1]: line.split()[2] for line in report if line.startswith("write ")}
    writable = {path for path, result in found.items() if result == "ok"}
    assert writable == {"/tmp", "/var/lib/mealkit", "/dev/null"}  # noqa: S108 - the container's
    assert set(found) - writable == {"/", "/models", "weights", "/dev", "core_pattern"}


def test_weights_show_in_the_container(client, report):
    """A mounted file reads as itself at its target."""
    assert "weights the weights" in report


def test_environment_is_the_spec_and_nothing_of_the_host(
    client, spec, with_environment, until, monkeypatch
):
    """Variables of the spec arrive; those of the caller do not."""
    monkeypatch.setenv("SECRET_OF_THE_HOST", "1")
    container = client.start(with_environment(spec, GREETING="a b=c"))
    until(lambda: "serving" in list(client.logs(spec.name)))
    names = {
        line.split()[1].split("=")[0]
        for line in ask(container, "/report").splitlines()
        if line.startswith("env ")
    }
    assert "env GREETING=a b=c" in ask(container, "/report")
    podman = ("TERM", "container")  # set by podman, when DOCKER_HOST leads to it
    assert names <= {
        "GREETING",
        "PATH",
        "HOME",
        "HOSTNAME",
        "MEALKIT_HOST",
        "MEALKIT_PORT",
        # of the sandbox, which passes a socket on
        "LISTEN_FDS",
        "LISTEN_PID",
        *podman,
    }


def test_no_file_of_the_host_is_open(client, report):
    """Beside the three standard streams and the socket that was passed on, only what lists them is."""
    opened = next(line for line in report if line.startswith("list /proc/self/fd")).split()[2:]
    passed = "env LISTEN_FDS=1" in report
    assert sorted(opened) == [str(number) for number in range(5 if passed else 4)]


def test_port_is_published_on_loopback_alone(started):
    """The port answers on 127.0.0.1 and not on another address of this machine."""
    assert started.address == "127.0.0.1"
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.2", started.port), timeout=5)


@pytest.mark.parametrize("address", ["::1", "::"])
def test_port_is_published_on_an_address_of_version_6(client, spec, until, address, request):
    """The kit is reached at IPv6's loopback address, which an engine may keep apart from IPv4's.

    Podman of root forwards packets, and those from that address nowhere: it is refused.
    """
    chosen = replace(spec, host_address=address)
    if request.node.callspec.params["client"] == "podman":
        with pytest.raises(ContainerError, match="does not answer at IPv6"):
            client.start(chosen)
        return
    container = client.start(chosen)
    until(lambda: "serving" in list(client.logs(spec.name)))
    assert container.address == "::1"
    assert ask(container, "/report")


def test_start_answers_what_it_started(client, spec, started):
    """Start, state and list agree."""
    assert started.exit is None
    assert (started.name, started.client, started.kit, started.recipe) == (
        spec.name,
        client.name,
        spec.kit,
        spec.recipe,
    )
    assert started.labels["dev.mealkit.owner"] == "mailto:owner@example.invalid"
    assert client.state(spec.name) == started
    assert started in client.list()


def test_logs_hold_both_streams_and_the_tail(client, spec, started):
    """The log has stdout and stderr; a tail is its end."""
    lines = list(client.logs(spec.name))
    assert {"uid 65532", "to the error stream", "serving"} <= set(lines)
    assert list(client.logs(spec.name, tail=1)) == [lines[-1]]
    assert len(list(client.logs(spec.name, tail=3))) == 3
    assert list(client.logs(spec.name, tail=100_000)) == lines


def test_followed_log_ends_with_the_container(client, spec, started):
    """Following yields what is written later, and ends when the kit does."""
    with ThreadPoolExecutor(1) as pool:
        followed = pool.submit(lambda: list(client.logs(spec.name, follow=True, tail=0)))
        ask(started, "/say/later")
        provoke(started, "/exit/0")
        lines = followed.result(timeout=60)
    assert set(lines) <= {"later"}  # empty if it was said before the following began
    assert "later" in list(client.logs(spec.name))


@pytest.mark.parametrize(
    ("path", "expected"),
    [("/exit/0", Exit(0)), ("/exit/7", Exit(7)), ("/crash", Exit(139, "SIGSEGV"))],
)
def test_exit_is_named(client, spec, started, until, path, expected):
    """Exit codes and signals are told apart, and outlive the process that started the kit."""
    provoke(started, path)
    until(lambda: client.state(spec.name).exit is not None)
    assert client.state(spec.name).exit == expected
    assert [item.exit for item in client.list() if item.name == spec.name] == [expected]


def test_a_kit_that_ends_at_once_is_no_failed_start(client, spec, with_environment, until):
    """An immediate exit is read from the state, with the log to explain it."""
    client.start(with_environment(spec, PROBE_EXIT="11"))
    until(lambda: client.state(spec.name).exit is not None)
    assert client.state(spec.name).exit == Exit(11)
    assert "uid 65532" in list(client.logs(spec.name))


def test_stop_lets_the_kit_end_itself(client, spec, started):
    """SIGINT comes first, on which a kit drains at once; a second stop changes nothing."""
    assert client.stop(spec.name, 60) == Exit(0)
    assert client.stop(spec.name, 60) == Exit(0)


def test_stop_kills_after_the_timeout(client, spec, with_environment, until):
    """A kit that ignores the request to stop is killed."""
    client.start(with_environment(spec, PROBE_STUBBORN="1"))
    until(lambda: "serving" in list(client.logs(spec.name)))
    assert client.stop(spec.name, 1) == Exit(137, "SIGKILL")


def test_remove_kills_and_forgets(client, spec, until):
    """After a remove the name is free, the port too, and nothing answers.

    The time that a stop would have is longer than the client waits for the engine.
    """
    started = client.start(replace(spec, stop_seconds=600))
    until(lambda: "serving" in list(client.logs(spec.name)))
    client.remove(spec.name)
    assert spec.name not in [item.name for item in client.list()]
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((started.address, started.port), timeout=5)
    again = client.start(replace(spec, host_port=started.port))
    assert again.port == started.port


@pytest.mark.parametrize("method", ["state", "remove"])
def test_unknown_names_are_refused(client, method):
    """A name that nothing carries is CONTAINER_NOT_FOUND."""
    with pytest.raises(ContainerError) as error:
        getattr(client, method)("mealkit-test-nobody")
    assert code_of(error) == "CONTAINER_NOT_FOUND"
    with pytest.raises(ContainerError) as error:
        client.stop("mealkit-test-nobody", 1)
    assert code_of(error) == "CONTAINER_NOT_FOUND"


def test_a_name_is_taken_once(client, spec, started):
    """The second start of a name fails and leaves the first alone."""
    with pytest.raises(ContainerError) as error:
        client.start(spec)
    assert code_of(error) == "CONTAINER_EXISTS"
    assert ask(started, "/report")


def test_a_taken_port_is_refused_and_leaves_nothing(client, spec):
    """A port that another program holds is PORT_TAKEN, and no container stays."""
    with socket.create_server(("127.0.0.1", 0)) as holder, pytest.raises(ContainerError) as error:
        client.start(replace(spec, host_port=holder.getsockname()[1]))
    assert code_of(error) == "PORT_TAKEN"
    assert spec.name not in [item.name for item in client.list()]


def test_a_port_of_another_kit_is_refused(client, spec, started):
    """Two kits do not get one port, even before the first one listens."""
    with pytest.raises(ContainerError) as error:
        client.start(replace(spec, name=f"{spec.name}-2", host_port=started.port))
    assert code_of(error) == "PORT_TAKEN"


def test_a_missing_mount_source_is_refused(client, spec, home):
    """A file that is not there is not silently made a folder."""
    with pytest.raises(ContainerError) as error:
        client.start(replace(spec, mounts=(Mount(home / "none", "/models/none"),)))
    assert code_of(error) == "CLIENT_REFUSED"
    assert not (home / "none").exists()


def test_an_unreadable_mount_source_is_refused(client, spec, home):
    """A file that the kit's user could not read is named before the start."""
    (home / "weights").chmod(0o600)
    with pytest.raises(ContainerError) as error:
        client.start(spec)
    assert code_of(error) == "CLIENT_REFUSED"
    assert "0600" in str(error.value)


def test_content_for_another_client_is_refused(client, spec, probe_root):
    """An image is not a root."""
    other = (
        LoadedImage("x")
        if isinstance(spec.content, UnpackedRoot)
        else UnpackedRoot(probe_root, ("/app/probe",))
    )
    with pytest.raises(ContainerError) as error:
        client.start(replace(spec, content=other))
    assert code_of(error) == "CLIENT_REFUSED"


def test_concurrent_starts_get_their_own_ports(client, spec, until):
    """Starts at the same time do not disturb each other."""
    specs = [replace(spec, name=f"{spec.name}-{number}") for number in range(4)]
    with ThreadPoolExecutor(4) as pool:
        containers = list(pool.map(client.start, specs))
    assert len({item.port for item in containers}) == 4
    for item in containers:
        until(lambda item=item: "serving" in list(client.logs(item.name)))
        assert f"weights {'the weights'}" in ask(item, "/report")


def test_of_two_starts_with_one_name_one_wins(client, spec):
    """A race for a name has one winner, and the loser is told."""

    def start(_):
        try:
            return client.start(spec).name
        except ContainerError as error:
            return error.problems[0].code

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(start, range(2))) == ["CONTAINER_EXISTS", spec.name]
    assert [item.exit for item in client.list() if item.name == spec.name] == [None]


def test_more_memory_than_the_limit_is_named(client, spec, started, until, request):
    """A kit that outgrows its limit is killed and the exit says why, or the client says it has none."""
    if any("memory is not limited" in line for line in client.limits()):
        # It says so instead of pretending.
        assert request.node.callspec.params["client"] in {
            "sandbox",
            "unprivileged",
            "podman-rootless",
        }
        return
    provoke(started, "/eat/1024")
    until(lambda: client.state(spec.name).exit is not None)
    ending = client.state(spec.name).exit
    assert ending.signal == "SIGKILL"
    # The monitor of podman 4.3 notes it in a file that podman does not find.
    assert ending.out_of_memory or client.name == "podman"
    assert not ending.out_of_memory or "memory" in str(ending)


def test_a_folder_can_be_mounted(client, spec, home, until):
    """Not only files."""
    folder = home / "folder"
    folder.mkdir()
    (folder / "inside").write_text("x")
    folder.chmod(0o755)
    container = client.start(replace(spec, mounts=(Mount(folder, "/models/deep"),)))
    until(lambda: "serving" in list(client.logs(spec.name)))
    assert "list /models/deep inside" in ask(container, "/report")


@pytest.mark.parametrize("target", ["models/x", "/models/../etc", "/"])
def test_mount_targets_stay_below_the_root(target):
    """Relative and climbing targets are refused when they are written down."""
    with pytest.raises(ContainerError):
        Mount(Path("/etc"), target)
