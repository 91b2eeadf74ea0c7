#!/usr/bin/env bash
# Gets the CPU build of torch that kit.lock pins, into wheels/ beside this file; does nothing when it is there.
# torch without "+cpu" is another build, for GPUs: gigabytes that this kit has no use for. PyTorch keeps the CPU
# builds on an index of their own: name it, or a folder or mirror that has the wheel, in PIP_EXTRA_INDEX_URL or
# PIP_FIND_LINKS. The digest decides, not the place.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
sha256sum --check --status wheel.sha256 2>/dev/null && exit 0
python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary :all: \
  --python-version 3.11 --platform manylinux_2_28_x86_64 --dest wheels "torch==2.13.0+cpu"
sha256sum --check --quiet wheel.sha256
