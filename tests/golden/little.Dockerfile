# little 1.0.0
#
# Rendered by mealkit 0.1.0 from kit.lock, recipe sha256:fccd1c8e43250cfcec520625b78301d4b127cd8cd8ff1a267c368dbf44ce75fc.
# Plain `docker build .` in this folder gives the files of the image that `mealkit build` assembles:
# the same names, modes, owners and contents. Nothing is fetched and no command is run; everything
# comes from this folder. Check it first:
#
#     sha256sum --check --quiet SHA256SUMS
#
# Owner: cooks, mailto:cooks@kitchen.invalid

# The base image, pinned by digest; its layers are used as they are.
FROM base@sha256:e269981bbd467d0acb3b35d1a46d82f654c7fd0b8e16e715d763178bbc43a30c

# --- engine: engine onnx
# 3 Python wheels for the worker, each pinned by digest
#   numpy-99.0-py3-none-any.whl  sha256:c08b806e9cc0c97602fc668ea51bcebce49c8835200a7b1342cbe5f05c6c09bb
#   onnxruntime-99.0-py3-none-any.whl  sha256:fc4f664c289c0e138a036153e33342673bce6036d735aefc19abee0057d2948a
#   tokenizers-99.0-py3-none-any.whl  sha256:80cc32dec6ab91aa543f7fd82db536262e6a34873439898cbbcd81bc025c5ab2
COPY layers/00-engine/ /

# --- weights: model.safetensors
# one file of weights, the publisher's bytes
#   /models/model.safetensors  sha256:7d49b088af907f5ed43146e1d6670112613ae7e2bc7e53df0cfd41c3ed619bac
COPY layers/01-weights/ /

# --- weights: model files
# the model's small files: tokenizer, configuration, graph
#   /models/config.json  sha256:9c2f3ffba34c11366be70e8d3a57ea30772b761b9a6001a8c330ee6e14fbc667
COPY layers/02-weights/ /

# --- gateway: gateway of mealkit 0.1.0
# the process that callers talk to, with its own packages, apart from the engine's
#   prometheus_client-99.0-py3-none-any.whl  sha256:c0f2aa890bc4f5a5245742dd4d3a88a80a8d7a5d72b6efd8d6f504fe38c50b4c
#   pydantic-99.0-py3-none-any.whl  sha256:c1b622448e85254b31c44756d849d9365bc699cbc39aa92e51db5f93dfe04d20
#   starlette-99.0-py3-none-any.whl  sha256:9bbd1242dd381d68622cbbc83a5c9ab300e271c6eb89480e5ba28ea6851e5db9
#   uvicorn-99.0-py3-none-any.whl  sha256:aa9518bcbd95427bf2125e90a5fb95788acaea0cf10e4479d43463c00a4835de
ADD layers/03-gateway-folders.tar /
COPY layers/03-gateway/ /

# --- kit: kit little 1.0.0
# the lock and the prompts: the only layer that an edit of the recipe changes
COPY layers/04-kit/ /

# How it runs: as an unprivileged user, from a root that may be read-only.
ENV LANG="C.UTF-8"
ENV MEALKIT_PORT="8000"
ENV PATH="/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
ENV PYTHONDONTWRITEBYTECODE="1"
ENV PYTHONPATH="/opt/mealkit/lib:/opt/mealkit/gateway"
ENV PYTHONUNBUFFERED="1"
LABEL dev.mealkit.kit="little:1.0.0"
LABEL dev.mealkit.owner="{\"contact\":\"mailto:cooks@kitchen.invalid\",\"support\":\"at noon\",\"team\":\"cooks\"}"
LABEL dev.mealkit.recipe="sha256:fccd1c8e43250cfcec520625b78301d4b127cd8cd8ff1a267c368dbf44ce75fc"
LABEL dev.mealkit.requirements="{\"architectures\":[\"amd64\"],\"disk_bytes\":1642921,\"gpu\":\"none\",\"memory_bytes\":405213376,\"weights_bytes\":1600120}"
LABEL org.opencontainers.image.base.digest="sha256:e269981bbd467d0acb3b35d1a46d82f654c7fd0b8e16e715d763178bbc43a30c"
LABEL org.opencontainers.image.base.name="base"
LABEL org.opencontainers.image.licenses="Apache-2.0"
LABEL org.opencontainers.image.title="little"
LABEL org.opencontainers.image.vendor="cooks"
LABEL org.opencontainers.image.version="1.0.0"
USER 65532:65532
WORKDIR /
EXPOSE 8000
STOPSIGNAL SIGTERM
ENTRYPOINT ["python3.13", "-s", "-P", "-m", "mealkit.runtime"]
# A base's default arguments are not the kit's.
CMD []
