"""mealkit deploy and mealkit preflight with --target kubernetes, against a scripted API server."""

import json
import subprocess
import sys

import pytest
from fakes.kube_api import NAMESPACE, TOKEN, Refusal, crashed, kube_api
from fakes.served import ROOT
from typer.testing import CliRunner

from mealkit.cli.program import app
from mealkit.errors import problem

RAKE = str(ROOT / "kits/rake")
NODES = "/api/v1/nodes"
OWN = problem("HOST_MEMORY", "memory of the machine", measured="3 GiB", required="9 GiB").as_json()


def node(name: str, labels: dict | None = None, **allocatable: str) -> dict:
    have = {"cpu": "8", "memory": "32Gi", "ephemeral-storage": "200Gi", **allocatable}
    info = {"architecture": "amd64", "kubeletVersion": "v1.36.1", "operatingSystem": "linux"}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": labels or {}},
        "spec": {},
        "status": {
            "allocatable": have,
            "conditions": [{"type": "Ready", "status": "True"}],
            "nodeInfo": info,
        },
    }


@pytest.fixture
def server():
    with kube_api() as made:
        made.put(NODES, node("node-1"))
        yield made


@pytest.fixture
def run(server, tmp_path, monkeypatch):
    """Run the command line in this process; nothing that it prints has the token."""
    monkeypatch.setenv("KUBECONFIG", str(server.kubeconfig(tmp_path / "config")))
    monkeypatch.setenv("MEALKIT_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "xdg"))

    def invoke(*arguments: str):
        done = CliRunner().invoke(app, [*arguments, "--target", "kubernetes"])
        assert TOKEN not in done.output
        return done

    return invoke


def image(letter: str) -> tuple[str, str]:
    return "--image", f"registry.example.org/team/rake@sha256:{letter * 64}"


def test_a_kit_is_applied_looked_at_compared_and_returned(run):
    """The four verbs work on one deployment; diff and status --compare tell by their exit codes."""
    done = run("deploy", "apply", RAKE, *image("a"), "--why", "first", "--json")
    assert (done.exit_code, json.loads(done.stdout)["revision"]) == (0, 1)
    assert run("deploy", "diff", RAKE, *image("a")).stdout == "the cluster is up to date\n"
    changed = run("deploy", "diff", RAKE, *image("b"))
    assert changed.exit_code == 16
    assert f"+        image: registry.example.org/team/rake@sha256:{'b' * 64}" in changed.stdout
    assert run("deploy", "apply", RAKE, *image("b")).exit_code == 0
    assert run("deploy", "status", "rake", "--compare", RAKE, *image("b")).exit_code == 0
    other = run("deploy", "status", "rake", "--compare", RAKE, *image("a"))
    assert (other.exit_code, "equals  not the kit" in other.stdout) == (16, True)
    back = run("deploy", "rollback", "rake", "1", "--why", "wrong answers", "--json")
    form = json.loads(back.stdout)
    assert (back.exit_code, form["revision"], form["image"]) == (0, 3, f"sha256:{'a' * 64}")
    assert form["revisions"][0]["cause"].endswith(": wrong answers")
    assert [pod["node"] for pod in form["pods"]] == ["node-1"]


def test_a_rollout_that_fails_tells_gate_numbers_and_owner(run, server):
    """The exit code is 16; stderr has the gate, the measured and required values, and the owners."""
    run("deploy", "apply", RAKE, *image("a"))
    server.fates[f"sha256:{'b' * 64}"] = crashed(json.dumps(OWN))
    done = run("deploy", "apply", RAKE, *image("b"))
    assert done.exit_code == 16
    for said in (
        "error[ROLLOUT_FAILED]",
        "gate ready; revision 1 answers again",
        "0 of 1 new pods",
    ):
        assert said in done.stderr
    assert "error[HOST_MEMORY]" in done.stderr
    assert "owner    platform" in done.stderr


def test_a_user_who_may_not_read_nodes_can_deploy(run, server):
    """Then it is not known whether the kit fits: a warning with the Role, and the scheduler decides."""
    refused = 'nodes is forbidden: User "ann" cannot list resource "nodes" in API group "" at the cluster scope'
    server.refusals.append(Refusal("GET", NODES, 403, refused))
    done = run("deploy", "apply", RAKE, *image("a"))
    assert done.exit_code == 0
    assert "kubectl create clusterrole mealkit --verb=list --resource=nodes" in done.stderr


def test_a_kit_that_fits_nowhere_is_not_applied_unless_asked(run, server):
    """Without a node that could ever run the kit nothing is applied; a full cluster only warns."""
    server.put(NODES, node("node-1", memory="16Mi"))
    done = run("deploy", "apply", RAKE, *image("a"))
    assert (done.exit_code, "node node-1" in done.stderr) == (10, True)
    assert server.named("deployments") == {}
    assert run("deploy", "apply", RAKE, *image("a"), "--no-preflight").exit_code == 0


def test_the_nodes_of_a_cluster_are_compared_with_a_kit(run, server):
    """Every node has a line with what decides; the exit code is that of the best node."""
    server.put(NODES, node("small", memory="16Mi"))
    spec = {
        "nodeName": "node-1",
        "containers": [{"name": "a", "image": "b", "resources": {"requests": {"cpu": "7500m"}}}],
    }
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "p", "namespace": "x"},
        "spec": spec,
        "status": {"phase": "Running"},
    }
    done = run("preflight", RAKE, "--json")
    form = json.loads(done.stdout)
    verdicts = {item["machine"]: item["verdict"] for item in form["machines"]}
    assert (done.exit_code, verdicts) == (0, {"node-1": "fits", "small": "does-not-fit"})
    assert {item["node"]: item["image_volumes"] for item in form["nodes"]}["small"] == "yes"
    server.put("/api/v1/namespaces/x/pods", pod)
    full = run("preflight", RAKE)
    assert full.exit_code == 10
    assert "0.5 CPUs of 8 CPUs free" in full.stdout


def test_the_real_program_says_what_is_missing_of_a_cluster(server, environment, tmp_path):
    """A namespace that does not exist, as the program prints it in a process of its own."""
    config = server.kubeconfig(tmp_path / "config")
    arguments = [
        "deploy",
        "apply",
        RAKE,
        *image("a"),
        "--target",
        "kubernetes",
        "--kubeconfig",
        str(config),
    ]
    done = subprocess.run(
        [sys.executable, "-m", "mealkit", *arguments, "--namespace", "nowhere", "--json"],
        env=environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    found = json.loads(done.stderr.splitlines()[-1])["problems"][0]
    assert (done.returncode, found["code"]) == (16, "CLUSTER_NAMESPACE")
    assert found["hint"] == "kubectl create namespace nowhere, or name another: --namespace NAME"
    assert NAMESPACE not in found["message"]
