"""What the gateway adds to a chat, whole and streamed, and what LiteLLM's proxy adds to the same.

All ask one stand-in that answers at once; gateway and proxy have the first core, one at a time,
and the stand-in and whoever asks have the others. Requests come from wrk.
"""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from benchmarks.figures import Row, Table, show_seconds
from benchmarks.lab import REPOSITORY, Lab
from benchmarks.litellm_peer import VERSION, litellm
from benchmarks.measured import CannotMeasureError, median
from benchmarks.registry import free_port
from benchmarks.served import Served, cpu_seconds, gateway, off_first_core
from mealkit.recipe.kit import Feature, Task
from mealkit.recipe.lock import Lock, read_lock

Figures = dict[str, float]
Found = dict[str, list[Figures]]

_RATES, _SECONDS, _CONNECTIONS = (500, 100), 6, 100
_STREAMS, _STEPS, _TOKENS = 64, 50, 200
_FLOOD_TOKENS = 400
_FIRST_STREAMS, _FIRST_BEGUN = 250, 50
_MILLISECOND = 0.001
_SCRIPT = Path(__file__).parent.parent / "wrk.lua"
_HYPERPARAMETERS = {
    "max_length": 4096, "max_tokens": 4096, "temperature": 0.0, "top_p": 1.0, "top_k": 0,
    "min_p": 0.0, "repetition_penalty": 1.0, "presence_penalty": 0.0, "frequency_penalty": 0.0,
    "seed": 7, "stop": [], "chat_template": "model", "tool_calls": "none", "overlong": "refuse",
}  # fmt: skip
DIRECT, OURS, THEIRS = "stand-in", "gateway", "LiteLLM"


def chats(lab: Lab) -> Iterator[Table]:
    """Measure chats at fixed rates, then streams, each contender in turn."""
    wrk = shutil.which("wrk")
    if wrk is None:
        raise CannotMeasureError("wrk is not installed")
    port = free_port()
    _, small, _ = lab.first_build
    lock = _lock(read_lock(small.lock.read_bytes()), port)
    notes: list[str] = []
    with ExitStack() as stack:
        ours = stack.enter_context(gateway(lab, lock, small.context / "weights"))
        places: dict[str, Served] = {DIRECT: Served(0, port, ours.socket), OURS: ours}
        try:
            places[THEIRS] = stack.enter_context(litellm(lab, port, lock.model.name))
        except CannotMeasureError as error:
            notes.append(f"LiteLLM: not measured, {error}")
        model = lock.model.name
        for rate in _RATES:
            pause = str(1000 * _CONNECTIONS // rate)
            asked = [
                *off_first_core(),
                wrk,
                "-t1",
                f"-c{_CONNECTIONS}",
                f"-d{_SECONDS}s",
                "-s",
                str(_SCRIPT),
            ]

            def whole(port: int, asked: Sequence[str] = asked, pause: str = pause) -> Figures:
                address = f"http://127.0.0.1:{port}/v1/chat/completions"
                return _figures([*asked, address, "--", pause, model])

            yield _whole_table(rate, _turns(lab, places, whole), notes)
        found = _turns(lab, places, lambda port: _stream(port, model, _FIRST_STREAMS, 8, 0))
        paced = _turns(lab, places, lambda port: _stream(port, model, _STREAMS, _TOKENS, _STEPS))
        flood = _turns(lab, places, lambda port: _stream(port, model, _STREAMS, _FLOOD_TOKENS, 0))
    yield _stream_table(found, paced, flood, notes)


def _lock(lock: Lock, port: int) -> Lock:
    """Return a lock whose engine is the stand-in, with the port that it shall listen on."""
    engine = {
        "worker": "benchmarks.chat_standin:ChatStandIn",
        "settings": {"port": port},
        "features": (Feature.CHAT, Feature.COMPLETION),
    }
    # More than ever wait at once: what is refused would be answered fast.
    serving = lock.serving.model_copy(update={"max_concurrency": 256, "max_queue": 1024})
    return lock.model_copy(
        update={
            "model": lock.model.model_copy(update={"task": Task.GENERATION}),
            "engine": lock.engine.model_copy(update=engine),
            "hyperparameters": _HYPERPARAMETERS,
            "serving": serving,
        }
    )


def _turns(lab: Lab, places: Mapping[str, Served], ask: Callable[[int], Figures]) -> Found:
    """Ask every contender in each round, another one first in each."""
    found: Found = {name: [] for name in places}
    names = list(places)
    for number in range(lab.runs):
        turn = number % len(names)
        for name in names[turn:] + names[:turn]:
            place = places[name]
            before = cpu_seconds(place.process) if place.process else 0.0
            figures = ask(place.port)
            used = cpu_seconds(place.process) - before if place.process else 0.0
            figures["cpu"] = used
            found[name].append(figures)
            lab.tell(f"{name}: {', '.join(f'{key} {value:.4g}' for key, value in figures.items())}")
    return found


def _stream(port: int, model: str, streams: int, tokens: int, rate: int) -> Figures:
    begun = 0 if streams == _STREAMS else _FIRST_BEGUN
    numbers = [str(number) for number in (streams, tokens, rate, begun)]
    return _figures([sys.executable, "-m", "benchmarks.streams", str(port), model, *numbers])


def _figures(command: Sequence[str]) -> Figures:
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=REPOSITORY)
    if done.returncode:
        raise CannotMeasureError(f"{command[0]}: {(done.stderr or done.stdout).strip()[-500:]}")
    figures: Figures = json.loads(done.stdout.splitlines()[-1])
    return figures


