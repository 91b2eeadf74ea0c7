"""mealkit sbom: print the SBOM of a kit."""

import typer

from mealkit.cli.options import (
    HERE,
    AllowFolder,
    Licences,
    PlainHttp,
    RecipeTarget,
    session_of,
    use_plain_http,
)
from mealkit.cli.output import print_json

EXAMPLES = (
    "mealkit sbom my-kit:1.0.0",
    "mealkit sbom my-kit:1.0.0 --licences",
    "mealkit sbom registry.example.org/team/my-kit:1.0.0 > sbom.cdx.json",
)


def sbom(
    context: typer.Context,
    target: RecipeTarget = HERE,
    *,
    licences: Licences = False,
    plain_http: PlainHttp = [],  # noqa: B006
    allow_folder: AllowFolder = [],  # noqa: B006  typer copies it
) -> None:
    """Print the SBOM of a kit, a lock or an image.

    It is a CycloneDX 1.6 document in JSON. It lists the model with its card, every file of it, the
    prompts, the Debian packages and the Python packages, each with its digest. It is made from the
    lock, and no key is needed.
    """
    from mealkit.pipeline.statements.describing import describe

    session = session_of(context)
    use_plain_http(plain_http)
    progress = session.progress(as_json=True)
    print_json(describe(target, session.home, allow_folder, progress, licences=licences))
