"""The SBOM of a kit from its lock: a CycloneDX document (ECMA-424), the same for the same lock.

The only module that knows the document's version.
"""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from mealkit.digest import Digest
from mealkit.recipe.lock import Lock, lock_bytes
from mealkit.recipe.variant import architectures_of
from mealkit.trust.purls import oci_purl
from mealkit.trust.sbom_data import data_components, data_dependencies, data_refs
from mealkit.trust.sbom_licences import licence_choice
from mealkit.trust.sbom_model import (
    MODEL_REF,
    code_refs,
    marker,
    model_components,
    model_dependencies,
)
from mealkit.trust.sbom_packages import (
    BASE_REF,
    ENGINE_REF,
    GATEWAY_REF,
    Licences,
    Packages,
    packages_of,
)

_SPEC_VERSION = "1.6"
_KIT_REF = "kit"


def sbom_of(
    lock: Lock,
    *,
    image: Digest | None = None,
    mealkit_version: str,
    licences: Licences | None = None,
    created_seconds: int | None = None,
) -> dict[str, Any]:
    """Return the SBOM of a kit as JSON; ``lock`` may have several architectures.

    ``image`` is the digest of the kit's image or index, if it is built. ``created_seconds`` is the
    time that the document states; by default none.
    """
    packages = packages_of(lock, licences or {})
    metadata: dict[str, Any] = {
        "lifecycles": [{"phase": "build"}],
        "tools": {"components": [_mealkit(mealkit_version)]},
        "component": _kit(lock, image),
    }
    if created_seconds is not None:
        time = datetime.fromtimestamp(created_seconds, UTC)
        metadata["timestamp"] = time.strftime("%Y-%m-%dT%H:%M:%SZ")
    return {
        "bomFormat": "CycloneDX",
        "specVersion": _SPEC_VERSION,
        "serialNumber": _serial_number(lock, image),
        "version": 1,
        "metadata": metadata,
        "components": [
            *model_components(lock),
            *data_components(lock),
            _engine(lock),
            {**_mealkit(lock.mealkit_version), "bom-ref": GATEWAY_REF},
            *(packages.components[name] for name in sorted(packages.components)),
        ],
        "dependencies": _dependencies(lock, packages),
        **_compositions(packages),
    }


def _serial_number(lock: Lock, image: Digest | None) -> str:
    """Return a UUID from the lock, with its recipe digest, and from the image."""
    named = Digest.of(lock_bytes(lock) + (image or "").encode())
    return f"urn:uuid:{UUID(bytes=bytes.fromhex(named.hex)[:16], version=5)}"


def _kit(lock: Lock, image: Digest | None) -> dict[str, Any]:
    about = lock.about
    component = {
        "type": "container",
        "bom-ref": _KIT_REF,
        "supplier": _owner(lock),
        "name": about.name,
        "version": about.version,
        "description": about.description,
        "licenses": licence_choice([about.license]),
        "purl": oci_purl(about.name, image) if image else None,
        "externalReferences": _papers(lock),
        "properties": [
            marker("mealkit:recipe", str(lock.recipe)),
            *(marker("mealkit:architecture", name) for name in architectures_of(lock)),
            *([marker("mealkit:image", str(image))] if image else []),
        ],
    }
    return {name: value for name, value in component.items() if value}


def _owner(lock: Lock) -> dict[str, Any]:
    owner = lock.about.owner
    scheme, _, rest = owner.contact.partition(":")
    if scheme == "mailto":
        return {"name": owner.team, "contact": [{"name": owner.team, "email": rest}]}
    return {"name": owner.team, "url": [owner.contact]}


def _papers(lock: Lock) -> list[dict[str, str]]:
    """Return the addresses of the paper."""
    paper = lock.about.paper
    if paper is None:
        return []
    found = (
        f"https://arxiv.org/abs/{paper.arxiv}" if paper.arxiv else None,
        f"https://doi.org/{paper.doi}" if paper.doi else None,
        paper.url,
    )
    return [{"type": "documentation", "url": url, "comment": paper.title} for url in found if url]


def _mealkit(version: str) -> dict[str, Any]:
    return {"type": "application", "name": "mealkit", "version": version}


def _engine(lock: Lock) -> dict[str, Any]:
    return {
        "type": "framework",
        "bom-ref": ENGINE_REF,
        "name": lock.engine.name,
        "description": "the engine: a worker and its Python packages",
        "properties": [
            marker("mealkit:worker", lock.engine.worker),
            *(
                marker(f"mealkit:setting:{name}", value)
                for name, value in sorted(lock.engine.settings.items())
            ),
            *(marker("mealkit:excluded", name) for name in lock.engine.excluded),
        ],
    }


def _dependencies(lock: Lock, packages: Packages) -> list[dict[str, Any]]:
    parts = [MODEL_REF, ENGINE_REF, GATEWAY_REF, BASE_REF, *code_refs(lock), *data_refs(lock)]
    return [
        {"ref": _KIT_REF, "dependsOn": sorted(parts)},
        *model_dependencies(lock),
        *data_dependencies(lock),
        *(
            {"ref": part, "dependsOn": sorted(needed)}
            for part, needed in sorted(packages.needs.items())
        ),
    ]


def _compositions(packages: Packages) -> dict[str, Any]:
    """State that the lock knows everything except the content of base images."""
    if not packages.unknown:
        return {"compositions": [{"aggregate": "complete", "assemblies": [_KIT_REF]}]}
    unknown = sorted(set(packages.unknown))
    return {"compositions": [{"aggregate": "unknown", "assemblies": unknown}]}
