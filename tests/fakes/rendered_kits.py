"""Kits that are to be deployed: the locks of the example kits, with a deploy.yaml."""

import re
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from mealkit.deploy.deployment_file import read_deployment_file
from mealkit.deploy.workload import Workload
from mealkit.oci.reference import Reference
from mealkit.recipe.lock import Lock, read_lock

KITS = Path(__file__).parents[2] / "kits"
LOCKED = sorted(path.parent.name for path in KITS.glob("*/kit.lock"))
IMAGE = Reference.parse(f"registry.example.org/team/kit@sha256:{'1' * 64}")
FULL_IMAGE = Reference.parse(f"registry.example.org/team/kit@sha256:{'2' * 64}")

EVERYTHING = """\
name: shop-kit
namespace: kits
replicas: 3
resources: {memory: 2GiB, cpu: 0.5, cpu_limit: 2, shm: 1GiB}
keys: {secret: shop-keys}
environment: {OTEL_EXPORTER_OTLP_ENDPOINT: "http://collector.telemetry:4318"}
secrets: {MEALKIT_USAGE_DATABASE: {secret: budgets, key: url}}
audit_key: {secret: audit, key: keys.txt}
ingress: {host: kit.example.org, class_name: nginx, tls_secret: kit-tls, annotations: {a/b: "on"}}
weights: {in: pvc, storage_class: fast}
network:
  allow_from: [{namespace: ingress-nginx}, {pods: {app: shop}}, {cidr: 10.1.0.0/16}]
  prometheus: monitoring
  egress: [{cidr: 10.2.0.0/16, ports: [5432]}]
monitoring: {service_monitor: true, labels: {release: prometheus}}
rollout: {gate: candidate, max_surge: 2}
ops: {cost: {cpu_hour: "0.10", shared: true}, audit: {max_files: 10}}
service_account: kit
node_selector: {disk: fast}
tolerations: [{key: dedicated, operator: Equal, value: kits, effect: NoSchedule}]
priority_class: high
image_pull_secrets: [registry]
labels: {team: search}
annotations: {"note": "yes", "when": "2026-01-31"}
"""


@cache
def lock_of(kit: str) -> Lock:
    """Return the lock of an example kit."""
    return read_lock((KITS / kit / "kit.lock").read_bytes())


def workload(text: str = "", kit: str = "tiny-chat-onnx", lock: Lock | None = None) -> Workload:
    """Return the workload of an example kit with a deploy.yaml."""
    file = read_deployment_file(text.encode(), "deploy.yaml")
    return Workload.of(lock or lock_of(kit), IMAGE, file, FULL_IMAGE)


def read_yaml(text: str) -> list[dict[str, Any]]:
    """Read a stream of YAML documents, as another program does."""
    return [item for item in yaml.safe_load_all(text) if item is not None]


def helm_text(template: str, values: dict[str, Any], release: str) -> str:
    """Return a template as Go's package renders it: a literal, a value, or the release's name."""

    def action(found: re.Match[str]) -> str:
        match found[1].strip().split("."):
            case ['"{{"']:
                return "{{"
            case ["", "Values", name]:
                return str(values[name])
            case ["", "Release", "Name"]:
                return release
            case other:
                raise AssertionError(other)

    # Go's lexer: an action ends at the first }} that is not in a quoted string.
    return re.sub(r'\{\{((?:"[^"]*"|[^"}])*)\}\}', action, template)
