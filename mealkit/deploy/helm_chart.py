"""Renders a kit as a Helm chart: the objects for Kubernetes, with values in a few places.

The chart is of one lock and one image, so its values are only what an operator sets: how many, how
much, which Secret, which host. The templates have nothing but ``{{ .Values.NAME }}`` and
``{{ .Release.Name }}``, and are written from the objects, so there is no second truth about them.
"""

import json
import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from mealkit.deploy.deployment_file import Ingress, Keys, Route
from mealkit.deploy.kubernetes import example_secrets, kubernetes_objects
from mealkit.deploy.kubernetes_pod import cpus, quantity
from mealkit.deploy.workload import Workload
from mealkit.deploy.yaml_text import yaml_document, yaml_documents
from mealkit.digest import Digest
from mealkit.errors import failure
from mealkit.oci.artifact import Artifact, Attachment, artifact_of
from mealkit.oci.image import BytesBlob
from mealkit.oci.tar import TarFile, tar_chunks

# https://github.com/helm/helm/blob/main/pkg/registry/constants.go
CONFIG_TYPE = "application/vnd.cncf.helm.config.v1+json"
CHART_TYPE = "application/vnd.cncf.helm.chart.content.v1.tar+gzip"

# https://semver.org/#is-there-a-suggested-regular-expression-regex-to-check-a-semver-string
_NUMBER = r"(0|[1-9][0-9]{0,8})(?![0-9])"
_VERSION = re.compile(rf"v?{_NUMBER}(?:\.{_NUMBER})?(?:\.{_NUMBER})?(.*)", re.DOTALL)
_NOT_IN_VERSIONS = re.compile(r"[^0-9A-Za-z]+")

_DNS = r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*$"
_REPOSITORY = r"^[A-Za-z0-9.:\[\]-]+(/[a-z0-9]+([._-]+[a-z0-9]+)*)+$"


@dataclass(frozen=True, slots=True)
class _Value:
    """A value of the chart: its default, its schema, and whether it is written without quotes."""

    default: str | int
    schema: Mapping[str, Any]

    @property
    def is_number(self) -> bool:
        return isinstance(self.default, int)


def helm_files(workload: Workload) -> Mapping[str, str]:
    """Return the chart's files, by their paths in its folder.

    Raises:
        DeploymentError: ``DEPLOY_UNFIT``, a chart cannot wait for the rollout's gate.
    """
    _require_no_gate(workload)
    values = _values(workload)
    secrets = {"secrets.yaml.example": example_secrets(workload)}
    return {
        "Chart.yaml": yaml_document(chart_form(workload)),
        "values.yaml": yaml_document({name: item.default for name, item in values.items()}),
        "values.schema.json": json.dumps(_schema(values), indent=2) + "\n",
        "templates/kit.yaml": _template(workload, values),
        **{name: text for name, text in secrets.items() if text},
    }


def chart_form(workload: Workload) -> dict[str, Any]:
    """Return the content of Chart.yaml."""
    about = workload.lock.about
    return {
        "apiVersion": "v2",
        "name": workload.name,
        "version": chart_version(about.version),
        "appVersion": about.version,
        "description": about.description or f"The kit {workload.kit}",
        "type": "application",
        "annotations": workload.annotations,
    }


def chart_artifact(workload: Workload) -> Artifact:
    """Return the chart as Helm keeps it in registries; the same bytes for the same chart."""
    files = [
        TarFile.of(f"{workload.name}/{name}", text.encode())
        for name, text in sorted(helm_files(workload).items())
    ]
    packed = zlib.compressobj(level=9, wbits=31)  # gzip, without a time
    data = b"".join(packed.compress(bytes(chunk)) for chunk in tar_chunks(files)) + packed.flush()
    config = json.dumps(chart_form(workload), sort_keys=True).encode()
    return artifact_of(
        CONFIG_TYPE,
        [Attachment(CHART_TYPE, BytesBlob(data), {})],
        config=Attachment(CONFIG_TYPE, BytesBlob(config), {}),
        annotations={
            "org.opencontainers.image.title": workload.name,
            "org.opencontainers.image.version": chart_version(workload.lock.about.version),
        },
    )


