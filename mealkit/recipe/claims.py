"""What a paper promises of its kit: claims with data, metric and tolerance.

They are values of the kit and of its lock. None of them changes an answer.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Literal, Self, get_args

from pydantic import Field, FiniteFloat, JsonValue, model_validator

from mealkit.recipe.answers import KEEPS_ANSWERS, StrictModel
from mealkit.recipe.locked_file import LockedFile
from mealkit.strings import Line, MaybeLine, Name, RelativePath, Text, Url, Variable

MAX_CLAIMS = 200
"""The most claims of a kit."""
MAX_DATASETS = 32
"""The most data sets of a kit; each may be a layer of the image."""
MAX_DATA_FILES = 1000
"""The most files of a data set."""

Column = Annotated[Line, Field(max_length=200)]
"""A column of a data set: a key of its JSON objects, or the name of a column of CSV or Parquet."""
Pointer = Annotated[MaybeLine, Field(pattern=r"^(/[^\s]*)?$", max_length=500)]
"""A JSON Pointer (RFC 6901); the empty string is the whole value."""


class Metric(StrEnum):
    """What is measured. Names that end in ``_seconds`` or ``_bytes`` have that unit."""

    ACCURACY = "accuracy"
    F1_MACRO = "f1_macro"
    F1_MICRO = "f1_micro"
    F1_WEIGHTED = "f1_weighted"
    EXACT_MATCH = "exact_match"
    NORMALISED_MATCH = "normalised_match"
    SPEARMAN = "spearman"
    PEARSON = "pearson"
    MRR = "mrr"
    NDCG_10 = "ndcg@10"
    RECALL_1 = "recall@1"
    RECALL_5 = "recall@5"
    RECALL_10 = "recall@10"
    RECALL_100 = "recall@100"
    BLEU = "bleu"
    CHRF = "chrf"
    ROUGE_1 = "rouge1"
    ROUGE_2 = "rouge2"
    ROUGE_L = "rougeL"
    WER = "wer"
    COSINE = "cosine"
    JSON_EQUAL = "json_equal"
    CLOSE = "close"
    MAE = "mae"
    RMSE = "rmse"
    SMAPE = "smape"
    R2 = "r2"
    TOKENS_PER_SECOND = "tokens_per_second"
    TEXTS_PER_SECOND = "texts_per_second"
    FIRST_TOKEN_P50_SECONDS = "first_token_p50_seconds"  # noqa: S105  no password
    FIRST_TOKEN_P95_SECONDS = "first_token_p95_seconds"  # noqa: S105
    LATENCY_P50_SECONDS = "latency_p50_seconds"
    LATENCY_P95_SECONDS = "latency_p95_seconds"
    LATENCY_P99_SECONDS = "latency_p99_seconds"
    START_SECONDS = "start_seconds"
    PEAK_MEMORY_BYTES = "peak_memory_bytes"
    PEAK_GPU_MEMORY_BYTES = "peak_gpu_memory_bytes"


class Tolerance(StrictModel):
    """How far the measured value may be from the claimed one: one of three ways to say it.

    For a quality, the bound holds on both sides, because a value that is much better has another
    cause than the recipe. For a performance, a better value always holds.
    """

    absolute: Annotated[Annotated[FiniteFloat, Field(ge=0)] | None, KEEPS_ANSWERS] = None
    """The largest difference, in the metric's own unit."""
    relative: Annotated[Annotated[FiniteFloat, Field(ge=0, le=10)] | None, KEEPS_ANSWERS] = None
    """The largest difference, as a share of the claimed value: 0.05 for 5 %."""
    minimum: Annotated[FiniteFloat | None, KEEPS_ANSWERS] = None
    """The smallest value that holds."""
    maximum: Annotated[FiniteFloat | None, KEEPS_ANSWERS] = None
    """The largest value that holds."""

    @model_validator(mode="after")
    def _says_it_once(self) -> Self:
        interval = self.minimum is not None or self.maximum is not None
        if [self.absolute is not None, self.relative is not None, interval].count(True) != 1:
            raise ValueError("write one of: absolute, relative, or minimum and maximum")
        if None not in (self.minimum, self.maximum) and self.minimum > self.maximum:  # type: ignore[operator]
            raise ValueError("minimum is larger than maximum")
        return self


