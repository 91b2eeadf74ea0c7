"""Runs a kit while its author edits it: every save becomes the next version, within a second.

Packages and engine come from the lock; handler, prompts and values come from the folder as it is.
Nothing of the kit runs on this machine outside of a container. A save that is not valid changes
nothing: the version before answers until the next save.
"""

import contextlib
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from queue import Empty, SimpleQueue
from types import FrameType

from mealkit.errors import MealkitError, failure
from mealkit.kit.files import KIT_NAME
from mealkit.lock.compare import compare_locks, without_restatements
from mealkit.pipeline.develop.dev_events import DevEvent, Failed, Ready, Refused, Saved, Step
from mealkit.pipeline.develop.edited_container import DevRequest, EditedContainer
from mealkit.pipeline.develop.kit_log import KitLog
from mealkit.pipeline.develop.kit_watch import KitWatch
from mealkit.pipeline.develop.live_folder import LiveFolder, live_folder
from mealkit.pipeline.home import Home
from mealkit.pipeline.kit.code_syntax import require_readable
from mealkit.pipeline.kit.locking import fresh_lock
from mealkit.pipeline.kit.opened_kit import OpenedKit, open_kit
from mealkit.pipeline.policy.admitting import require_local_builds
from mealkit.pipeline.run.examples import example_command
from mealkit.pipeline.run.readiness import LOG_LINES, Trust, problem_of_end
from mealkit.preflight.cpu import architecture
from mealkit.progress import Progress
from mealkit.recipe.lock import LOCK_NAME, Lock
from mealkit.recipe.variant import plain_lock

Tell = Callable[[DevEvent], None]

_Line = tuple[int, str | None]
"""A line of the log of the container with this number; None: the container has ended."""


def develop(request: DevRequest, home: Home, progress: Progress, tell: Tell) -> None:
    """Run a kit until Ctrl-C, and each version that is saved; ``tell`` gets what happens.

    Raises:
        MealkitError: the kit is not valid at the start, or cannot be locked, built or started.
    """
    require_local_builds(request.target)
    kit = open_kit(request.target, home, request.allowed, progress)
    for warning in kit.warnings:
        progress.notice(warning)
    watch = KitWatch(kit.folder, _named(kit))
    with _until_stopped(), live_folder(f"{kit.parts.kit.name}-dev", home) as live:
        session = _Session(request, live, home, progress, tell)
        try:
            session.begin(kit)
            while True:
                session.read_log(watch.pause_seconds)
                if (saved := watch.saved()) and (taken := session.take(saved)) is not None:
                    watch.named = _named(taken)
        finally:
            session.end()


