"""The command ``hearth``: its arguments and exit codes. The modules beside this one have the commands themselves.

Exit codes: 0 good, 1 failed, 2 wrong usage.
"""

import argparse
import logging
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from server import logs, machine
from server.settings import Settings, SettingsError, flag, load_settings, suggestion, table

EXAMPLES = """examples:
  hearth serve --port 9000
  hearth translate --to de "Good morning."
  hearth translate --to fr letters.txt -o lettres.txt
  hearth classify --model sentiment reviews.csv --field comment -o scored.csv
  hearth train classifier --data feedback.csv --name feedback
  hearth summarize note.txt --sentences 5
  hearth batch requests.jsonl -o answers.jsonl
  hearth chat
  hearth run smollm2:135m
  hearth list --json
  hearth pull qwen3:0.6b
  hearth pull bartowski/SmolLM2-360M-Instruct-GGUF:Q8_0 --name smol
  hearth convert some-model.Q4_K_M.gguf
  hearth pull cardiffnlp/twitter-roberta-base-sentiment --labels negative,neutral,positive
  hearth rm smol
  hearth bench --model translate --clients 1,32
"""

CLASSIFIER = "Labels of your own on an embedding model's vectors, within a minute; no server is needed"


def main(arguments: list[str] | None = None) -> int:
    """Run one command. Returns the exit code."""
    parser = _parser()
    known, unknown = parser.parse_known_args(arguments)
    options = vars(known)
    command = options.pop("command")
    if unknown:
        words = " ".join(unknown)
        near = suggestion(unknown[0].lstrip("-").replace("-", "_"), flag) if command == "serve" else ""
        parser.error(f"unrecognized arguments: {words}.{near}" if near else f"unrecognized arguments: {words}")
    try:
        code = _run(command, options)
        sys.stdout.flush()  # here a reader that has left (`hearth list | head -1`) is noticed
        return code
    except SettingsError as error:
        print(f"hearth: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or the interpreter's own flush at exit fails
        return 1
    except KeyboardInterrupt:
        return 1


def _run(command: str, options: dict[str, Any]) -> int:
    """Run one command.

    Raises:
        SettingsError: the flags, the environment or the configuration file are wrong.
    """
    if command == "serve":
        return _serve(options.pop("config"), options)
    if "models_dir" in options:
        options["settings"] = _settings(options.pop("models_dir"))
    if command == "completion":
        from shtab import complete

        print(complete(_parser(), options["shell"]))
        return 0
    if command == "train":
        options.pop("kind")
        from server.cli import train

        return train.classifier(**options)
    # Loaded late: a server needs none of them.
    from server.cli import batch, bench, bulk, client, inspect, models, run, summarize

    commands: dict[str, Callable[..., int]] = {
        "translate": bulk.translate,
        "classify": bulk.classify,
        "summarize": summarize.summarize,
        "batch": batch.run,
        "chat": client.chat,
        "run": run.run,
        "list": inspect.list_models,
        "show": inspect.show_model,
        "doctor": inspect.doctor,
        "key": inspect.make_key,
        "pull": models.pull,
        "convert": models.convert_model,
        "rm": models.remove,
        "bench": bench.bench,
    }
    try:
        return commands[command](**options)
    except client.CallFailed as error:
        print(f"hearth: {error}", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="hearth",
        description="A local inference server for small language models.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(name: str, about: str) -> argparse.ArgumentParser:
        return commands.add_parser(name, help=about, description=f"{about[0].upper()}{about[1:]}.")

    _serve_arguments(command("serve", "serve models over HTTP"))
    translate = command(
        "translate", "translate a text, a file by its lines (txt, csv, jsonl) or whole (html, srt, ...)"
    )
    translate.add_argument("--to", required=True, metavar="LANGUAGE", help="the language to translate to")
    translate.add_argument("--from", dest="source", default="auto", metavar="LANGUAGE", help="default: detected")
    _bulk_arguments(translate, None)
    classify = command("classify", "classify a text, or a file (txt, csv, jsonl) line by line")
    _bulk_arguments(classify, "sentiment")
    _summary_arguments(command("summarize", "summarize a text or a whole file (txt, md)"))
    batch = command("batch", "run a file of requests behind all other work; go on where it was stopped")
    batch.add_argument(
        "file", type=Path, metavar="FILE", help="a request a line, as OpenAI's batches have them (jsonl)"
    )
    batch.add_argument("-o", "--output", type=Path, metavar="FILE", help="answers (default: NAME.answers.jsonl)")
    batch.add_argument("--endpoint", metavar="PATH", help="what the lines ask (default: the first line's url)")
    batch.add_argument("--cancel", action="store_true", help="end the batch, and fetch what is finished")
    _server_arguments(batch)
    chat = command("chat", "chat with a model in the terminal")
    chat.add_argument("--model", default="assistant", metavar="NAME")
    chat.add_argument("--system", default="", metavar="TEXT", help="instructions for the model")
    _server_arguments(chat)
    run = command("run", "talk to a model; pull it first if it is not here, and serve it if no server does")
    run.add_argument("name_of", metavar="NAME", help="a model that is here, a name as smollm2:135m, or owner/name")
    run.add_argument("--system", default="", metavar="TEXT", help="instructions for the model")
    run.add_argument("--models-dir", type=Path, default=None, metavar="FOLDER", help="the folder of all models")
    _server_arguments(run)
    listing = command("list", "list the models of a running server")
    show = command("show", "show all facts of one model of a running server")
    show.add_argument("name", metavar="NAME")
    for each in (listing, show):
        each.add_argument("--json", dest="as_json", action="store_true", help="as JSON, for scripts")
        _server_arguments(each)
    kinds = command("train", "train labels of your own").add_subparsers(dest="kind", required=True, metavar="KIND")
    _classifier_arguments(kinds.add_parser("classifier", help=CLASSIFIER, description=f"{CLASSIFIER}."))
    _bench_arguments(command("bench", "measure how fast a running server answers"))
    completion = command("completion", 'print a script that completes these commands: eval "$(hearth completion bash)"')
    completion.add_argument("shell", choices=("bash", "zsh", "fish", "tcsh", "powershell"))
    _model_arguments(command)
    doctor = command("doctor", "say which engines and models work on this machine, and why others do not")
    _folder_argument(doctor)
    key = command("key", "make an API key, and print it with its hash")
    key.add_argument("--name", default="", metavar="NAME", help="print a table for api_keys_file, with this name")
    return parser


def _serve_arguments(serve: argparse.ArgumentParser) -> None:
    serve.add_argument("--config", type=Path, metavar="FILE", help="TOML file with settings")
    for name, default, about in table():
        serve.add_argument(flag(name), dest=name, metavar="VALUE", help=f"{about} (default: {default or 'none'})")


def _bulk_arguments(command: argparse.ArgumentParser, model: str | None) -> None:
    command.add_argument("input", metavar="TEXT|FILE", help="a file that exists, else a text")
    command.add_argument("-o", "--output", type=Path, metavar="FILE", help="for files: where results go")
    command.add_argument("--field", default="text", metavar="NAME", help="the text's column or field (default: text)")
    command.add_argument("--model", default=model, metavar="NAME")
    _server_arguments(command)


def _summary_arguments(command: argparse.ArgumentParser) -> None:
    command.add_argument("input", metavar="TEXT|FILE", help="a file that exists, else a text")
    command.add_argument("-o", "--output", type=Path, metavar="FILE", help="where the summary goes (default: printed)")
    command.add_argument("--sentences", type=_positive, metavar="N", help="the most sentences (default: 3)")
    command.add_argument("--words", type=_positive, metavar="N", help="the most words")
    command.add_argument(
        "--model", metavar="NAME", help="an embedding model, or a generator, which writes (default: embed)"
    )
    command.add_argument("--json", dest="as_json", action="store_true", help="with places and flags, for scripts")
    _server_arguments(command)


def _model_arguments(command: Callable[[str, str], argparse.ArgumentParser]) -> None:
    pull = command("pull", "download a model from a hub and convert it")
    pull.add_argument("name_of", metavar="ID", help="owner/name[:Q4_K_M], a name as qwen3:0.6b, or mozilla:en-de,fr")
    pull.add_argument("--revision", metavar="REVISION", help="a branch, a tag or a commit (default: the main branch)")
    pull.add_argument(
        "--offline", action="store_true", help="use only files that were downloaded before, without the network"
    )
    pull.add_argument("--if-missing", action="store_true", help="do nothing if the model is there already")
    pull.add_argument("--token-file", type=Path, metavar="FILE", help="send a token, for repositories that need one")
    convert = command("convert", "convert a model: a GGUF file, a folder as a hub keeps it, or a hub's id")
    convert.add_argument("source", metavar="FILE|FOLDER|ID")
    for each in (pull, convert):
        each.add_argument("--name", metavar="NAME", help="the id of the new model (default: the repository's name)")
        each.add_argument(
            "--quantization",
            choices=("int8_float32", "int8", "int4", "float32"),
            default="int8_float32",
            help="of the weights (default: int8_float32)",
        )
        each.add_argument(
            "--context-tokens",
            type=int,
            metavar="N",
            help="most tokens of a row (default: the model's, up to 8192)",
        )
        each.add_argument(
            "--check",
            choices=("passage", "original", "structure"),
            default="passage",
            help="check the model by likely texts and its float32, against transformers (needs torch), or not at all",
        )
        each.add_argument(
            "--labels",
            type=_labels,
            default=(),
            metavar="A,B",
            help="a classifier's labels, in their order (default: the repository's)",
        )
    remove = command("rm", "remove a model's folder")
    remove.add_argument("name", metavar="NAME")
    remove.add_argument("--force", action="store_true", help="even one that ships with Hearth")
    for each in (pull, convert, remove):
        _folder_argument(each)
        each.add_argument("--json", dest="as_json", action="store_true", help="as JSON, for scripts")


def _classifier_arguments(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--data", type=Path, required=True, metavar="FILE", help="rows with text and label (csv, jsonl)"
    )
    command.add_argument("--name", required=True, metavar="NAME", help="the id of the new model")
    command.add_argument("--text-column", default="text", metavar="NAME", help="the text's column (default: text)")
    command.add_argument("--label-column", default="label", metavar="NAME", help="the label's column (default: label)")
    _folder_argument(command)
    command.add_argument(
        "--encoder", default="embed", metavar="NAME", help="the embedding model whose vectors are used (default: embed)"
    )


def _bench_arguments(command: argparse.ArgumentParser) -> None:
    def counts(text: str) -> list[int]:
        return [_positive(part) for part in text.split(",")]

    command.add_argument("--model", default="assistant", metavar="NAME")
    command.add_argument("--clients", type=counts, default=[1, 8, 32], metavar="N,N", help="default: 1,8,32")
    command.add_argument("--requests", type=_positive, default=100, metavar="N", help="for each number of clients")
    command.add_argument("--prompt-tokens", type=_positive, default=128, metavar="N", help="generators: default 128")
    command.add_argument("--output-tokens", type=_positive, default=64, metavar="N", help="generators: default 64")
    command.add_argument("--to", default="de", metavar="LANGUAGE", help="translators: from English to (default: de)")
    command.add_argument("--json", dest="as_json", action="store_true", help="as JSON, for scripts")
    _server_arguments(command)


def _folder_argument(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--models-dir",
        type=Path,
        metavar="FOLDER",
        help="folder of models (default: HEARTH_MODELS_DIR, models_dir in HEARTH_CONFIG, or the user's data folder)",
    )


def _labels(text: str) -> tuple[str, ...]:
    labels = tuple(label.strip() for label in text.split(","))
    if not all(labels) or len(set(labels)) != len(labels):
        raise argparse.ArgumentTypeError(f"{text!r} is not a list of different labels")
    return labels


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of at least 1")
    return int(text)


def _server_arguments(command: argparse.ArgumentParser) -> None:
    command.add_argument("--url", default="http://127.0.0.1:8000", metavar="URL", help="where the server is")
    command.add_argument("--api-key", default="", metavar="KEY")


def _settings(models_dir: Path | None) -> Settings:
    """The settings for a command that works on model folders: its flag, else the environment and the file.

    Raises:
        SettingsError: the environment or the file is wrong.
    """
    # Such a command does not listen, so the settings about who may call a server are not checked.
    return load_settings({"models_dir": models_dir, "host": Settings().host}, warn=_remark)


def _remark(sentence: str) -> None:
    print(f"hearth: {sentence}", file=sys.stderr)


def _serve(file: Path | None, flags: dict[str, Any]) -> int:
    remarks: list[str] = []
    settings = load_settings(flags, file=file, warn=remarks.append)
    if problem := machine.why_not_served():
        print(f"hearth: {problem}", file=sys.stderr)
        return 1
    from server.app import create_app  # loaded late: help and wrong settings need none of it
    from server.http.server import serve

    logs.configure(settings.log_level, settings.log_format)
    for remark in (*remarks, *machine.lacks()):
        logging.getLogger(__name__).warning("%s", remark)
    return serve(create_app(settings), settings)
