"""Which texts of a request are nearly the same, and what a request that is built to be slow costs."""

import random

import pytest

from mealkit.contract.near_duplicates import duplicates, shingles

WORDS = [f"word{number}" for number in range(2000)]


def text_of(count, seed):
    return " ".join(random.Random(seed).choices(WORDS, k=count))


def changed(text, at):
    words = text.split()
    words[at] = "other"
    return " ".join(words)


def test_equal_and_similar_texts_are_found():
    """A copy, and a copy with one word changed, are found; case does not matter."""
    one, two = text_of(200, 1), text_of(200, 2)
    texts = [one, two, one.upper(), changed(two, 100), text_of(200, 3)]
    found = list(duplicates(texts, 0.9))
    assert [(index, earlier) for index, earlier, _ in found] == [(2, 0), (3, 1)]
    assert found[1][2] == pytest.approx(195 / 201)


@pytest.mark.parametrize("least", [0.0, 0.3, 0.7, 0.9, 1.0])
def test_the_filter_loses_no_pair(least):
    """The texts that are found are those of comparing each pair."""
    generator = random.Random(7)
    texts = [text_of(40, seed) for seed in range(12)]
    for _ in range(40):
        texts.append(changed(generator.choice(texts), generator.randrange(40)))
    sets = [shingles(text) for text in texts]

    def similarity(one, other):
        return len(one & other) / len(one | other)

    expected = {
        index
        for index in range(len(texts))
        if any(similarity(sets[index], sets[other]) >= least for other in range(index))
    }
    found = {index for index, _, _ in duplicates(texts, least)}
    # With 0, texts without any common element are similar, too: that is no sensible limit.
    assert found == expected if least else found <= expected


def test_short_and_unspaced_texts_are_compared():
    """Texts of few words are compared whole, and Chinese by characters."""
    assert [item[:2] for item in duplicates(["yes", "no", "Yes.", "", ""], 0.9)] == [(2, 0)]
    sentence = "敏捷的棕色狐狸跳过了懒狗而后继续向前奔跑直到天黑为止从未停下"
    assert [item[:2] for item in duplicates([sentence, f"{sentence}了"], 0.9)] == [(1, 0)]


def test_a_request_that_is_built_to_be_slow_is_bounded():
    """After a limit of work, only equal texts are found; a thousand similar texts do not take minutes."""
    common = text_of(500, 1)
    texts = [f"{common} {text_of(600, seed)}" for seed in range(2, 500)]
    found = [item[:2] for item in duplicates([*texts, texts[0]], 0.5)]
    assert found == [(len(texts), 0)]
