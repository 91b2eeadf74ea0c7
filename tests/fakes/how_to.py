"""The files that a page of the documentation shows, for tests that use them as a reader would."""

import os
import re
import shlex
from collections.abc import Mapping
from pathlib import Path

from typer.testing import CliRunner

from fakes.served import ROOT
from mealkit.cli.program import app


def file_in(page: str, first_line: str) -> str:
    """Return the block of a page below ``docs`` that begins with this line."""
    text = (ROOT / "docs" / page).read_text()
    blocks = re.findall(r"^```\w*\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    (found,) = (block for block in blocks if block.startswith(f"{first_line}\n"))
    return str(found)


def commands_in(page: str) -> list[str]:
    """Return the lines of all blocks of a page below ``docs`` that are marked as ``sh``."""
    text = (ROOT / "docs" / page).read_text()
    blocks = re.findall(r"^```sh\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return [line for block in blocks for line in block.replace("\\\n", "").splitlines() if line]


class Shell:
    """Runs the commands of a page in this process, as a shell would run them.

    Knows ``mealkit``, ``< FILE`` and ``> FILE`` at the end, ``export NAME=VALUE`` and
    ``NAME=$(mealkit ...)``; every command must succeed.
    """

    def __init__(self, variables: Mapping[str, str]) -> None:
        self.variables = dict(variables)

    def run(self, line: str) -> str:
        """Run a line; return what it printed to stdout."""
        assigned = re.fullmatch(r"(?:export )?(\w+)=(?:\$\((.*)\)|(.*))", line)
        if assigned:
            name, command, value = assigned.groups()
            found = self.run(command) if command else "".join(self._words(value))
            self.variables[name] = found.strip()
            return ""
        program, *arguments = self._words(line)
        assert program == "mealkit", line
        typed, written = None, None
        if ">" in arguments:
            written = Path(arguments.pop())
            arguments.remove(">")
        if "<" in arguments:
            typed = Path(arguments.pop()).read_bytes()
            arguments.remove("<")
        done = CliRunner().invoke(app, arguments, env=self.variables, input=typed)
        assert done.exit_code == 0, f"{line}\n{done.output}"
        if written is not None:
            written.write_text(done.stdout)
        return done.stdout

    def _words(self, text: str) -> list[str]:
        """Split a text into words, and put in the variables."""

        def value_of(match: re.Match[str]) -> str:
            return self.variables.get(match[1], os.environ.get(match[1], ""))

        return [re.sub(r"\$(\w+)", value_of, word) for word in shlex.split(text)]
