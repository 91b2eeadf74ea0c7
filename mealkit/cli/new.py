"""mealkit new: write a new kit, from a template or converted from another tool."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mealkit.cli.completing import engine_names
from mealkit.cli.options import Json, session_of
from mealkit.cli.output import print_json, print_line, say, table
from mealkit.errors import failure

if TYPE_CHECKING:
    from mealkit.pipeline.kit.beginning import Script

EXAMPLES = (
    "mealkit new my-kit",
    "mealkit new --list",
    "mealkit new kits/my-kit --task embeddings",
    "mealkit new my-chat --engine llama-cpp --prepare",
    "mealkit new blur --from cog ../cog-blur",
    "mealkit new chat --from hub Qwen/Qwen2.5-7B-Instruct --engine vllm",
    "mealkit new mario --from modelfile ./Modelfile",
)


def new(  # noqa: PLR0913  one parameter for each option
    context: typer.Context,
    folder: Annotated[
        Path | None,
        typer.Argument(
            metavar="NAME",
            help="The kit's name, or a path whose last part is the name.",
            show_default=False,
        ),
    ] = None,
    *,
    engine: Annotated[
        str | None,
        typer.Option(
            help="The inference engine.",
            show_default="by the task, or the origin's own",
            autocompletion=engine_names,
        ),
    ] = None,
    task: Annotated[
        str | None,
        typer.Option(
            metavar="TASK",
            help="embeddings, generation, classification, reranking or prediction.",
            show_default="the engine's first, or prediction",
        ),
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
    prepare: Annotated[
        bool | None,
        typer.Option(
            "--prepare/--no-prepare",
            help="Run the kit's script if it has one, such as the one that compiles a wheel.",
            show_default="ask on a terminal",
        ),
    ] = None,
    listing: Annotated[bool, typer.Option("--list", help="List the templates.")] = False,
    as_json: Json = False,
) -> None:
    """Write a new kit with comments, ready to edit.

    It runs as it is written. Without options it is a paper's own code in Python; "--list" shows the
    templates for other engines and tasks.
    """
    if listing:
        _print_templates(as_json=as_json)
        return
    if folder is None:
        raise failure("USAGE", "the new kit has no name", hint="mealkit new my-kit")
    if origin is None:
        from mealkit.pipeline.kit.beginning import begin_kit

        begun = begin_kit(folder, engine, task)
        _print_path(begun.path, as_json=as_json)
        if begun.script is not None:
            _prepare(begun.script, wanted=prepare)
    else:
        if task is not None:
            hint = "leave --task out: the model's own files say what it does"
            raise failure("USAGE", "--task is for templates, not for --from", hint=hint)
        _import(context, folder, origin, engine, as_json=as_json)
    say(f"next: write your team into its owner, then: mealkit check {folder}")


def _import(
    context: typer.Context,
    folder: Path,
    origin: tuple[str, str],
    engine: str | None,
    *,
    as_json: bool,
) -> None:
    from mealkit.pipeline.kit.importing import import_kit

    kind, source = origin
    made = import_kit(folder, kind, source, engine=engine, home=session_of(context).home)
    _print_path(folder / "kit.yaml", as_json=as_json)
    for item in made.left_out:
        say(f"not carried over: {item.sentence}")


def _print_path(path: Path, *, as_json: bool) -> None:
    if as_json:
        print_json({"kit": str(path)})
    else:
        print_line(str(path))


def _print_templates(*, as_json: bool) -> None:
    from mealkit.importing.scaffold import new_kits

    found = new_kits()
    if as_json:
        rows = [
            {
                "engine": item.engine,
                "task": item.task,
                "what": item.kit.what,
                "prepare": item.prepare,
            }
            for item in found
        ]
        print_json(rows)
        return
    lines = [(item.engine, item.task, item.prepare or "", item.kit.what) for item in found]
    for line in table(("engine", "task", "run first", "what it is"), lines, frozenset()):
        print_line(line)


def _prepare(script: "Script", *, wanted: bool | None) -> None:
    """Run a new kit's script if the user says yes; else say how to run it."""
    from mealkit.kit.preparation import prepare_command
    from mealkit.pipeline.kit.beginning import prepare_kit

    say(f"before it can be locked, a script has to run: {script.path}")
    if script.purpose:
        say(f"  {script.purpose}")
    if wanted is None and sys.stdin.isatty() and sys.stderr.isatty():
        wanted = typer.confirm("Run it now?", err=True)
    if wanted:
        prepare_kit(script)
    else:
        say(f"run it with: {prepare_command(script.path)}")
