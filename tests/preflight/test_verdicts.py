"""Recorded machines held against kits: the verdict, the finding that decides, and the arithmetic."""

from functools import cache

import pytest
from fakes.engines import report_of
from fakes.machines import machine, machine_names
from fakes.needs import SEVENTY, SEVENTY_4BIT, cpu_needs, gpu_needs

from mealkit.preflight.finding import Severity

# All with vLLM 0.8.5, PyTorch 2.6.0 and CUDA 12.4 (driver 525 or later; built for 7.0 to 9.0), one
# request at a time, context 8192 unless the name says otherwise. vLLM takes 90 % of what programs
# can have of a GPU: total less what the driver reserves.
#
#   weights         7B 15.23e9 bytes = 14.19 GiB; 70B 141.1e9 = 131.4 GiB; 70B 4 bit 39.8e9 = 37.1 GiB
#   cache per token 7B: 2 x 4 x 128 x 28 layers x 2 bytes = 57,344 bytes: 0.44 GiB at 8192 tokens,
#                   7.0 GiB at 131,072
#                   70B: 2 x 8 x 128 x 80 x 2 = 327,680: 2.5 GiB at 8192, shared out over the GPUs
#   rest, likely    about 1 GiB of activations, 0.4 GiB of CUDA context (0.7 with collectives),
#                   0.3 GiB of CUDA graphs; least about 0.9 GiB, most about 5 GiB in all (more
#                   with collectives)
KITS = {
    "cpu": cpu_needs(),
    "7b": gpu_needs(),
    "7b-131072": gpu_needs(flags={"max_model_len": 131072}),
    "70b-on-2": gpu_needs(SEVENTY, flags={"tensor_parallel_size": 2}),
    "70b-on-8": gpu_needs(SEVENTY, flags={"tensor_parallel_size": 8}),
    "70b-4bit-on-2": gpu_needs(SEVENTY_4BIT, flags={"tensor_parallel_size": 2, "dtype": "half"}),
}

FITS, UNCERTAIN, NO = "fits", "uncertain", "does-not-fit"

# machine: kit: verdict, and the code that decides.
TABLE = {
    # 40,960 - 620 = 40,340 MiB = 39.4 GiB each, 90 % = 35.5 GiB; driver 535.
    "a100x2": {
        "cpu": (FITS, None),
        "7b": (FITS, None),  # at most 14.2 + 0.4 + 5 = 19.9 <= 35.5
        "7b-131072": (FITS, None),  # at most 14.2 + 7.0 + 5 = 26.4 <= 35.5
        "70b-on-2": (NO, "FIT_VRAM"),  # 131.4 / 2 = 65.7 of weights alone > 35.5
        "70b-on-8": (NO, "HW_GPU_COUNT"),  # 2 < 8
        "70b-4bit-on-2": (FITS, None),  # 37.1 / 2 + 2.5 / 2 = 19.8, and less than 10 <= 35.5
    },
    # The same, with an uncorrectable error and a pending reset of the second card: in doubt.
    "ecc-fault": {
        "cpu": (FITS, None),
        "7b": (UNCERTAIN, "HW_ECC"),
        "7b-131072": (UNCERTAIN, "HW_ECC"),
        "70b-on-2": (NO, "FIT_VRAM"),
        "70b-on-8": (NO, "HW_GPU_COUNT"),
        "70b-4bit-on-2": (UNCERTAIN, "HW_ECC"),
    },
    # The image is for amd64, this is arm64; nothing else matters.
    "gb10": dict.fromkeys(KITS, (NO, "HOST_ARCHITECTURE")),
    # The same two cards, of which one fell off the bus: one is left.
    "gpu-lost": {
        "cpu": (FITS, None),
        "7b": (UNCERTAIN, "HW_GPU_LOST"),
        "7b-131072": (UNCERTAIN, "HW_GPU_LOST"),
        "70b-on-2": (NO, "HW_GPU_LOST"),
        "70b-on-8": (NO, "HW_GPU_LOST"),
        "70b-4bit-on-2": (NO, "HW_GPU_LOST"),
    },
    # 81,559 - 551 = 81,008 MiB = 79.1 GiB each, 90 % = 71.2 GiB; driver 535.
    "h100x8": {
        "cpu": (FITS, None),
        "7b": (FITS, None),
        "7b-131072": (FITS, None),
        # 65.7 + 1.25 of cache = 67.0; with the rest 68 at least, 75.8 at most: 71.2 lies between.
        "70b-on-2": (UNCERTAIN, "FIT_VRAM"),
        "70b-on-8": (FITS, None),  # 131.4 / 8 + 2.5 / 8 = 16.7, and less than 10
        "70b-4bit-on-2": (FITS, None),
    },
    # 24,564 - 346 = 24,218 MiB = 23.7 GiB, 90 % = 21.3 GiB, of which python holds 19.8.
    "held": {
        "cpu": (FITS, None),
        "7b": (UNCERTAIN, "FIT_VRAM"),  # 3.8 GiB are free now
        "7b-131072": (NO, "FIT_CONTEXT"),  # at least 14.2 + 7.0 + 0.9 = 22.2 > 21.3
        "70b-on-2": (NO, "HW_GPU_COUNT"),
        "70b-on-8": (NO, "HW_GPU_COUNT"),
        "70b-4bit-on-2": (NO, "HW_GPU_COUNT"),
    },
    # 23,034 - 556 = 22,478 MiB = 22.0 GiB, 90 % = 19.8 GiB.
    "l4": {
        "cpu": (FITS, None),
        "7b": (UNCERTAIN, "FIT_VRAM"),  # 15.6 at least, 19.9 at most: 19.8 lies between
        "7b-131072": (NO, "FIT_CONTEXT"),  # at least 22.2 > 19.8
        "70b-on-2": (NO, "HW_GPU_COUNT"),
        "70b-on-8": (NO, "HW_GPU_COUNT"),
        "70b-4bit-on-2": (NO, "HW_GPU_COUNT"),
    },
    # Slices of 20,224 and 20,096 MiB: 19.8 GiB, 90 % = 17.8 GiB.
    "mig": {
        "cpu": (FITS, None),
        "7b": (UNCERTAIN, "FIT_VRAM"),  # 15.6 at least, 19.9 at most: 17.8 lies between
        "7b-131072": (NO, "FIT_CONTEXT"),  # at least 22.2 > 17.8
        "70b-on-2": (NO, "HW_MIG"),  # a process cannot use two slices
        "70b-on-8": (NO, "HW_GPU_COUNT"),
        "70b-4bit-on-2": (NO, "HW_MIG"),
    },
    # One slice of 20,096 MiB, and nothing of the card behind it.
    "mig-container": {
        "cpu": (FITS, None),
        "7b": (UNCERTAIN, "FIT_VRAM"),
        "7b-131072": (NO, "FIT_CONTEXT"),
        "70b-on-2": (NO, "HW_GPU_COUNT"),
        "70b-on-8": (NO, "HW_GPU_COUNT"),
        "70b-4bit-on-2": (NO, "HW_GPU_COUNT"),
    },
    "no-driver": {
        **dict.fromkeys(KITS, (NO, "HOST_DRIVER_MISSING")),
        "cpu": (FITS, None),
    },
    "no-gpu": {**dict.fromkeys(KITS, (NO, "HW_NO_GPU")), "cpu": (FITS, None)},
    # Driver 470 < 525; and 7.0 < 8.0 for bf16, 7.0 < 7.5 for AWQ, one GPU only.
    "v100-old-driver": {
        **dict.fromkeys(KITS, (NO, "HW_GPU_COUNT")),
        "cpu": (FITS, None),
        "7b": (NO, "HOST_DRIVER_OLD"),
        "7b-131072": (NO, "HOST_DRIVER_OLD"),
    },
    "version-mismatch": {
        **dict.fromkeys(KITS, (NO, "HOST_NVML_MISMATCH")),
        "cpu": (FITS, None),
    },
}

