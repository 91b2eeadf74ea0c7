"""Writes the reference page of deploy.yaml: every field with its type, default and meaning."""

from mealkit.deploy.deployment_file import DeploymentFile, deployment_schema
from mealkit.recipe.operations import Operations
from reference_pages.kit_page import models_below
from reference_pages.policy_page import plain_table

_ABOUT = """\
Every field may be left out; an empty file is valid. Fields in **bold** are required where the part
that has them is written. An unknown field, a key that appears twice, and a value of the wrong type
are problems that name the line. `ops` is the same as [in kit.yaml](kit.md#operations), and replaces
the kit's, section by section. [Deploy to Kubernetes](../how-to/deploy-to-kubernetes.md) has
examples.
"""


def deploy_page() -> str:
    """Return the page."""
    schema = deployment_schema()
    definitions = schema["$defs"]
    lines = ["# deploy.yaml", "", _ABOUT, *plain_table(DeploymentFile, schema, definitions)]
    of_kits = {Operations, *models_below(Operations)}
    for model in models_below(DeploymentFile):
        if model not in of_kits:
            lines += ["", f"## {model.__name__}", "", (model.__doc__ or "").strip(), ""]
            lines += plain_table(model, definitions[model.__name__], definitions)
    text = "\n".join(lines) + "\n"
    return text.replace("(#operations)", "(kit.md#operations)")
