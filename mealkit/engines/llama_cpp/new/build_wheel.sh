#!/usr/bin/env bash
# Compiles the llama-cpp-python wheel that kit.lock pins into wheels/ beside this file; does nothing if it exists.
# The compiler, the source and every flag are pinned, and no path gets in: the wheel matches wheel.sha256 on every x86-64 Linux.
set -euo pipefail
kit=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
work=${1:-$kit/.wheel-build}
wheel=llama_cpp_python-0.3.36-py3-none-linux_x86_64.whl
is_there() { [[ -e $kit/wheels/$wheel ]] && (cd "$kit" && sha256sum --check --status wheel.sha256); }
! is_there || exit 0
[[ $(uname -sm) == "Linux x86_64" ]] || { echo "build_wheel.sh: only for x86-64 Linux" >&2; exit 1; }

mkdir -p "$work"
exec 9>"$work/lock"
flock 9
! is_there || exit 0
echo "compiling $wheel, once: about 6 minutes on 2 cores; the output goes to $work/log" >&2
exec 3>&2 >>"$work/log" 2>&1
trap 'status=$?; ((status == 0)) || { tail -n 30 "$work/log"; echo "build_wheel.sh: the compilation failed"; } >&3' EXIT

# x86-64-v3 (AVX2, FMA, F16C, BMI2) in full, and nothing else that this machine has: no AVX-512, no AMX.
target=(-target x86_64-linux-gnu.2.28 -mcpu=x86_64_v3 -g0 -fno-sanitize=undefined)

if [[ ! -e $work/ready ]]; then
  rm -rf "$work/tools" "$work/source"
  python3 -m venv "$work/tools"
  "$work/tools/bin/python" -m pip install --disable-pip-version-check --require-hashes -r "$kit/wheel-tools.txt"
  # cmake wants the path of a compiler, so these scripts are what it calls.
  for name in cc c++ ar ranlib; do
    flags=""
    [[ $name != c* ]] || flags="${target[*]} '-ffile-prefix-map=$work/source=.'"
    printf "#!/bin/sh\nexec '%s/tools/bin/python' -m ziglang %s %s \"\$@\"\n" "$work" "$name" "$flags" \
      >"$work/tools/bin/zig-$name"
    chmod +x "$work/tools/bin/zig-$name"
  done
  PATH=$work/tools/bin:$PATH "$work/tools/bin/python" -m pip download --disable-pip-version-check \
    --no-deps --no-build-isolation --no-binary :all: --require-hashes -r "$kit/wheel-source.txt" -d "$work"
  mkdir "$work/source"
  tar -xf "$work/llama_cpp_python-0.3.36.tar.gz" -C "$work/source" --strip-components=1
  # Its CMakeLists.txt turns on a library that nothing in the package loads, and that takes as long as the rest.
  sed -i 's/set(LLAMA_BUILD_COMMON ON/set(LLAMA_BUILD_COMMON OFF/' "$work/source/CMakeLists.txt"
  touch "$work/ready"
fi

options=(
  "CMAKE_C_COMPILER=$work/tools/bin/zig-cc" "CMAKE_CXX_COMPILER=$work/tools/bin/zig-c++"
  "CMAKE_AR=$work/tools/bin/zig-ar" "CMAKE_RANLIB=$work/tools/bin/zig-ranlib"
  CMAKE_SHARED_LINKER_FLAGS=-s
  # One file for each library: a wheel cannot contain links, and would have three copies.
  CMAKE_PLATFORM_NO_VERSIONED_SONAME=ON
  LLAVA_BUILD=OFF LLAMA_BUILD_TESTS=OFF LLAMA_BUILD_TOOLS=OFF LLAMA_BUILD_EXAMPLES=OFF LLAMA_BUILD_SERVER=OFF
  LLAMA_BUILD_APP=OFF LLAMA_BUILD_UI=OFF LLAMA_USE_PREBUILT_UI=OFF LLAMA_OPENSSL=OFF
  GGML_NATIVE=OFF GGML_SSE42=ON GGML_AVX=ON GGML_AVX2=ON GGML_BMI2=ON GGML_FMA=ON GGML_F16C=ON
  GGML_AVX_VNNI=OFF GGML_AVX512=OFF GGML_AMX_TILE=OFF GGML_AMX_INT8=OFF GGML_AMX_BF16=OFF
  GGML_CPU_REPACK=ON GGML_LLAMAFILE=ON GGML_BLAS=OFF GGML_CCACHE=OFF
  # Its own threads, not OpenMP's: no library of the machine, and no spinning on a busy one.
  GGML_OPENMP=OFF
)
settings=()
for option in "${options[@]}"; do settings+=(--config-settings="cmake.define.${option%%=*}=${option#*=}"); done

# GIT_DIR: the sources would otherwise record the commit of the repository that this folder lies in.
env -u CFLAGS -u CXXFLAGS -u LDFLAGS -u CC -u CXX -u CMAKE_ARGS -u SKBUILD_CMAKE_ARGS \
  PATH="$work/tools/bin:$PATH" GIT_DIR=/dev/null SOURCE_DATE_EPOCH=1577836800 LC_ALL=C CMAKE_GENERATOR=Ninja \
  CMAKE_BUILD_PARALLEL_LEVEL="${CMAKE_BUILD_PARALLEL_LEVEL:-2}" \
  ZIG_GLOBAL_CACHE_DIR="$work/zig" ZIG_LOCAL_CACHE_DIR="$work/zig" \
  nice -n 5 "$work/tools/bin/python" -m pip wheel --disable-pip-version-check --no-deps --no-build-isolation --no-index \
  --config-settings=build-dir="$work/build" --config-settings="wheel.exclude=lib/*;include/*;bin/*" \
  "${settings[@]}" --wheel-dir "$work/out" "$work/source"

# Again, and stored: the order of files, their modes and zlib's version are the machine's.
mkdir -p "$kit/wheels"
"$work/tools/bin/python" - "$work/out/$wheel" "$kit/wheels/$wheel" <<'PY'
import os, sys, zipfile

source, target = sys.argv[1:]
with zipfile.ZipFile(source) as wheel:
    content = {name: wheel.read(name) for name in wheel.namelist()}
(record,) = (name for name in content if name.endswith(".dist-info/RECORD"))
content[record] = b"".join(sorted(content[record].splitlines(keepends=True)))
with zipfile.ZipFile(f"{target}.part", "w") as wheel:
    for name in sorted(content, key=lambda name: (".dist-info/" in name, name)):
        entry = zipfile.ZipInfo(name, (2020, 1, 1, 0, 0, 0))
        entry.external_attr = 0o644 << 16
        wheel.writestr(entry, content[name])
os.replace(f"{target}.part", target)
PY
is_there || { sha256sum "$kit/wheels/$wheel"; echo "the wheel does not match wheel.sha256"; exit 1; }
[[ -n ${1:-} ]] || rm -rf "$work/"{build,out,ready,source,tools,zig,*.tar.gz}
