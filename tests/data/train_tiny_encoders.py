"""Train the two tiny encoders that new kits and tests classify and rerank with, and write their golden rows.

Their texts are Python's own: the docstrings of the standard library that runs this script. Each
model is written as the engines read it: model.safetensors (float32), config.json, tokenizer.json and
model.onnx, a graph without weights that points into model.safetensors. Run it where torch,
transformers, tokenizers, onnx and onnxscript are installed::

    OMP_NUM_THREADS=1 python train_tiny_encoders.py [--export] [classifier] [reranker]

Each takes some minutes on one core; figures on what was held out are printed at the end.
``--export`` measures, and writes graph and golden rows again, from weights that are there.
"""

import ast
import hashlib
import json
import re
import sys
import sysconfig
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from random import Random

import onnx
import tokenizers
import torch
import transformers
from tokenizers import normalizers, pre_tokenizers, processors, trainers
from torch import Tensor, nn

# What points a graph into its weights comes with the example kit.
sys.path.insert(0, str(Path(__file__).parents[2] / "kits/sbert-minilm"))
import export_graph

VOCABULARY = 3072
MAX_LENGTH = 128
PAD, UNKNOWN, CLS, SEP = range(4)
SHAPE = {
    "vocab_size": VOCABULARY,
    "hidden_size": 128,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 256,
    "max_position_embeddings": MAX_LENGTH,
    "pad_token_id": PAD,
    # BERT's 0.02 is made for a width of 768; in this width signals would die out.
    "initializer_range": 0.08,
}
STEPS = {"classifier": 700, "reranker": 360}
PEAK_RATE = 1e-3
SHARE_HELD_OUT = 0.12
CANDIDATES = 10

# What each label stands for: modules of the standard library by their first name.
LABELS = {
    "concurrency": "asyncio threading multiprocessing concurrent queue subprocess sched selectors",
    "dates": "datetime calendar _strptime zoneinfo time",
    "development": "unittest doctest pdb bdb trace traceback inspect dis ast symtable tracemalloc "
    "pstats timeit importlib pydoc warnings",
    "files": "tarfile zipfile pathlib shutil tempfile gzip bz2 lzma posixpath ntpath genericpath os "
    "glob fnmatch filecmp fileinput zipapp _pyio",
    "interface": "tkinter turtle curses",
    "internet": "http urllib email imaplib smtplib ftplib poplib nntplib telnetlib socketserver ssl "
    "socket xmlrpc wsgiref mailbox ipaddress webbrowser cgi mimetypes",
    "numbers": "_pydecimal statistics fractions numbers random math cmath colorsys",
    "text": "re difflib textwrap codecs encodings json csv html xml configparser string shlex locale "
    "gettext tomllib plistlib unicodedata",
}
LABEL_OF = {module: label for label, modules in LABELS.items() for module in modules.split()}
# Their functions are written in C: there is no source to read docstrings from.
COMPILED = ("cmath", "math", "time", "unicodedata")
LEFT_OUT = {"test", "tests", "idlelib", "lib2to3", "turtledemo", "pydoc_data", "site-packages"}


@dataclass(frozen=True, slots=True)
class Entry:
    """A documented name; ``held_out`` by its text's digest, so that no text is on both sides."""

    module: str
    name: str
    text: str
    held_out: bool


def main(arguments: list[str]) -> int:
    """Train the models that are named, or all; print what was measured."""
    is_trained = "--export" in arguments
    names = [name for name in arguments if name != "--export"] or ["classifier", "reranker"]
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(mode=True)
    entries = list(collected())
    held_out = sum(entry.held_out for entry in entries)
    print(f"python {sys.version.split()[0]}: {len(entries)} texts, {held_out} held out")
    for name in names:
        folder = Path(__file__).parents[2] / "kits" / f"tiny-{name}"
        if not is_trained:
            train(name, [entry for entry in entries if not entry.held_out], folder)
        measure = {"classifier": classify_held_out, "reranker": rank_held_out}[name]
        print(name, json.dumps(measure(load(folder), tokenizer_in(folder), entries)), flush=True)
        export(folder)
        write_golden(name, folder, entries)
    return 0


# --- texts


def collected() -> Iterator[Entry]:
    """Yield every documented name of the standard library once per text, always in one order."""
    seen: set[str] = set()
    for name, docstring in (*from_sources(), *from_compiled()):
        text = " ".join(docstring.split("\n\n")[0].split())
        key = text.lower()
        if len(text.split()) < 4 or key in seen:
            continue
        seen.add(key)
        part = int.from_bytes(hashlib.sha256(key.encode()).digest()[:4], "big") / 2**32
        yield Entry(name.partition(".")[0], name, text, part < SHARE_HELD_OUT)


