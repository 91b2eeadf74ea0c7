"""What is tested and how: the running kit, the options, and who is told about the progress."""

import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from mealkit.acceptance.report import CaseResult, ClaimResult, MachineFacts

DEFAULT_CONCURRENCY = 4
"""How many requests are asked at a time, unless the caller decides."""
MAX_CONCURRENCY = 256
"""The most requests at a time."""


@dataclass(frozen=True, slots=True)
class Memory:
    """The peak memory of a running kit; None: it is not known."""

    host_bytes: int | None = None
    gpu_bytes: int | None = None


def _unknown() -> Memory:
    return Memory()


@dataclass(frozen=True, slots=True)
class Target:
    """A running kit, and what is known about it besides its answers."""

    address: str
    """The address, such as http://127.0.0.1:8000, without a slash at its end."""
    key: str | None = field(default=None, repr=False)
    """The API key to send; None: none."""
    tls: ssl.SSLContext | None = None
    """The certificates to trust for https; None: the system's."""
    recipe: str | None = None
    """The recipe digest that the kit must state; None: the lock's."""
    image: str | None = None
    """The digest of the image, if it is known."""
    is_started_here: bool = False
    """Whether the test started it; else the report names its address."""
    start_seconds: float | None = None
    """How long it needed until it was ready, if the test started it."""
    machine: MachineFacts = field(default_factory=MachineFacts)
    """The machine that it runs on, as far as it is known."""
    memory: Callable[[], Memory] = _unknown
    """Reads its peak memory."""
    connect: Callable[[float], Any] | None = None
    """Opens a connection without a port, as a socket; the number is the seconds that it may take.
    None: the connection is to the address."""


@dataclass(frozen=True, slots=True)
class TestOptions:
    """How to test."""

    __test__ = False  # for pytest, which takes classes of this name for tests

    claims: tuple[str, ...] = ()
    """The names of the claims to test; empty: all, and all cases."""
    cases_only: bool = False
    """Whether only the cases are tested."""
    limit: int | None = None
    """The most rows of a claim's data to ask; a claim with more is measured, but not judged."""
    concurrency: int | None = None
    """How many requests at a time; None: `DEFAULT_CONCURRENCY`, and one for a claim of speed."""
    timeout_seconds: float = 300.0
    """The longest time to wait for one answer."""
    journals: Path | None = None
    """The folder for the answers of a test that did not end; None: nothing is written."""
    case_files: Path | None = None
    """The folder below which the files of cases are; None: such cases are not judged."""


class TestListener(Protocol):
    """Receives reports about a test while it works, from one thread at a time."""

    def asking(self, name: str, total: int) -> None:
        """Report the start of a claim, or of the cases, and its number of requests."""
        ...

    def answered(self, count: int) -> None:
        """Report that more requests are done."""
        ...

    def judged(self, result: ClaimResult | CaseResult) -> None:
        """Report a result."""
        ...


class SilentListener:
    """A listener that reports nothing."""

    def asking(self, name: str, total: int) -> None:
        """Do nothing."""

    def answered(self, count: int) -> None:
        """Do nothing."""

    def judged(self, result: ClaimResult | CaseResult) -> None:
        """Do nothing."""
