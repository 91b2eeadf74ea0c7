"""Writes objects as YAML that every reader understands in the same way, always with the same bytes.

Strings that YAML 1.1 or 1.2 would read as something else are quoted.
"""

import re
from collections.abc import Iterable
from typing import Any

import yaml

from mealkit.kit.scalars import NUMBER


class _Dumper(yaml.SafeDumper):
    """PyYAML's dumper, which quotes numbers of YAML 1.1, and here also those of YAML 1.2."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002  the parent's signature
        """Write a value that appears twice in full: not every reader knows aliases."""
        return True


_Dumper.add_implicit_resolver("tag:yaml.org,2002:float", NUMBER, list("-+.0123456789"))
# kubectl and Helm read with a parser that takes these for values, too.
_Dumper.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile("^[yYnN]$"), list("yYnN"))
_SPACED_NUMBER = re.compile(r"^[-+]?[0-9][0-9_]*(\.[0-9_]*)?([eE][-+]?[0-9_]+)?$")
_Dumper.add_implicit_resolver("tag:yaml.org,2002:float", _SPACED_NUMBER, list("-+0123456789"))


def yaml_document(value: Any) -> str:
    """Return a value as a YAML document, in the order of its keys."""
    return str(
        yaml.dump(
            value,
            Dumper=_Dumper,
            default_flow_style=False,
            width=2**30,
            allow_unicode=True,
            sort_keys=False,
        )
    )


def yaml_documents(values: Iterable[Any]) -> str:
    """Return values as a stream of YAML documents."""
    return "---\n".join(yaml_document(value) for value in values)