def from_sources() -> Iterator[tuple[str, str]]:
    """Yield names and docstrings of classes and functions, read from their sources."""
    root = Path(sysconfig.get_path("stdlib"))
    for path in sorted(root.rglob("*.py")):
        place = path.relative_to(root)
        if LEFT_OUT & set(place.parts) or "-" in place.parts[0]:
            continue
        module = ".".join(place.with_suffix("").parts).removesuffix(".__init__")
        yield from documented(ast.parse(path.read_bytes()), module)


def documented(node: ast.AST, name: str) -> Iterator[tuple[str, str]]:
    """Yield the documented classes and functions within a node, depth first."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            inner = f"{name}.{child.name}"
            docstring = ast.get_docstring(child)
            if docstring:
                yield inner, docstring
            if isinstance(child, ast.ClassDef):
                yield from documented(child, inner)


def from_compiled() -> Iterator[tuple[str, str]]:
    """Yield names and docstrings of modules without a source."""
    for module in COMPILED:
        for name, value in sorted(vars(__import__(module)).items()):
            if callable(value) and value.__doc__:
                yield f"{module}.{name}", value.__doc__


def question_about(name: str) -> str:
    """Ask what a name does: "What does shutil.copytree do?", its words apart."""
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name.replace(".", " ").replace("_", " "))
    return f"What does {' '.join(words.split())} do?"


def questions(entries: Sequence[Entry]) -> list[Entry]:
    """Return the entries that can be asked about: public names with a text of their own."""
    return [entry for entry in entries if not re.search(r"(^|\.)_|\.test", entry.name)]


# --- tokenizer


def trained_tokenizer(texts: Sequence[str]) -> tokenizers.Tokenizer:
    """Train WordPiece on texts, with BERT's normalization and BERT's template for pairs."""
    found = tokenizers.Tokenizer(tokenizers.models.WordPiece(unk_token="[UNK]"))
    found.normalizer = normalizers.BertNormalizer(lowercase=True)
    found.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    found.decoder = tokenizers.decoders.WordPiece()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    trainer = trainers.WordPieceTrainer(
        vocab_size=VOCABULARY, special_tokens=special, show_progress=False
    )
    found.train_from_iterator(texts, trainer)
    found.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", CLS), ("[SEP]", SEP)],
    )
    return found


def tokenizer_in(folder: Path) -> tokenizers.Tokenizer:
    """Read a folder's tokenizer; training and measuring cut at the model's length, engines do not."""
    found = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
    found.enable_truncation(MAX_LENGTH)
    return found


def padded(tokenizer: tokenizers.Tokenizer, texts: Sequence[str | tuple[str, str]]) -> dict:
    """Tokenize texts or pairs into one batch."""
    encodings = tokenizer.encode_batch(list(texts))
    longest = max(len(encoding.ids) for encoding in encodings)
    rows = {
        "input_ids": [item.ids + [PAD] * (longest - len(item.ids)) for item in encodings],
        "token_type_ids": [item.type_ids + [0] * (longest - len(item.ids)) for item in encodings],
    }
    batch = {name: torch.tensor(row) for name, row in rows.items()}
    return {**batch, "attention_mask": (batch["input_ids"] != PAD).long()}


# --- training


def train(name: str, entries: Sequence[Entry], folder: Path) -> None:
    """Train one model from nothing, in the same way for the same tokenizer, and write it."""
    folder.mkdir(parents=True, exist_ok=True)
    # Kept where there is one: its training breaks ties at random, and gives a few other pieces.
    if not (folder / "tokenizer.json").exists():
        texts = [f"{question_about(entry.name)} {entry.text}" for entry in entries]
        trained_tokenizer(texts).save(str(folder / "tokenizer.json"))
    tokenizer = tokenizer_in(folder)
    torch.manual_seed(0)
    if name == "classifier":
        labels = sorted(LABELS)
        model = transformers.BertForSequenceClassification(
            transformers.BertConfig(
                **SHAPE,
                id2label=dict(enumerate(labels)),
                label2id={n: i for i, n in enumerate(labels)},
            )
        )
        optimize(name, model, labelled_batches(entries, tokenizer))
    else:
        model = transformers.BertForSequenceClassification(
            transformers.BertConfig(
                **SHAPE, num_labels=1, hidden_dropout_prob=0, attention_probs_dropout_prob=0
            )
        )
        attend_to_equals(model.bert)
        optimize(name, model, candidate_batches(entries, tokenizer))
    model.eval().save_pretrained(folder)
    # It is written for its owner alone; in a container another user reads it.
    (folder / "model.safetensors").chmod(0o644)


def attend_to_equals(bert: nn.Module) -> None:
    """Let each token begin by looking at its equals: a word of the question in the document.

    Queries and keys of the first layer are one random projection, blind to whether a token is the
    question's or the document's; what is looked at carries just that. Without it, a model of this
    size was still at chance after 175 steps, and with it far above after 50.
    """
    words, layer = bert.embeddings.word_embeddings.weight, bert.encoder.layer[0].attention.self
    with torch.no_grad():
        bert.embeddings.position_embeddings.weight.mul_(0.1)
        side = torch.randn(SHAPE["hidden_size"])
        side = side - side.mean()
        side /= side.norm()
        scale = words.std() * SHAPE["hidden_size"] ** 0.5
        bert.embeddings.token_type_embeddings.weight.copy_(torch.stack([side, -side]) * scale)
        same = torch.randn_like(layer.query.weight) * 0.1
        same -= torch.outer(same @ side, side)
        layer.query.weight.copy_(same)
        layer.key.weight.copy_(same)


Batches = Iterator[Callable[[nn.Module], Tensor]]


def optimize(name: str, model: nn.Module, losses: Batches) -> None:
    """Take the steps with AdamW, the rate up and down in a straight line."""
    steps, started, total = STEPS[name], time.monotonic(), 0.0
    model.train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=PEAK_RATE, weight_decay=0.01)
    for step, loss_of in enumerate(islice(losses, steps)):
        for group in optimizer.param_groups:
            group["lr"] = PEAK_RATE * min((step + 1) / 50, (steps - step) / (steps - 50))
        loss = loss_of(model)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        total += loss.item()
        if (step + 1) % 50 == 0:
            seconds = time.monotonic() - started
            print(f"{name} {step + 1}/{steps}: {total / 50:.3f} {seconds:.0f} s", flush=True)
            total = 0.0


def labelled_batches(entries: Sequence[Entry], tokenizer: tokenizers.Tokenizer) -> Batches:
    """Give texts with their labels, rare labels more often than they occur."""
    random = Random(2)
    known = [entry for entry in entries if entry.module in LABEL_OF]
    counts = Counter(LABEL_OF[entry.module] for entry in known)
    weights = torch.tensor([counts[label] ** -0.5 for label in sorted(LABELS)])
    weights = weights / weights.mean()
    for group in groups(known, 48, random):
        batch = padded(tokenizer, [entry.text for entry in group])
        target = torch.tensor([sorted(LABELS).index(LABEL_OF[e.module]) for e in group])
        yield lambda model, batch=batch, target=target: nn.functional.cross_entropy(
            model(**batch).logits, target, weights, label_smoothing=0.05
        )


def candidate_batches(entries: Sequence[Entry], tokenizer: tokenizers.Tokenizer) -> Batches:
    """Give questions with their own text first among others, half of them from its module."""
    random = Random(3)
    known = questions(entries)
    chosen = candidates_of(known, random, 5)
    for group in groups(known, 12, random):
        texts = [
            (question_about(entry.name), found.text) for entry in group for found in chosen(entry)
        ]
        batch = padded(tokenizer, texts)

        def loss_of(model: nn.Module, batch: dict = batch, rows: int = len(group)) -> Tensor:
            logits = model(**batch).logits.view(rows, -1)
            ranked = nn.functional.cross_entropy(logits, torch.zeros(rows, dtype=torch.long))
            right = torch.zeros_like(logits)
            right[:, 0] = 1
            return ranked + nn.functional.binary_cross_entropy_with_logits(logits, right)

        yield loss_of


def candidates_of(
    known: Sequence[Entry], random: Random, count: int
) -> Callable[[Entry], list[Entry]]:
    """Return what chooses candidates: the entry itself first, then others, half of its module."""
    near: dict[str, list[Entry]] = {}
    for entry in known:
        near.setdefault(entry.module, []).append(entry)

    def choose(entry: Entry) -> list[Entry]:
        wrong: list[Entry] = []
        while len(wrong) < count - 1:
            pool = (
                near[entry.module] if len(wrong) % 2 and len(near[entry.module]) > count else known
            )
            found = random.choice(pool)
            if found is not entry and found not in wrong:
                wrong.append(found)
        return [entry, *wrong]

    return choose


def groups(entries: Sequence[Entry], size: int, random: Random) -> Iterator[list[Entry]]:
    """Yield groups of texts of similar length without end, shuffled anew in every round."""
    while True:
        order = sorted(entries, key=lambda entry: len(entry.text) * random.uniform(0.8, 1.25))
        starts = list(range(0, len(order) - size + 1, size))
        random.shuffle(starts)
        for start in starts:
            yield order[start : start + size]


# --- the graph


def export(folder: Path) -> None:
    """Write model.onnx: logits of token ids, free in batch and length, without weights."""
    examples = {
        "input_ids": torch.tensor([[CLS, 17, 18, SEP], [CLS, 19, SEP, PAD]]),
        "attention_mask": torch.tensor([[1, 1, 1, 1], [1, 1, 1, 0]]),
        "token_type_ids": torch.tensor([[0, 0, 0, 0], [0, 0, 1, 1]]),
    }
    free = {0: torch.export.Dim("batch"), 1: torch.export.Dim("sequence", max=MAX_LENGTH)}
    with torch.no_grad():
        program = torch.onnx.export(
            load(folder),
            kwargs=examples,
            dynamo=True,
            optimize=False,
            external_data=False,
            input_names=list(examples),
            output_names=["logits"],
            dynamic_shapes=dict.fromkeys(examples, free),
            verbose=False,
        )
    graph: onnx.ModelProto = program.model_proto
    export_graph.strip(graph)
    referred = export_graph.refer(graph, export_graph.ranges(folder / "model.safetensors"))
    export_graph.write(graph, folder / "model.onnx")
    print(f"{folder.name}/model.onnx: {referred} parameters refer to model.safetensors")


# --- figures and golden rows


def load(folder: Path) -> nn.Module:
    """Read a trained model."""
    return transformers.BertForSequenceClassification.from_pretrained(
        folder, dtype=torch.float32, attn_implementation="eager"
    ).eval()


def logits_of(
    model: nn.Module, tokenizer: tokenizers.Tokenizer, texts: Sequence[str | tuple[str, str]]
) -> Tensor:
    """Compute logits one text at a time, so that no padding is involved."""
    with torch.no_grad():
        return torch.cat([model(**padded(tokenizer, [text])).logits for text in texts])


def classify_held_out(
    model: nn.Module, tokenizer: tokenizers.Tokenizer, entries: Sequence[Entry]
) -> dict[str, float | int]:
    """Count right labels among held-out texts, beside always saying the commonest."""
    known = [entry for entry in entries if entry.held_out and entry.module in LABEL_OF]
    names = sorted(LABELS)
    found = logits_of(model, tokenizer, [entry.text for entry in known]).argmax(1)
    right = Counter(
        LABEL_OF[entry.module]
        for entry, number in zip(known, found, strict=True)
        if LABEL_OF[entry.module] == names[number]
    )
    counts = Counter(LABEL_OF[entry.module] for entry in known)
    return {
        "texts": len(known),
        "accuracy": round(right.total() / len(known), 4),
        "mean accuracy of the labels": round(sum(right[n] / counts[n] for n in names) / 8, 4),
        "always the commonest": round(max(counts.values()) / len(known), 4),
    }


def rank_held_out(
    model: nn.Module, tokenizer: tokenizers.Tokenizer, entries: Sequence[Entry]
) -> dict[str, float | int]:
    """Rank each held-out question's own text among held-out others, as in training."""
    known = questions([entry for entry in entries if entry.held_out])
    chosen, ranks = candidates_of(known, Random(4), CANDIDATES), []
    for entry in known:
        texts = [(question_about(entry.name), found.text) for found in chosen(entry)]
        scores = logits_of(model, tokenizer, texts)[:, 0]
        ranks.append(int((scores[1:] >= scores[0]).sum()) + 1)
    return {
        "questions": len(known),
        "candidates": CANDIDATES,
        "first": round(ranks.count(1) / len(ranks), 4),
        "mean reciprocal rank": round(sum(1 / rank for rank in ranks) / len(ranks), 4),
        "first by chance": 1 / CANDIDATES,
    }


