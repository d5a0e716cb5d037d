"""How long it takes to import a model, and how much memory: `hearth convert` in a process of its own.

    python -m load_tests.imports FILE.gguf               # or a folder as a hub keeps it
    python -m load_tests.imports --qwen3-shape           # random weights in the shape of Qwen3-0.6B, bfloat16, 1.2 GB

Prints the seconds, the processor's seconds, the most memory the process held, and the figures that the conversion wrote
into the manifest. A file named is also served: how long after the beginning did its first token come?
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from load_tests.served import server

QWEN3 = {
    "architectures": ["Qwen3ForCausalLM"],
    "model_type": "qwen3",
    "vocab_size": 151936,
    "hidden_size": 1024,
    "intermediate_size": 3072,
    "num_hidden_layers": 28,
    "num_attention_heads": 16,
    "num_key_value_heads": 8,
    "head_dim": 128,
    "max_position_embeddings": 40960,
    "rms_norm_eps": 1e-6,
    "rope_theta": 1000000,
    "tie_word_embeddings": True,
    "eos_token_id": 1,
}


def shapes() -> Iterator[tuple[str, tuple[int, ...]]]:
    """The weights of Qwen3-0.6B."""
    yield "model.embed_tokens.weight", (151936, 1024)
    yield "model.norm.weight", (1024,)
    for i in range(28):
        layer = f"model.layers.{i}."
        for name, shape in (
            ("self_attn.q_proj", (2048, 1024)),
            ("self_attn.k_proj", (1024, 1024)),
            ("self_attn.v_proj", (1024, 1024)),
            ("self_attn.o_proj", (1024, 2048)),
            ("self_attn.q_norm", (128,)),
            ("self_attn.k_norm", (128,)),
            ("mlp.gate_proj", (3072, 1024)),
            ("mlp.up_proj", (3072, 1024)),
            ("mlp.down_proj", (1024, 3072)),
            ("input_layernorm", (1024,)),
            ("post_attention_layernorm", (1024,)),
        ):
            yield f"{layer}{name}.weight", shape


def write_qwen3(folder: Path) -> Path:
    """A repository of random bfloat16 weights, with a tokenizer of bytes."""
    folder.mkdir(parents=True)
    header, at = {}, 0
    for name, shape in shapes():
        end = at + 2 * int(np.prod(shape))
        header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [at, end]}
        at = end
    random = np.random.default_rng(0)
    with (folder / "model.safetensors").open("wb") as out:
        written = json.dumps(header).encode()
        out.write(len(written).to_bytes(8, "little") + written)
        for _, shape in shapes():
            numbers = random.standard_normal(int(np.prod(shape)), np.float32) * np.float32(0.02)
            out.write((numbers.view(np.uint32) >> 16).astype(np.uint16).tobytes())
    (folder / "config.json").write_text(json.dumps(QWEN3))
    made = Tokenizer(models.BPE({c: i for i, c in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}, []))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    made.save(str(folder / "tokenizer.json"))
    return folder


def measure(source: Path, check: str) -> None:
    """Import it and say what it took."""
    with tempfile.TemporaryDirectory() as root:
        where = ["--name", "measured", "--models-dir", root, "--check", check, "--json"]
        began = time.monotonic()
        process = subprocess.Popen(
            [sys.executable, "-m", "server", "convert", str(source), *where], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        said = process.stdout.read()
        _, status, used = os.wait4(process.pid, 0)
        took_s = time.monotonic() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode == 0:
            cpu_s = used.ru_utime + used.ru_stime
            memory = f"at most {used.ru_maxrss / 1000:.0f} MB, {_size(Path(root)) / 1e6:.0f} MB on disk"
            print(f"{took_s:.1f} s, {cpu_s:.1f} s of the processor, {memory}")
            for figure in json.loads(said)["self_check"]:
                print(f"  {figure['metric']}: {figure['value']:g} ({figure['rows']} tokens)")
            if check == "passage":
                token_s, in_all_s = first_token(Path(root)), time.monotonic() - began
                print(f"first token after {in_all_s:.1f} s in all, {token_s:.2f} s after asking")


def first_token(models_dir: Path) -> float:
    """Serve the model and ask it for a token: the seconds from asking to the token."""
    body = {"model": "measured", "max_tokens": 1, "messages": [{"role": "user", "content": "Hi"}]}
    with server(["measured"], "--models-dir", str(models_dir)) as served:
        began = time.monotonic()
        url = f"http://127.0.0.1:{served.port}/v1/chat/completions"
        httpx.post(url, json=body, timeout=60).raise_for_status()
        return time.monotonic() - began


def _size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def main() -> None:
    """Convert the files that are named, and print time and memory of each."""
    parser = argparse.ArgumentParser(description="How long importing a model takes, and how much memory.")
    parser.add_argument("source", type=Path, nargs="?")
    parser.add_argument("--qwen3-shape", action="store_true")
    options = parser.parse_args()
    if options.source is not None:
        measure(options.source, "passage")
    if options.qwen3_shape:
        with tempfile.TemporaryDirectory() as beside:
            measure(write_qwen3(Path(beside) / "qwen3"), "structure")


if __name__ == "__main__":
    main()
