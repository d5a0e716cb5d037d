"""A section of a results file, written anew by the command that measured it."""

import re
from pathlib import Path


def replace_section(file: Path, title: str, body: str) -> None:
    """Put ``body`` under the heading ``## title``; a section that is not there yet comes at the end."""
    text = file.read_text("utf-8") if file.exists() else ""
    section = f"## {title}\n\n{body.strip()}\n"
    there = re.compile(rf"^## {re.escape(title)}\n.*?(?=^## |\Z)", re.DOTALL | re.MULTILINE)
    if there.search(text):
        text = there.sub(lambda match: section + ("\n" if match.end() < len(text) else ""), text, count=1)
    else:
        text = f"{text.rstrip()}\n\n{section}"
    file.write_text(text, "utf-8")
