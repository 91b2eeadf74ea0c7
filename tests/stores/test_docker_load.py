"""Loads into the real Docker engine: all of it, only what is new, and after a wrong guess."""

import gzip
import http.server
import io
import json
import os
import shutil
import subprocess
import tarfile
import threading

import docker
import pytest
from fakes.container_engines import ENGINES
from fakes.engine_images import image_tags

from mealkit.digest import Digest
from mealkit.errors import MealkitError
from mealkit.oci.descriptor import LAYER, LAYER_GZIP
from mealkit.oci.image import BytesBlob, Layer, image_of
from mealkit.stores.docker_load import load

PROGRAM = """
#include <stdio.h>
int main(void) {
    char line[256];
    FILE *file = fopen("/greeting", "r");
    if (file && fgets(line, sizeof line, file)) puts(line);
    return !file;
}
"""


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    """A static program that prints /greeting."""
    if shutil.which("gcc") is None:
        pytest.skip("gcc is not installed")
    folder = tmp_path_factory.mktemp("program")
    (folder / "hello.c").write_text(PROGRAM)
    command = ["gcc", "-static", "-Os", "-o", folder / "hello", folder / "hello.c"]
    subprocess.run(command, check=True)
    return (folder / "hello").read_bytes()


@pytest.fixture(params=ENGINES)
def engine(request, running_engine):
    """Each container engine in turn."""
    return running_engine(request.param)


@pytest.fixture
def client(engine):
    client = engine.sdk()
    yield client
    client.close()


@pytest.fixture
def name(client):
    """A name of the test's own; what has it afterwards is deleted."""
    name = f"mealkit-test-load-{os.urandom(4).hex()}"
    yield name
    for tag in image_tags(client):
        if f"{name}:" in tag:
            client.images.remove(tag)


def tar_of(files):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for path, data in files.items():
            info = tarfile.TarInfo(path)
            info.size, info.mode = len(data), 0o755
            tar.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def layer_of(files, zipped=False):
    data = tar_of(files)
    blob = BytesBlob(gzip.compress(data) if zipped else data)
    return Layer(LAYER_GZIP if zipped else LAYER, blob, Digest.of(data), "test")


def image_with(*layers, **config):
    form = {"os": "linux", "architecture": "amd64"}
    return image_of(form | {"config": {"Entrypoint": ["/hello"], **config}}, layers, {})


def run(client, name):
    return client.containers.run(name, remove=True).decode().strip()


@pytest.mark.parametrize("zipped", [False, True])
def test_a_loaded_image_runs(client, name, program, zipped):
    """An image is loaded under its names with its config's digest as id, and runs."""
    salt = {"salt": os.urandom(100)}
    image = image_with(layer_of({"hello": program, **salt}, zipped), layer_of({"greeting": b"hi"}))
    done = []
    report = load(image, [name, f"{name}:2"], client, done.append)
    assert report.image_id == image.config_descriptor.digest
    assert report.reused_layers == 0
    assert report.sent_bytes > image.layers[0].blob.size_bytes
    assert sum(done) == sum(layer.blob.size_bytes for layer in image.layers)
    assert run(client, name) == run(client, f"{name}:2") == "hi"


def test_only_a_changed_top_layer_is_sent(engine, client, name, program):
    """After an edit of the top layer, the layers below are left out, and the image runs.

    Podman takes no archive without them, so it gets all of it.
    """
    weights = layer_of({"weights": os.urandom(3_000_000)})
    base = layer_of({"hello": program})
    load(image_with(base, weights, layer_of({"greeting": b"one"})), [name], client)
    done = []
    changed = image_with(base, weights, layer_of({"greeting": b"two"}))
    report = load(changed, [f"{name}:2"], client, done.append)
    assert report.reused_layers == (0 if engine.podman else 2)
    assert (report.sent_bytes < 20_000) == (engine.podman is None)
    assert sum(done) == sum(layer.blob.size_bytes for layer in changed.layers)
    assert run(client, f"{name}:2") == "two"


def test_an_image_that_is_there_is_only_named(client, name, program):
    """Loading the same image again sends nothing and adds the name."""
    image = image_with(layer_of({"hello": program}), layer_of({"greeting": os.urandom(4)}))
    load(image, [name], client)
    done = []
    report = load(image, [f"{name}:again"], client, done.append)
    assert (report.sent_bytes, report.reused_layers) == (0, 2)
    assert sum(done) == sum(layer.blob.size_bytes for layer in image.layers)
    assert client.images.get(f"{name}:again").id == report.image_id


def test_a_changed_config_alone_sends_no_layer(engine, client, name, program):
    """Another label on the same layers is a load without any layer."""
    layers = (layer_of({"hello": program}), layer_of({"greeting": os.urandom(8).hex().encode()}))
    load(image_with(*layers), [name], client)
    report = load(image_with(*layers, Labels={"a": "b"}), [f"{name}:2"], client)
    assert report.reused_layers == (0 if engine.podman else 2)
    assert client.images.get(f"{name}:2").labels == {"a": "b"}


class ForgetfulClient(docker.DockerClient):
    """A real client to the real engine, which believes that some layers are there."""

    believed: tuple[str, ...] = ()

    @property
    def images(self):
        outer, images = self, super().images

        class Images:
            def get(self, name):
                if name == "believed":
                    return type("Believed", (), {"attrs": {"RootFS": {"Layers": outer.believed}}})
                return images.get(name)

        return Images()

    @property
    def api(self):
        real = self.__dict__["api"]
        real.images = lambda: [{"Id": "believed"}]
        return real

    @api.setter
    def api(self, value):
        self.__dict__["api"] = value


