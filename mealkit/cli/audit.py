"""mealkit audit: verify, search and certify the audit logs of kits."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mealkit.cli.completing import running_names
from mealkit.cli.options import Json, PassphraseFd, PassphraseFile, session_of
from mealkit.cli.output import json_text, print_json, print_line, say
from mealkit.errors import failure, failures

if TYPE_CHECKING:
    from mealkit.pipeline.audit.audit_entries import FoundEntry
    from mealkit.pipeline.audit.verifying_audit_logs import ChainReport

HELP = "Verify, search and certify the audit logs of kits."
EXAMPLES = {
    "verify": (
        "mealkit audit verify my-kit",
        "mealkit audit verify /srv/audit --key audit.key --checkpoint kit.log",
        "mealkit audit verify audit --checkpoint monday.json --public-key team.pub",
    ),
    "show": (
        "mealkit audit show my-kit --request 7d0f2c6b1f3e4a5b8c9d0e1f2a3b4c5d",
        "mealkit audit show my-kit --caller team-a --outcome failed",
    ),
    "checkpoint": ("mealkit audit checkpoint my-kit --sign-key auditor.key --output monday.json",),
}

Targets = Annotated[
    list[str],
    typer.Argument(
        metavar="TARGET...",
        help="Names of kits or deployments, folders with audit logs, or the files of one.",
        autocompletion=running_names,
    ),
]
Keys = Annotated[
    list[Path],
    typer.Option(
        "--key",
        metavar="FILE",
        help="The keys of the log; may be repeated.",
        show_default="the key that the kit created beside the log",
    ),
]


def verify(
    context: typer.Context,
    targets: Targets,
    *,
    key: Keys = [],  # noqa: B006  typer copies it
    checkpoint: Annotated[
        list[Path],
        typer.Option(
            metavar="FILE",
            help="Compare with these checkpoints: a kit's log, or what audit checkpoint wrote.",
            show_default=False,
        ),
    ] = [],  # noqa: B006
    public_key: Annotated[
        list[str],
        typer.Option(
            metavar="FILE[,from=DATE][,until=DATE]",
            help="The public keys of signed checkpoints; may be repeated.",
            show_default=False,
        ),
    ] = [],  # noqa: B006
    as_json: Json = False,
) -> None:
    """Check every line of audit logs.

    It finds lines and files that were changed, removed, added, moved or replaced. Lines that were
    cut off at the end are found with a checkpoint that was kept elsewhere: kits write checkpoints
    to their own log, and audit checkpoint signs one.

    Without a key of the log, what a signed checkpoint covers is still verified. The exit code is 17
    if something is wrong.
    """
    from mealkit.pipeline.audit.audit_logs import (
        audit_places,
        found_chains,
        given_checkpoints,
        keys_for,
    )
    from mealkit.pipeline.audit.verifying_audit_logs import verified_chains
    from mealkit.pipeline.signatures.key_files import trusted_keys

    session = session_of(context)
    places = audit_places(targets, session.home)
    given = given_checkpoints(checkpoint, trusted_keys(public_key))
    keys = keys_for(places, key)
    progress = session.progress(as_json=as_json)
    reports = verified_chains(found_chains(places), keys, given, progress)
    if as_json:
        print_json([report.as_json() for report in reports])
    else:
        for report in reports:
            _print_report(report)
    if problems := [item for report in reports for item in report.problems]:
        raise failures(problems)


def show(  # noqa: PLR0913  one parameter for each option
    context: typer.Context,
    targets: Targets,
    *,
    request: Annotated[
        str, typer.Option(metavar="ID", help="Only the request with this id.", show_default=False)
    ] = "",
    caller: Annotated[
        str,
        typer.Option(metavar="NAME", help="Only requests with the API key of this name."),
    ] = "",
    since: Annotated[
        str,
        typer.Option(metavar="TIME", help="Only from this time on, in UTC: 2026-11-30T12:00."),
    ] = "",
    until: Annotated[
        str, typer.Option(metavar="TIME", help="Only up to this time, in UTC: 2026-11-30.")
    ] = "",
    outcome: Annotated[
        str, typer.Option(help="Only requests that were answered, refused, failed or cut.")
    ] = "",
    problem: Annotated[
        str, typer.Option(metavar="CODE", help="Only requests with this problem.")
    ] = "",
    as_json: Json = False,
) -> None:
    """Print the requests of audit logs that fit all options.

    A line has time (UTC), request id, key, path, prompt, outcome, status, problem, tokens of prompt
    and answer, and cost.

    It does not check whether the lines are as the kit wrote them: audit verify does. A request that
    was begun and has no end was at work when its kit was killed, or still is.
    """
    from mealkit.pipeline.audit.audit_entries import Wanted, found_entries
    from mealkit.pipeline.audit.audit_logs import audit_places, found_chains

    chains = found_chains(audit_places(targets, session_of(context).home))
    wanted = Wanted(request, caller, since, until, outcome, problem)
    count = 0
    for entry in found_entries(chains, wanted):
        count += 1
        print_line(_entry_json(entry) if as_json else _entry_line(entry))
    if request and not count:
        message = f"the log has no request {request!r}"
        raise failure("AUDIT_MISSING", message, hint="see the header X-Request-Id of the answer")


def checkpoint(  # noqa: PLR0913  one parameter for each option
    context: typer.Context,
    targets: Targets,
    *,
    sign_key: Annotated[
        Path, typer.Option(metavar="FILE", help="The private key to sign with (mealkit keygen).")
    ],
    output: Annotated[
        Path, typer.Option(metavar="FILE", help="The file to write, a Sigstore bundle.")
    ],
    key: Keys = [],  # noqa: B006
    passphrase_file: PassphraseFile = None,
    passphrase_fd: PassphraseFd = None,
    as_json: Json = False,
) -> None:
    """Verify an audit log, and sign how far it has come.

    The result has the digests of the log's files. Keep it where the kit's machine cannot reach it.
    With the public key, everyone can check that nothing up to the checkpoint has changed; the log's
    own key is not needed for that.
    """
    from mealkit.pipeline.audit.audit_logs import (
        GivenCheckpoints,
        audit_places,
        found_chains,
        keys_for,
    )
    from mealkit.pipeline.audit.signing_checkpoints import write_checkpoint
    from mealkit.pipeline.audit.verifying_audit_logs import verified_chains
    from mealkit.pipeline.signatures.key_files import PassphraseSource, signing_key_at

    session = session_of(context)
    progress = session.progress(as_json=as_json)
    places = audit_places(targets, session.home)
    passphrase = PassphraseSource(passphrase_fd, passphrase_file)
    secret = signing_key_at(sign_key, passphrase, progress)
    keys = keys_for(places, key)
    reports = verified_chains(found_chains(places), keys, GivenCheckpoints(), progress)
    for path, report in write_checkpoint(reports, secret, output):
        if as_json:
            print_json({"path": str(path), **report.as_json()})
        else:
            print_line(f"{path}  line {report.counts.last} of {report.chain}")


def _print_report(report: "ChainReport") -> None:
    counts = report.counts
    print_line(f"{report.name}: {report.kit or 'an audit log'}, chain {report.chain}")
    if report.key:
        print_line(f"  lines       {counts.first} to {counts.last}, {counts.requests} requests")
        print_line(f"  key         {report.key}")
        print_line(f"  end         {report.end}")
    if unfinished := counts.begun - counts.concluded:
        print_line(f"  no end      {unfinished} requests were begun; the kit was killed, or works")
    if counts.missing:
        print_line(f"  missing     {counts.missing} lines could not be written, says the kit")
    for path, line in counts.torn:
        print_line(f"  half line   {path}, line {line}: the kit was killed while it wrote")
    if counts.deleted_through:
        print_line(f"  deleted     lines up to {counts.deleted_through}, by the kit, to make room")
    if report.checkpoint:
        agreed = report.checkpoint
        print_line(f"  checkpoint  line {agreed.n} of {agreed.time} agrees")
    elif report.key and not report.problems:
        say("note: without a checkpoint, lines that were removed at the end are not noticed")
    print_line("  is valid" if not report.problems else f"  {len(report.problems)} problems")


def _entry_line(entry: "FoundEntry") -> str:
    form = entry.form
    words = [
        str(form.get(name, "-") or "-")
        for name in ("time", "id", "key", "path", "prompt", "outcome", "status", "problem")
    ]
    if form["kind"] == "begun":
        words[5] = "begun"
        return "  ".join([*words, "-", "-"])
    tokens = f"{form.get('prompt_tokens') or 0}+{form.get('answer_tokens') or 0} tokens"
    return "  ".join([*words, tokens, str(form.get("cost") or "-")])


def _entry_json(entry: "FoundEntry") -> str:
    return json_text({"file": str(entry.path), "line": entry.line, **entry.form})
