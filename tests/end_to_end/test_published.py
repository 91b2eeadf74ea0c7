"""One machine plays four: a kit travels from its author to servers and an auditor that never met the author."""

import json
import shutil
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
from fakes.served import PATIENCE_SECONDS, ROOT, Registry
from typer.testing import CliRunner, Result

from mealkit.cli.program import app
from mealkit.pipeline.home import Home

PASSPHRASE = "seven dry words"
TEXT = "Criteria of compatibility of a system of linear Diophantine equations."

POLICY = """
version: mealkit.policy/v1
owner: {{team: Platform, contact: "mailto:platform@kitchen.invalid", support: on weekdays}}
keys:
  release: {{file: {key}}}
registries:
  {registry}/team: {{}}
licenses: {{allow: [Apache-2.0]}}
engines: [python]
attestations:
  sbom: {{}}
  provenance: {{}}
  test_result: {{claims: all, hardware: cpu, max_age_days: 2}}
local_builds: refuse
"""

pytestmark = [pytest.mark.docker, pytest.mark.online]


@dataclass(frozen=True)
class Player:
    """One of the four: a home of its own, and what its environment says."""

    home: Home
    variables: dict[str, str]

    def asked(self, *arguments: object) -> Result:
        """Run a command; return how it ended."""
        return CliRunner().invoke(app, [str(item) for item in arguments], env=self.variables)

    def run(self, *arguments: object) -> str:
        """Run a command that has to succeed; return what it printed to stdout."""
        done = self.asked(*arguments)
        assert done.exit_code == 0, done.output
        return done.stdout


@pytest.fixture(scope="module")
def registry(tmp_path_factory) -> Iterator[Registry]:
    with Registry(tmp_path_factory.mktemp("registry") / "data") as running:
        yield running


@pytest.fixture(scope="module")
def player(tmp_path_factory, home_with_files) -> Callable[..., Player]:
    """Make a player who has the inputs that are public, and nothing of the others."""

    def make(name: str, **variables: str) -> Player:
        folder = tmp_path_factory.mktemp(name)
        home = home_with_files(folder / "home")
        return Player(home, {"MEALKIT_HOME": str(home.root), **variables})

    return make


@pytest.fixture(scope="module")
def published(registry, player, tmp_path_factory) -> tuple[str, str, Path]:
    """The author builds, tests, signs, pushes and attests a kit.

    Returns its reference, digest and public key.
    """
    folder = tmp_path_factory.mktemp("author")
    kit = folder / "rake"
    shutil.copytree(ROOT / "kits" / "rake", kit, ignore=shutil.ignore_patterns("__pycache__"))
    author = player("author-home", MEALKIT_KEY_PASSPHRASE=PASSPHRASE)
    key, reference = folder / "release.key", f"{registry.host}/team/rake:1.0.0"
    author.run("keygen", key)
    pushed = author.run("build", kit, "--test", "--push", reference, "--sign", "--key", key)
    digest = pushed.strip()
    author.run("attest", reference, "--kit", kit, "--key", key)
    return reference, digest, folder / "release.key.pub"


@pytest.fixture(scope="module")
def policy(published, registry, tmp_path_factory) -> Path:
    """What the servers accept: the author's key, with an SBOM, provenance and tested claims."""
    path = tmp_path_factory.mktemp("policy") / "policy.yaml"
    path.write_text(POLICY.format(key=published[2], registry=registry.host))
    return path


def keywords(url: str) -> list[str]:
    body = json.dumps({"model": "rake", "input": {"text": TEXT}}).encode()
    request = urllib.request.Request(
        f"{url}/v1/predict", body, {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=PATIENCE_SECONDS) as answer:
        return [item["keyword"] for item in json.load(answer)["output"]]


@pytest.fixture
def answers(unique) -> Iterator[Callable[[Player, str], list[str]]]:
    """Run a kit and ask it; it is stopped at the end."""
    running: list[tuple[Player, str]] = []

    def ask(server: Player, target: str) -> list[str]:
        name = unique("published")
        running.append((server, name))
        done = json.loads(server.run("run", target, "--name", name, "--port", 0, "--json"))
        return keywords(done["url"])

    yield ask
    for server, name in running:
        with suppress(AssertionError):
            server.run("stop", name)


def test_a_server_runs_what_its_policy_accepts(published, policy, player, answers):
    """A server that knows only a public key pulls the kit, checks who vouches for it, and answers."""
    reference, _, _ = published
    server = player("server", MEALKIT_POLICY=str(policy))
    assert "linear diophantine equations" in answers(server, reference)


def test_a_server_refuses_what_its_policy_does_not(published, policy, player, registry):
    """The same bytes in a place without the signatures are refused, and not one layer is fetched."""
    reference, digest, _ = published
    bare = f"{registry.host}/team/bare:1.0.0"
    server = player("strict", MEALKIT_POLICY=str(policy))
    thief = player("thief")
    thief.run("pull", reference)
    (thief.home.store / "attached.json").unlink()
    thief.run("push", digest, bare)
    refused = server.asked("run", bare, "--port", "0")
    assert refused.exit_code == 13, refused.output
    assert "POLICY_UNSIGNED" in refused.output
    assert not server.home.store.exists() or not any(server.home.store.glob("blobs/sha256/*"))


def test_an_auditor_builds_the_same_digest(published, player):
    """An auditor sees what was tested, builds the image again from its lock, and gets its digest."""
    reference, digest, key = published
    auditor = player("auditor")
    shown = auditor.asked("verify", reference, "--key", key)
    assert digest in shown.stdout
    assert "mealkit test on " in shown.stderr
    assert ["claims/chapters-keywords", "passed", "1", "1"] in [
        line.split() for line in shown.stderr.splitlines()
    ]
    found = json.loads(auditor.run("verify", reference, "--rebuild", "--json"))
    assert found["digest"] == digest
    assert {layer["proof"] for layer in found["layers"]} == {"rebuilt"}


def test_a_server_without_a_network_runs_it_too(
    published, policy, player, answers, registry, tmp_path
):
    """The kit crosses an air gap in volumes; the other side checks the same signatures, and answers."""
    reference, digest, _ = published
    file = tmp_path / "medium" / "rake.tar"
    file.parent.mkdir()
    player("carrier").run("save", reference, file, "--volume", "16MiB")
    volumes = sorted(file.parent.glob("rake.tar.0*"))
    assert len(volumes) > 2
    server = player("isolated", MEALKIT_POLICY=str(policy))

    with suppress(OSError):
        registry.process.kill()
    registry.process.wait()
    assert digest in server.run("load", *volumes)
    assert "linear diophantine equations" in answers(server, digest)
