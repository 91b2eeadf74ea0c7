"""What only the docker client can get wrong: its daemon, other people's containers, other machines."""

import json
import socket
import subprocess
import sys
import threading
import time
import urllib.request
import uuid
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest
from fakes.container_engines import ENGINES

from mealkit.containers.container import LINE_BYTES, LoadedImage, Mount, RunSpec
from mealkit.containers.docker import DockerClient, _lines
from mealkit.containers.docker_errors import refused
from mealkit.containers.docker_network import remove_left
from mealkit.errors import ContainerError, StoreError

MASQUERADE = "com.docker.network.bridge.enable_ip_masquerade"


@pytest.fixture
def docker_spec(probe_image):
    name = f"mealkit-test-docker-{uuid.uuid4().hex[:12]}"
    return RunSpec(name, "probe", "sha256:0", LoadedImage(probe_image), 8000)


def own_address() -> str:
    """Return an address of this machine that is not loopback."""
    command = ["ip", "-4", "-json", "address", "show", "scope", "global"]
    found = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    return str(found[0]["addr_info"][0]["local"])


@contextmanager
def forwarded(address, daemon_socket):
    """A daemon's socket behind a TCP address, as if it were on another machine."""
    with socket.create_server((address, 0)) as server:

        def pump(source, sink):
            with suppress(OSError):
                while data := source.recv(65536):
                    sink.sendall(data)
            with suppress(OSError):
                sink.shutdown(socket.SHUT_WR)

        def serve():
            with suppress(OSError):
                while True:
                    caller, _ = server.accept()
                    daemon = socket.socket(socket.AF_UNIX)
                    daemon.connect(str(daemon_socket))
                    opened.extend([caller, daemon])
                    for pair in ((caller, daemon), (daemon, caller)):
                        threads.append(threading.Thread(target=pump, args=pair))
                        threads[-1].start()

        opened, threads = [], [threading.Thread(target=serve)]
        threads[0].start()

        def cut():
            for item in (server, *opened):
                with suppress(OSError):
                    item.shutdown(socket.SHUT_RDWR)

        try:
            yield f"tcp://{address}:{server.getsockname()[1]}", cut
        finally:
            cut()
            for thread in threads:
                thread.join()
            for item in opened:
                item.close()


def test_a_missing_daemon_says_so(tmp_path):
    """Without a socket there is a reason, not a stack of nested errors."""
    client = DockerClient(base_url=f"unix://{tmp_path}/none.sock")
    assert client.available() == "docker cannot answer: the socket of its daemon does not exist"
    with pytest.raises(ContainerError) as error:
        client.list()
    assert error.value.problems[0].code == "CLIENT_UNAVAILABLE"


def test_a_dead_socket_says_so(tmp_path):
    """A socket file that nobody serves is told apart from a missing one."""
    path = tmp_path / "dead.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    assert "no daemon listens" in DockerClient(base_url=f"unix://{path}").available()


def test_docker_host_is_honoured(tmp_path, monkeypatch):
    """DOCKER_HOST decides where the daemon is."""
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/elsewhere.sock")
    assert DockerClient().available() is not None


def test_a_nonsense_docker_host_is_a_reason_too(monkeypatch):
    """No foreign error leaks."""
    monkeypatch.setenv("DOCKER_HOST", "nonsense://x")
    assert "docker cannot answer" in DockerClient().available()


def test_a_daemon_that_answers_nonsense_is_a_reason(tmp_path):
    """What listens may not be a daemon at all."""
    path = tmp_path / "odd.sock"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()

        def serve():
            with suppress(OSError):
                while True:
                    caller, _ = server.accept()
                    with caller, suppress(OSError):
                        caller.recv(65536)
                        caller.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nnope")

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            assert "docker cannot answer" in DockerClient(base_url=f"unix://{path}").available()
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join()


