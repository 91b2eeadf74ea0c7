"""Names and versions of wheels say which CUDA they need and which GPUs they know; or nothing."""

import pytest

from mealkit.recipe.cuda_builds import BUILDS, built_for, compiles_on, cuda_of, runs_on


@pytest.mark.parametrize(
    ("packages", "cuda"),
    [
        ([("torch", "2.7.0+cu128")], (12, 8)),
        ([("torch", "2.9.1+cu130")], (13, 0)),
        ([("torch", "2.0.1+cu118")], (11, 8)),
        ([("flash-attn", "2.7.4+cu12torch2.6")], None),
        ([("torch", "2.6.0"), ("nvidia-cuda-runtime-cu12", "12.4.127")], (12, 4)),
        ([("nvidia-cuda-runtime", "13.0.48")], (13, 0)),
        # The newest decides: its driver runs the older ones too.
        ([("nvidia-cuda-runtime-cu12", "12.4.127"), ("vllm", "0.9.2+cu126")], (12, 6)),
        ([("torch", "2.6.0+cpu"), ("numpy", "2.3.0")], None),
        ([("nvidia-cuda-nvrtc-cu12", "12.8.93")], None),
        ([], None),
    ],
)
def test_cuda(packages, cuda):
    """It stands in a local version, or is the version of CUDA's runtime."""
    assert cuda_of(packages) == cuda


@pytest.mark.parametrize(
    ("packages", "architecture", "expected"),
    [
        (
            [("torch", "2.6.0+cu124")],
            "amd64",
            {"torch 2.6.0+cu124": ("5.0", "6.0", "7.0", "7.5", "8.0", "8.6", "9.0")},
        ),
        (
            [("torch", "2.7.1+cu128")],
            "amd64",
            {"torch 2.7.1+cu128": ("7.5", "8.0", "8.6", "9.0", "10.0", "12.0+PTX")},
        ),
        ([("torch", "2.9.0+cu126")], "arm64", {"torch 2.9.0+cu126": ("8.0", "9.0")}),
        # Neither a release that no table has, nor one whose CUDA is not known.
        ([("torch", "3.0.0+cu128")], "amd64", {"torch 3.0.0+cu128": None}),
        ([("torch", "2.6.0")], "amd64", {"torch 2.6.0": None}),
        ([("torch", "2.6.0+cu124")], "arm64", {"torch 2.6.0+cu124": None}),
        ([("flash-attn", "2.7.4")], "amd64", {"flash-attn 2.7.4": None}),
        ([("torch", "2.6.0+cpu"), ("numpy", "2.3.0")], "amd64", {}),
    ],
)
def test_built_for(packages, architecture, expected):
    """Releases that a table knows say for which GPUs; packages without GPU code are left out."""
    assert built_for(packages, architecture) == expected


def test_releases_of_one_table_do_not_overlap():
    """Of each package, CUDA and architecture one row at most has a release."""
    seen = set()
    for row in BUILDS:
        for minor in range(row.first[1], row.last[1] + 1):
            key = (row.package, row.first[0], minor, row.cuda, row.architecture)
            assert key not in seen
            seen.add(key)


@pytest.mark.parametrize(
    ("capability", "built", "runs", "compiles"),
    [
        ((8, 6), ["8.0"], True, False),
        ((8, 0), ["8.6"], False, False),
        ((9, 0), ["8.0"], False, False),
        ((9, 0), ["8.0+PTX"], False, True),
        ((7, 5), ["8.0+PTX"], False, False),
        ((9, 0), ["9.0a"], True, False),
        ((10, 3), ["10.0a"], False, False),
        ((10, 3), ["10.0f"], True, False),
        ((12, 1), ["12.0"], True, False),
    ],
)
def test_which_code_runs(capability, built, runs, compiles):
    """Machine code runs within its generation, PTX on every later GPU."""
    assert runs_on(capability, built) is runs
    assert compiles_on(capability, built) is compiles
