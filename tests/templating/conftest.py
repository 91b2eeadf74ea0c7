"""Templates as prompts and as chat templates, and attempts at breaking out of a limit."""

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import jinja2
import jinja2.sandbox
import pytest

from mealkit.templating.environment import BoundedTemplate
from mealkit.templating.meter import CostMeter
from mealkit.templating.prompts import prompt_environment, read_prompt

WORK = 500_000
MEMORY_BYTES = 64 * 1024 * 1024

_PLAIN = jinja2.sandbox.ImmutableSandboxedEnvironment(
    undefined=jinja2.StrictUndefined, autoescape=False, keep_trailing_newline=True
)
_TEXT = 'The quick, brown <fox>\n  jumps "over"\r\nthe lazy dog\'s tail. Žluťoučký \U0001f600\n'

_LIMITED = """
import resource, sys
megabytes, seconds = int(sys.argv[1]), int(sys.argv[2])
resource.setrlimit(resource.RLIMIT_AS, (megabytes << 20, megabytes << 20))
resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
exec(sys.stdin.read())
"""

_GIVEN_UP = """
from mealkit.templating.environment import BoundedTemplate
from mealkit.templating.meter import CostMeter, TooCostlyError
from mealkit.templating.prompts import prompt_environment, read_prompt
template = BoundedTemplate(prompt_environment(), read_prompt({source!r}))
try:
    template.render({{"text": "a" * 1_000_000}}, CostMeter(500_000, 64 << 20))
except (TooCostlyError, ValueError, TypeError, RecursionError):
    pass
else:
    raise SystemExit("it was rendered")
"""


@pytest.fixture
def render() -> Callable[..., str]:
    """Render a prompt: ``render(source, name=value, ...)``."""

    def run(source: str, meter: CostMeter | None = None, **values: Any) -> str:
        template = BoundedTemplate(prompt_environment(), read_prompt(source))
        return template.render(values, meter or CostMeter(WORK, MEMORY_BYTES))

    return run


@pytest.fixture
def limited() -> Callable[..., str]:
    """Run a program with 250 MiB of address space and 20 seconds of processor; return its output."""

    def run(program: str, megabytes: int = 250, seconds: int = 20) -> str:
        command = [sys.executable, "-c", _LIMITED, str(megabytes), str(seconds)]
        done = subprocess.run(command, input=program, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[-2000:]
        return done.stdout

    return run


@pytest.fixture
def same_as_jinja(render) -> Callable[[str], None]:
    """Check that a prompt renders to the text that jinja2 gives."""

    def check(source: str) -> None:
        values = {"text": _TEXT, "other": ""}
        assert render(source, **values) == _PLAIN.from_string(source).render(**values)

    return check


@pytest.fixture
def given_up(limited) -> Callable[[str], None]:
    """Check that a prompt over a million characters ends early, with three seconds and 400 MiB."""

    def check(source: str) -> None:
        limited(_GIVEN_UP.format(source=source), megabytes=400, seconds=3)

    return check