def test_podman_prefers_the_users_own_socket(tmp_path):
    """The socket in XDG_RUNTIME_DIR comes first, and the client is called podman."""
    path = tmp_path / "podman/podman.sock"
    path.parent.mkdir()
    path.touch()
    client = DockerClient.podman({"XDG_RUNTIME_DIR": str(tmp_path)})
    assert client.name == "podman"
    assert client._base_url == f"unix://{path}"
    assert "podman cannot answer" in client.available()


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("unix:///nowhere/podman.sock", "podman cannot answer: the socket of its daemon does not"),
        ("ssh://core@example.org/run/podman.sock", "not an address that starts with unix:// or"),
    ],
)
def test_podmans_own_variable_comes_first(tmp_path, url, said):
    """CONTAINER_HOST wins over the sockets of users, and what the SDK cannot open is refused."""
    (tmp_path / "podman").mkdir()
    (tmp_path / "podman/podman.sock").touch()
    environment = {"XDG_RUNTIME_DIR": str(tmp_path), "CONTAINER_HOST": url}
    assert said in DockerClient.podman(environment).available()


def test_the_sdk_is_not_imported_before_it_is_needed():
    """Commands that run no container do not pay for it."""
    code = "import sys, mealkit.containers.select; sys.exit('docker' in sys.modules or 'requests' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_missing_image_is_named(engine, docker_spec):
    """The daemon lacks the image."""
    spec = replace(docker_spec, content=LoadedImage("mealkit-test-nothing:1"))
    with pytest.raises(StoreError, match="mealkit-test-nothing:1") as error:
        engine.client().start(spec)
    assert error.value.problems[0].code == "IMAGE_NOT_FOUND"


def test_containers_of_others_are_not_ours(engine, probe_image):
    """A container that was started by hand, even of a kit's image, is neither listed nor touched."""
    client = engine.sdk()
    theirs = client.containers.run(probe_image, detach=True, environment={"MEALKIT_PORT": "1"})
    try:
        ours = engine.client()
        assert theirs.name not in [item.name for item in ours.list()]
        for call in (
            ours.state,
            ours.remove,
            lambda name: ours.stop(name, 1),
            lambda name: list(ours.logs(name)),
        ):
            with pytest.raises(ContainerError) as error:
                call(theirs.name)
            assert error.value.problems[0].code == "CONTAINER_NOT_FOUND"
    finally:
        end(theirs)
        client.close()


def test_what_the_daemon_was_told(engine, docker_spec):
    """The container's own configuration shows every limit."""
    ours = engine.client()
    ours.start(replace(docker_spec, memory_bytes=64 * 2**20))
    client = engine.sdk()
    try:
        attributes = client.containers.get(docker_spec.name).attrs
        host = attributes["HostConfig"]
        assert attributes["Config"]["User"] == "65532:65532"
        assert (host["ReadonlyRootfs"], host["Privileged"]) == (True, False)
        # Podman lists them.
        assert host["CapDrop"] == ["ALL"] or {"CHOWN", "SETUID", "NET_RAW"} < set(host["CapDrop"])
        assert not host["CapAdd"]
        limited = not any("memory is not limited" in line for line in ours.limits())
        assert host["Memory"] == host["MemorySwap"] == (64 * 2**20 if limited else 0)
        assert host["PidsLimit"] == (4096 if limited else 0)
        assert {"no-new-privileges:true", "no-new-privileges"} & set(host["SecurityOpt"])
        assert not host["DeviceRequests"]
        assert [item["HostIp"] for item in host["PortBindings"]["8000/tcp"]] == ["127.0.0.1"]
    finally:
        ours.remove(docker_spec.name)
        client.close()


@pytest.mark.skipif(Path("/dev/nvidiactl").exists(), reason="this machine has a GPU")
def test_a_gpu_that_the_engine_cannot_give_is_refused(engine, docker_spec):
    """Without the toolkit, the hint says what to install; nothing is left.

    Podman 4 would start the kit without a GPU, and say nothing.
    """
    ours = engine.client()
    said, hint = ("device driver", "NVIDIA Container Toolkit")
    if engine.podman:
        said, hint = ("ignores the request|CDI", "nvidia")
    with pytest.raises(ContainerError, match=said) as error:
        ours.start(replace(docker_spec, gpus=True))
    assert hint in error.value.problems[0].hint
    assert docker_spec.name not in [item.name for item in ours.list()]


