"""Known messages in the logs of engines and container clients, with the problem that each means.

The first rule that matches decides, so specific rules come before general ones. The comment above
each rule is the place where the message was seen: ``NAME/NAME#1`` is
https://github.com/NAME/NAME/issues/1. The rules are applied only to the last lines of a process
that failed; a warning that other processes survive must not be a rule.
"""

from collections.abc import Sequence

from mealkit.evidence.known_gpu_messages import GPU_RULES
from mealkit.evidence.rule import Rule, rule

_HOST: Sequence[Rule] = (
    # pytorch/ci-infra#490, NVIDIA/nccl#290; NVIDIA/nccl-tests#166
    rule(
        r"Error: failed to extend /dev/shm/\S+ to (?P<bytes>\d+) bytes"
        r"|creating shared memory segment \S+ \(size (?P<size>\d+)\)"
        r"|ncclShmOpen",
        "HOST_SHM",
        "shared memory is too small for the data that the GPUs' processes exchange",
    ),
    # msr-fiddle/pipedream#28, pytorch/pytorch#5040; logicalclocks/hopsworks#1557; vLLM 0.32
    rule(
        r"insufficient shared memory \(shm\)|workers are out of shared memory"
        r"|Insufficient space in /dev/shm"
        r"|unable to write to file </torch_\w+>",
        "HOST_SHM",
        "shared memory is too small for the data that the engine's processes exchange",
    ),
    # vllm-project/vllm#1771
    rule(
        r"\bBus error\b",
        "HOST_SHM",
        "a bus error ended the engine: its shared memory may be full",
    ),
    # zilliztech/attu#415, monitoror/monitoror#403, vllm-project/vllm#30076
    rule(
        r"(?i:exec format error)",
        "HOST_ARCHITECTURE",
        "the image is built for another processor architecture than this machine's",
    ),
    # aws/amazon-ecs-agent#3021
    rule(
        r"container init was OOM-killed",
        "ENGINE_OUT_OF_MEMORY",
        "the container's memory limit is too low to start anything in it",
    ),
    # chroma-core/chroma#1682, sdnext: vladmandic/sdnext#2642
    rule(
        r"can't start new thread|pthread_create failed for thread|Thread creation failed",
        "HOST_ULIMIT",
        "the engine cannot start more threads",
    ),
    # facebookresearch/fairseq#87, vllm-project/vllm#7920; not the warning that an engine logs at
    # every start under a limit below 65535: vllm/utils/system_utils.py (set_ulimit)
    rule(
        r"(?<!errors like `OSError: \[Errno 24\] )Too many open files",
        "HOST_ULIMIT",
        "the engine cannot open more files",
        hint="raise the limit (docker run --ulimit nofile=65536:65536)",
    ),
)

# Before the rules for GPUs, whose messages some of these share.
_CPU: Sequence[Rule] = (
    # vllm 0.32 on a CPU: vllm/v1/core/kv_cache_utils.py, after the line of v1/worker/cpu_worker.py
    rule(
        r"Explicitly set \([\d./]+\) GiB for KV cache on node(?s:.)*?"
        r"max seq len \((?P<context>\d+)\), \((?P<wanted>[\d.]+ GiB) KV cache is needed, which is"
        r" larger than the available KV cache memory \((?P<seen>[\d.]+ GiB)\)\."
        r"( Based on the available memory, the estimated maximum model length is (?P<most>\d+))?",
        "ENGINE_START",
        "a context of {context} tokens does not fit into the memory that the kit gives the cache",
        measured="{seen} for the KV cache",
        required="{wanted}",
        hint="raise runtime.settings.kv_cache_gib in kit.yaml, or lower hyperparameters.max_length"
        " (vLLM's estimate of the longest that fits: {most})",
    ),
    # vllm 0.32 on a CPU: vllm/v1/worker/cpu_worker.py
    rule(
        r"Available memory on node \S+ \((?P<seen>[\d.]+)/(?P<total>[\d.]+) GiB\) on kv cache"
        r" allocation is less than requested memory for kv \((?P<wanted>[\d.]+)",
        "ENGINE_OUT_OF_MEMORY",
        "the machine has less free memory than the kit's cache needs",
        measured="{seen} GiB free of {total} GiB",
        required="{wanted} GiB for the KV cache",
        hint="use a machine with more memory, or stop other programs that use it",
    ),
    # vllm 0.32 on a CPU, with VLLM_BATCH_INVARIANT=1: model_executor/determinism/batch_invariant.py
    rule(
        r"batch_invariant\.py\W[^\n]*\n[^\n]*kernel\[[^\n]*\n([^\n]*\n)?"
        r"[^\n]*TypeError: 'function' object is not subscriptable",
        "ENGINE_START",
        "batch_invariant needs Triton's kernels, which the engine has only for GPUs",
        hint="write batch_invariant: false into runtime.settings",
    ),
)

