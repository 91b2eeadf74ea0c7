"""What a parser may do with bytes of others: give something, or refuse with its own errors.

Anything else is a crash: another exception, a problem that says INTERNAL, or work without end.
"""

import contextlib
import signal
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from types import FrameType
from typing import NoReturn

from mealkit.errors import MealkitError
from mealkit.untrusted import UntrustedError

# CPU time of one input: a hundred times of what the slowest takes.
_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class Target:
    """A parser, and valid inputs of it."""

    name: str
    run: Callable[[bytes], object]
    seeds: Sequence[bytes]
    refuses: tuple[type[Exception], ...] = ()
    """What it raises besides problems of the catalogue, as its docstring says."""
    inputs: int = 300


@dataclass(slots=True)
class Outcome:
    """What came of a run: how many inputs there were, how many were taken, and the crashes."""

    inputs: int = 0
    taken: int = 0
    crashes: list[tuple[str, bytes]] = field(default_factory=list)


class _EndlessError(BaseException):
    """An input takes far longer than any other."""


def fuzz(target: Target, datas: Iterable[bytes]) -> Outcome:
    """Run a target on inputs; of each kind of crash one is kept."""
    outcome = Outcome()
    seen: set[str] = set()
    for data in datas:
        outcome.inputs += 1
        crash = crash_of(target, data)
        outcome.taken += crash == ""
        if crash and crash not in seen:
            seen.add(crash)
            outcome.crashes.append((crash, data))
    return outcome


def crash_of(target: Target, data: bytes) -> str | None:
    """Return what is wrong; nothing if the input was taken, None if it was refused."""
    try:
        with _limited(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            target.run(data)
    except MealkitError as error:
        internal = [item for item in error.problems if item.code == "INTERNAL"]
        return f"the problem INTERNAL: {internal[0].message}" if internal else None
    except (UntrustedError, *target.refuses):
        return None
    except (Exception, _EndlessError) as error:  # noqa: BLE001  any other one is a crash
        return f"{type(error).__name__} at {_place_of(error)}: {str(error)[:200]}"
    return ""


def _place_of(error: BaseException) -> str:
    place = error.__traceback__
    found = ""
    while place is not None:
        name = place.tb_frame.f_code.co_filename
        if "/mealkit/" in name:
            found = f"{name.rpartition('/mealkit/')[2]}:{place.tb_lineno}"
        place = place.tb_next
    return found


@contextlib.contextmanager
def _limited() -> Iterator[None]:
    def end(_number: int, _frame: FrameType | None) -> NoReturn:
        raise _EndlessError(f"more than {_SECONDS} seconds of a CPU")

    before = signal.signal(signal.SIGPROF, end)
    signal.setitimer(signal.ITIMER_PROF, _SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)
