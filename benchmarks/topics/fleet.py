"""Roll-outs to many servers: real ones on this machine, and a model of 1 to 1,000 servers."""

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from benchmarks import pulling
from benchmarks.figures import Row, Table, show_bytes, show_seconds
from benchmarks.fleet import GB, Site, Way, roll_out
from benchmarks.lab import Lab
from benchmarks.measured import Run, measure
from benchmarks.registry import Registry, registry
from benchmarks.synthetic import SyntheticKit

T = TypeVar("T")
_HOMES = 3
_SERVERS = (1, 100, 1000)
_SIZES = (1 * GB, 14 * GB, 140 * GB)
# KServe's own figures: a node with a disk of 125 MiB/s, seconds from apply to the first answer.
_SLOW_DISK = 125 * 1024 * 1024
_KSERVE = ((14 * GB, 443.0), (140 * GB, 4586.0))
_NOTE = (
    "A model, not a measurement: networks of 10 Gbit/s for the origin and each server, a cache with"
    " 25 Gbit/s for each hundred servers, filled by one pull before the others begin. Peers use"
    " 75 % of their network, as users of Dragonfly say."
)


def fleets(lab: Lab) -> Iterator[Table]:
    """Measure one server, compare a few homes with the model, then print the model."""
    with lab.synthetic(lab.sizes[0], 1) as kit, lab.warm_home("home") as home:
        with registry(lab.scratch / "origin") as origin:
            _push(lab, kit, home, origin)
            (run,), whole_bytes = _sent_by(origin, lambda: _pull(lab, kit, origin, 1))
            taken_in = whole_bytes / run.seconds
            rows = _real_rows(lab, kit, origin, whole_bytes)
            again, prompt_bytes = _new_prompt(lab, kit, home, origin)
        rows += [
            Row("one server takes in", f"{show_bytes(int(taken_in))} a second"),
            Row(
                "a release of a prompt, to one server",
                f"{show_bytes(prompt_bytes)}, {show_seconds(again.seconds)}",
                f"the whole kit: {show_bytes(whole_bytes)}, {show_seconds(run.seconds)}",
            ),
        ]
    yield Table("Roll-outs on this machine", rows)
    site = Site(taken_in)
    yield Table("Roll-outs to many servers", list(_model_rows(site, prompt_bytes)), [_NOTE])
    yield Table("The model and others' figures", list(_peer_rows()))


def _real_rows(lab: Lab, kit: SyntheticKit, origin: Registry, whole_bytes: int) -> list[Row]:
    """Pull with a few homes at once, without a cache and with one; compare with the model."""
    rows = []
    site = Site(1.0)
    _, direct = _sent_by(origin, lambda: _pull(lab, kit, origin, _HOMES))
    expected = roll_out(_HOMES, whole_bytes, Way.DIRECT, site).origin_bytes
    rows.append(_compared(f"{_HOMES} homes, {Way.DIRECT}", direct, expected))
    with registry(lab.scratch / "cache", of=origin) as cache, _mirrored(lab, origin, cache):
        _, warmed = _sent_by(origin, lambda: _pull(lab, kit, origin, 1))
        _, others = _sent_by(origin, lambda: _pull(lab, kit, origin, _HOMES - 1))
    expected = roll_out(_HOMES, whole_bytes, Way.CACHE, site).origin_bytes
    rows.append(_compared(f"{_HOMES} homes, {Way.CACHE}, one before", warmed + others, expected))
    with registry(lab.scratch / "cache", of=origin) as cache, _mirrored(lab, origin, cache):
        _, herd = _sent_by(origin, lambda: _pull(lab, kit, origin, _HOMES))
    rows.append(Row(f"{_HOMES} homes, {Way.CACHE}, all at once", show_bytes(herd)))
    return rows


def _compared(what: str, measured: int, expected: float) -> Row:
    """Return a row with the bytes that left the origin, and those of the model."""
    ratio = measured / expected
    return Row(
        what,
        show_bytes(measured),
        f"the model: {show_bytes(int(expected))}",
        ratio,
        "within 5 %",
        abs(ratio - 1) < 0.05,
    )