def test_a_wrong_guess_falls_back_to_everything(engine, client, name, program):
    """When the engine lacks a layer that was left out, the whole image is sent."""
    image = image_with(
        layer_of({"hello": program, "salt": os.urandom(100)}), layer_of({"greeting": b"fell back"})
    )
    guessing = ForgetfulClient(base_url=f"unix://{engine.socket}")
    guessing.believed = tuple(str(layer.diff_id) for layer in image.layers[:1])
    done = []
    try:
        report = load(image, [name], guessing, done.append)
    finally:
        guessing.close()
    assert report.reused_layers == 0
    assert report.sent_bytes > image.layers[0].blob.size_bytes
    assert sum(done) == sum(layer.blob.size_bytes for layer in image.layers)
    assert run(client, name) == "fell back"


def test_a_changed_layer_is_refused_and_leaves_nothing(client, name, program):
    """A layer whose bytes are not its diff id's is SOURCE_CHANGED, and no image is left."""
    good = layer_of({"hello": program, "salt": os.urandom(10)})
    bad = Layer(LAYER, good.blob, Digest.of(b"other"), "test")
    with pytest.raises(MealkitError) as caught:
        load(image_with(bad), [name], client)
    assert caught.value.problems[0].code == "SOURCE_CHANGED", caught.value
    assert client.images.list(name) == []


def test_a_layer_that_is_no_tar_is_refused_with_the_engines_words(client, name):
    """What the engine says in the body of its 200 is an error."""
    data = b"not a tar" * 200
    layer = Layer(LAYER, BytesBlob(data), Digest.of(data), "test")
    with pytest.raises(MealkitError) as caught:
        load(image_with(layer), [name], client)
    assert caught.value.problems[0].code == "CLIENT_REFUSED"
    assert "tar" in caught.value.problems[0].message
    assert client.images.list(name) == []


class BrokenBlob(BytesBlob):
    """A blob whose source ends in the middle."""

    def chunks(self, offset=0, length=None):
        yield self.data[: len(self.data) // 2]


def test_a_layer_that_ends_early_is_named(client, name, program):
    """A source that shrank ends the load as SOURCE_CHANGED; the engine stays as it was."""
    whole = layer_of({"hello": program, "salt": os.urandom(10)})
    broken = Layer(LAYER, BrokenBlob(whole.blob.data), whole.diff_id, "test")
    with pytest.raises(MealkitError) as caught:
        load(image_with(broken), [name], client)
    assert caught.value.problems[0].code == "SOURCE_CHANGED"
    assert client.images.list(name) == []
    assert client.ping()


def test_an_unreadable_name_is_refused(client, program):
    """A name that is no reference is refused before anything is sent."""
    with pytest.raises(MealkitError, match="REFERENCE_INVALID"):
        load(image_with(layer_of({"hello": program})), ["Not A Name"], client)


def engine_that(answer):
    """Start an engine on loopback that answers a load with (status, body); None: hangs up."""

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def give(self, status, body):
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_GET(self):
            if self.path.endswith("/images/json?only_ids=0&all=0"):
                self.give(200, b"[]")
            elif self.path.endswith("/version"):
                self.give(200, b'{"ApiVersion": "1.41"}')
            else:
                self.give(404, b'{"message": "no such image"}')

        def do_POST(self):
            while (size := int(self.rfile.readline(), 16)) or self.rfile.readline() == b"":
                self.rfile.read(size + 2)
            if answer is None:
                self.close_connection = True
                return
            self.give(*answer)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    return server


@pytest.mark.parametrize(
    ("answer", "code", "words"),
    [
        ((500, b'{"message": "no space left on device"}'), "CLIENT_REFUSED", "no space left"),
        ((200, b'{"error": "write: no space left"}'), "CLIENT_REFUSED", "no space left"),
        ((200, b'{"errorDetail": {"message": "odd"}}'), "CLIENT_REFUSED", "odd"),
        ((200, b'{"stream": "Loaded"}'), "CLIENT_REFUSED", "does not have the image"),
        ((200, b"<html>"), "CLIENT_REFUSED", "does not have the image"),
        (None, "CLIENT_UNAVAILABLE", "docker cannot be used"),
    ],
)
def test_what_an_engine_may_answer(answer, code, words):
    """Errors with and without a status, an engine that lies, and one that goes away."""
    server = engine_that(answer)
    client = docker.DockerClient(
        base_url=f"tcp://127.0.0.1:{server.server_port}", version="1.41", timeout=10
    )
    try:
        with pytest.raises(MealkitError) as caught:
            load(image_with(layer_of({"a": b"a"})), ["kit"], client)
    finally:
        client.close()
        server.shutdown()
        server.server_close()
    assert caught.value.problems[0].code == code
    assert words in caught.value.problems[0].message


def test_an_engine_that_is_not_there_is_unavailable():
    """No engine at the address is CLIENT_UNAVAILABLE."""
    client = docker.DockerClient(base_url="tcp://127.0.0.1:1", version="1.41", timeout=5)
    with pytest.raises(MealkitError, match="CLIENT_UNAVAILABLE"):
        load(image_with(layer_of({"a": json.dumps(1).encode()})), ["kit"], client)
    client.close()
