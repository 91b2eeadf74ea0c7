"""mealkit estimate: estimate a model's GPU memory before anything is downloaded."""

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mealkit.cli.options import (
    HERE,
    AllowFolder,
    Json,
    ModelTarget,
    PlainHttp,
    session_of,
    use_plain_http,
)
from mealkit.cli.output import has_colour, print_json, print_line, table
from mealkit.memory.setting import KvDtype

if TYPE_CHECKING:
    from mealkit.memory.terms import Term
    from mealkit.pipeline.machine.estimating import EstimateReport, ReservedCache, Room
    from mealkit.preflight.fit import CardFit, Reach

EXAMPLES = (
    "mealkit estimate my-kit",
    "mealkit estimate hub:Qwen/Qwen2.5-7B-Instruct --gpu 'RTX 4090'",
    "mealkit estimate model.gguf --memory 24GiB --concurrency 4 --kv-dtype q8_0",
)

_BAR_WIDTH = 40


def estimate(  # noqa: PLR0913  one parameter for each option
    context: typer.Context,
    target: ModelTarget = HERE,
    *,
    context_tokens: Annotated[
        int | None,
        typer.Option(
            "--context",
            metavar="TOKENS",
            min=1,
            help="Tokens of prompt and answer together, per request.",
            show_default="the kit's, else 8192",
        ),
    ] = None,
    concurrency: Annotated[
        int | None,
        typer.Option(
            metavar="REQUESTS",
            min=1,
            help="Concurrent requests, each with a full context.",
            show_default="the kit's, else 1",
        ),
    ] = None,
    kv_dtype: Annotated[
        KvDtype | None,
        typer.Option(
            help="The data type of the key and value cache.", show_default="the kit's, or f16"
        ),
    ] = None,
    engine: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="The engine to estimate for.",
            show_default="the kit's, else the usual one for the weights",
        ),
    ] = None,
    tensor_parallel: Annotated[
        int | None,
        typer.Option(
            metavar="GPUS",
            min=1,
            help="The number of GPUs that share the model.",
            show_default="the kit's, else 1",
        ),
    ] = None,
    gpu: Annotated[
        str | None, typer.Option(metavar="NAME", help="A known GPU, such as 'A100 80GB'.")
    ] = None,
    memory: Annotated[
        str | None, typer.Option(metavar="SIZE", help="The memory of each GPU, such as 24GiB.")
    ] = None,
    plain_http: PlainHttp = [],  # noqa: B006
    allow_folder: AllowFolder = [],  # noqa: B006  typer copies it
    as_json: Json = False,
) -> None:
    """Estimate a model's GPU memory, and show which GPUs have enough."""
    from mealkit.pipeline.machine.estimating import EstimateRequest, estimate_target

    request = EstimateRequest(
        target=target,
        engine=engine,
        context_tokens=context_tokens,
        concurrency=concurrency,
        kv_dtype=kv_dtype,
        tensor_parallel=tensor_parallel,
        gpu=gpu,
        memory_bytes=_size(memory, gpu),
        allowed=tuple(allow_folder),
    )
    session = session_of(context)
    use_plain_http(plain_http)
    report = estimate_target(request, session.home, session.progress(as_json=as_json))
    if as_json:
        print_json(report.as_json())
    else:
        _describe(report)


def _size(memory: str | None, gpu: str | None) -> int | None:
    from mealkit.errors import failure
    from mealkit.units import parse_size

    if memory is None:
        return None
    if gpu is not None:
        raise failure("USAGE", "--gpu and --memory both state the memory")
    try:
        return parse_size(memory)
    except ValueError as error:
        raise failure("USAGE", f"--memory: {error}") from error


