"""Opens a connection to a cluster by the official client's own rules: kubeconfig, or in a pod.

Exec plugins, tokens and certificates are the client's; mealkit neither reads nor prints them.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mealkit.clusters.kubernetes_api import KubernetesApi
from mealkit.errors import MealkitError, failure
from mealkit.names import one_line

_NAMESPACE_FILE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
_SHOWN_CHARACTERS = 500


@dataclass(frozen=True, slots=True)
class ClusterAccess:
    """The options that choose a cluster; None: the kubeconfig's own."""

    kubeconfig: Path | None = None
    context: str | None = None
    namespace: str | None = None


def connect(access: ClusterAccess) -> KubernetesApi:
    """Return the API of the cluster that the options, KUBECONFIG or this pod name; asks nothing.

    Raises:
        DeploymentError: the client is not installed (``CLUSTER_EXTRA``), or the kubeconfig is
            missing, not valid, or has no such context (``CLUSTER_CONFIG``).
    """
    try:
        import urllib3  # noqa: PLC0415
        from kubernetes import client, config  # noqa: PLC0415
    except ImportError as error:
        message = f"the Python package kubernetes is not installed: {error.name} is missing"
        raise failure("CLUSTER_EXTRA", message) from error
    configuration = client.Configuration()
    if _in_pod(access):
        namespace = _load_in_pod(config, configuration)
    else:
        namespace = _load_file(config, configuration, access)
    # A redirect of an API server is not followed, and mealkit itself decides what is asked again.
    configuration.retries = urllib3.Retry(total=0, redirect=False, raise_on_redirect=False)
    return KubernetesApi(
        client.ApiClient(configuration), access.namespace or namespace or "default"
    )


def _in_pod(access: ClusterAccess) -> bool:
    stated = access.kubeconfig or access.context or os.environ.get("KUBECONFIG")
    has_file = (Path.home() / ".kube" / "config").exists()
    return not stated and not has_file and "KUBERNETES_SERVICE_HOST" in os.environ


def _load_in_pod(config: Any, configuration: Any) -> str | None:
    try:
        config.load_incluster_config(client_configuration=configuration)
        return _NAMESPACE_FILE.read_text("utf-8")[:63].strip()
    except (config.ConfigException, OSError, UnicodeDecodeError) as error:
        hint = "give the pod a service account with a token (automountServiceAccountToken)"
        raise _unusable(error, str(_NAMESPACE_FILE.parent), hint) from error


def _load_file(config: Any, configuration: Any, access: ClusterAccess) -> str | None:
    # The client reads KUBECONFIG when it is imported; here, it is the present value.
    file = str(access.kubeconfig or os.environ.get("KUBECONFIG") or "~/.kube/config")
    try:
        config.load_kube_config(
            config_file=file,
            context=access.context,
            client_configuration=configuration,
            persist_config=False,
        )
        contexts, active = config.list_kube_config_contexts(config_file=file)
        chosen = [item for item in contexts if item["name"] == access.context] or [active]
        namespace = chosen[0]["context"].get("namespace")
    # The client raises what its parser raises: yaml's errors, KeyError, TypeError, ValueError.
    except Exception as error:
        raise _unusable(error, file) from error
    return namespace if isinstance(namespace, str) else None


def _unusable(error: Exception, where: str, hint: str | None = None) -> MealkitError:
    # The first line has no values of the file: they could be a token.
    said = one_line(str(error).splitlines()[0] if str(error) else type(error).__name__)
    said = said.removeprefix("Invalid kube-config file. ")
    return failure(
        "CLUSTER_CONFIG",
        f"the cluster's configuration cannot be used: {said[:_SHOWN_CHARACTERS]}",
        where=where,
        hint=hint,
    )