class _Session:
    """The versions of one kit, and the container that runs them."""

    def __init__(
        self, request: DevRequest, live: LiveFolder, home: Home, progress: Progress, tell: Tell
    ) -> None:
        self._request = request
        self._live = live
        self._home = home
        self._progress = progress
        self._tell = tell
        self._container = EditedContainer(request, live, home, progress)
        self._lines: SimpleQueue[_Line] = SimpleQueue()
        self._number = 0
        self._log = KitLog()
        self._last: deque[str] = deque(maxlen=LOG_LINES)
        self._lock: Lock | None = None
        self._began = time.monotonic()
        self._is_told = self._has_failed = self._is_refused = False
        self._is_first = self._is_locked = True

    def begin(self, kit: OpenedKit) -> None:
        """Start the first version."""
        lock = self._locked(kit)
        if kit.lock is not None and kit.drift:
            self._tell_saved((), plain_lock(kit.lock, architecture()), lock)
        self._start(kit, lock)

    def take(self, saved: tuple[str, ...]) -> OpenedKit | None:
        """Make the next version of what was saved, if it is another one; None: it is not valid."""
        began = time.monotonic()
        try:
            kit = open_kit(self._request.target, self._home, self._request.allowed)
            require_readable(kit.parts.code, kit.parts.kit.runtime.python)
            lock = self._locked(kit)
        except MealkitError as error:
            self._is_refused = True
            self._tell_refused(error)
            return None
        was_refused, self._is_refused = self._is_refused, False
        if lock == self._lock and not self._has_failed:
            if was_refused:
                self._tell(Step("the kit is as it runs again"))
            return kit
        self._tell_saved(saved, self._lock or lock, lock)
        self._began = began
        try:
            if self._container.fits(lock):
                self._live.put(lock)
                self._lock, self._is_told, self._has_failed = lock, False, False
            else:
                if self._container.running:
                    self._tell(Step("packages, weights or limits changed: a new container starts"))
                self._start(kit, lock)
        except MealkitError as error:
            self._has_failed |= self._container.running is None
            self._tell_refused(error)
        return kit

    def read_log(self, seconds: float) -> None:
        """Tell what the kit logs within this time."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            with suppress(Empty):
                number, line = self._lines.get(timeout=left)
                if number != self._number:
                    continue
                if line is None:
                    self._note_end()
                else:
                    self._read(line)

    def end(self) -> None:
        """Remove the container."""
        self._number += 1
        self._container.remove()
        if not self._is_locked:
            update = f"mealkit lock {self._request.target}"
            self._tell(Step(f"kit.lock is older than the kit; to update it: {update}"))

    def _locked(self, kit: OpenedKit) -> Lock:
        """Return the kit's plain lock as it is now; resolve inputs only if they changed."""
        self._is_locked = not kit.drift
        if kit.lock is not None and kit.is_resolved:
            lock = kit.lock_as_written()
        else:
            self._is_locked = True
            lock = fresh_lock(kit, frozen=False, home=self._home, progress=self._progress)
        return plain_lock(lock, architecture())

    def _tell_refused(self, error: MealkitError) -> None:
        is_answering = self._container.running is not None and not self._has_failed
        self._tell(Refused(error.problems, is_answering))

    def _tell_saved(self, files: tuple[str, ...], before: Lock, after: Lock) -> None:
        changes = without_restatements(compare_locks(before, after))
        files = tuple(file for file in files if file != LOCK_NAME) or files  # mealkit's own
        self._tell(Saved(files, tuple(changes), str(after.recipe), str(after.salt)))

    def _start(self, kit: OpenedKit, lock: Lock) -> None:
        container = self._container.start(kit, lock)
        self._lock, self._is_told, self._has_failed = lock, False, False
        self._number += 1
        self._log = KitLog()
        threading.Thread(
            target=self._follow, args=(container.name, self._number), daemon=True
        ).start()

    def _follow(self, name: str, number: int) -> None:
        with contextlib.suppress(MealkitError):  # it was removed
            for line in self._container.client.logs(name, follow=True):
                self._lines.put((number, line))
        self._lines.put((number, None))

    def _read(self, line: str) -> None:
        self._last.append(line)
        for event in self._log.read(line):
            if isinstance(event, Failed) and self._log.version != self._live.version:
                continue  # of a version that another save has replaced
            if isinstance(event, Failed) and not event.is_answering:
                self._has_failed = True
            self._tell(event)
        container, lock = self._container.running, self._lock
        is_new = self._log.version == self._live.version and not self._is_told
        if self._log.is_ready and is_new and container is not None and lock is not None:
            self._is_told, self._has_failed = True, False
            seconds = time.monotonic() - self._began
            example = example_command(container.url, lock)
            self._tell(Ready(container.url, seconds, self._is_first, example))
            self._is_first = False

    def _note_end(self) -> None:
        """Tell why the container ended; the next save starts another one."""
        lock, container = self._lock, self._container.running
        if lock is None or container is None:
            return
        try:
            seen = self._container.client.state(container.name)
        except MealkitError:
            problem = failure("CONTAINER_FAILED", f"{container.name} was removed").problems[0]
        else:
            if seen.exit is None:
                return
            trust = Trust.of(lock, built_here=True, memory_bytes=None)
            what = f"{container.name} {seen.exit}"
            problem = problem_of_end(list(self._last), seen.exit, what, trust)
        self._container.remove()
        if not self._has_failed:
            self._tell(Failed(problem))
        self._has_failed = True


def _named(kit: OpenedKit) -> frozenset[str]:
    """Return the files that a kit's author writes: the kit, its code and its prompts."""
    prompts = (prompt.file for prompt in kit.parts.kit.prompts.values())
    return frozenset({KIT_NAME, *kit.parts.code, *map(str, prompts)})


@contextmanager
def _until_stopped() -> Iterator[None]:
    """Run the block until Ctrl-C or SIGTERM, which are the usual end."""

    def stop(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        with suppress(KeyboardInterrupt):
            yield
    finally:
        signal.signal(signal.SIGTERM, before)
