# little 1.0.0
#
# Rendered by mealkit VERSION from kit.lock, recipe sha256:0000000000000000000000000000000000000000000000000000000000000000.
# Plain `docker build .` in this folder gives the files of the image that `mealkit build` assembles:
# the same names, modes, owners and contents. Nothing is fetched and no command is run; everything
# comes from this folder. Check it first:
#
#     sha256sum --check --quiet SHA256SUMS
#
# Owner: cooks, mailto:cooks@kitchen.invalid

# The base image, pinned by digest; its layers are used as they are.
FROM base@sha256:0000000000000000000000000000000000000000000000000000000000000000

# --- engine: engine onnx
# 3 Python wheels for the worker, each pinned by digest
#   numpy-99.0-py3-none-any.whl  sha256:0000000000000000000000000000000000000000000000000000000000000000
#   onnxruntime-99.0-py3-none-any.whl  sha256:0000000000000000000000000000000000000000000000000000000000000000
#   tokenizers-99.0-py3-none-any.whl  sha256:0000000000000000000000000000000000000000000000000000000000000000
COPY layers/00-engine/ /

# --- weights: model.safetensors
# one file of weights, the publisher's bytes
#   /models/model.safetensors  sha256:0000000000000000000000000000000000000000000000000000000000000000
COPY layers/01-weights/ /

# --- weights: model files
# the model's small files: tokenizer, configuration, graph
#   /models/config.json  sha256:0000000000000000000000000000000000000000000000000000000000000000
COPY layers/02-weights/ /

# --- gateway: gateway of mealkit VERSION
# the process that callers talk to, with its own packages, apart from the engine's
#   h11-99.0-py3-none-any.whl  sha256:0000000000000000000000000000000000000000000000000000000000000000
#   jinja2-99.0-py3-none-any.whl  sha256:0000000000000000000000000000000000000000000000000000000000000000
#   nvidia_ml_py-99.0-py3-none-any.whl  sha256:0000000000000000000000000000000000000000000000000000000000000000
#   prometheus_client-99.0-py3-none-any.whl  sha256:0000000000000000000000000000000000000000000000000000000000000000
#   pydantic-99.0-py3-none-any.whl  sha256:0000000000000000000000000000000000000000000000000000000000000000
#   starlette-99.0-py3-none-any.whl  sha256:0000000000000000000000000000000000000000000000000000000000000000
#   uvicorn-0.54.99-py3-none-any.whl  sha256:0000000000000000000000000000000000000000000000000000000000000000
ADD layers/03-gateway-folders.tar /
COPY layers/03-gateway/ /

# --- kit: kit little 1.0.0
# the lock, the prompts and the code: the only layer that an edit of the recipe changes
COPY layers/04-kit/ /

# The container runs as an unprivileged user; its root may be read-only.
ENV LANG="C.UTF-8"
ENV PATH="/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
ENV PYTHONDONTWRITEBYTECODE="1"
ENV PYTHONPATH="/opt/mealkit/lib:/opt/mealkit/gateway"
ENV PYTHONUNBUFFERED="1"
LABEL dev.mealkit.kit="little:1.0.0"
LABEL dev.mealkit.owner="{\"contact\":\"mailto:cooks@kitchen.invalid\",\"support\":\"at noon\",\"team\":\"cooks\"}"
LABEL dev.mealkit.recipe="sha256:0000000000000000000000000000000000000000000000000000000000000000"
LABEL dev.mealkit.requirements="{\"architectures\":[\"amd64\"],\"built_for\":{},\"cuda\":null,\"demand\":{\"batched_tokens\":8192,\"concurrency\":8,\"context_tokens\":16,\"cuda_graphs\":true,\"engine\":\"onnx\",\"flash_attention\":true,\"float_bytes\":4,\"kv_dtype\":\"f32\",\"layer_split\":1,\"micro_batch\":512,\"tensor_parallel\":1,\"transformers_version\":null,\"utilisation\":0.9},\"disk_bytes\":1652571,\"dtypes\":[],\"gpu\":\"none\",\"memory_bytes\":405213376,\"model\":null,\"port\":8000,\"shm_bytes\":0,\"weights_bytes\":1600120}"
LABEL dev.mealkit.salt="sha256:0000000000000000000000000000000000000000000000000000000000000000"
LABEL org.opencontainers.image.base.digest="sha256:0000000000000000000000000000000000000000000000000000000000000000"
LABEL org.opencontainers.image.base.name="base"
LABEL org.opencontainers.image.licenses="Apache-2.0"
LABEL org.opencontainers.image.title="little"
LABEL org.opencontainers.image.vendor="cooks"
LABEL org.opencontainers.image.version="1.0.0"
USER 65532:65532
WORKDIR /
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=5s --timeout=5s --start-period=3600s --retries=6 CMD ["python3.13", "-S", "-P", "-m", "mealkit.runtime.health_check"]
ENTRYPOINT ["python3.13", "-s", "-P", "-m", "mealkit.runtime"]
# Clear the base image's default arguments.
CMD []
