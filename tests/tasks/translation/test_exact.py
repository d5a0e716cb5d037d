"""Parts that no translation may change: found in the source, corrected by the alignment, otherwise withheld."""

import pytest

from models.registry import load_family, read_card
from models.tokenizers import load_tokenizer
from server.engines.rows import Hypothesis
from server.settings import SHIPPED_MODELS
from server.tasks.translation.exact import difference, items_of, together
from server.tasks.translation.marks import Marked, Node, Stretch, hold_back, walk
from server.tasks.translation.rows import Rows

SAME = [
    ("It costs $1,234.56.", "en", "Es kostet 1.234,56 $.", "de"),
    ("It costs $1,234.56.", "en", "Il coûte 1 234,56 $.", "fr"),
    ("It costs $1,234.56.", "en", "Es kostet $1,234.56.", "de"),
    ("It is 98.6 °F outside.", "en", "Es sind 98,6 °F draußen.", "de"),
    ("10,000 people came in 2024.", "en", "2024 kamen 10.000 Menschen.", "de"),
    ("10,000 people came.", "en", "10000 Menschen kamen.", "de"),
    ("A 24-hour day in the 1990s.", "en", "Ein 24-Stunden-Tag in den 1990er Jahren.", "de"),
    ("The 1st of May", "en", "Der 1. Mai", "de"),
    ("The meeting is at 3:30 pm.", "en", "A reunião é às 15:30.", "pt"),
    ("It is 5km away.", "en", "Es ist 5 km entfernt.", "de"),
    ("He is three.", "en", "Er ist 3.", "de"),
    ("Two of the 30 houses", "en", "2 der 30 Häuser", "de"),
    ("Don’t say “no”.", "en", "Sag nicht „nein“.", "de"),
    ("Je vais à Paris !", "fr", "I am going to Paris!", "en"),
    ("Call +49 30 123 4567.", "en", "Rufen Sie +49 30 123 4567 an.", "de"),
    ("He has 5 percent of it.", "en", "Er hat 5 % davon.", "de"),
    ("No number, no sign.", "en", "Keine Nummer, kein Zeichen.", "de"),
]
OTHER = [
    ("It costs $1,234.56.", "en", "Es kostet $1,34,56.", "de"),
    ("The VAT number is BE0768880101.", "en", "Die VAT Nummer ist ebenfalls 88101.", "de"),
    ("It is 98.6 °F outside.", "en", "Es ist 986 °F draußen.", "de"),
    ("Der Preis ist 283,82 Euro.", "de", "The price is 283, Euro.", "en"),
    ("Take 2.5 mg twice a day.", "en", "Nehmen Sie 2.5 zweimal am Tag.", "de"),
    ("IBAN DE89 3704 0044 0532 0130 00", "de", "IBAN DE89 3704 44 320130.", "en"),
    ("Call +49 30 006 9079.", "en", "Ruf +49 30006 9079 an.", "de"),
    ("Price: €49.90 €59.90", "en", "Preis: €49.9059 €", "de"),
    ("The meeting is at 3:30 pm.", "en", "Das Treffen ist um 3:30.", "de"),
    ("Use | to separate names.", "en", "Benutze es zum Trennen.", "de"),
    ("The sign ) is here.", "en", "Das Zeichen ist hier.", "de"),
    ("The sign ħ is here.", "en", "Das Zeichen ist hier.", "de"),
    ("It costs 5 €.", "en", "Es kostet 5 €2.", "de"),
    ("It costs 5 €.", "en", "Es kostet 5 5 €.", "de"),
    ("The list has 20 names.", "en", "Die Liste hat 20 Namen von 35.", "de"),
    ("It is free.", "en", "Es kostet € nichts.", "de"),
    ("We talked about $6,539.94 yesterday.", "en", "Nous avons parlé $ de 6.539,94 hier.", "fr"),
    ("He sent me 7 € today.", "en", "Il m'a envoyé 7, € aujourd'hui.", "fr"),
    ("The address is 192.168.210.166.", "en", "Die Adresse ist 192,168.210.166.", "de"),
]


@pytest.fixture(scope="module")
def rows() -> Rows:
    card = read_card(SHIPPED_MODELS / "translate")
    assert card.translation is not None
    return Rows(load_tokenizer(card), load_family(card), card.translation, 256)


def made_by_a_model(rows: Rows, text: str, links: bool = True) -> Hypothesis:
    """A hypothesis with these words, each made from the word at its place in the source."""
    tokens = rows._tokenizer.tokens(rows._tokenizer.encode(text))
    return Hypothesis(tuple(tokens), -0.2, tuple(range(1, 1 + len(tokens))) if links else ())


@pytest.mark.parametrize(("source", "language", "target", "target_language"), SAME)
def test_what_each_language_writes_its_own_way_is_no_change(
    source: str, language: str, target: str, target_language: str
) -> None:
    assert not difference(source, language, target, target_language)


