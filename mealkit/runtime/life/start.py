"""Checks the machine before the engine loads, and the weights before it answers requests.

Raises PreflightError for a machine that does not meet the kit's requirements. The weights are
hashed while the engine loads and the gateway is imported; no request is answered before all of them
match the lock. Weights that the host has hashed, and that have not changed since, are hashed while
requests are answered, so that a start takes as long for large weights as for small ones.
"""

import asyncio
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from typing import Self

from mealkit.digest import Digest
from mealkit.errors import failures
from mealkit.preflight.facts import read_facts
from mealkit.preflight.here import inside
from mealkit.preflight.override import apply, read_overrides
from mealkit.preflight.run import preflight
from mealkit.recipe.lock import Lock
from mealkit.recipe.locked_file import LockedFile
from mealkit.runtime.engine_traits import traits_of
from mealkit.runtime.life.edits import Edits
from mealkit.runtime.life.memory_counts import memory_state
from mealkit.runtime.life.verify_weights import hashed_by_the_host, verify_weights
from mealkit.runtime.life.worker_plan import Spawned, WorkerPlan
from mealkit.runtime.settings import Settings
from mealkit.runtime.state import Lifecycle, Status
from mealkit.runtime.watch.journal import Journal
from mealkit.units import show_size


class Startup:
    """A start until the server runs."""

    def __init__(  # noqa: PLR0913, PLR0917  what the start has so far
        self,
        settings: Settings,
        lock: Lock,
        journal: Journal,
        lifecycle: Lifecycle,
        plan: WorkerPlan,
        worker: Spawned | None,
        edits: Edits | None = None,
        hashed: set[Digest] | None = None,
    ) -> None:
        self.settings = settings
        self.lock = lock
        self.journal = journal
        self.lifecycle = lifecycle
        self.plan = plan
        self.worker = worker
        """The worker, if it was started already."""
        self.edits = edits
        """The versions of the kit, if its author edits it."""
        self.hashed = hashed or set()
        """The files of weights that an earlier version of the kit has hashed here."""
        self.kills = 0
        """How many processes of this control group had been killed before the worker loaded."""

    def check_machine(self, environment: Mapping[str, str]) -> None:
        """Compare the machine with the kit's requirements; if it meets them, release the worker.

        Raises:
            PreflightError: the machine does not meet the requirements.
            ContainerError: ``CONFIG_INVALID``, the overrides cannot be read.
        """
        overrides = read_overrides(environment)
        self.lifecycle.begin("preflight")
        self.lifecycle.move(Status.PREFLIGHT, "comparing this machine with the kit's requirements")
        here = inside(traits_of(self.lock.engine.name), self.settings.state)
        found = preflight(read_facts(), self.lock.requirements, here)
        report = apply(found, overrides)
        self.lifecycle.end("preflight")
        self.journal.info("preflight", **report.as_json())
        for finding in report.overridden:
            self.journal.warning("override", **finding.as_json())
        if report.blockers:
            self.lifecycle.move(Status.FAILED, report.blockers[0].sentence, report.blockers[0])
            raise failures(report.blockers)
        self.kills = memory_state().kills or 0
        self.lifecycle.begin("loading")
        if self.worker:
            self.worker.release()
            self.journal.info("worker started", pid=self.worker.pid)

    @cached_property
    def verification(self) -> "Verification":
        """The verification of the weights; the first access starts it."""
        files = [file for file in self.lock.model.files if file.sha256 not in self.hashed]
        return Verification(files, self.settings, self.lifecycle)


class Verification:
    """Hashes the weights in separate threads, from the moment of its creation."""

    def __init__(
        self, files: Sequence[LockedFile], settings: Settings, lifecycle: Lifecycle
    ) -> None:
        lifecycle.move(Status.VERIFYING, "hashing the weights while the engine loads")
        lifecycle.begin("verifying")
        self._root = settings.models
        self.late = hashed_by_the_host(files, self._root, settings.verified)
        """The files that are hashed while requests are answered."""
        late = {file.path for file in self.late}
        first = [file for file in files if file.path not in late]
        self._first = first
        self.hashed: set[Digest] = set()
        """The files that were hashed, and match the lock."""
        self._lifecycle = lifecycle
        self._stop = threading.Event()
        self._guard = threading.Lock()
        self._total_bytes = max(sum(file.size_bytes for file in first), 1)
        self._done_bytes = self._percent = 0
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="verification")
        self._outcome = self._pool.submit(
            verify_weights, first, self._root, self._advance, self._stop
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Stop the threads, finished or not."""
        self._stop.set()
        self._pool.shutdown()

    async def finished(self) -> None:
        """Wait until all weights are verified but those that the host has hashed.

        Raises:
            EngineError: the weights do not match the lock.
        """
        await asyncio.wrap_future(self._outcome)
        self.hashed |= {file.sha256 for file in self._first}
        self._lifecycle.end("verifying")

    async def finished_late(self) -> None:
        """Hash the rest on one processor, and wait for it.

        Raises:
            EngineError: the weights do not match the lock.
        """
        outcome = self._pool.submit(
            verify_weights, self.late, self._root, lambda _: None, self._stop, 1
        )
        await asyncio.wrap_future(outcome)
        self.hashed |= {file.sha256 for file in self.late}

    def _advance(self, size_bytes: int) -> None:
        with self._guard:
            self._done_bytes += size_bytes
            percent = self._done_bytes * 100 // self._total_bytes
            if percent == self._percent:
                return
            self._percent = percent
            done, total = show_size(self._done_bytes), show_size(self._total_bytes)
        if self._lifecycle.status is Status.VERIFYING:
            self._lifecycle.note(f"verified {done} of {total} of weights")
