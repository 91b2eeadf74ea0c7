"""Options and arguments that several verbs share, and the session that the global options set."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from mealkit.cli.completing import kit_folders, kits_and_images, stored_names
from mealkit.kit.bounds import OPTION, VARIABLE
from mealkit.stores.registry.registry_endpoint import PLAIN_VARIABLE

if TYPE_CHECKING:
    from mealkit.pipeline.home import Home
    from mealkit.progress import Progress


KitPath = Annotated[
    str,
    typer.Argument(
        metavar="KIT",
        help="The kit's folder, or its kit.yaml.",
        show_default="here",
        autocompletion=kit_folders,
    ),
]
_IMAGE = "NAME:VERSION, a digest, REGISTRY/NAME:TAG, oci:DIR or oci-archive:FILE"
ImageTarget = Annotated[
    str,
    typer.Argument(metavar="TARGET", help=f"An image: {_IMAGE}.", autocompletion=stored_names),
]
KitOrImage = Annotated[
    str,
    typer.Argument(
        metavar="TARGET",
        help=f"A kit's folder, or an image: {_IMAGE}.",
        show_default="here",
        autocompletion=kits_and_images,
    ),
]
_RECIPE = f"A kit's folder, a kit.lock, or an image: {_IMAGE}."
RecipeTarget = Annotated[
    str,
    typer.Argument(
        metavar="TARGET", help=_RECIPE, show_default="here", autocompletion=kits_and_images
    ),
]
SignedTarget = Annotated[
    str,
    typer.Argument(
        metavar="TARGET",
        help="REGISTRY/NAME:TAG, or an image in the local store.",
        autocompletion=stored_names,
    ),
]
RecipeSide = Annotated[str, typer.Argument(help=_RECIPE, autocompletion=kits_and_images)]
ModelTarget = Annotated[
    str,
    typer.Argument(
        metavar="TARGET",
        help=f"{_RECIPE} Or a model: hub:OWNER/REPO[/FILE][@REVISION], or weight files.",
        show_default="here",
    ),
]
Client = Annotated[
    Literal["docker", "podman", "sandbox"] | None,
    typer.Option(help="The container client.", show_default="the first that works"),
]
Json = Annotated[
    bool,
    typer.Option("--json", help="Print JSON: the result to stdout, problems to stderr."),
]
Locked = Annotated[
    bool,
    typer.Option("--locked", help="Fail if the lock is missing or stale, instead of updating it."),
]
AllowFolder = Annotated[
    list[Path],
    typer.Option(
        OPTION,
        metavar="FOLDER",
        envvar=VARIABLE,
        help="Allow the kit to use files from this folder too; may be repeated.",
        show_default=False,
    ),
]
PlainHttp = Annotated[
    list[str],
    typer.Option(
        "--plain-http",
        metavar="REGISTRY",
        envvar=PLAIN_VARIABLE,
        help="Use HTTP without TLS for this registry, as in registry:5000; may be repeated.",
        show_default=False,
    ),
]
ModelPack = Annotated[
    bool,
    typer.Option(
        "--modelpack",
        help="Also push the weights as a CNCF ModelPack that refers to the image.",
    ),
]
Sign = Annotated[
    bool,
    typer.Option("--sign", help="Also sign the image, where it was pushed and in the local store."),
]
OptionalKeyFile = Annotated[
    Path | None,
    typer.Option("--key", metavar="FILE", help="The private key for --sign (mealkit keygen)."),
]
PassphraseFile = Annotated[
    Path | None,
    typer.Option(
        "--passphrase-file",
        metavar="FILE",
        help="Read the key's passphrase from this file, not from the terminal.",
        show_default=False,
    ),
]
PassphraseFd = Annotated[
    int | None,
    typer.Option(
        "--passphrase-fd",
        metavar="NUMBER",
        help="Read the key's passphrase from this file descriptor.",
        show_default=False,
    ),
]
Replace = Annotated[
    bool,
    typer.Option(
        "--replace", help="Let the new image have the version, if an image with other bytes has it."
    ),
]
Licences = Annotated[
    bool,
    typer.Option(
        "--licences",
        help="Read the licences of packages from the layers of the image, for the SBOM.",
    ),
]
Kubeconfig = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Kubernetes: the kubeconfig.",
        show_default="KUBECONFIG, or ~/.kube/config",
    ),
]
KubeContext = Annotated[
    str | None,
    typer.Option(
        "--context",
        metavar="NAME",
        help="Kubernetes: the context of the kubeconfig.",
        show_default="its current one",
    ),
]
Namespace = Annotated[
    str | None,
    typer.Option(
        metavar="NAME", help="Kubernetes: the namespace.", show_default="the context's own"
    ),
]
HERE = "."


@dataclass(frozen=True, slots=True)
class Session:
    """The values of the options before the verb."""

    home_path: Path | None
    quiet: bool

    @property
    def home(self) -> "Home":
        """The folder of mealkit on this machine."""
        from mealkit.pipeline.home import home_at

        return home_at(self.home_path)

    def progress(self, *, as_json: bool = False) -> "Progress":
        """Return the progress display for stderr."""
        from mealkit.cli.progress_display import display_for

        return display_for(quiet=self.quiet, as_json=as_json)


def use_plain_http(registries: list[str]) -> None:
    """Pass the option on to the pipeline, which reads settings of registries from the environment.

    Each of its steps opens the registries that it needs.
    """
    if registries:
        os.environ[PLAIN_VARIABLE] = " ".join(registries)


def session_of(context: typer.Context) -> Session:
    """Return the values of the options before the verb."""
    session = context.obj
    if not isinstance(session, Session):
        raise TypeError("the verb was called without the program")
    return session