def _model_rows(site: Site, prompt_bytes: int) -> Iterator[Row]:
    rest_bytes = GB // 4  # base, engine and gateway
    for servers in _SERVERS:
        for size_bytes in _SIZES:
            releases = {
                "first roll-out": size_bytes,
                "new weights": size_bytes - rest_bytes,
                "new prompt": prompt_bytes,
            }
            for name, sent_bytes in releases.items():
                found = {way: roll_out(servers, sent_bytes, way, site) for way in Way}
                direct = found[Way.DIRECT]
                told = [
                    f"{way}: {_decimal(found[way].origin_bytes)}, {_time(found[way].seconds)}"
                    for way in Way
                ]
                yield Row(
                    f"{name}, {size_bytes // GB} GB, {servers} servers",
                    "; ".join(told[1:]),
                    told[0],
                    found[Way.PEERS].origin_bytes / direct.origin_bytes,
                )


def _peer_rows() -> Iterator[Row]:
    for size_bytes, seconds in _KSERVE:
        ours = roll_out(1, size_bytes, Way.DIRECT, Site(_SLOW_DISK)).seconds
        what = f"{size_bytes // GB} GB to one server with a disk of 125 MiB/s"
        yield Row(what, _time(ours), f"KServe oci+native, cold: {_time(seconds)}", ours / seconds)
    site = Site(10.0 * GB)
    direct, peers = (roll_out(200, 130 * GB, way, site) for way in (Way.DIRECT, Way.PEERS))
    yield Row(
        "130 GB to 200 servers, bytes from the origin",
        f"{_decimal(direct.origin_bytes)} directly, {_decimal(peers.origin_bytes)} with peers",
        "Dragonfly: 26 TB directly, about 130 GB with peers",
    )


def _push(lab: Lab, kit: SyntheticKit, home: Path, here: Registry, version: str = "1.0.0") -> None:
    target = f"{here.address}/{kit.name}:{version}"
    lab.mealkit(home, "lock", kit.folder)
    lab.mealkit(home, "build", "--replace", "--push", target, kit.folder)


def _pull(lab: Lab, kit: SyntheticKit, here: Registry, homes: int) -> list[Run]:
    """Pull into some new homes at once."""
    folders = [lab.scratch / f"server-{number}" for number in range(homes)]
    try:
        with ThreadPoolExecutor(homes) as pool:
            return list(pool.map(lambda home: _pull_into(home, kit, here, "1.0.0"), folders))
    finally:
        for folder in folders:
            shutil.rmtree(folder, ignore_errors=True)


def _new_prompt(lab: Lab, kit: SyntheticKit, home: Path, origin: Registry) -> tuple[Run, int]:
    """Release another prompt, and pull it into a home that has the kit."""
    server = lab.scratch / "server"
    try:
        _pull_into(server, kit, origin, "1.0.0")
        kit.edit_prompt("second")
        _push(lab, kit, home, origin, "1.0.1")
        return _sent_by(origin, lambda: _pull_into(server, kit, origin, "1.0.1"))
    finally:
        shutil.rmtree(server, ignore_errors=True)


def _sent_by(origin: Registry, work: Callable[[], T]) -> tuple[T, int]:
    """Return the result of some work, and how many bytes left the origin meanwhile."""
    before = origin.sent_bytes()
    result = work()
    return result, origin.sent_bytes() - before


@contextmanager
def _mirrored(lab: Lab, origin: Registry, cache: Registry) -> Iterator[None]:
    """Let pulls go through the cache."""
    folder = lab.scratch / "certs.d"
    hosts = folder / origin.address / "hosts.toml"
    hosts.parent.mkdir(parents=True, exist_ok=True)
    hosts.write_text(f'[host."http://{cache.address}"]\n')
    os.environ["MEALKIT_ENGINE_MIRRORS"] = str(folder)
    try:
        yield
    finally:
        del os.environ["MEALKIT_ENGINE_MIRRORS"]


def _pull_into(home: Path, kit: SyntheticKit, here: Registry, version: str) -> Run:
    command = [sys.executable, "-m", pulling.__name__, f"{here.address}/{kit.name}:{version}"]
    return measure([*command, home], folder=Path(pulling.__file__).parent.parent)


def _time(seconds: float) -> str:
    if seconds < 600:
        return show_seconds(seconds)
    return f"{seconds / 60:.0f} min" if seconds < 36_000 else f"{seconds / 3600:.0f} h"


def _decimal(size_bytes: float) -> str:
    """Show a size as networks are sold: in powers of ten."""
    for unit, scale in (("TB", 10**12), ("GB", GB), ("MB", 10**6)):
        if size_bytes >= scale:
            return f"{size_bytes / scale:.3g} {unit}"
    return f"{size_bytes / 1000:.3g} kB"