class _Ask(StrictModel):
    parameters: Annotated[dict[Variable, JsonValue], KEEPS_ANSWERS] = Field(default_factory=dict)
    """Further fields of the request, such as max_tokens, as a caller may set them."""


class AskEmbedding(_Ask):
    """The vector of a text."""

    kind: Annotated[Literal["embedding"], KEEPS_ANSWERS]
    """The kind of question."""
    text: Annotated[Column, KEEPS_ANSWERS] = "text"
    """The column with the text."""


class AskSimilarity(_Ask):
    """The cosine of two texts' vectors."""

    kind: Annotated[Literal["similarity"], KEEPS_ANSWERS]
    """The kind of question."""
    first: Annotated[Column, KEEPS_ANSWERS]
    """The column with the first text."""
    second: Annotated[Column, KEEPS_ANSWERS]
    """The column with the second text."""


class AskRetrieval(_Ask):
    """The documents of a corpus, by the cosine of their vectors and the query's."""

    kind: Annotated[Literal["retrieval"], KEEPS_ANSWERS]
    """The kind of question."""
    query: Annotated[Column, KEEPS_ANSWERS]
    """The column with the query's text."""
    corpus: Annotated[RelativePath, KEEPS_ANSWERS]
    """The file of the documents: DATASET or DATASET/FILE."""
    document: Annotated[Column, KEEPS_ANSWERS] = "text"
    """The corpus's column with the documents' texts."""
    document_id: Annotated[Column, KEEPS_ANSWERS] = "id"
    """The corpus's column with the documents' identifiers; ``expected`` lists the relevant ones."""


class AskClassification(_Ask):
    """The likeliest label of a text."""

    kind: Annotated[Literal["classification"], KEEPS_ANSWERS]
    """The kind of question."""
    text: Annotated[Column, KEEPS_ANSWERS] = "text"
    """The column with the text."""


class AskReranking(_Ask):
    """The relevance of documents for a query."""

    kind: Annotated[Literal["reranking"], KEEPS_ANSWERS]
    """The kind of question."""
    query: Annotated[Column, KEEPS_ANSWERS]
    """The column with the query."""
    documents: Annotated[Column, KEEPS_ANSWERS]
    """The column with the list of documents; ``expected`` lists the relevant ones' positions."""


class AskGeneration(_Ask):
    """A text that the model writes."""

    kind: Annotated[Literal["generation"], KEEPS_ANSWERS]
    """The kind of question."""
    text: Annotated[Column | None, KEEPS_ANSWERS] = None
    """The column with what the user says, or with the beginning of a text to continue."""
    messages: Annotated[Column | None, KEEPS_ANSWERS] = None
    """The column with a list of chat messages."""
    prompt: Annotated[Name | None, KEEPS_ANSWERS] = None
    """A prompt of the kit, by its name."""
    variables: Annotated[dict[Variable, Column], KEEPS_ANSWERS] = Field(default_factory=dict)
    """The columns with the prompt's variables."""

    @model_validator(mode="after")
    def _asks_in_one_way(self) -> Self:
        if [self.text, self.messages, self.prompt].count(None) != 2:
            raise ValueError("write one of: text, messages, prompt")
        return self


class AskPrediction(_Ask):
    """The output of the paper's own code."""

    kind: Annotated[Literal["prediction"], KEEPS_ANSWERS]
    """The kind of question."""
    input: Annotated[dict[Line, Column], KEEPS_ANSWERS] = Field(default_factory=dict)
    """The column of each field of the input; all columns but ``expected``, if left out."""
    at: Annotated[Pointer, KEEPS_ANSWERS] = ""
    """Where in the output the answer is, as a JSON Pointer; the whole output, if left out."""


