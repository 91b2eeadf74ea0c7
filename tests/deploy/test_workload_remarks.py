"""A person is told what a deployment would lose: spent budgets, the audit log, its key."""

import pytest
from fakes.rendered_kits import workload

from mealkit.deploy.rendered_formats import Format, remarks

BUDGET = 'cpu_hour: "1", budgets: [{name: all, money: "5"}]'
LOST = ["lost with its container"]


@pytest.mark.parametrize(
    ("text", "form", "said"),
    [
        (f"ops: {{cost: {{{BUDGET}}}}}", Format.KUBERNETES, LOST),
        (f"ops: {{cost: {{{BUDGET}}}}}", Format.SWARM, LOST),
        (f"ops: {{cost: {{{BUDGET}}}}}", Format.COMPOSE, []),
        (f"state: {{in: memory}}\nops: {{cost: {{{BUDGET}}}}}", Format.QUADLET, LOST),
        (f"state: {{in: pvc}}\nops: {{cost: {{{BUDGET}}}}}", Format.HELM, []),
        (f"replicas: 3\nops: {{cost: {{{BUDGET}}}}}", Format.SWARM, ["each of 3 replicas", *LOST]),
        ("ops: {cost: {cpu_hour: '1'}}", Format.KUBERNETES, []),
        (
            f"ops: {{cost: {{shared: true, {BUDGET}}}}}",
            Format.KUBERNETES,
            ["name it in secrets", "no client of the database"],
        ),
        ("resources: {memory: 1MiB}", Format.COMPOSE, ["the kit is estimated to need"]),
        ("ops: {audit: {}}", Format.SWARM, ["the audit log is lost", "so is the key"]),
        ("audit_key: {secret: a, key: b}\nops: {audit: {}}", Format.SWARM, ["the audit log is"]),
        ("state: {in: pvc}\nops: {audit: {}}", Format.KUBERNETES, []),
    ],
)
def test_what_is_lost_is_said(text, form, said):
    """By what reads the files: a volume of one machine stays, a folder of a Pod does not."""
    network = ("allow_from", "network.egress")
    found = remarks(workload(text), form)
    found = [line for line in found if not any(word in line for word in network)]
    assert len(found) == len(said)
    assert all(word in line for word, line in zip(said, found, strict=True))
