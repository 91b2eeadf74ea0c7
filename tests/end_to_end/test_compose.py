"""The Compose file of the documentation, started by ``docker-compose``."""

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fakes.how_to import file_in
from fakes.served import assert_serves, need, published

pytestmark = [
    pytest.mark.docker,
    pytest.mark.online,
    pytest.mark.xdist_group("demo"),
]

ASK = """
import json, urllib.request
body = json.dumps({"model": "all-MiniLM-L6-v2", "input": "A kit that is ready."}).encode()
request = urllib.request.Request(
    "http://my-kit:8000/v1/embeddings", body, {"Content-Type": "application/json"}
)
print(len(json.load(urllib.request.urlopen(request))["data"][0]["embedding"]))
"""

Compose = Callable[..., str]


@pytest.fixture
def compose(tmp_path: Path, demo_tag: str, unique) -> Iterator[tuple[str, Compose]]:
    """The page's file with the example kit, at any port, and an application that asks it once."""
    program = need("docker-compose")
    page = file_in("how-to/run-on-a-server.md", "# compose.yaml")
    page = page.replace("registry.example.org/team/my-kit@sha256:...", demo_tag)
    (tmp_path / "compose.yaml").write_text(page.replace(":8000:8000", "::8000"))
    app = {"image": demo_tag, "entrypoint": ["/usr/bin/python3.13", "-c", ASK]}
    (tmp_path / "app.json").write_text(json.dumps({"services": {"app": app}}))
    project = unique("compose")

    def run(*arguments: str) -> str:
        files = ("-f", "compose.yaml", "-f", "app.json")
        done = subprocess.run(
            [program, "-p", project, *files, *arguments],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    yield project, run
    run("down", "--volumes", "--timeout", "30")


def test_a_service_waits_until_the_kit_is_healthy(compose, sdk):
    """The image's own health check is all that Compose needs, and the waiting service is answered."""
    project, run = compose
    run("up", "--detach")
    labelled = {"label": f"com.docker.compose.project={project}"}
    found = {
        item.labels["com.docker.compose.service"]: item
        for item in sdk.containers.list(all=True, filters=labelled)
    }
    kit, app = found["my-kit"], found["app"]
    assert kit.attrs["State"]["Health"]["Status"] == "healthy"
    assert app.wait(timeout=60)["StatusCode"] == 0, app.logs()
    assert app.logs().strip() == b"384"
    assert_serves(published(kit))
