"""The data sets of an image in an SBOM, with their files, and what claims are measured by them."""

from typing import Any

from mealkit.paths import DATASETS
from mealkit.recipe.lock import Lock
from mealkit.recipe.locked_file import LockedFile
from mealkit.trust.purls import origin_purl
from mealkit.trust.sbom_model import digest_hashes, marker

TESTS_REF = "tests"


def data_components(lock: Lock) -> list[dict[str, Any]]:
    """Return the data sets that travel in the image, their files, and the part of the tests."""
    found: list[dict[str, Any]] = []
    if lock.test_packages:
        description = "the Python packages that measure the kit's claims"
        tests = {"type": "framework", "bom-ref": TESTS_REF, "name": "tests"}
        found.append({**tests, "description": description})
    for name, dataset in sorted(lock.datasets_in_image.items()):
        claims = [item for item in lock.claims if (item.data or "").partition("/")[0] == name]
        found.append(
            {
                "type": "data",
                "bom-ref": _dataset_ref(name),
                "name": name,
                "data": [{"type": "dataset", "name": name}],
                "properties": [marker("mealkit:claim", item.name) for item in claims],
            }
        )
        found += [_file(file) for file in dataset.files]
    return found


def data_dependencies(lock: Lock) -> list[dict[str, Any]]:
    """Return what each data set consists of."""
    return [
        {"ref": _dataset_ref(name), "dependsOn": sorted(map(_file_ref, dataset.files))}
        for name, dataset in sorted(lock.datasets_in_image.items())
    ]


def data_refs(lock: Lock) -> list[str]:
    """Return the references of the data sets and of the tests, which the kit has as parts."""
    tests = [TESTS_REF] if lock.test_packages else []
    return [*map(_dataset_ref, sorted(lock.datasets_in_image)), *tests]


def _dataset_ref(name: str) -> str:
    return f"dataset/{name}"


def _file_ref(file: LockedFile) -> str:
    return f"datasets/{file.path}"


def _file(file: LockedFile) -> dict[str, Any]:
    purls = [purl for item in file.origins if (purl := origin_purl(item))]
    return {
        "type": "file",
        "bom-ref": _file_ref(file),
        "name": f"/{DATASETS}/{file.path}",
        "hashes": digest_hashes(file.sha256),
        "properties": [
            marker("mealkit:bytes", file.size_bytes),
            *(marker("mealkit:origin", purl) for purl in purls),
        ],
    }