def _whole_table(rate: int, found: Found, notes: Sequence[str]) -> Table:
    rows = []
    judged = rate == _RATES[0]
    for name in (OURS, THEIRS):
        if name in found:
            budgets = (1.0, 5.0) if name == OURS and judged else (None, None)
            for figure, budget in zip(("p50", "p99"), budgets, strict=True):
                rows.append(_added(f"{name}: added, {figure}", found, name, figure, budget))
            cpu = median([run["cpu"] / max(run["sent"], 1) for run in found[name]]) or 0.0
            rows.append(Row(f"{name}: CPU time for a request", show_seconds(cpu)))
    told = ", ".join(
        f"{name} {median([run['achieved'] for run in runs]):.0f} a second"
        f" ({sum(run['refused'] for run in runs):.0f} failed)"
        for name, runs in found.items()
    )
    how = (
        f"{_SECONDS} s each, wrk with {_CONNECTIONS} connections, each of which pauses at random, "
        f"{1000 * _CONNECTIONS // rate} ms on average, before it asks again. Answered: {told}."
    )
    return Table(f"Chats, at {rate} requests a second", rows, [how, *notes])


def _stream_table(first: Found, paced: Found, flood: Found, notes: Sequence[str]) -> Table:
    rows = []
    for name in (OURS, THEIRS):
        if name not in first:
            continue
        budget = 1.0 if name == OURS else None
        rows.append(_added(f"{name}: first token later, p50", first, name, "first_p50", budget))
        rows.append(_added(f"{name}: first token later, p99", first, name, "first_p99", None))
        least = 0.9 if name == OURS else None
        asked = f"{_STREAMS} streams at {_STEPS} tokens a second each"
        rows.append(_share(f"{name}: {asked}", paced, name, least))
        rows.append(_share(f"{name}: {_STREAMS} streams, as fast as they go", flood, name, None))
        cpu = median([run["cpu"] for run in paced[name]]) or 0.0
        rows.append(Row(f"{name}: CPU time for a token", show_seconds(cpu / (_STREAMS * _TOKENS))))
    bad = {
        name: sum(run["refused"] for part in (first, paced, flood) for run in part[name])
        for name in first
    }
    told = ", ".join(f"{name} {count:.0f}" for name, count in bad.items())
    how = (
        f"First tokens: {_FIRST_STREAMS} streams, {_FIRST_BEGUN} begun each second. The stand-in "
        "sends a token of all streams at once, as an engine does that computes them together. "
        f"Streams that were not whole: {told}. LiteLLM {VERSION}."
    )
    return Table(f"Streamed chats, {_STREAMS} at once", rows, [how, *notes])


def _added(what: str, found: Found, name: str, figure: str, budget: float | None) -> Row:
    """Return a row with what a contender adds to asking the stand-in directly, round by round."""
    through = [run[figure] for run in found[name]]
    direct = [run[figure] for run in found[DIRECT]]
    added = median([one - other for one, other in zip(through, direct, strict=True)]) or 0.0
    shown = f"{show_seconds(median(through) or 0)} less {show_seconds(median(direct) or 0)}"
    return Row(
        what,
        show_seconds(added),
        shown,
        budget="" if budget is None else f"≤ {budget:g} ms",
        met=None if budget is None else added <= budget * _MILLISECOND,
        samples={name: through, DIRECT: direct},
    )


def _share(what: str, found: Found, name: str, least: float | None) -> Row:
    """Return a row with the share of the stand-in's tokens that come through."""
    through = [run["tokens_per_second"] for run in found[name]]
    direct = [run["tokens_per_second"] for run in found[DIRECT]]
    share = median([one / other for one, other in zip(through, direct, strict=True)]) or 0.0
    return Row(
        what,
        f"{median(through):.0f} tokens/s",
        f"directly: {median(direct):.0f} tokens/s",
        share,
        "" if least is None else f"ratio ≥ {least:g}",
        None if least is None else share >= least,
        {name: through, DIRECT: direct},
    )
