"""mealkit new: begin a kit."""

from pathlib import Path
from typing import Annotated

import typer

from mealkit.cli.output import print_line, say

EXAMPLES = ("mealkit new my-kit", "mealkit new kits/my-kit --engine onnx")


def new(
    folder: Annotated[
        Path, typer.Argument(metavar="NAME", help="The kit's name, or a folder that ends in it.")
    ],
    *,
    engine: Annotated[str, typer.Option(help="The inference engine.")] = "onnx",
) -> None:
    """Write a commented kit to start from."""
    from mealkit.build.scaffold import write_new_kit
    from mealkit.pipeline.kits import schema

    print_line(str(write_new_kit(folder, engine, schema())))
    say(f"next: write your team into its owner, then: mealkit check {folder}")
