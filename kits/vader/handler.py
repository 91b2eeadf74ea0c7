"""VADER: the sentiment of a short text, by the authors' own code and a pinned lexicon."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field
from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

# The paper's thresholds for the score between -1 and 1 (section 4).
_THRESHOLD = 0.05


@dataclass(frozen=True)
class Sentiment:
    """A label, the score that it comes from, and the shares of the text that are of each kind."""

    label: Literal["positive", "neutral", "negative"]
    compound: float
    positive: float
    neutral: float
    negative: float


class Vader:
    """The method, with the lexicon of its kit."""

    def load(self, models: Path) -> None:
        """Read the lexicons."""
        self.analyzer = SentimentIntensityAnalyzer(
            lexicon_file=str(models / "vader_lexicon.txt"),
            emoji_lexicon=str(models / "emoji_utf8_lexicon.txt"),
        )

    def predict(
        self,
        text: Annotated[
            str,
            Field(
                min_length=1,
                max_length=10_000,
                description="A sentence or a short text.",
                examples=["VADER is smart, handsome, and funny!"],
            ),
        ],
    ) -> Sentiment:
        """Return the sentiment of the text."""
        scores = self.analyzer.polarity_scores(text)
        compound = scores["compound"]
        label: Literal["positive", "neutral", "negative"] = "neutral"
        if abs(compound) >= _THRESHOLD:
            label = "positive" if compound > 0 else "negative"
        return Sentiment(label, compound, scores["pos"], scores["neu"], scores["neg"])
