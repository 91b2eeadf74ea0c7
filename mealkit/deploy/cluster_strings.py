"""The types of strings and numbers in deploy.yaml, each by the rules of Kubernetes."""

from ipaddress import ip_address, ip_network
from typing import Annotated

from pydantic import AfterValidator, Field, StringConstraints

from mealkit.strings import MaybeLine

_MOST = 100

# https://kubernetes.io/docs/concepts/overview/working-with-objects/names/
DeploymentName = Annotated[
    str, StringConstraints(pattern=r"^[a-z]([a-z0-9-]{0,38}[a-z0-9])?$", max_length=40)
]
"""A name that is left room for suffixes, such as -candidate, within 63 characters."""
DnsLabel = Annotated[
    str, StringConstraints(pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$", max_length=63)
]
DnsName = Annotated[
    str,
    StringConstraints(
        pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*$",
        max_length=253,
    ),
]
# https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/
LabelKey = Annotated[
    str,
    StringConstraints(
        pattern=r"^([a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?/)?"
        r"[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?$",
        max_length=317,
    ),
]
LabelValue = Annotated[
    str, StringConstraints(pattern=r"^([A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?)?$")
]


def _file_name(text: str) -> str:
    if text == "." or text.startswith(".."):
        raise ValueError("a value of a Secret cannot have this name")
    return text


KeyOfSecret = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z0-9._-]{1,253}$"), AfterValidator(_file_name)
]
Labels = Annotated[dict[LabelKey, LabelValue], Field(max_length=_MOST)]
Annotations = Annotated[dict[LabelKey, MaybeLine], Field(max_length=_MOST)]
Port = Annotated[int, Field(ge=1, le=65535)]
Origin = Annotated[
    str, StringConstraints(pattern=r"^(\*|[a-z][a-z0-9+.-]*://[a-z0-9_.:\[\]-]{1,255})$")
]


def _address(text: str) -> str:
    ip_address(text)
    return text


MachineAddress = Annotated[
    str, StringConstraints(pattern=r"^[0-9a-fA-F.:]{2,45}$"), AfterValidator(_address)
]
"""An address of a machine: 127.0.0.1."""


def _network(text: str) -> str:
    ip_network(text)
    return text


Cidr = Annotated[
    str, StringConstraints(pattern=r"^[0-9a-fA-F.:]+/[0-9]{1,3}$"), AfterValidator(_network)
]
"""A range of addresses: 10.0.0.0/8."""
