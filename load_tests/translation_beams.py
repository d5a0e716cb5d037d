"""Which beam is worth its cost? ``python -m load_tests.translation_beams --data DIR``, in the training environment.

Every beam from 1 to 5 translates the same sentences of the Tatoeba development sets, the six directions in turn and the
beams within a batch, so that what else the machine does hurts all alike; it ends after ``--seconds``. Cost is
processor time on one thread. The rule for the default: the smallest beam whose mean chrF is within ``WORTH`` of the
best. With ``--write`` the table goes into TRANSLATION.md.
"""

import argparse
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import sacrebleu

from load_tests.machine import describe
from load_tests.section import replace_section
from models.recipes.translate.data import read_pairs
from models.recipes.translate.engine import Engine
from models.registry import read_card

BEAMS = (1, 2, 3, 4, 5)
WORTH = 0.1
"""chrF. Less is noise on so many sentences; a step of the beam costs a fifth to a third of the throughput."""
BATCH = 32
RESULTS = Path(__file__).with_name("TRANSLATION.md")
SHIPPED = Path(__file__).parents[1] / "models" / "weights" / "translate"


@dataclass(slots=True)
class Direction:
    """Sentences of one direction and what each beam made of those so far."""

    name: str
    target: str
    pairs: list[tuple[str, str]]
    made: dict[int, list[str]] = field(default_factory=lambda: {beam: [] for beam in BEAMS})

    def score(self, beam: int) -> tuple[float, float]:
        """chrF and BLEU of a beam."""
        made = self.made[beam]
        wanted = [[target for _, target in self.pairs[: len(made)]]]
        return sacrebleu.corpus_chrf(made, wanted).score, sacrebleu.corpus_bleu(made, wanted).score


def directions(data: Path, foreign: Sequence[str]) -> list[Direction]:
    """Tatoeba's development sentences, shuffled, out of English and into it."""
    found = []
    for language in foreign:
        pairs = [(a, b) for a, b, source in read_pairs(data, language, "dev") if source == "tatoeba"]
        random.Random(1).shuffle(pairs)
        found.append(Direction(f"en-{language}", language, pairs))
        found.append(Direction(f"{language}-en", "en", [(b, a) for a, b in pairs]))
    return found


def measure(engine: Engine, sets: Sequence[Direction], seconds: float) -> dict[int, float]:
    """Translate until the time is over or all is done; processor seconds of each beam."""
    spent = dict.fromkeys(BEAMS, 0.0)
    until = time.perf_counter() + seconds
    while time.perf_counter() < until:
        for each in sets:
            start = len(each.made[BEAMS[0]])
            sources = [source for source, _ in each.pairs[start : start + BATCH]]
            if not sources:
                return spent
            for beam in BEAMS:
                began_s = time.process_time()
                each.made[beam] += engine.translate(sources, each.target, beam).texts
                spent[beam] += time.process_time() - began_s
    return spent


def main() -> None:
    """Measure, print the table and what follows from it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with translation/")
    parser.add_argument("--model", type=Path, default=SHIPPED, help="the model folder")
    parser.add_argument("--seconds", type=float, default=200.0, help="when to stop at the latest")
    parser.add_argument("--write", action="store_true", help="put the table into TRANSLATION.md")
    options = parser.parse_args()
    card = read_card(options.model)
    assert card.translation is not None
    sets = directions(options.data, [code for code in card.translation.languages if code != "en"])
    spent = measure(Engine(options.model, card.translation), sets, options.seconds)
    rows = sum(len(each.made[BEAMS[0]]) for each in sets)
    scores = {beam: [each.score(beam) for each in sets] for beam in BEAMS}
    chrf = {beam: sum(score for score, _ in found) / len(found) for beam, found in scores.items()}
    bleu = {beam: sum(score for _, score in found) / len(found) for beam, found in scores.items()}
    chosen = min(beam for beam in BEAMS if chrf[beam] >= max(chrf.values()) - WORTH)
    lines = [
        f"`python -m load_tests.translation_beams --data DIR --write`: {rows} sentences of Tatoeba dev, six "
        f"directions, means over them. {describe()}. Model of {time.strftime('%Y-%m-%d', time.gmtime(card.created))}, "
        f"{card.parameters / 1e6:.1f} million parameters.",
        "",
        "| beam | chrF | BLEU | sentences/s of processor time, one thread | chrF in "
        + ", ".join(e.name for e in sets)
        + " |",
        "|---" * 5 + "|",
    ]
    for beam in BEAMS:
        each = ", ".join(f"{score:.1f}" for score, _ in scores[beam])
        lines.append(f"| {beam} | {chrf[beam]:.2f} | {bleu[beam]:.2f} | {rows / spent[beam]:.0f} | {each} |")
    lines += [
        "",
        f"The default is the smallest beam within {WORTH} chrF of the best: **{chosen}**; the manifest has "
        f"{card.translation.beam_size}.",
    ]
    print("\n".join(lines))
    if options.write:
        replace_section(RESULTS, "The default beam", "\n".join(lines))
    if chosen != card.translation.beam_size:
        print(f"\nTo follow it, set beam_size = {chosen} in model.toml and in models/recipes/translate/section.py.")


if __name__ == "__main__":
    main()
