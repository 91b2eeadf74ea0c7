"""The package for a module, and for a name that is misspelt."""

import pytest

from mealkit.kit.package_names import is_known, package_like, package_meant, packages_of


@pytest.mark.parametrize(
    ("module", "package"),
    [
        ("sklearn.svm", "scikit-learn"),
        ("cv2", "opencv-python-headless"),
        ("PIL.Image", "pillow"),
        ("google.protobuf.message", "protobuf"),
        ("my_own.thing", "my-own"),
    ],
)
def test_the_package_of_a_module(module, package):
    """By the table, or by the module's own name."""
    assert packages_of(module)[0] == package


def test_only_the_name_of_a_module_is_meant_for_another_package():
    """A package that is called like its module is right."""
    assert package_meant("sklearn") == "scikit-learn"
    assert package_meant("psycopg2") is None
    assert package_meant("numpy") is None
    assert is_known("numpy.linalg")
    assert not is_known("my_own.thing")


@pytest.mark.parametrize(
    ("name", "package"),
    [
        ("scikitlearn", "scikit-learn"),
        ("sentence_transformer", "sentence-transformers"),
        ("Tranformers", "transformers"),
        ("zzz-of-nobody", None),
    ],
)
def test_a_misspelt_name_is_like_a_known_one(name, package):
    """Also without hyphens; or like none."""
    assert package_like(name) == package
