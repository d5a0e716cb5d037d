"""How often is the language of a short text told right, and what does it cost? Prints LANGUAGE_ID.md's table.

    python load_tests/language_id.py --data DIR [py3langid lingua eldc ...]
    python -m load_tests.language_id --data DIR --unread

DIR holds ``en-XX.dev.tsv.xz`` (English, XX, source). Each library runs in a process of its own, restricted to the
four languages, on random stretches of 1, 3 and 10 words of the Tatoeba and newstest sentences. Libraries that are
not installed are left out; only the shipped one is a dependency.

``--unread``: how often is a text told to be in none of the four languages, by the server's own ``recognise``? Asked of
``unread.tsv``, whose sentences are in none of them, and of sentences that are in one.
"""

import argparse
import lzma
import random
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

LANGUAGES = ("en", "de", "fr", "es")
LENGTHS = (1, 3, 10)
SETS = ("tatoeba", "newstest2013")
Detect = Callable[[str], str | None]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument(
        "--unread", action="store_true", help="how often is a text told to be in none of the languages?"
    )
    parser.add_argument("--one", help="measure one library and print its line")
    parser.add_argument("libraries", nargs="*", default=list(LIBRARIES))
    arguments = parser.parse_args()
    if arguments.unread:
        unread(arguments.data)
        return
    if arguments.one:
        print(line(arguments.one, arguments.data), flush=True)
        return
    header = [f"{name} {n}" for name in SETS for n in LENGTHS]
    print(f"| library | {' | '.join(header)} | µs a text | RSS added, MB | load, s |")
    print("|---|" + "---:|" * (len(header) + 3), flush=True)
    for name in arguments.libraries:
        command = [sys.executable, __file__, "--data", str(arguments.data), "--one", name]
        if subprocess.run(command, check=False).returncode:
            print(f"{name}: not installed", file=sys.stderr)


def line(name: str, data: Path) -> str:
    samples = {(each, n): sample(data, each, n) for each in SETS for n in LENGTHS}
    before_mb, began_s = rss_mb(), time.perf_counter()
    detect = LIBRARIES[name]()
    detect("Hello, my friend")
    load_s = time.perf_counter() - began_s
    accuracies, count, began_s = [], 0, time.perf_counter()
    for texts in samples.values():
        right = sum(detect(text) == language for language, text in texts)
        accuracies.append(right / len(texts))
        count += len(texts)
    each_us = (time.perf_counter() - began_s) / count * 1e6
    cells = [f"{accuracy:.3f}" for accuracy in accuracies]
    if name == "eldc":
        cells = [
            f"{cell} (ECE {calibration_error(texts):.3f})" for cell, texts in zip(cells, samples.values(), strict=True)
        ]
    return f"| {name} | {' | '.join(cells)} | {each_us:.0f} | {rss_mb() - before_mb:.0f} | {load_s:.2f} |"


def calibration_error(texts: list[tuple[str, str]]) -> float:
    """Expected calibration error of the shipped confidence, ten bins."""
    from server.tasks.text.language import detect

    bins: dict[int, list[tuple[bool, float]]] = {}
    for language, text in texts:
        found = detect(text, LANGUAGES)
        if found:
            bins.setdefault(min(9, int(found[1] * 10)), []).append((found[0] == language, found[1]))
    total = sum(map(len, bins.values()))
    return sum(abs(sum(ok for ok, _ in each) - sum(p for _, p in each)) for each in bins.values()) / total


def sample(data: Path, source: str, words: int) -> list[tuple[str, str]]:
    """A stretch of each sentence that is long enough, always the same; English as often as one other language."""
    rows: list[tuple[str, str]] = []
    english: set[str] = set()
    for language in LANGUAGES[1:]:
        with lzma.open(data / f"en-{language}.dev.tsv.xz", "rt", encoding="utf-8") as lines:
            pairs = [row for row in (each.rstrip("\n").split("\t") for each in lines) if row[2] == source]
        rows += [(language, row[1]) for row in pairs]
        english.update(row[0] for row in pairs)
    rows += [("en", text) for text in random.Random(1).sample(sorted(english), len(rows) // 3)]
    out = []
    for language, text in rows:
        tokens = text.split()
        if len(tokens) >= words:
            at = random.Random(text).randrange(len(tokens) - words + 1)
            stretch = " ".join(tokens[at : at + words])
            if any(character.isalpha() for character in stretch):
                out.append((language, stretch))
    return out


def rss_mb() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 1e6


def _eldc() -> Detect:
    from server.tasks.text.language import detect

    def one(text: str) -> str | None:
        found = detect(text, LANGUAGES)
        return found[0] if found else None

    return one


def _py3langid() -> Detect:
    from py3langid import langid

    identifier = langid.LanguageIdentifier.from_model_file(langid.MODEL_FILE)
    identifier.set_languages(list(LANGUAGES))
    return lambda text: identifier.classify(text)[0]


def unread(data: Path) -> None:
    """Print the shares."""
    from server.tasks.text.language import recognise

    rows = Path(__file__).with_name("unread.tsv").read_text(encoding="utf-8").splitlines()
    sets = {"unread.tsv": [row.split("\t")[1] for row in rows if not row.startswith("#")]}
    for n in LENGTHS:
        for language, text in sample(data, SETS[0], n):
            sets.setdefault(f"{SETS[0]}, {language}, words: {n}", []).append(text)
    for name, texts in sets.items():
        found = [recognise(text, LANGUAGES) for text in texts]
        told = sum(code is not None and code not in LANGUAGES for code in found)
        print(f"{name}: {told} of {len(texts)}, {told / len(texts):.4f}")


def _lingua(low: bool = False) -> Detect:
    from lingua import IsoCode639_1, LanguageDetectorBuilder

    codes = [getattr(IsoCode639_1, code.upper()) for code in LANGUAGES]
    builder = LanguageDetectorBuilder.from_iso_codes_639_1(*codes).with_preloaded_language_models()
    detector = (builder.with_low_accuracy_mode() if low else builder).build()

    def one(text: str) -> str | None:
        found = detector.detect_language_of(text)
        return found.iso_code_639_1.name.lower() if found else None

    return one


def _langidentify() -> Detect:
    from langidentify import Detector, Language, Model

    detector = Detector(Model.load(Language.from_comma_separated(",".join(LANGUAGES))))
    return lambda text: detector.detect(text).iso_code


def _simplemma() -> Detect:
    from simplemma import LanguageDetector

    return LanguageDetector(LANGUAGES).main_language


LIBRARIES: dict[str, Callable[[], Detect]] = {
    "eldc": _eldc,
    "langidentify": _langidentify,
    "lingua": _lingua,
    "lingua low": lambda: _lingua(low=True),
    "py3langid": _py3langid,
    "simplemma": _simplemma,
}

if __name__ == "__main__":
    main()