recorded = cache(machine)


@pytest.mark.parametrize("kit", KITS)
@pytest.mark.parametrize("name", TABLE)
def test_verdict(name, kit):
    """Every recorded machine gives every kit the verdict of the table, for the reason it states."""
    report = report_of(recorded(name), KITS[kit])
    deciding = report.deciding.code if report.deciding else None
    assert (report.verdict.value, deciding) == TABLE[name][kit]
    for finding in report.findings:
        assert finding.measured, finding.code
        assert finding.required, finding.code


def test_the_table_has_every_recorded_machine():
    """A machine that is recorded later must be put into the table."""
    strange = {name for name in machine_names() if name not in TABLE}
    assert not {name for name in strange if recorded(name).nvidia.access.value == "ok"}


def findings(name, kit):
    return {item.code: item for item in report_of(recorded(name), KITS[kit]).findings}


def test_numbers_stand_side_by_side():
    """What blocks says how much there is and how much is needed; context says what would fit."""
    vram = findings("a100x2", "70b-on-2")["FIT_VRAM"]
    assert vram.measured == "35.5 GiB at most"
    assert vram.required.startswith("66.")
    assert "weights 65.7 GiB" in vram.required
    context = findings("l4", "7b-131072")["FIT_CONTEXT"]
    assert context.measured.startswith("19.8 GiB for the engine, space for ")
    sure, likely = (
        int(word) for word in context.measured.replace(",", "").split() if word.isdigit()
    )
    # (19.8 - 14.2 - 0.9) / 57,344 bytes = 88,000 tokens if all goes well.
    assert 0 < sure < likely < 88_000
    assert context.required.startswith("131072 tokens: 22.")


def test_who_holds_the_memory_is_named():
    """Memory that others hold is in doubt, not missing: the process is named."""
    vram = findings("held", "7b")["FIT_VRAM"]
    assert vram.severity is Severity.WARNS
    assert "/usr/bin/python (process 58130) uses 19.8 GiB" in vram.measured
    assert "58130" in vram.remedy


def test_transformers_needs_what_its_prompt_needs():
    """Without a fraction, the whole card may be used, and nothing is taken that is not needed."""
    needs = gpu_needs(engine="transformers", flags={"max_length": 4096})
    report = report_of(recorded("l4"), needs)
    vram = next(item for item in report.findings if item.code == "FIT_VRAM")
    # 14.2 of weights, 0.2 of cache, 0.5 of activations: 22.0 are enough.
    assert vram.severity is Severity.PASSES
    assert report.verdict.value == FITS