Ask = Annotated[
    AskEmbedding
    | AskSimilarity
    | AskRetrieval
    | AskClassification
    | AskReranking
    | AskGeneration
    | AskPrediction,
    Field(discriminator="kind"),
]
QUESTION_KINDS: tuple[str, ...] = tuple(
    get_args(question.model_fields["kind"].annotation)[0] for question in get_args(get_args(Ask)[0])
)
"""The kinds of questions, as ``ask.kind`` names them."""


class Claimed(StrictModel):
    """A value that is claimed for the kit, and how it is measured."""

    name: Annotated[Name, KEEPS_ANSWERS]
    """The claim's name: lower-case letters, digits, dots and dashes."""
    source: Annotated[Line, KEEPS_ANSWERS]
    """Who states the value: a table, figure or section of the paper, or "ours"."""
    url: Annotated[Url | None, KEEPS_ANSWERS] = None
    """The address of the statement."""
    description: Annotated[Text | None, KEEPS_ANSWERS] = None
    """What the claim means, in a sentence."""
    data: Annotated[RelativePath | None, KEEPS_ANSWERS] = None
    """The data: a name in ``datasets``, or NAME/FILE if it has several files. Without data, the
    claim is stated and cannot be tested."""
    ask: Annotated[Ask | None, KEEPS_ANSWERS] = None
    """What is asked of each row of the data."""
    expected: Annotated[Column, KEEPS_ANSWERS] = "expected"
    """The column with the right answer."""
    metric: Annotated[Metric, KEEPS_ANSWERS]
    """What is measured."""
    value: Annotated[FiniteFloat, KEEPS_ANSWERS]
    """The claimed value."""
    tolerance: Annotated[Tolerance, KEEPS_ANSWERS]
    """How far the measured value may be from it."""
    hardware: Annotated[Line | None, KEEPS_ANSWERS] = None
    """The class of hardware on which the claim holds: cpu, gpu, or a part of a GPU's name, such as
    H200. Elsewhere it is measured, but not judged."""
    paper_hardware: Annotated[Line | None, KEEPS_ANSWERS] = None
    """The hardware on which the value was measured first, for the reproduction report."""
    paper_value: Annotated[FiniteFloat | None, KEEPS_ANSWERS] = None
    """The paper's own value, if ``value`` is another one, such as on a part of the data."""
    slices: Annotated[Annotated[tuple[Column, ...], Field(max_length=8)], KEEPS_ANSWERS] = ()
    """Columns by whose values the result is also reported."""
    seeds: Annotated[
        Annotated[tuple[Annotated[int, Field(ge=0, le=2**31 - 1)], ...], Field(max_length=32)],
        KEEPS_ANSWERS,
    ] = ()
    """Ask everything once with each of these seeds, and report the spread; the mean is judged."""
    concurrency: Annotated[Annotated[int, Field(ge=1, le=256)] | None, KEEPS_ANSWERS] = None
    """How many requests at a time, for a claim of speed; ``mealkit test`` decides, if left out."""

    @model_validator(mode="after")
    def _asks_of_data(self) -> Self:
        if (self.data is None) != (self.ask is None):
            raise ValueError("data and ask belong together")
        return self


Claims = Annotated[tuple[Claimed, ...], Field(max_length=MAX_CLAIMS)]


class LockedDataset(StrictModel):
    """The files of a data set, pinned like weights."""

    files: Annotated[
        Annotated[tuple[LockedFile, ...], Field(min_length=1, max_length=MAX_DATA_FILES)],
        KEEPS_ANSWERS,
    ]
    """Every file, sorted by path; the paths begin with the data set's name."""

    @property
    def is_only_here(self) -> bool:
        """Whether files were found in a folder, where no other machine finds them."""
        return any(file.origins[:1] and file.origins[0].source == "folder" for file in self.files)


LockedDatasets = Annotated[dict[Name, LockedDataset], Field(max_length=MAX_DATASETS)]


def travelling(
    datasets: Mapping[str, LockedDataset], *, tests_in_image: bool
) -> dict[str, LockedDataset]:
    """Return the data sets that are in the image: all if it has the tests, else local ones."""
    return {name: item for name, item in datasets.items() if tests_in_image or item.is_only_here}