def write_golden(name: str, folder: Path, entries: Sequence[Entry]) -> None:
    """Write held-out texts with torch's logits, which every engine is compared with."""
    model, tokenizer = load(folder), tokenizer_in(folder)
    # Whole, also as pairs: an engine would refuse what was cut here.
    held = [
        entry
        for entry in entries
        if entry.held_out and entry.module in LABEL_OF and len(tokenizer.encode(entry.text)) <= 80
    ]
    picked = Random(5).sample(held, 24)
    if name == "classifier":
        texts: list = [entry.text for entry in picked]
        cases = [
            {"text": t, "label": LABEL_OF[e.module]} for t, e in zip(texts, picked, strict=True)
        ]
    else:
        known = questions(held)
        chosen = candidates_of(known, Random(6), 6)
        asked = Random(7).sample(known, 5)
        texts = [(question_about(e.name), found.text) for e in asked for found in chosen(e)]
        cases = [{"query": query, "document": document} for query, document in texts]
    logits = logits_of(model, tokenizer, texts)
    for case, text, row in zip(cases, texts, logits, strict=True):
        pair = (text,) if isinstance(text, str) else text
        case["tokens"] = len(tokenizer.encode(*pair).ids)
        case["logits"] = [float(number) for number in row]
    made_by = {module.__name__: module.__version__ for module in (torch, transformers)}
    content = json.dumps({"made_by": made_by, "cases": cases}, indent=1, ensure_ascii=False)
    (folder / "golden.json").write_text(content + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
