"""Finds the problem that ended a process, from its log, its exit status and its control group.

Returns None if no rule matches, and for a process that ended successfully. Imports only the
standard library: it runs in the image, and on the host for the logs of dead containers.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from mealkit.errors import QUOTED, Problem, problem
from mealkit.evidence.known_messages import RULES
from mealkit.evidence.rule import Rule

_SHOWN_LINES = 5
_SHOWN_CHARACTERS = 1500
_LINE_CHARACTERS = 300

# The shells' convention for a process that was ended by a signal: 128 + its number (signal(7)).
_SIGNAL_EXITS = {132: "SIGILL", 135: "SIGBUS", 137: "SIGKILL", 139: "SIGSEGV"}

# llama.cpp's kernels for Intel AMX: in a stack trace, or in the build info that it logs at start.
_AMX = re.compile(r"ggml_backend_amx|AMX_INT8 = 1")


@dataclass(frozen=True, slots=True)
class Evidence:
    """The traces of a process that ended."""

    log: str
    """The last lines of its log, as many as are available."""
    exit_code: int | None = None
    signal_name: str | None = None
    killed_for_memory: bool = False
    """Whether the kernel killed a process in its control group because memory ran out."""
    memory_peak_bytes: int | None = None
    memory_limit_bytes: int | None = None
    memory_stated_bytes: int | None = None
    """The memory that its kit asks for."""
    shm_bytes: int | None = None
    """The size of its shared memory."""


def recognise(evidence: Evidence) -> Problem | None:
    """Return the problem that the evidence shows, with the log's last lines; None if unknown."""
    if evidence.exit_code == 0:
        return None
    if is_measured(evidence):
        return _quoting(_out_of_memory(evidence), _without_events(evidence.log))
    for rule in RULES:
        match = rule.pattern.search(evidence.log)
        if match:
            found = _sized(_problem_of(rule, match), evidence)
            return _quoting(found, evidence.log, _line_of(match))
    found_by_signal = _of_signal(_signal_of(evidence), evidence)
    return _quoting(found_by_signal, evidence.log) if found_by_signal else None


def is_measured(evidence: Evidence) -> bool:
    """Return whether the kernel reports why a process ended; otherwise only its log says so."""
    return evidence.killed_for_memory and _signal_of(evidence) in {"SIGKILL", None}


def last_words(log: str) -> str:
    """Return the last lines of a log as further lines of a message; "" if the log is empty."""
    return _quote(log.splitlines()[-_SHOWN_LINES:])


def _signal_of(evidence: Evidence) -> str | None:
    return evidence.signal_name or _SIGNAL_EXITS.get(evidence.exit_code or 0)


def _problem_of(rule: Rule, match: re.Match[str]) -> Problem:
    values = {name: value or "" for name, value in match.groupdict().items()}
    return problem(
        rule.code,
        rule.message.format(**values),
        hint=rule.hint.format(**values) if rule.hint else None,
        measured=rule.measured.format(**values) if rule.measured else None,
        required=rule.required.format(**values) if rule.required else None,
    )


def _out_of_memory(evidence: Evidence) -> Problem:
    peak, limit = evidence.memory_peak_bytes, evidence.memory_limit_bytes
    used = f"{_size(peak)} in use at most" if peak is not None else None
    stated = evidence.memory_stated_bytes
    if limit is not None and stated is not None and limit >= stated:
        return problem(
            "ENGINE_MEMORY_STATED",
            "the kernel killed the kit because it needs more memory than the kit asks for",
            where="hardware.memory",
            measured=used or f"all of the limit of {_size(limit)} in use",
            required=f"more than {_size(stated)}, which the kit asks for",
        )
    if limit is None:
        message = "the kernel killed the engine because the machine ran out of memory"
        hint = "use a machine with more memory, or stop other programs that use it"
    else:
        message = "the kernel killed the engine because it needed more memory than its limit"
        hint = f"raise the container's memory limit above {_size(limit)}"
    return problem(
        "ENGINE_OUT_OF_MEMORY",
        message,
        hint=hint,
        measured=used,
        required=f"more than the limit of {_size(limit)}" if limit is not None else None,
    )


def _of_signal(name: str | None, evidence: Evidence) -> Problem | None:
    match name:
        case "SIGILL":
            message = "the engine used an instruction that this processor does not have (SIGILL)"
            return problem("ENGINE_ILLEGAL_INSTRUCTION", message)
        case "SIGSEGV" if _AMX.search(evidence.log):
            message = "the engine's code for Intel AMX failed on this processor (SIGSEGV)"
            return problem("ENGINE_ILLEGAL_INSTRUCTION", message)
        case "SIGBUS":
            # Mapped memory that could not be allocated: mmap(2). In engines, that is shared memory.
            message = "a bus error (SIGBUS) ended the engine: its shared memory may be full"
            return _sized(problem("HOST_SHM", message), evidence)
        case _:
            return None


def _sized(found: Problem, evidence: Evidence) -> Problem:
    """Add the size of the shared memory, if that was too small."""
    if found.code != "HOST_SHM" or found.measured or evidence.shm_bytes is None:
        return found
    return replace(found, measured=f"{_size(evidence.shm_bytes)} at /dev/shm")


def _line_of(match: re.Match[str]) -> str:
    """Return the whole line in which a match begins."""
    text = match.string
    begin, end = text.rfind("\n", 0, match.start()) + 1, text.find("\n", match.start())
    line = text[begin : len(text) if end < 0 else end]
    return line if len(line) <= _LINE_CHARACTERS else line[match.start() - begin :]


def _quoting(found: Problem, log: str, line: str | None = None) -> Problem:
    """Add the last lines of the log, and before them the matching line, if it is older."""
    shown = log.splitlines()[-_SHOWN_LINES:]
    if line is not None and not any(line in item for item in shown):
        shown = [line, "...", *shown]
    return replace(found, message=found.message + _quote(shown))


def _without_events(log: str) -> str:
    """Return a log without the gateway's own lines, which say nothing about memory."""
    return "\n".join(line for line in log.splitlines() if not line.startswith('{"time":'))


def _quote(lines: Sequence[str]) -> str:
    """Mark lines of a log as quoted, so that they cannot look like parts of a problem."""
    quoted = "".join(f"\n{QUOTED}{line[:_LINE_CHARACTERS]}" for line in lines)
    return quoted[:_SHOWN_CHARACTERS]


def _size(size_bytes: int) -> str:
    """Return bytes as text in binary units; `mealkit.units` does the same, but needs pydantic."""
    size, units = float(size_bytes), iter(("B", "KiB", "MiB", "GiB", "TiB"))
    unit = next(units)
    while size >= 1024 and unit != "TiB":
        size, unit = size / 1024, next(units)
    return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
