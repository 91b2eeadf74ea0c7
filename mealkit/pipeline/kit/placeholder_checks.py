"""Reads from a kit, or from the lock in an image, what its author still has to write."""

from mealkit.errors import Problem, failures
from mealkit.kit.placeholders import Stated, placeholder_problems
from mealkit.pipeline.kit.opened_kit import OpenedKit
from mealkit.recipe.kit import Kit
from mealkit.recipe.lock import Lock
from mealkit.recipe.lock_records import About


def kit_placeholders(kit: OpenedKit) -> list[Problem]:
    """Return a problem for each placeholder in kit.yaml, with its line."""
    whole = kit.parts.kit
    return placeholder_problems(_stated(whole, whole.model.license), kit.where)


def require_no_placeholder(kit: OpenedKit) -> None:
    """Raise if a kit that would be pushed has an example's owner or licence.

    Raises:
        KitError: ``KIT_PLACEHOLDER``, for each of them.
    """
    if found := kit_placeholders(kit):
        raise failures(found)


def require_locked_without(lock: Lock, place: str) -> None:
    """Raise if an image that would be pushed was built from such a kit; ``place`` names the image.

    Raises:
        KitError: ``KIT_PLACEHOLDER``, for each value.
    """
    stated = _stated(lock.about, lock.model.license)
    if found := placeholder_problems(stated, lambda _: place):
        raise failures(found)


def _stated(about: Kit | About, model_licence: str) -> Stated:
    return Stated(
        name=about.name,
        team=about.owner.team,
        contact=about.owner.contact,
        licence=about.license,
        model_licence=model_licence,
        title=about.paper.title if about.paper else None,
        arxiv=about.paper.arxiv if about.paper else None,
    )