def test_an_engine_elsewhere_cannot_mount(engine, docker_spec, home):
    """Mounts, and a loopback port, are refused with a way out when the engine is remote."""
    address = own_address()
    with forwarded(address, engine.socket) as (url, _):
        client = DockerClient(base_url=url)
        assert client.available() is None
        with pytest.raises(ContainerError, match="another machine") as error:
            client.start(replace(docker_spec, mounts=(Mount(home / "weights", "/models/w"),)))
        assert "--embedded" in error.value.problems[0].hint
        with pytest.raises(ContainerError, match="loopback"):
            client.start(docker_spec)
        started = client.start(replace(docker_spec, host_address="0.0.0.0"))
        try:
            assert started.address == address
        finally:
            client.remove(docker_spec.name)


@pytest.mark.parametrize("proxy", ["socks5://127.0.0.1:9", "http://127.0.0.1:9"])
def test_a_daemon_on_this_machine_is_asked_without_a_proxy(engine, monkeypatch, proxy):
    """Over TCP, too, as Docker's own client does; the proxy is not there."""
    for name in ("ALL_PROXY", "HTTP_PROXY", "http_proxy"):
        monkeypatch.setenv(name, proxy)
    with forwarded("127.0.0.1", engine.socket) as (url, _):
        assert DockerClient(base_url=url).available() is None


def test_a_daemon_that_goes_away_while_a_log_is_followed(engine, docker_spec, until):
    """The stream ends with our problem, not with the HTTP library's."""
    ours = engine.client()
    ours.start(docker_spec)
    try:
        until(lambda: "serving" in list(ours.logs(docker_spec.name)))
        with forwarded("127.0.0.1", engine.socket) as (url, cut):
            lines = DockerClient(base_url=url).logs(docker_spec.name, follow=True)
            assert next(lines)
            cut()
            with pytest.raises(ContainerError) as error:
                list(lines)
            assert error.value.problems[0].code == "CLIENT_UNAVAILABLE"
    finally:
        ours.remove(docker_spec.name)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (
            "driver failed programming external connectivity: Bind for 127.0.0.1:80 failed: port is already allocated",
            "PORT_TAKEN",
        ),
        ("rootlessport listen tcp 127.0.0.1:8080: bind: address already in use", "PORT_TAKEN"),
        (
            'Conflict. The container name "/x" is already in use by container "1"',
            "CONTAINER_EXISTS",
        ),
        (
            'the container name "x" is already in use by 1. You have to remove that container',
            "CONTAINER_EXISTS",
        ),
        (
            'invalid mount config for type "bind": bind source path does not exist: /x',
            "CLIENT_REFUSED",
        ),
        ('could not select device driver "" with capabilities: [[gpu]]', "CLIENT_REFUSED"),
        ("No such image: x:1", "IMAGE_NOT_FOUND"),
        ("something new", "CLIENT_REFUSED"),
    ],
)
def test_refusals_are_sorted(text, code):
    """Texts of docker and podman become the same codes."""
    assert refused("docker", "start x", 500, text).problems[0].code == code


def test_what_docker_would_make_too_small(engine, docker_spec):
    """GPUs that talk over /dev/shm get more than docker's 64 MiB, and a stop more than 10 seconds."""
    client = engine.client()
    spec = replace(docker_spec, shared_memory_bytes=256 * 1024**2, stop_seconds=77)
    container = client.start(spec)
    try:
        with client.connected("look at it") as sdk:
            found = sdk.containers.get(container.name).attrs
        assert found["HostConfig"]["ShmSize"] == 256 * 1024**2
        assert found["Config"]["StopTimeout"] == 77
    finally:
        client.remove(container.name)


def end(theirs):
    """Remove a container at once; podman waits for its stop timeout otherwise."""
    theirs.kill()
    theirs.remove(force=True)


def address_of(name, client):
    networks = client.containers.get(name).attrs["NetworkSettings"]["Networks"]
    ((network, found),) = networks.items()
    return network, found["IPAddress"], found["Gateway"]


def ask(url):
    with urllib.request.urlopen(url, timeout=30) as answer:
        return answer.read().decode()


def reaches(url, host, port):
    """Tell whether a container's connection to an address stands, three times out of three.

    Docker takes its isolating rules out of the chain and puts them back whenever it makes a
    network (seen with 20.10), so that one connection may slip through beside another test's start.
    """
    return all(ask(f"{url}/connect/{host}/{port}") == "ok" for _ in range(3))


