"""How much damage the measures find in texts of many languages, and how often they are wrong."""

# ruff: noqa: RUF001  texts in other scripts

import pytest

from mealkit.contract.text_damage import (
    broken_hyphenation,
    mojibake,
    ocr_noise,
    repeated,
    undecodable,
)

# Sentences as people write them, with what could be mistaken for damage: quotes after letters,
# capitals with accents, compounds, units, names of products, formulas and addresses.
GOOD = (
    "The well-known author's pre- and post-war novels were translated into 12 languages.",
    "Das heißt „Spaß“ – sagte er… und die Ein- und Ausgänge waren GESCHLOSSEN: MÜLLERSTRASSE 5.",
    "« Où est l’été ? » demanda-t-elle à la CAFÉTÉRIA, près du château — déjà à moitié vide…",
    "El niño comió piñas en la Coruña; ¿cuántos años tenía? ¡Qué bien! ÁÉÍÓÚ «así»",
    "A informação não está disponível: «MANHû, disse João, às três horas da manhã.",
    "Zażółć gęślą jaźń – powiedział „świetnie” i wyszedł na Łódź.",
    "Příliš žluťoučký kůň úpěl ďábelské ódy; „ŠKODA“ stála v garáži.",
    "Het café in 's-Gravenhage sloot om 5 uur – de crème brûlée was op.",
    "Björn åt räksmörgås på Åland… ÅRETS „BÄSTA“ resa, sade hon.",
    "İstanbul'da çok güzel bir gün geçirdik; ağaçlar yeşildi.",
    "Быстрая коричневая лиса прыгает через «ленивую» собаку — вот так.",
    "Η γρήγορη αλεπού πηδάει πάνω από το τεμπέλικο σκυλί· «ναι».",
    "השועל החום המהיר קופץ מעל הכלב העצלן, אמר „כן”.",
    "الثعلب البني السريع يقفز فوق الكلب الكسول، أليس كذلك؟",
    "敏捷的棕色狐狸跳过了懒狗。这是一个句子！对吗？",
    "素早い茶色の狐が怠け者の犬を飛び越えます。「はい」と言いました。",
    "빠른 갈색 여우가 게으른 개를 뛰어넘습니다. 그렇습니다!",
    "तेज़ भूरी लोमड़ी आलसी कुत्ते के ऊपर कूदती है। हाँ।",
    "Con cáo nâu nhanh nhẹn nhảy qua con chó lười biếng ở Đà Nẵng.",
    "The 5km run at 20°C used H2O, a p2p link, an MP3 file, COVID-19 data and the iPhone's GPS.",
    "See https://example.org/a1b2c3/x0y for i18n; user_id=a5b, v1.0.2rc1 and sha256 b0b5 are fine.",
    "Température : 20 °C ± 0,5 %, prix : 5 €, © l’auteur, n° 7, § 3, ½ tasse à café.",
)
DAMAGED_AS = ("cp1252", "latin-1")


def misread(text, encoding):
    """Return UTF-8 read in a wrong encoding; the bytes that it lacks are kept as controls."""
    data = text.encode()
    return "".join(_character(bytes([byte]), encoding) for byte in data)


def _character(byte, encoding):
    try:
        return byte.decode(encoding)
    except UnicodeDecodeError:
        return byte.decode("latin-1")


def test_mojibake_is_found_in_every_language():
    """Measured here: every good text with letters outside of ASCII is found when it is misread."""
    wide = [text for text in GOOD if sum(not item.isascii() for item in text) > 2]
    assert len(wide) == 19
    for encoding in DAMAGED_AS:
        shares = {text: mojibake(misread(text, encoding)) for text in wide}
        assert {text: share for text, share in shares.items() if share < 0.01} == {}


def test_mojibake_that_was_read_twice_is_found():
    """A text that was misread two times is found, too."""
    twice = misread(misread("Où est l'été à Genève ?", "cp1252"), "cp1252")
    assert mojibake(twice) > 0.2


@pytest.mark.parametrize(
    "measure", [undecodable, mojibake, broken_hyphenation, ocr_noise, repeated]
)
def test_good_texts_have_no_damage(measure):
    """Measured here: no measure finds anything in good texts, also when they are one document."""
    document = "\n".join(GOOD)
    found = {text: share for text in (*GOOD, document) if (share := measure(text))}
    assert found == {}


def test_lost_characters_are_counted():
    """U+FFFD and control characters count; line breaks and tabs do not."""
    assert undecodable("a\ufffdb\x00") == 0.5
    assert undecodable("ab\x00\x1b") == 0.5
    assert undecodable("a\tb\r\n") == undecodable("ä\tb\r\n") == undecodable("") == 0
    text = "Größe".encode("latin-1").decode("utf-8", "replace")
    assert undecodable(text) == 2 / 5


def test_repetition_is_counted():
    """Lines and sentences that came before count, in texts with and without spaces."""
    assert repeated("Buy it right now! Buy it right now! Buy it right now! It is cheap.") == 0.5
    assert repeated("a longer line\n" * 4) == 0.75
    assert repeated("The same again. The same again.\nThe same again.") == pytest.approx(2 / 3)
    assert repeated("敏捷的棕色狐狸跳过了懒狗。" * 2) == 0.5
    assert repeated("Yes.\n" * 9) == 0


SCAN = (
    "The recog-\nnition of charac-\nters in scan-\nned pages is never with-\nout mistakes, as "
    "everybody\nknows who has read them."
)


def test_broken_words_are_counted():
    """Words that a line's end has split count, also where a tool has joined the lines."""
    assert broken_hyphenation(SCAN) == 4 / 6
    assert broken_hyphenation(SCAN.replace("-\n", "- ").replace("\n", " ")) == 1
    assert broken_hyphenation(SCAN.replace("-", "\xad")) == 4 / 6
    assert broken_hyphenation("pre- and post-war\nwell-known facts -\nnot more") == 0


def test_misread_words_are_counted():
    """Measured here: of words that a scan read wrongly, those with a digit or a bar inside are found."""
    words = ["l0ve", "th|s", "w0rd", "hou5e", "kn1ght", "be6an", "s0me"]
    assert ocr_noise(" ".join(words)) == 1
    text = "The qu1ck brown f0x jumps over the lazy d0g and is g0ne."
    assert ocr_noise(text) == 4 / 12


HOSTILE = (
    "-",
    "- ",
    "-\n",
    "-" + " " * 20,
    "a1",
    "a1a ",
    "Ã",
    "Ãƒ",
    "à¤",
    "ã€",
    "\ufffd",
    "\n",
    ". ",
    "a- ",
)


@pytest.mark.parametrize(
    "measure", [undecodable, mojibake, broken_hyphenation, ocr_noise, repeated]
)
def test_measures_take_linear_time(measure):
    """Long texts that repeat what a search begins with are measured; quadratic time would be hours."""
    for piece in HOSTILE:
        assert 0 <= measure(piece * (1_000_000 // len(piece))) <= 1
