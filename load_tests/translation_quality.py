"""BLEU and chrF of a server: `python -m load_tests.translation_quality URL en pt SOURCES REFERENCES`.

Two files with a sentence a line. Asks for lists, as a client with a document does.
"""

import sys
import time
from pathlib import Path

import httpx
import sacrebleu

LIST_ITEMS = 256


def main(url: str, source: str, target: str, texts: str, references: str, model: str | None = None) -> None:
    """Translate, compare, and print a line."""
    lines = Path(texts).read_text("utf-8").splitlines()
    wanted = Path(references).read_text("utf-8").splitlines()
    made: list[str] = []
    began_s = time.perf_counter()
    with httpx.Client(base_url=url, timeout=600) as client:
        for begin in range(0, len(lines), LIST_ITEMS):
            body = {"input": lines[begin : begin + LIST_ITEMS], "source": source, "target": target}
            answer = client.post("/v1/translations", json={**body, **({"model": model} if model else {})})
            made += [item["text"] for item in answer.raise_for_status().json()["data"]]
    took_s = time.perf_counter() - began_s
    bleu, chrf = sacrebleu.corpus_bleu(made, [wanted]).score, sacrebleu.corpus_chrf(made, [wanted]).score
    print(
        f"{source}-{target}: BLEU {bleu:.1f}, chrF {chrf:.1f}, {len(made)} sentences, {len(made) / took_s:.0f} a second"
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