_ENGINE: Sequence[Rule] = (
    # vllm 0.32: vllm/config/model.py
    rule(
        r"Unknown quantization method: (?P<method>\S+?)\. Must be one of",
        "ENGINE_START",
        "the engine does not know {method}, by which config.json says that the weights are"
        " quantised",
        hint="name weights in model.weights that are quantised by a method of this engine, or not"
        " at all",
    ),
    # vllm 0.32: vllm/config/model.py
    rule(
        r"User-specified max_model_len \((?P<wanted>\d+)\) is greater than the derived"
        r" max_model_len \(max_position_embeddings=(?P<seen>\d+)",
        "ENGINE_START",
        "the kit's context is longer than the model's own",
        measured="{seen} tokens",
        required="{wanted} tokens",
        hint="lower hyperparameters.max_length in kit.yaml to {seen}",
    ),
    # vllm 0.32: vllm/model_executor/model_loader/default_loader.py
    rule(
        r"Cannot find any model weights with `",
        "ENGINE_START",
        "the kit's files have no weights in the engine's format",
        hint="name the .safetensors files in model.weights",
    ),
    # safetensors 0.8
    rule(
        r"SafetensorError: Error while deserializing header: (?P<why>[^\n]*)",
        "ENGINE_START",
        "a file of weights is not whole: {why}",
        hint="get the file again from its publisher, then: mealkit lock --upgrade weights",
    ),
    # vllm-project/vllm#6215, #5244; runpod-workers/worker-vllm#43
    rule(
        r"requires you to execute the \w+ file in that repo"
        r"|contains custom code which must be executed to correctly load",
        "ENGINE_REMOTE_CODE",
        "the model requires its own code to be run, and kits do not run it",
    ),
    # vllm-project/vllm#3719, huggingface/kernels#553
    rule(
        r"Cannot reach (?P<url>\S+): offline mode is enabled",
        "ENGINE_OFFLINE",
        "the engine tries to download from {url}, and kits have no network",
    ),
    # the exception's class, if the message is truncated: huggingface/text-generation-inference#3192
    rule(
        r"OfflineModeIsEnabled",
        "ENGINE_OFFLINE",
        "the engine tries to download a file, and kits have no network",
    ),
    # vllm-project/vllm#6562, #39609
    rule(
        r"version `(?P<version>(GLIBC|GLIBCXX|CXXABI)_[\d.]+)' not found",
        "ENGINE_LIBRARY",
        "the image's C library is too old for the kit's packages",
        required="{version}",
    ),
    # vllm-project/vllm#36099, #3387
    rule(
        r"(?P<library>lib[\w.+-]+\.so[.\d]*): cannot open shared object file",
        "ENGINE_LIBRARY",
        "a library that the engine needs is not in the image",
        measured="none",
        required="{library}",
    ),
    # vllm-project/vllm#2997, #15329: Triton compiles a helper when it starts
    rule(
        r"Failed to find C compiler",
        "ENGINE_LIBRARY",
        "the image has no C compiler, and the engine compiles some of its code when it starts",
        hint="write into runtime.base: packages: [g++, libc6-dev, libpython3.13-dev]",
        measured="none",
        required="a C compiler",
    ),
    # marieai/marie-ai#94, pytorch/FBGEMM#1910: torch compiles the model
    rule(
        r"No working C\+\+ compiler found",
        "ENGINE_LIBRARY",
        "the image has no C++ compiler, and the engine compiles the model when it starts",
        hint="write into runtime.base: packages: [g++, libc6-dev, libpython3.13-dev]",
        measured="none",
        required="a C++ compiler",
    ),
    # vllm-project/vllm#27890, sgl-project/sglang#1117: Triton compiles a helper when it starts
    rule(
        r"fatal error: Python\.h: No such file",
        "ENGINE_LIBRARY",
        "the image does not have its Python's headers, which the engine needs when it starts",
        hint="write into runtime.base: packages: [g++, libc6-dev, libpython3.13-dev]",
        measured="none",
        required="Python.h",
    ),
    # unslothai/unsloth#4535, abetlen/llama-cpp-python#839
    rule(
        r"Illegal instruction",
        "ENGINE_ILLEGAL_INSTRUCTION",
        "the engine used an instruction that this processor does not have",
    ),
    # mxfold/mxfold2#20, JingyunLiang/VRT#49
    rule(
        r"DefaultCPUAllocator: (can't allocate|not enough) memory: you tried to allocate"
        r" (?P<wanted>\d+) bytes",
        "ENGINE_OUT_OF_MEMORY",
        "the engine could not get more memory",
        required="{wanted} bytes more",
    ),
    # MIC-DKFZ/nnUNet#2213, numpy/numpy#17595
    rule(
        r"MemoryError: Unable to allocate (?P<wanted>[\d.]+ \w+) for an array",
        "ENGINE_OUT_OF_MEMORY",
        "the engine could not get more memory",
        required="{wanted} more",
    ),
    # ggml-org/llama.cpp#8101, mozilla-ai/llamafile#501; microsoft/onnxruntime#9939
    rule(
        r"(ggml_backend_cpu_buffer_type_alloc_buffer: failed to allocate"
        r"|Failed to allocate memory for requested) buffer of size (?P<wanted>\d+)",
        "ENGINE_OUT_OF_MEMORY",
        "the engine could not get more memory",
        required="{wanted} bytes more",
    ),
    # swisscom/ai-research-keyphrase-extraction#28; microsoft/onnxruntime#2120
    rule(
        r"std::bad_alloc|\[Errno 12\] Cannot allocate memory|\bMemoryError\b",
        "ENGINE_OUT_OF_MEMORY",
        "the engine could not get more memory",
    ),
    # NVIDIA/Megatron-LM#878
    rule(
        r"No space left on device(: '(?P<path>[^']+)')?",
        "DISK_FULL",
        "the disk that the engine writes to is full",
        hint="free space in the folders that the container writes to: /var/lib/mealkit and /tmp",
    ),
    # bmaltais/kohya_ss#1143, Center-for-AI-Innovation/LLMFlux#124
    rule(
        r"\[Errno (13|30)\] (Permission denied|Read-only file system): '(?P<path>[^']+)'",
        "DISK_DENIED",
        "the engine has no permission to write to {path}",
        hint="let the kit's engine write below /var/lib/mealkit, which is the only writable folder",
    ),
    # vllm-project/vllm#39015, #11617
    rule(
        r"(?i:address already in use)",
        "PORT_TAKEN",
        "a port that the engine needs is in use",
        hint="give the container its own network, or stop the program that uses the port",
    ),
)

RULES: Sequence[Rule] = (*_CPU, *GPU_RULES, *_HOST, *_ENGINE)
