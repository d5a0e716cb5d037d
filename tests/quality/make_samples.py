"""Draws the rows that the quality tests measure on: `python -m tests.quality.make_samples --data DATA`.

Only sources whose licence allows passing rows on: Tatoeba test sentences (CC BY 2.0 FR, tatoeba.org), GoEmotions test
comments (Apache-2.0) and, for moderation, tweets (Davidson et al., MIT) and news comments (toxic spans of Civil
Comments, CC0). These two are offensive, so their file is compressed: nobody meets them by chance. `--reference` adds
the vectors of the sentence encoder that `embed` was made from (it needs the training dependencies).
"""

import argparse
import lzma
import random
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from models.recipes.classifier.rows import Row
from models.recipes.common import read_tsv_xz
from models.recipes.moderation.data import moderation_rows

HERE = Path(__file__).parent
ROWS = 200
MODERATION_SOURCES = ("davidson-tweets", "toxic-spans-civil-comments")


def write(name: str, rows: Iterable[Iterable[str]]) -> None:
    """A file of tab-separated rows beside this one."""
    (HERE / name).write_text("".join("\t".join(row) + "\n" for row in rows), "utf-8")


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--reference", action="store_true")
    options = parser.parse_args()
    rng = random.Random(200)
    pairs: list[list[str]] = []
    for language in ("de", "fr", "es"):
        rows = read_tsv_xz(options.data / "translation" / f"en-{language}.test.tsv.xz")
        chosen = rng.sample([row for row in rows if row[2] == "tatoeba"], ROWS)
        pairs += [[language, english, foreign] for english, foreign, _ in chosen]
    write("translation.tsv", pairs)
    texts = [row for row in read_tsv_xz(options.data / "sentiment" / "en.test.tsv.xz") if row[2] == "goemotions-test"]
    write("sentiment.tsv", ([text, label] for text, label, _ in rng.sample(texts, ROWS)))
    by_source: dict[str, list[Row]] = {name: [] for name in MODERATION_SOURCES}
    for row in moderation_rows(options.data, "test"):
        if row.source in by_source:
            by_source[row.source].append(row)
    moderated = [row for rows in by_source.values() for row in rng.sample(rows, ROWS // len(by_source))]
    with lzma.open(HERE / "moderation.tsv.xz", "wt", encoding="utf-8", newline="\n") as file:
        for row in moderated:
            file.write(f"{row.labels.get('harassment', '')}\t{row.labels.get('hate', '')}\t{row.text}\n")
    if options.reference:  # what is imported here is installed for training only
        from models.recipes.embed.convert import packaged_model
        from models.recipes.embed.evaluate import original_embeddings

        vectors = original_embeddings(packaged_model(), [english for _, english, _ in pairs[:ROWS]])
        np.save(HERE / "embeddings.npy", vectors.astype(np.float16), allow_pickle=False)


if __name__ == "__main__":
    main()
