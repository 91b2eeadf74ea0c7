"""The program: its verbs, the options before them, and the handling of every exception.

Every MealkitError is reported as problems on stderr with the exit code of its class. An unexpected
exception is written to a log file; the exit code is 1. Exit code 2 is a wrong use of the command
line.
"""

import contextlib
import errno
import os
import sys
from collections.abc import Callable, Sequence
from inspect import cleandoc
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from mealkit.cli import (
    attest,
    audit,
    build,
    catalog,
    chat,
    check,
    console,
    copy,
    dashboard,
    deploy,
    deploy_to,
    dev,
    diff,
    down,
    embed,
    estimate,
    explain,
    fit,
    history,
    host,
    images,
    inspect,
    key,
    keygen,
    load,
    lock,
    login,
    logout,
    logs,
    new,
    policy,
    predict,
    preflight,
    prune,
    ps,
    pull,
    push,
    render,
    report,
    rmi,
    rollback,
    run,
    save,
    sbom,
    schema,
    sign,
    status,
    stop,
    tags,
    test,
    up,
    usage,
    verify,
    version,
)
from mealkit.cli.crash import crash_problem
from mealkit.cli.options import Session
from mealkit.cli.output import print_problem, print_problems_json
from mealkit.errors import CATALOGUE, MealkitError, Problem, problem
from mealkit.untrusted import shown

# The shells' exit code for a program that SIGPIPE ended: 128 + 13.
_BROKEN_PIPE_EXIT = 141

# The errors of the kernel for a path that cannot exist.
_NO_PATH = frozenset({errno.ENAMETOOLONG, errno.ELOOP, errno.EINVAL})

_AS_JSON = "mealkit.as_json"

# What a verb of several words begins with, and what its verbs are for.
_GROUPS = {"audit": audit.HELP, "catalog": catalog.HELP, "deploy": deploy.HELP}

_Verb = tuple[str, Callable[..., None], Sequence[str]]


class Program(TyperGroup):
    """Turns every exception of a verb into problems and an exit code."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Record whether --json was given, also for errors in the verb's options."""
        ctx.meta[_AS_JSON] = "--json" in args
        return super().parse_args(ctx, args)

    def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002  click passes it
        """Write the verbs in chapters, with their summaries in one column."""
        width = max(map(len, self.commands))
        for title, verbs in _CHAPTERS:
            names = dict.fromkeys(name.partition(" ")[0] for name, _, _ in verbs)
            with formatter.section(title):
                formatter.write_dl(
                    [(name.ljust(width), self._summary(name, formatter)) for name in names]
                )

    def _summary(self, name: str, formatter: Any) -> str:
        margins = 6
        room = formatter.width - margins - max(map(len, self.commands))
        return self.commands[name].get_short_help_str(room)

    def invoke(self, ctx: Any) -> Any:
        """Run the verb."""
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()
        except MealkitError as error:
            self._tell(error.problems, as_json=ctx.meta[_AS_JSON])
            raise typer.Exit(error.exit_code) from error
        except BrokenPipeError as error:
            _close_stdout()
            raise typer.Exit(_BROKEN_PIPE_EXIT) from error
        except Exception as error:
            # Typer also ends the program with exceptions, which are not failures.
            if type(error).__module__.partition(".")[0] == "typer":
                raise
            if isinstance(error, OSError) and error.errno in _NO_PATH:
                found = _path_problem(error)
                self._tell([found], as_json=ctx.meta[_AS_JSON])
                raise typer.Exit(CATALOGUE[found.code].error.exit_code) from error
            self._tell([crash_problem(error)], as_json=ctx.meta[_AS_JSON])
            raise typer.Exit(MealkitError.exit_code) from error
        return result

    def _tell(self, problems: Sequence[Problem], *, as_json: bool) -> None:
        if as_json:
            print_problems_json(problems)
            return
        for item in problems:
            print_problem(item)


app = typer.Typer(
    cls=Program,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)

