from server.tasks.translation.placeholders import Glossary, Term


def found(text: str, *terms: tuple[str, str]) -> list[tuple[str, str]]:
    return [(text[each.start : each.end], each.target) for each in Glossary([Term(*t) for t in terms]).find(text)]


def test_terms_are_whole_words_in_any_case() -> None:
    terms = ("disk", "Platte"), ("c++", "C++"), ("New  York", "Neu-York")
    assert found("The DISK, disks and new york in C++.", *terms) == [
        ("DISK", "Platte"), ("new york", "Neu-York"), ("C++", "C++"),
    ]  # fmt: skip


def test_the_longest_term_goes_first() -> None:
    assert found("a hard disk drive", ("disk", "x"), ("hard disk", "y"), ("hard", "z")) == [("hard disk", "y")]


def test_a_term_that_stays_is_written_as_in_the_text() -> None:
    assert found("We like ACME.", ("Acme", "Acme")) == [("ACME", "ACME")]


def test_the_first_of_two_entries_counts() -> None:
    assert found("a disk", ("disk", "x"), ("Disk", "y")) == [("disk", "x")]
    assert found("a disk") == []
