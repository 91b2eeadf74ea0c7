"""The built image serves by itself: an engine starts it, and mealkit is nowhere near."""

import json

import pytest
from fakes.served import assert_serves, cosine, ended_of, get, golden, published, wait_ready

from mealkit.assembly.lean import lean_image
from mealkit.errors import CATALOGUE
from mealkit.stores.docker_load import load

pytestmark = [pytest.mark.docker, pytest.mark.online, pytest.mark.xdist_group("demo")]

ASK_INSIDE = """
import json, sys, time, urllib.error, urllib.request
end = time.monotonic() + 120
while True:
    try:
        urllib.request.urlopen("http://127.0.0.1:8000/v1/health/ready", timeout=5)
        break
    except OSError:
        if time.monotonic() > end:
            raise
        time.sleep(0.05)
body = json.dumps({"model": "all-MiniLM-L6-v2", "input": sys.argv[1]}).encode()
headers = {"Content-Type": "application/json"}
request = urllib.request.Request("http://127.0.0.1:8000/v1/embeddings", body, headers)
print(json.load(urllib.request.urlopen(request))["data"][0]["embedding"])
"""


def test_with_the_defaults_it_serves_says_who_owns_it_and_stops(demo, demo_tag, started):
    """``docker run -p`` is all it takes: right vectors, metadata, metrics, and a clean stop."""
    container = started(demo_tag, ports={"8000/tcp": ("127.0.0.1", 0)})
    url = published(container)
    wait_ready(url, ended_of(container))

    headers = assert_serves(url)

    assert headers["X-Mealkit-Recipe"] == str(demo.report.recipe)
    assert get(f"{url}/v1/health/live")[0]["status"]
    assert get(f"{url}/healthz")[0]
    about = get(f"{url}/v1/metadata")[0]
    assert json.dumps(about).count(str(demo.report.recipe)) >= 1
    assert "https://mealkit.dev/kits/sbert-minilm" in json.dumps(about)
    assert get(f"{url}/v1/models")[0]["data"][0]["id"] == "all-MiniLM-L6-v2"
    metrics = get(f"{url}/metrics")[0]
    assert "mealkit" in metrics
    container.stop(timeout=30)
    container.reload()
    assert container.attrs["State"]["ExitCode"] == 0
    assert container.attrs["State"]["OOMKilled"] is False


@pytest.fixture
def network(sdk, unique):
    """A network of its own, as between the containers of a cluster."""
    made = sdk.networks.create(unique("net"))
    yield made
    made.reload()
    for container in made.containers:
        made.disconnect(container, force=True)
    made.remove()


SHUT_IN = {
    "read_only": True,
    "cap_drop": ["ALL"],
    "security_opt": ["no-new-privileges"],
    "pids_limit": 128,
    "mem_limit": "1g",
}


def test_it_needs_no_writable_root_no_rights_and_no_shell(demo_tag, started, network):
    """Read-only root, no rights, the image's own user; so a neighbour can test its answers, too."""
    container = started(
        demo_tag,
        ports={"8000/tcp": ("127.0.0.1", 0)},
        tmpfs={"/var/lib/mealkit": "uid=65532,gid=65532,mode=0700"},
        environment={"MEALKIT_HOSTS": "kit"},
        **SHUT_IN,
    )
    url = published(container)
    wait_ready(url, ended_of(container))
    assert_serves(url)
    assert container.attrs["Config"]["User"] == "65532:65532"
    shell = container.exec_run(["/bin/sh", "-c", "true"])
    assert shell.exit_code in {126, 127}, shell.output.decode()
    ids = container.exec_run(["/usr/bin/python3.13", "-c", "import os; print(os.getuid())"])
    assert ids.output.strip() == b"65532"
    network.connect(container, aliases=["kit"])
    command = ["test", "http://kit:8000", "--cases-only", "--json"]
    neighbour = started(demo_tag, command=command, network=network.name, **SHUT_IN)
    status = neighbour.wait(timeout=120)["StatusCode"]
    report = json.loads(neighbour.logs(stderr=False))
    assert (status, {item["verdict"] for item in report["cases"]}) == (0, {"holds"})


def test_it_makes_no_connection_of_its_own(demo_tag, started):
    """Without any network it becomes ready and answers, asked from inside."""
    container = started(demo_tag, network_mode="none")
    text, expected = golden()[3]
    done = container.exec_run(["/usr/bin/python3.13", "-c", ASK_INSIDE, text])
    assert done.exit_code == 0, done.output.decode()
    assert cosine(json.loads(done.output), expected) >= 0.99999


def test_its_log_is_lines_of_json(demo_tag, started):
    """Whatever reads logs can read these, from the first line to the last."""
    container = started(demo_tag, ports={"8000/tcp": ("127.0.0.1", 0)})
    url = published(container)
    wait_ready(url, ended_of(container))
    assert_serves(url)
    container.stop(timeout=30)
    lines = container.logs().decode().splitlines()
    assert lines
    for line in lines:
        assert isinstance(json.loads(line), dict)


def test_without_its_weights_it_says_which_file_is_missing(demo, started, sdk, unique):
    """The lean image without mounts: one problem with an owner, and the exit code of its class."""
    tag = f"{unique('lean')}:1"
    load(lean_image(demo.image), [tag], sdk)
    try:
        container = started(tag)
        status = container.wait(timeout=120)
        last = json.loads(container.logs().decode().splitlines()[-1])
        container.remove()
    finally:
        sdk.images.remove(tag, force=True)
    assert last["code"] == "WEIGHTS_MISSING"
    assert "model.safetensors" in json.dumps(last)
    assert last["owner"] == "platform"
    assert status["StatusCode"] == CATALOGUE["WEIGHTS_MISSING"].error.exit_code


def test_kserve_reads_its_weights_through_a_modelcar(demo_tag, started, tmp_path):
    """As in a pod: the check ends well, and another user's container follows the link to the files.

    The two containers share a volume and their processes, and have KServe's user.
    """
    models = "/proc/$$/root/models"
    tmp_path.chmod(0o777)
    shared = {"user": "1010", "volumes": {str(tmp_path): {"bind": "/mnt", "mode": "rw"}}}
    check = started(demo_tag, command=["sh", "-c", "echo 'Pre-fetching modelcar demo: ' && true"])
    assert check.wait(timeout=60)["StatusCode"] == 0
    text = f"ln -sf {models} /mnt/models && sleep infinity"
    modelcar = started(demo_tag, command=["sh", "-c", text], **shared)
    script = (
        "import pathlib, time\n"
        "while not (path := pathlib.Path('/mnt/models/config.json')).exists(): time.sleep(0.05)\n"
        "print(len(path.read_bytes()), sorted(p.name for p in path.parent.iterdir()))"
    )
    reader = started(
        demo_tag,
        entrypoint=["python3.13", "-c", script],
        pid_mode=f"container:{modelcar.id}",
        **shared,
    )
    assert reader.wait(timeout=60)["StatusCode"] == 0
    files = ["config.json", "model.onnx", "model.safetensors", "tokenizer.json"]
    assert reader.logs().decode() == f"612 {files}\n"
