"""The search: by words and by what fits."""

import pytest
from fakes.listed import GIB, needs, on_gpus

from mealkit.catalogue.query import Query, best, fit_in_memory, fit_on_card, matches
from mealkit.preflight.cards import card_of
from mealkit.preflight.fit import Fit
from mealkit.recipe.kit import Gpu


@pytest.mark.parametrize(
    ("query", "is_found"),
    [
        (Query(), True),
        (Query("RAKE"), True),
        (Query("rake mit cooks"), True),
        (Query("rake gpl"), False),
        (Query(task="embeddings"), True),
        (Query(task="generation"), False),
        (Query(license="apache"), True),
        (Query(license="mit"), True),
        (Query(license="GPL"), False),
        (Query(owner="kitchen.invalid"), True),
        (Query(owner="guests"), False),
        (Query(fit=lambda _: Fit.UNCERTAIN), True),
        (Query(fit=lambda _: Fit.DOES_NOT_FIT), False),
    ],
)
def test_every_part_of_a_query_must_match(make_entry, query, is_found):
    """Words may be anywhere; licences of the kit and of the weights both count."""
    assert matches(make_entry(), query) is is_found


@pytest.mark.parametrize(
    ("found", "card", "fit"),
    [
        (needs(), "T4", Fit.FITS),
        (on_gpus(8 * GIB), "L4", Fit.FITS),
        (on_gpus(15 * GIB), "T4", Fit.DOES_NOT_FIT),
        (on_gpus(30 * GIB), "L4", Fit.DOES_NOT_FIT),
        (on_gpus(16 * GIB, tensor_parallel=2), "L4", Fit.FITS),
        (needs(gpu=Gpu.REQUIRED), "H200", Fit.UNCERTAIN),
    ],
)
def test_a_kit_fits_a_card_by_the_estimate_of_the_preflight(make_entry, found, card, fit):
    """A kit without a GPU fits, and what cannot be estimated is uncertain."""
    entry = make_entry(requirements={"amd64": found})
    memory_bytes = card_of(card).memory_bytes
    assert best(lambda item: fit_on_card(item, card_of(card)), entry) is fit
    assert best(lambda item: fit_in_memory(item, memory_bytes), entry) is fit
