"""The software in an SBOM: Debian packages, Python packages and base images, as CycloneDX 1.6."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mealkit.digest import Digest
from mealkit.engines.registry import engine_names, recipe_of
from mealkit.recipe.lock import Lock, LockedWheel
from mealkit.recipe.locked_base import LockedDebianBase, LockedImageBase
from mealkit.recipe.variant import plain_locks
from mealkit.trust.purls import DEBIAN_RELEASES, base_purl, deb_purl, wheel_purl
from mealkit.trust.sbom_data import TESTS_REF
from mealkit.trust.sbom_licences import licence_choice
from mealkit.trust.sbom_model import digest_hashes, marker

Licences = Mapping[Digest, Sequence[str]]
"""The licences that packages state, by the digest of the package."""

BASE_REF, ENGINE_REF, GATEWAY_REF = "base", "engine", "gateway"
# Products as the NVD names them (vendor, product); engines add their own. Packages without an entry
# get no CPE, because a guessed one finds the vulnerabilities of others.
_PRODUCTS: Mapping[str, tuple[str, str]] = {
    "jinja2": ("palletsprojects", "jinja"),
    "numpy": ("numpy", "numpy"),
    "starlette": ("encode", "starlette"),
    "uvicorn": ("encode", "uvicorn"),
}


@dataclass(slots=True)
class Packages:
    """The components of all variants, each once, and which part needs them."""

    components: dict[str, dict[str, Any]] = field(default_factory=dict)
    needs: dict[str, set[str]] = field(default_factory=dict)
    unknown: list[str] = field(default_factory=list)
    """The components whose own content the lock does not know: base images."""

    def add(self, part: str, component: dict[str, Any]) -> None:
        """Add a component that a part needs."""
        reference = component["bom-ref"]
        self.components[reference] = component
        self.needs.setdefault(part, set()).add(reference)


def packages_of(lock: Lock, licences: Licences) -> Packages:
    """Return the packages of a lock: of its base, its engine and its gateway."""
    found = Packages()
    products = _products(lock.engine.name)
    for plain in plain_locks(lock):
        base = plain.runtime.base
        if isinstance(base, LockedDebianBase):
            _add_debs(found, base, licences)
        else:
            _add_base_image(found, base)
        for part, wheels in (
            (ENGINE_REF, plain.engine.packages),
            (GATEWAY_REF, plain.gateway.packages),
            (TESTS_REF, plain.test_packages),
        ):
            for wheel in wheels:
                found.add(part, _wheel(wheel, licences, products))
    return found


def _add_debs(found: Packages, base: LockedDebianBase, licences: Licences) -> None:
    release = DEBIAN_RELEASES.get(base.suite, base.suite)
    found.components[BASE_REF] = {
        "type": "operating-system",
        "bom-ref": BASE_REF,
        "name": "debian",
        "version": release,
        "description": f"Debian {base.suite}",
        "cpe": _cpe("o", "debian", "debian_linux", release),
    }
    for deb in base.packages:
        purl = deb_purl(deb, base.suite)
        component = _package(deb.name, deb.version, purl, deb.sha256, licences)
        found.add(BASE_REF, component)


def _add_base_image(found: Packages, base: LockedImageBase) -> None:
    reference = f"{BASE_REF}/{base.digest.short}"
    purl = base_purl(base)
    component = {
        "type": "container",
        "bom-ref": reference,
        "name": base.name or "base image",
        "version": str(base.digest),
        **({"purl": purl} if purl else {}),
        "hashes": digest_hashes(base.digest),
    }
    found.components.setdefault(
        BASE_REF, {"type": "platform", "bom-ref": BASE_REF, "name": "base image"}
    )
    found.add(BASE_REF, component)
    found.unknown.append(reference)


def _products(engine: str) -> Mapping[str, tuple[str, str]]:
    if engine not in engine_names():  # it is not installed here
        return _PRODUCTS
    return {**_PRODUCTS, **recipe_of(engine).products}


def _wheel(
    wheel: LockedWheel, licences: Licences, products: Mapping[str, tuple[str, str]]
) -> dict[str, Any]:
    component = _package(wheel.name, wheel.version, wheel_purl(wheel), wheel.sha256, licences)
    if named := products.get(wheel.name):
        component["cpe"] = _cpe("a", *named, wheel.version.partition("+")[0])
    return {**component, "properties": [marker("mealkit:wheel", wheel.filename)]}


def _package(
    name: str, version: str, purl: str, digest: Digest, licences: Licences
) -> dict[str, Any]:
    found = licence_choice(licences.get(digest, ()))
    return {
        "type": "library",
        # Two architectures have the same package with different bytes.
        "bom-ref": f"{purl}#{digest.short}",
        "name": name,
        "version": version,
        "purl": purl,
        "hashes": digest_hashes(digest),
        **({"licenses": found} if found else {}),
    }


def _cpe(part: str, vendor: str, product: str, version: str) -> str:
    return f"cpe:2.3:{part}:{vendor}:{product}:{version}:*:*:*:*:*:*:*"
