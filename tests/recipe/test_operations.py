"""A deployment replaces sections of a kit's operations."""

import pytest

from mealkit.recipe.operations import Audit, Cost, Operations, effective_ops, ops_json

_KIT = Operations(cost=Cost(gpu_hour="2.50"), audit=Audit(texts=True))


@pytest.mark.parametrize(
    ("kit", "deployed", "expected"),
    [
        (None, None, Operations()),
        (_KIT, None, _KIT),
        (_KIT, Operations(), _KIT),
        (None, Operations(audit=Audit()), Operations(audit=Audit())),
        (_KIT, Operations(audit=Audit()), Operations(cost=_KIT.cost, audit=Audit())),
        (_KIT, Operations(cost=None), Operations(audit=_KIT.audit)),
    ],
    ids=range(6),
)
def test_a_section_of_the_deployment_replaces_the_kits(kit, deployed, expected):
    """A section is replaced as a whole, also by null; what is not stated stays the kit's."""
    assert effective_ops(kit, deployed) == expected


def test_operations_reach_the_container_as_they_are_stated():
    """The JSON for the container has only what was stated, so the rest stays the kit's."""
    read = Operations.model_validate_json(ops_json(Operations(cost=None)))
    assert read.model_fields_set == {"cost"}
