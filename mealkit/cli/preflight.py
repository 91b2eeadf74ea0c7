"""mealkit preflight: check whether a kit fits this machine or others, before anything is pulled."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from mealkit.cli.options import (
    HERE,
    AllowFolder,
    Json,
    Kubeconfig,
    KubeContext,
    PlainHttp,
    RecipeTarget,
    Session,
    session_of,
    use_plain_http,
)
from mealkit.cli.output import print_json, print_line, table

if TYPE_CHECKING:
    from mealkit.pipeline.cluster.kubernetes_nodes import ClusterAnswer
    from mealkit.pipeline.machine.preflighting import PreflightAnswer, PreflightRequest
    from mealkit.preflight.finding import Finding, Report

EXAMPLES = (
    "mealkit preflight my-kit",
    "mealkit preflight registry.example.org/team/my-kit:1.0.0 --json",
    "mealkit preflight my-kit:1.0.0 --host server-1.json --host server-2.json",
    "mealkit preflight my-kit --target kubernetes --context prod",
)

EXIT_CODES: Mapping[str, int] = {"fits": 0, "does-not-fit": 10, "uncertain": 20}
"""The exit codes of the verdicts; 10 is also that of every PreflightError."""

Override = Annotated[
    list[str],
    typer.Option(
        "--override",
        metavar="CODE",
        help="Start although the check with this code blocks. Needs --reason.",
        show_default=False,
    ),
]
Reason = Annotated[
    list[str],
    typer.Option(
        "--reason",
        metavar="TEXT",
        help="Why the override is safe here; stored with the container.",
        show_default=False,
    ),
]


def preflight(  # noqa: PLR0913  one parameter for each option
    context: typer.Context,
    target: RecipeTarget = HERE,
    *,
    host: Annotated[
        list[Path],
        typer.Option(
            metavar="FILE",
            help="The facts of another machine (mealkit host --json); repeat it for a table.",
            show_default=False,
        ),
    ] = [],  # noqa: B006  typer copies it
    on: Annotated[
        Literal["machine", "kubernetes"],
        typer.Option("--target", help="Check this machine, or every node of a cluster."),
    ] = "machine",
    kubeconfig: Kubeconfig = None,
    kube_context: KubeContext = None,
    override: Override = [],  # noqa: B006
    reason: Reason = [],  # noqa: B006
    plain_http: PlainHttp = [],  # noqa: B006
    allow_folder: AllowFolder = [],  # noqa: B006
    as_json: Json = False,
) -> None:
    """Check whether a kit fits this machine or others, and show why.

    Every check shows what was measured, what is required, and who owns it. Nothing is pulled.
    Exits with 0 if the kit fits, 20 if that is uncertain, 10 if it does not fit. With several
    machines, or the nodes of a cluster, the result of the best one counts.
    """
    from mealkit.pipeline.machine.preflighting import PreflightRequest, preflight_target
    from mealkit.preflight.override import overrides_of

    session = session_of(context)
    use_plain_http(plain_http)
    if on == "kubernetes":
        request = PreflightRequest(target, allowed=tuple(allow_folder))
        _print_cluster(_of_cluster(request, kubeconfig, kube_context, session), as_json)
        return
    overrides = overrides_of(override, reason)
    request = PreflightRequest(target, tuple(host), overrides, tuple(allow_folder))
    answer = preflight_target(request, session.home, session.progress(as_json=as_json))
    if as_json:
        print_json(answer.as_json())
    else:
        for line in _lines(answer):
            print_line(line)
    code = EXIT_CODES[answer.verdict.value]
    if code:
        raise typer.Exit(code)


def _of_cluster(
    request: "PreflightRequest",
    kubeconfig: Path | None,
    kube_context: str | None,
    session: Session,
) -> "ClusterAnswer":
    from mealkit.clusters.kubernetes_connection import ClusterAccess, connect
    from mealkit.pipeline.cluster.kubernetes_nodes import preflight_cluster

    api = connect(ClusterAccess(kubeconfig, kube_context))
    return preflight_cluster(request, api, session.home, session.progress())


def _print_cluster(found: "ClusterAnswer", as_json: bool) -> None:  # noqa: FBT001
    if as_json:
        print_json(found.as_json())
    else:
        for line in (*_lines(found.answer), "", *_nodes(found)):
            print_line(line)
    code = EXIT_CODES[found.answer.verdict.value]
    if code:
        raise typer.Exit(code)


def _nodes(found: "ClusterAnswer") -> Iterator[str]:
    rows = [
        (
            item.name,
            ", ".join(item.free.values()),
            item.gpus,
            item.image_volumes,
            item.kubelet,
            ", ".join(item.taints),
        )
        for item in found.nodes
    ]
    heads = ("node", "free", "GPUs free", "image volumes", "kubelet", "taints")
    yield from table(heads, rows, frozenset())


def _lines(answer: "PreflightAnswer") -> Iterator[str]:
    if len(answer.machines) == 1:
        yield from _findings(answer.machines[0].report)
        yield ""
        yield f"{answer.name} on {answer.machines[0].name}: {_words(answer.verdict.value)}"
    else:
        yield from _machines(answer)
        yield ""
        yield f"{answer.name}: {_words(answer.verdict.value)} on the best of them"
    owners = {
        finding.owner.value
        for machine in answer.machines
        for finding in machine.report.findings
        if finding.severity.value != "passes"
    }
    if answer.owner and "kit-author" in owners:
        yield f"kit-author: {answer.owner.team}, {answer.owner.contact}: {answer.owner.support}"


def _findings(report: "Report") -> Iterator[str]:
    rows = [
        (item.severity.value, item.code, item.message, item.measured, item.required)
        for item in report.findings
    ]
    yield from table(("", "check", "", "measured", "required"), rows, frozenset())
    for item in report.findings:
        if item.severity.value == "passes":
            continue
        yield ""
        yield f"{item.code}  owner: {item.owner.value}"
        yield f"  do    {item.remedy}"
        yield f"  rule  {item.rule} [{item.source}]"
        if item.reason:
            yield f"  overridden: {item.reason}"


def _machines(answer: "PreflightAnswer") -> Iterator[str]:
    rows = []
    for machine in answer.machines:
        deciding = machine.report.deciding
        shown = _shown(deciding) if deciding else ("", "", "")
        rows.append((machine.name, _words(machine.report.verdict.value), *shown))
    yield from table(
        ("machine", "verdict", "because of", "measured", "required"), rows, frozenset()
    )


def _shown(finding: "Finding") -> tuple[str, str, str]:
    return finding.code, finding.measured, finding.required


def _words(verdict: str) -> str:
    return verdict.replace("-", " ")
