"""mealkit new: write a new kit, from a template or converted from another tool."""

from pathlib import Path
from typing import Annotated

import typer

from mealkit.cli.options import session_of
from mealkit.cli.output import print_line, say

EXAMPLES = (
    "mealkit new my-kit",
    "mealkit new kits/my-kit --engine onnx",
    "mealkit new blur --from cog ../cog-blur",
    "mealkit new chat --from hub Qwen/Qwen2.5-7B-Instruct --engine vllm",
    "mealkit new mario --from modelfile ./Modelfile",
)


def new(
    context: typer.Context,
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="NAME", help="The kit's name, or a path whose last part is the name."
        ),
    ],
    *,
    engine: Annotated[
        str | None,
        typer.Option(help="The inference engine.", show_default="onnx, or the origin's own"),
    ] = None,
    origin: Annotated[
        tuple[str, str] | None,
        typer.Option(
            "--from",
            metavar="KIND SOURCE",
            help="Convert from another tool: cog FOLDER, hub OWNER/NAME (also with :QUANT or /FILE,"
            " and @REVISION; or its address), or modelfile FILE.",
        ),
    ] = None,
) -> None:
    """Write a new kit with comments, ready to edit."""
    if origin is None:
        from mealkit.engines.whole_schema import full_schema
        from mealkit.importing.scaffold import write_new_kit

        write_new_kit(folder, engine, full_schema())
        print_line(str(folder / "kit.yaml"))
    else:
        from mealkit.pipeline.kit.importing import import_kit

        kind, source = origin
        home = session_of(context).home
        made = import_kit(folder, kind, source, engine=engine, home=home)
        print_line(str(folder / "kit.yaml"))
        for item in made.left_out:
            say(f"not carried over: {item.sentence}")
    say(f"next: write your team into its owner, then: mealkit check {folder}")