@pytest.fixture
def neighbour(engine, probe_image):
    """A container on the network that all containers have unless told otherwise."""
    client = engine.sdk()
    theirs = client.containers.run(
        probe_image,
        detach=True,
        environment={"MEALKIT_HOST": "0.0.0.0", "MEALKIT_PORT": "8000"},
        ports={"8000/tcp": ("127.0.0.1", None)},
    )
    theirs.reload()
    yield theirs.name, f"http://127.0.0.1:{theirs.ports['8000/tcp'][0]['HostPort']}"
    end(theirs)
    client.close()


def test_another_container_cannot_ask_a_kit(engine, docker_spec, neighbour, until):
    """Neither at its own address, nor at the host's: only the host itself reaches the port.

    Podman 4 leaves the network that all containers have unless told otherwise open, and says so.
    """
    ours, client = engine.client(), engine.sdk()
    neighbour_name, neighbour = neighbour
    container = ours.start(docker_spec)
    try:
        until(lambda: "serving" in list(ours.logs(docker_spec.name)))
        assert ask(f"{container.url}/report")
        until(lambda: ask(f"{neighbour}/report"))
        _, address, gateway = address_of(docker_spec.name, client)
        _, theirs, bridge = address_of(neighbour_name, client)
        targets = [(address, 8000), *((host, container.port) for host in (gateway, bridge))]
        is_open = any("default network" in line for line in ours.limits())
        assert is_open == (engine.podman is not None)
        reached = [target for target in targets if reaches(neighbour, *target)]
        assert reached == (targets[:1] if is_open else [])
        # And not the other way round.
        assert reaches(container.url, theirs, 8000) == is_open
    finally:
        ours.remove(docker_spec.name)
        client.close()


def test_two_kits_cannot_ask_each_other(engine, docker_spec, until):
    """Each has a network of its own."""
    ours, client = engine.client(), engine.sdk()
    names = [f"{docker_spec.name}-{number}" for number in range(2)]
    started = [ours.start(replace(docker_spec, name=name)) for name in names]
    try:
        for name in names:
            until(lambda name=name: "serving" in list(ours.logs(name)))
        addresses = [address_of(name, client) for name in names]
        assert addresses[0][0] != addresses[1][0]
        assert not reaches(started[0].url, addresses[1][1], 8000)
    finally:
        for name in names:
            ours.remove(name)
        client.close()


def test_a_network_goes_with_its_container(engine, docker_spec):
    """Also where the start failed; what others made, and what others left, is told apart."""
    ours, client = engine.client(), engine.sdk()

    def names():
        label = f"dev.mealkit.run={docker_spec.name}"
        return [item.name for item in client.networks.list(filters={"label": label})]

    try:
        ours.start(docker_spec)
        (name,) = names()
        with pytest.raises(ContainerError):
            ours.start(docker_spec)
        assert names() == [name]
        options = client.networks.get(name).attrs["Options"]
        assert options.get(MASQUERADE) == (None if engine.podman else "false")
        ours.remove(docker_spec.name)
        assert names() == []
        with pytest.raises(StoreError):
            ours.start(replace(docker_spec, content=LoadedImage("mealkit-test-nothing:1")))
        assert names() == []
        # Removed by hand.
        ours.start(docker_spec)
        end(client.containers.get(docker_spec.name))
        assert len(names()) == 1
        remove_left(client, time.time())
        assert len(names()) == 1, "another start may be about to use it"
        remove_left(client, time.time() + 7200)
        assert names() == []
    finally:
        with suppress(ContainerError):
            ours.remove(docker_spec.name)
        client.close()


@pytest.mark.parametrize("engine", ENGINES[:1], indirect=True)
def test_a_kit_that_fetches_has_a_way_out(engine, docker_spec):
    """Its requests name files elsewhere."""
    ours, client = engine.client(), engine.sdk()
    ours.start(replace(docker_spec, fetches=True))
    try:
        name, _, _ = address_of(docker_spec.name, client)
        options = client.networks.get(name).attrs["Options"]
        assert options[MASQUERADE] == "true"
    finally:
        ours.remove(docker_spec.name)
        client.close()


def test_lines_without_an_end_come_in_pieces():
    """Whoever writes the log decides how long they are, and not how much memory reading takes."""
    chunks = iter([b"x" * 50_000] * 3 + [b"\nlast\n"])
    assert [len(line) for line in _lines(chunks)] == [LINE_BYTES, LINE_BYTES, 18928, 4]
