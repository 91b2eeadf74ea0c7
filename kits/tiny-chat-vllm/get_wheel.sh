#!/usr/bin/env bash
# Downloads the CPU build of torch that kit.lock pins into wheels/ beside this file; does nothing if it exists.
# torch without "+cpu" is a build for GPUs, with gigabytes that this kit does not need. PyTorch keeps the CPU builds
# on an index of their own: set PIP_EXTRA_INDEX_URL to it or to a mirror, or PIP_FIND_LINKS to a folder that has the
# wheel. The digest decides, not the place.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
sha256sum --check --status wheel.sha256 2>/dev/null && exit 0
python3 -m pip --version >/dev/null 2>&1 || {
  echo "get_wheel.sh: $(command -v python3 || echo python3) has no pip: install it (python3 -m ensurepip; on Debian: apt install python3-pip)" >&2
  exit 1
}
python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary :all: \
  --python-version 3.11 --platform manylinux_2_28_x86_64 --dest wheels "torch==2.13.0+cpu" || {
  echo "get_wheel.sh: pip found no torch 2.13.0+cpu: set PIP_EXTRA_INDEX_URL to PyTorch's index of CPU builds" >&2
  exit 1
}
sha256sum --check --quiet wheel.sha256
