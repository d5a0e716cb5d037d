"""The command ``hearth``. Knows arguments and exit codes; what a command does is elsewhere."""

import argparse
import sys
from pathlib import Path

from server import logs
from server.settings import SettingsError, load_settings, table


def main(arguments: list[str] | None = None) -> int:
    """Run one command; the exit code: 0 good, 1 failed, 2 wrong usage."""
    parser = argparse.ArgumentParser(
        prog="hearth", description="A local inference server for small language models.", epilog="hearth serve --help"
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    serve = commands.add_parser("serve", help="serve models over HTTP", description="Serve models over HTTP.")
    serve.add_argument("--config", type=Path, metavar="FILE", help="TOML file with settings")
    for name, default, about in table():
        flag = "--" + name.replace("_", "-")
        serve.add_argument(flag, dest=name, metavar="VALUE", help=f"{about} (default: {default or 'none'})")
    options = vars(parser.parse_args(arguments))
    options.pop("command")
    return _serve(options.pop("config"), options)


def _serve(file: Path | None, flags: dict[str, str | None]) -> int:
    from server.app import create_app  # loaded late: `hearth --help` needs none of it
    from server.serve import serve

    try:
        settings = load_settings(flags, file=file)
        logs.configure(settings.log_level, settings.log_format)
        app = create_app(settings)
    except SettingsError as error:
        print(f"hearth: {error}", file=sys.stderr)
        return 2
    return serve(app, settings)


if __name__ == "__main__":
    sys.exit(main())
