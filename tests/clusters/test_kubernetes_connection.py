"""The cluster is chosen by the client's own rules, and what is wrong with them is a problem."""

import subprocess
import sys

import pytest
from fakes.kube_api import TOKEN, kube_api

from mealkit.clusters.kubernetes_connection import ClusterAccess, connect
from mealkit.errors import MealkitError


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "[1]",
        "clusters: 5",
        "a: [",
        f"current-context: x\nusers: [{{user: {{token: {TOKEN}}}}}]\n",
        "current-context: x\ncontexts: [{name: x, context: {cluster: c, user: u}}]\nclusters: []\nusers: []\n",
    ],
)
def test_a_kubeconfig_that_cannot_be_used_is_a_problem(text, tmp_path):
    """A missing or damaged kubeconfig is told with its place, and without what it contains."""
    path = tmp_path / "config"
    if text is not None:
        path.write_text(text)
    with pytest.raises(MealkitError) as error:
        connect(ClusterAccess(path))
    found = error.value.problems[0]
    assert (found.code, found.where, found.owner.value) == ("CLUSTER_CONFIG", str(path), "caller")
    assert TOKEN not in found.message


def test_the_context_gives_the_namespace_and_an_option_wins(tmp_path):
    """The namespace is the option's, or the context's; another context can be chosen by its name."""
    with kube_api() as server:
        path = server.kubeconfig(tmp_path / "config")
        assert connect(ClusterAccess(path)).namespace == "kits"
        assert connect(ClusterAccess(path, "other")).namespace == "other"
        assert connect(ClusterAccess(path, "other", "mine")).namespace == "mine"
        with pytest.raises(MealkitError) as error:
            connect(ClusterAccess(path, "nowhere"))
    assert error.value.problems[0].code == "CLUSTER_CONFIG"


def test_without_the_client_the_hint_names_the_extra():
    """Without the Python package, the problem says how to install it."""
    script = """
import sys
sys.modules["kubernetes"] = None
from mealkit.clusters.kubernetes_connection import ClusterAccess, connect
from mealkit.errors import MealkitError
try:
    connect(ClusterAccess())
except MealkitError as error:
    print(error.problems[0].code, error.problems[0].hint)
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout == "CLUSTER_EXTRA pip install 'mealkit[kubernetes]'\n"


def test_in_a_pod_its_service_account_is_used(tmp_path, monkeypatch):
    """Without a kubeconfig, in a pod, the client reads the pod's own token; a missing one is told."""
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")
    with pytest.raises(MealkitError) as error:
        connect(ClusterAccess())
    found = error.value.problems[0]
    assert (found.code, "service account" in found.hint) == ("CLUSTER_CONFIG", True)