def chart_version(version: str) -> str:
    """Return a kit's version as Helm needs it: three numbers, and the rest after a dash."""
    found = _VERSION.fullmatch(version)
    numbers = [found[1], found[2] or "0", found[3] or "0"] if found else ["0", "0", "0"]
    rest = _NOT_IN_VERSIONS.sub("-", found[4] if found else version).strip("-")
    # A number in a pre-release must not begin with 0, so one gets a letter.
    rest = f"r{rest}" if rest.isdigit() else rest
    return ".".join(numbers) + (f"-{rest}" if rest else "")


def _require_no_gate(workload: Workload) -> None:
    if workload.file.rollout.gate != "none":
        raise failure(
            "DEPLOY_UNFIT",
            "a chart has no gate: Helm does not wait until a candidate is ready",
            hint="rollout.gate: none for the chart; or mealkit deploy apply, which waits",
            where="rollout.gate",
        )


def _values(workload: Workload) -> dict[str, _Value]:
    """Return the chart's values, by their names."""
    size = {"type": "string", "pattern": "^[1-9][0-9]*(Mi|Gi)$"}
    processors = {"type": "string", "pattern": "^[1-9][0-9]*m?$"}
    values = {
        "replicas": _Value(
            workload.file.replicas, {"type": "integer", "minimum": 0, "maximum": 10000}
        ),
        "repository": _Value(
            workload.image.name, {"type": "string", "pattern": _REPOSITORY, "maxLength": 255}
        ),
        "memory": _Value(quantity(workload.memory_bytes), size),
        "cpu": _Value(cpus(workload.file.resources.cpu), processors),
    }
    name = {"type": "string", "pattern": _DNS, "maxLength": 253}
    if workload.keys_secret is not None:
        values["keysSecret"] = _Value(workload.keys_secret, name)
    outside = workload.file.ingress or workload.file.route
    if outside is not None:
        values["host"] = _Value(outside.host, name)
    return values


def _schema(values: Mapping[str, _Value]) -> dict[str, Any]:
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "type": "object",
        # Helm itself adds "global".
        "properties": {
            **{name: item.schema for name, item in values.items()},
            "global": {"type": "object"},
        },
        "required": list(values),
        "additionalProperties": False,
    }


def _template(workload: Workload, values: Mapping[str, _Value]) -> str:
    """Return the objects as a template: with marks in the places of values, which are replaced.

    The marks have a digest of the objects, so no text in them can be one. They begin with a
    character that YAML quotes, so that a release's name is never read as a number.
    """
    plain = yaml_documents(kubernetes_objects(workload))
    mark = f"%{Digest.of(plain.encode()).hex[:16]}."
    text = yaml_documents(_with_values(item, mark, values) for item in _marked(workload, mark))
    text = text.replace("{{", '{{ "{{" }}')
    for name, item in values.items():
        written = f"{{{{ .Values.{name} }}}}"
        if item.is_number:
            text = text.replace(f"'{mark}{name}'", written)
        text = text.replace(f"{mark}{name}", written)
    return text.replace(f"{mark}release", "{{ .Release.Name }}")


def _marked(workload: Workload, mark: str) -> list[dict[str, Any]]:
    """Return the objects with marks for the names and hosts in them."""
    file = workload.file
    changes: dict[str, Any] = {"name": f"{mark}release", "namespace": None}
    if workload.keys_secret is not None:
        changes["keys"] = Keys(file=file.keys.file).model_copy(
            update={"secret": f"{mark}keysSecret"}
        )
    for part in ("ingress", "route"):
        outside: Ingress | Route | None = getattr(file, part)
        if outside is not None:
            changes[part] = outside.model_copy(update={"host": f"{mark}host"})
    return kubernetes_objects(replace(workload, file=file.model_copy(update=changes)))


def _with_values(item: dict[str, Any], mark: str, values: Mapping[str, _Value]) -> dict[str, Any]:
    """Return an object with marks in the places of the kit's container."""
    if item["kind"] != "Deployment":
        return item
    template = item["spec"]["template"]
    (kit,) = template["spec"]["containers"]
    memory, cpu = f"{mark}memory", f"{mark}cpu"
    resources = {
        "requests": {**kit["resources"]["requests"], "cpu": cpu, "memory": memory},
        "limits": {**kit["resources"]["limits"], "memory": memory},
    }
    repository = str(values["repository"].default)
    image = f"{mark}repository" + str(kit["image"]).removeprefix(repository)
    pod = {
        **template["spec"],
        "containers": [{**kit, "image": image, "resources": resources}],
    }
    return {
        **item,
        "spec": {
            **item["spec"],
            "replicas": f"{mark}replicas",
            "template": {**template, "spec": pod},
        },
    }
