"""mealkit logout: delete a registry's credentials."""

import typer

from mealkit.cli.login import Registry
from mealkit.cli.options import Json, session_of
from mealkit.cli.output import print_json, print_line

EXAMPLES = ("mealkit logout registry.example.org",)


def logout(context: typer.Context, registry: Registry, *, as_json: Json = False) -> None:
    """Delete a registry's credentials from where login keeps them."""
    from mealkit.pipeline.publish.logging_in import log_out, registry_name

    was_there, is_left = log_out(registry, session_of(context).home)
    name = registry_name(registry)
    if as_json:
        print_json({"registry": name, "removed": was_there, "left": is_left})
        return
    print_line(f"logged out of {name}" if was_there else f"there was no login to {name}")
    if is_left:
        print_line(
            "note: another file, such as podman's, still has credentials: podman logout " + name
        )
