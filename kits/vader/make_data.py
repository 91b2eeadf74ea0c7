"""Write data/tweets.jsonl from the ground truth that the authors of VADER publish.

It is in the source package vaderSentiment 0.5 (MIT), in the archive
additional_resources/hutto_ICWSM_2014.tar.gz:

    python make_data.py tweets_GroundTruth.txt

The label is the sign of the mean rating of at least 20 people, from -4 to 4.
"""

import hashlib
import json
import sys
from pathlib import Path

GROUND_TRUTH = "dfbe7102e2f92579ed8b19df9a3822491880697c67adf712fb66e520cc05102f"


def label(rating: float) -> str:
    """Return what people say of a text on the whole."""
    if rating == 0:
        return "neutral"
    return "positive" if rating > 0 else "negative"


def main(arguments: list[str]) -> int:
    """Convert the file whose path is given, and return the exit code."""
    data = Path(arguments[0]).read_bytes()
    if hashlib.sha256(data).hexdigest() != GROUND_TRUTH:
        print("this is not the published file", file=sys.stderr)
        return 1
    rows = (line.split("\t") for line in data.decode("utf-8").splitlines())
    lines = [
        json.dumps(
            {"text": text, "rating": float(rating), "label": label(float(rating))},
            ensure_ascii=False,
        )
        for _, rating, text in rows
    ]
    target = Path(__file__).parent / "data" / "tweets.jsonl"
    target.write_text("".join(f"{line}\n" for line in lines), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