# The verbs by what they are for; the help lists them in this order.
_CHAPTERS: Sequence[tuple[str, Sequence[_Verb]]] = (
    (
        "Write and build a kit",
        (
            ("new", new.new, new.EXAMPLES),
            ("check", check.check, check.EXAMPLES),
            ("dev", dev.dev, dev.EXAMPLES),
            ("schema", schema.schema, schema.EXAMPLES),
            ("lock", lock.lock, lock.EXAMPLES),
            ("build", build.build, build.EXAMPLES),
            ("render", render.render, render.EXAMPLES),
        ),
    ),
    (
        "Know whether it fits",
        (
            ("host", host.host, host.EXAMPLES),
            ("estimate", estimate.estimate, estimate.EXAMPLES),
            ("preflight", preflight.preflight, preflight.EXAMPLES),
            ("fit", fit.fit, fit.EXAMPLES),
        ),
    ),
    (
        "Run a kit",
        (
            ("run", run.run, run.EXAMPLES),
            ("predict", predict.predict, predict.EXAMPLES),
            ("chat", chat.chat, chat.EXAMPLES),
            ("embed", embed.embed, embed.EXAMPLES),
            ("test", test.test, test.EXAMPLES),
            ("report", report.report, report.EXAMPLES),
            ("ps", ps.ps, ps.EXAMPLES),
            ("logs", logs.logs, logs.EXAMPLES),
            ("stop", stop.stop, stop.EXAMPLES),
            ("key", key.key, key.EXAMPLES),
            ("usage", usage.usage, usage.EXAMPLES),
            ("console", console.console, console.EXAMPLES),
            ("dashboard", dashboard.dashboard, dashboard.EXAMPLES),
            ("audit verify", audit.verify, audit.EXAMPLES["verify"]),
            ("audit show", audit.show, audit.EXAMPLES["show"]),
            ("audit checkpoint", audit.checkpoint, audit.EXAMPLES["checkpoint"]),
        ),
    ),
    (
        "Run a kit on many machines",
        (
            ("deploy render", deploy.render, deploy.EXAMPLES["render"]),
            ("deploy apply", deploy_to.apply, deploy_to.EXAMPLES["apply"]),
            ("deploy status", deploy_to.status, deploy_to.EXAMPLES["status"]),
            ("deploy diff", deploy_to.diff, deploy_to.EXAMPLES["diff"]),
            ("deploy rollback", deploy_to.rollback, deploy_to.EXAMPLES["rollback"]),
        ),
    ),
    (
        "Operate a kit",
        (
            ("up", up.up, up.EXAMPLES),
            ("status", status.status, status.EXAMPLES),
            ("history", history.history, history.EXAMPLES),
            ("rollback", rollback.rollback, rollback.EXAMPLES),
            ("down", down.down, down.EXAMPLES),
        ),
    ),
    (
        "Publish and fetch",
        (
            ("login", login.login, login.EXAMPLES),
            ("logout", logout.logout, logout.EXAMPLES),
            ("push", push.push, push.EXAMPLES),
            ("pull", pull.pull, pull.EXAMPLES),
            ("copy", copy.copy, copy.EXAMPLES),
            ("tags", tags.tags, tags.EXAMPLES),
            ("catalog add", catalog.add, catalog.EXAMPLES["add"]),
            ("catalog remove", catalog.remove, catalog.EXAMPLES["remove"]),
            ("catalog list", catalog.list_kits, catalog.EXAMPLES["list"]),
            ("catalog search", catalog.search, catalog.EXAMPLES["search"]),
            ("catalog show", catalog.show, catalog.EXAMPLES["show"]),
            ("catalog site", catalog.site, catalog.EXAMPLES["site"]),
            ("save", save.save, save.EXAMPLES),
            ("load", load.load, load.EXAMPLES),
        ),
    ),
    (
        "Sign, and check what others signed",
        (
            ("keygen", keygen.keygen, keygen.EXAMPLES),
            ("sign", sign.sign, sign.EXAMPLES),
            ("attest", attest.attest, attest.EXAMPLES),
            ("verify", verify.verify, verify.EXAMPLES),
            ("policy", policy.policy, policy.EXAMPLES),
        ),
    ),
    (
        "Look into images, and remove them",
        (
            ("images", images.images, images.EXAMPLES),
            ("inspect", inspect.inspect, inspect.EXAMPLES),
            ("sbom", sbom.sbom, sbom.EXAMPLES),
            ("diff", diff.diff, diff.EXAMPLES),
            ("rmi", rmi.rmi, rmi.EXAMPLES),
            ("prune", prune.prune, prune.EXAMPLES),
        ),
    ),
    (
        "Get help",
        (
            ("explain", explain.explain, explain.EXAMPLES),
            ("version", version.version, version.EXAMPLES),
        ),
    ),
)
_VERBS: Sequence[_Verb] = tuple(item for _, verbs in _CHAPTERS for item in verbs)


def verb_names() -> list[str]:
    """Return the verbs, in the order in which they are used."""
    return [name for name, _, _ in _VERBS]


def _examples(lines: Sequence[str]) -> str:
    """Return a block of examples; its first character keeps typer from joining the lines."""
    return "\n\n\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)


_groups = {"": app}
for _name, _text in _GROUPS.items():
    _groups[_name] = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help=_text)
for _name, _function, _lines in _VERBS:
    _group, _, _verb = _name.rpartition(" ")
    _help_text = cleandoc(_function.__doc__ or "") + _examples(_lines)
    _groups[_group].command(_verb, help=_help_text)(_function)
for _name in _GROUPS:
    app.add_typer(_groups[_name], name=_name)


def _print_version(wanted: bool) -> None:  # noqa: FBT001  typer calls it with the option's value
    if wanted:
        version.print_version()
        raise typer.Exit


_HELP = (
    "Turn an AI paper's recipe into a locked, reproducible image that states whether it fits a "
    "machine and who owns each failure."
)


@app.callback(
    help=_HELP + _examples(("mealkit new my-kit", "mealkit check my-kit", "mealkit run my-kit"))
)
def program(
    context: typer.Context,
    *,
    home: Annotated[
        Path | None,
        typer.Option(
            envvar="MEALKIT_HOME", metavar="FOLDER", help="The folder for images and inputs."
        ),
    ] = None,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Print no progress, only problems and results.")
    ] = False,
    version: Annotated[  # noqa: ARG001  its callback acts
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
) -> None:
    """Store the values of the options before the verb."""
    context.obj = Session(home, quiet)


def _path_problem(error: OSError) -> Problem:
    name = shown(str(error.filename))
    return problem(
        "USAGE", f"{name} is not a valid path: {error.strerror}", hint="name another file"
    )


def _close_stdout() -> None:
    """Discard what the interpreter flushes at its end.

    Source: https://docs.python.org/3/library/signal.html#note-on-sigpipe
    """
    with contextlib.suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
