"""Completion for shells: the script is the shell's own language and knows the commands and their options."""

import shutil
import subprocess

import pytest

from server.cli import main


def script(shell: str, capsys: pytest.CaptureFixture[str]) -> str:
    assert main(["completion", shell]) == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish", "tcsh", "powershell"])
def test_each_shell_is_told_the_commands(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    text = script(shell, capsys)
    assert "translate" in text
    assert "bench" in text


@pytest.mark.skipif(not shutil.which("bash"), reason="there is no bash")
@pytest.mark.parametrize(
    ("words", "expected"),
    [(["hearth", "tr"], {"train", "translate"}), (["hearth", "bench", "--out"], {"--output-tokens"})],
)
def test_bash_completes(words: list[str], expected: set[str], capsys: pytest.CaptureFixture[str]) -> None:
    typed = " ".join(f"'{word}'" for word in words)
    ask = f"COMP_WORDS=({typed}); COMP_CWORD={len(words) - 1}; _shtab_hearth; printf '%s\\n' \"${{COMPREPLY[@]}}\""
    done = subprocess.run(["bash"], input=script("bash", capsys) + ask, text=True, capture_output=True, check=True)
    assert {line.strip() for line in done.stdout.splitlines() if line.strip()} == expected