def _describe(report: "EstimateReport") -> None:
    setting, found = report.setting, report.found
    reserved = setting.cache_space_bytes
    whole = "in all" if setting.engine.on_processors or reserved else "per GPU"
    requests = f"{setting.concurrency} x {setting.context_tokens} tokens"
    cache = f"{setting.kv_dtype} cache"
    device = _gpus(setting.devices) if reserved is None else "on processors"
    print_line(f"{report.name}: {setting.engine.name}, {requests}, {cache}, {device}")
    for assumed in report.shape.unknown:
        print_line(f"assumed {assumed}")
    print_line("")
    _draw(found.terms, found.likely_bytes)
    print_line("")
    print_line(
        f"{whole} {_shown(found.likely_bytes)}, between {_shown(found.low_bytes)}"
        f" and {_shown(found.high_bytes)}; most while {found.peak.name}"
    )
    print_line("")
    for term in found.terms:
        print_line(f"{term.name}: {term.formula} [{term.source}]")
    if report.reserved:
        _describe_reserved(report.reserved)
    if report.room:
        _describe_room(report.room)
    _describe_cards(report.cards, setting.devices)


def _draw(terms: "tuple[Term, ...]", whole_bytes: int) -> None:
    """Draw the terms as bars, each starting where the last one ends; # without a terminal."""
    if has_colour(sys.stdout):
        _draw_on_terminal(terms, whole_bytes)
        return
    rows = [
        (item.name, _shown(item.likely_bytes), _interval(item), _bar(item, whole_bytes))
        for item in terms
    ]
    for line in table(("term", "likely", "between", ""), rows, frozenset({1})):
        print_line(line)


def _draw_on_terminal(terms: "tuple[Term, ...]", whole_bytes: int) -> None:
    from rich.bar import Bar
    from rich.console import Console
    from rich.table import Table

    rows: Any = Table(box=None, pad_edge=False)
    for head, justify in (("term", "left"), ("likely", "right"), ("between", "left"), ("", "left")):
        rows.add_column(head, justify=justify)
    done = 0
    for item in terms:
        bar = Bar(whole_bytes or 1, done, done + item.likely_bytes, width=_BAR_WIDTH, color="cyan")
        rows.add_row(item.name, _shown(item.likely_bytes), _interval(item), bar)
        done += item.likely_bytes
    Console().print(rows)


def _describe_room(room: "Room") -> None:
    name = f"{room.name}, " if room.name else ""
    used = "" if room.usable_bytes == room.memory_bytes else f", {_shown(room.usable_bytes)} usable"
    print_line("")
    print_line(f"{name}{_shown(room.memory_bytes)}{used}: {_words(room.fit.value)}")
    if room.context and room.concurrency:
        print_line(f"  largest context      {_reach(room.context)}")
        print_line(f"  largest concurrency  {_reach(room.concurrency)}")


def _describe_reserved(cache: "ReservedCache") -> None:
    print_line("")
    print_line(f"reserved cache {_shown(cache.space_bytes)}: {_words(cache.fit.value)}")
    print_line(
        f"  needed               {_interval(cache.needed) or _shown(cache.needed.low_bytes)}"
    )
    print_line(f"  largest context      {_reach(cache.context)}")
    print_line(f"  largest concurrency  {_reach(cache.concurrency)}")


def _describe_cards(cards: "tuple[CardFit, ...]", gpus: int) -> None:
    if not cards:
        return
    print_line("")
    rows = [(item.card.name, _shown(item.usable_bytes), _words(item.fit.value)) for item in cards]
    for line in table((_gpus(gpus), "usable", "verdict"), rows, frozenset({1})):
        print_line(line)


def _bar(item: "Term", whole_bytes: int) -> str:
    return "#" * round(_BAR_WIDTH * item.likely_bytes / whole_bytes) if whole_bytes else ""


def _interval(item: "Term") -> str:
    if item.low_bytes == item.high_bytes:
        return ""
    return f"{_shown(item.low_bytes)} to {_shown(item.high_bytes)}"


def _reach(reach: "Reach") -> str:
    if reach.sure == reach.likely:
        return str(reach.sure) if reach.sure else "none fits"
    return f"{reach.sure or 'none'} for sure, {reach.likely} likely"


def _words(verdict: str) -> str:
    return verdict.replace("-", " ")


def _gpus(count: int) -> str:
    return "1 GPU" if count == 1 else f"{count} GPUs"


def _shown(size_bytes: int) -> str:
    from mealkit.units import show_size

    return show_size(size_bytes)