@pytest.mark.parametrize(("source", "language", "target", "target_language"), OTHER)
def test_a_number_or_a_sign_that_changed_is_seen(source: str, language: str, target: str, target_language: str) -> None:
    assert difference(source, language, target, target_language)


def test_a_number_its_unit_and_its_currency_go_together() -> None:
    text = "IBAN DE89 3704 0044, 2.5 mg and € 49.90 today."
    items = items_of(text, "en")
    parts = [text[start:end] for start, end in together(text, items, items, ())]
    assert parts == ["DE89 3704 0044", "2.5 mg", "€ 49.90"]
    assert [text[a:b] for a, b in together(text, items, items[-1:], ())] == ["€ 49.90"]
    border = text.index("49")
    assert [text[a:b] for a, b in together(text, items, items[-2:], [border])] == ["€", "49.90"]


def test_a_damaged_number_is_put_right_where_the_attention_was(rows: Rows) -> None:
    source = Marked("It costs $1,234.56 today.")
    row = rows.row(source, "en", "de", 1)
    assert row.alignment
    tokens = rows._tokenizer.tokens(rows._tokenizer.encode("Es kostet $1,34,56 heute."))
    at = row.source.index("1")
    alignment = [at if any(sign in "$1,3456" for sign in token) else 1 for token in tokens]
    candidate = rows.candidate(source, row, Hypothesis(tuple(tokens), -0.2, tuple(alignment)), "en", "de")
    assert candidate.flags == ()
    assert candidate.sentence.render() == "Es kostet $1,234.56 heute."


def test_what_cannot_be_put_right_is_flagged_and_held_back_in_the_second_try(rows: Rows) -> None:
    source = Marked("It costs $1,234.56 today.")
    row = rows.row(source, "en", "de", 1)
    candidate = rows.candidate(source, row, made_by_a_model(rows, "Heute 99 und 98 und 97.", links=False), "en", "de")
    assert candidate.flags == ("altered",)
    again = rows.stronger(source, candidate.sentence, "en", "de")
    assert (again.text, again.render()) == ("It costs Tom today.", source.text)
    second = rows.row(again, "en", "de", 1)
    candidate = rows.candidate(again, second, made_by_a_model(rows, "Es kostet heute Tom."), "en", "de")
    assert (candidate.flags, candidate.sentence.render()) == ((), "Es kostet heute $1,234.56.")


def test_words_and_signs_that_the_tokenizer_cannot_spell_are_held_back(rows: Rows) -> None:
    held = rows.spelling.held
    assert held(Marked("My name is Андрей.")).text == "My name is Tom."
    assert held(Marked("Use ∑ or → here, ½ cup.")).render() == "Use ∑ or → here, ½ cup."
    assert "∑" not in held(Marked("Use ∑ here.")).text
    assert held(Marked("It is 30 ¥ or ₿ 5.25, not more.")).render() == "It is 30 ¥ or ₿ 5.25, not more."
    plain = Marked("Nothing of this kind, “really”: 5 € for Zoë.")
    assert held(plain) is plain


def test_a_text_in_a_script_of_another_model_is_not_read(rows: Rows) -> None:
    reads = rows.spelling.reads
    assert not reads("Хорошо, спасибо за помощь.")
    assert not reads("今日は天気がいいですね。")
    assert reads("My name is Андрей.")
    assert reads("12 345 → 7")


def test_holding_back_keeps_every_byte_and_the_elements_around() -> None:
    inner = Node("pair", 7, 13, "<b>", "</b>")
    around = Marked("Price: €49.90 or 5.", (inner,))
    held = hold_back(around, [Stretch(7, 13, "copy"), Stretch(17, 18, "point")])
    assert held.text == "Price: Tom or."
    assert held.render() == "Price: <b>€49.90</b> or 5."
    assert [(node.kind, node.open) for node in walk(held.nodes)] == [
        ("pair", "<b>"),
        ("copy", "€49.90"),
        ("point", " 5"),
    ]
    emptied = hold_back(around, [Stretch(7, 13, "point")])
    assert emptied.render() == "Price: <b>€49.90</b> or 5."
    assert hold_back(around, [Stretch(5, 9, "copy")]) is around  # it crosses the element


def test_of_many_numbers_each_is_there_once_whatever_comes_out(rows: Rows) -> None:
    """Three have names; the others are put in beside the words around them."""
    source = Marked("Take 11.5, 22.5, 33.5, 44.5 and 55.5 today.")
    again = rows.stronger(source, Marked("Heute nichts."), "en", "de")
    assert again.render() == source.text
    row = rows.row(again, "en", "de", 1)
    for text in ("Heute nichts.", "Nimm Tom, Boston, John heute.", "Tom Tom Tom John."):
        rendered = rows.candidate(again, row, made_by_a_model(rows, text), "en", "de").sentence.render()
        assert [rendered.count(number) for number in ("11.5", "22.5", "33.5", "44.5", "55.5")] == [1] * 5
