"""Prints what mealkit verify found by building an image again, or by hashing files again."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mealkit.cli.options import Session
from mealkit.cli.output import print_json, print_line, say, table

if TYPE_CHECKING:
    from mealkit.pipeline.audit.rebuilding import RebuildReport
    from mealkit.pipeline.audit.rehashing import Rehash

_PROOFS = {
    "rebuilt": "built again, equal",
    "base": "pinned by the base's digest",
    "taken": "from the image, not proven",
}


@dataclass(frozen=True, slots=True)
class ByteOptions:
    """The options of mealkit verify that are about bytes, not about signatures."""

    rebuild: bool = False
    inputs: Sequence[Path] = field(default_factory=tuple)
    base: str | None = None
    against: str | None = None

    def require_fitting(self) -> None:
        """Raise for an option without the one that it belongs to.

        Raises:
            KitError: ``USAGE``.
        """
        from mealkit.errors import failure

        if (self.inputs or self.base) and not self.rebuild:
            raise failure("USAGE", "--inputs and --base belong to --rebuild")
        if self.against and self.rebuild:
            raise failure("USAGE", "--rebuild compares an image with its own lock, not --against")


def is_on_this_machine(target: str) -> bool:
    """Return whether a target can be hashed here: anything but an image in a registry.

    The name of a running kit is read as the name of an image, which is here as well.
    """
    from mealkit.errors import MealkitError
    from mealkit.pipeline.targets import RegistryReference, read_target

    try:
        return not isinstance(read_target(target), RegistryReference)
    except MealkitError:  # the path of a layout, without oci:
        return True


def verify_bytes(
    target: str,
    options: ByteOptions,
    session: Session,
    *,
    as_json: bool,
    signed: str | None = None,
) -> None:
    """Build an image again, or hash a target again; print the result and raise its problems.

    ``signed`` is the digest whose signature was verified: the target must still name it.

    Raises:
        TrustError: ``REBUILD_*``, ``CONTENT_DIFFERS`` or ``SIGNATURE_SUBJECT``.
    """
    from mealkit.errors import failure, failures

    progress = session.progress(as_json=as_json)
    if options.rebuild:
        from mealkit.pipeline.audit.rebuilding import rebuild

        report = rebuild(target, session.home, progress, inputs=options.inputs, base=options.base)
        problems = report.problems
        form, lines, result = _rebuild_form(report), _rebuild_lines(report), str(report.digest)
    else:
        from mealkit.pipeline.audit.rehashing import rehash

        found = rehash(target, session.home, progress, against=options.against)
        problems = found.problems
        form, lines, result = _rehash_form(found), _rehash_lines(found), found.pinned_by
    if signed is not None and signed != result:
        message = f"{target} named another image after its signature was verified"
        raise failure("SIGNATURE_SUBJECT", message, measured=result, required=signed)
    if as_json:
        print_json({**form, "problems": [item.as_json() for item in problems]})
    elif not session.quiet:
        for line in lines:
            say(line)
    if problems:
        raise failures(list(problems))
    if not as_json:
        print_line(result)


def _rebuild_lines(report: "RebuildReport") -> list[str]:
    from mealkit.units import show_size

    rows = [
        (item.architecture, item.title, show_size(item.size_bytes), _PROOFS[item.proof.value])
        for item in report.layers
    ]
    lines = table(("for", "layer", "size", "result"), rows, frozenset({2}))
    if report.from_image:
        names = ", ".join(report.from_image)
        lines.append(f"note: no source had {names}; the image has these bytes of the lock")
    if report.without_weights:
        lines.append("note: the image has no weights; its lock pins those that it is run with")
    if not report.problems:
        lines.append(f"recipe {report.recipe}: every byte is equal")
    return lines


def _rebuild_form(report: "RebuildReport") -> dict[str, Any]:
    return {
        "digest": str(report.digest),
        "recipe": str(report.recipe),
        "layers": [
            {
                "architecture": item.architecture,
                "title": item.title,
                "digest": str(item.digest),
                "size": item.size_bytes,
                "proof": item.proof.value,
            }
            for item in report.layers
        ],
        "fromImage": list(report.from_image),
        "withoutWeights": report.without_weights,
    }


def _rehash_lines(found: "Rehash") -> list[str]:
    if found.problems:
        return []
    return [f"{found.what}: {found.files} files and blobs are equal"]


def _rehash_form(found: "Rehash") -> dict[str, Any]:
    return {"target": found.what, "pinnedBy": found.pinned_by, "compared": found.files}
