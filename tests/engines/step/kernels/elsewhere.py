"""The step engine's kernels for processors that this machine has not: compiled, and tried where an emulator can.

    python -m tests.engines.step.kernels.elsewhere

A part whose tools are missing is skipped with a line that names them. Exit code 1: something does not compile, or
computes something else than the portable kernels.
"""

import platform
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

HERE = Path(__file__).parent
CORE = Path(__file__).parents[4] / "server" / "engines" / "step" / "core"
COMPILE = ("-std=c++20", "-O2", "-ffp-contract=off", "-Wall", "-Wextra")
AVX2 = ("-mavx2", "-mfma", "-mf16c")
AVX_VNNI = (*AVX2, "-mavxvnni")
SAME_OF_AVX512 = (*AVX2, "-mavx512vl", "-mavx512vnni")
"""The instruction of AVX-VNNI as AVX-512 encodes it: what a server processor can run."""
AVX512 = (*SAME_OF_AVX512, "-mavx512f", "-mavx512bw", "-mavx512dq", "-Wno-uninitialized", "-Wno-maybe-uninitialized")
NEON = ("-march=armv8.2-a+dotprod+fp16",)


def say(what: str, outcome: str) -> None:
    """One line of the report."""
    print(f"{what}: {outcome}", flush=True)  # noqa: T201


def objects(compiler: str, sources: Sequence[Path], flags: dict[str, Sequence[str]], folder: Path) -> list[str]:
    """Compile each source with the flags under its stem, as CMakeLists.txt does.

    Raises:
        CalledProcessError: one does not compile.
    """
    made = []
    for source in sources:
        made.append(str(folder / f"{source.stem}.o"))
        subprocess.run([compiler, *COMPILE, *flags.get(source.stem, ()), "-c", source, "-o", made[-1]], check=True)
    return made


def compare(compiler: str, flags: dict[str, Sequence[str]], runner: Sequence[str], folder: Path) -> None:
    """Build check.cc with all kernels and run it.

    Raises:
        CalledProcessError: it does not compile, or found a difference.
    """
    program = folder / "check"
    kernels = objects(compiler, sorted((CORE / "kernels").glob("*.cc")), flags, folder)
    subprocess.run(
        [compiler, *COMPILE, f"-I{CORE / 'kernels'}", HERE / "check.cc", *kernels, "-static", "-o", program], check=True
    )
    subprocess.run([*runner, program], check=True)


def avx_vnni(folder: Path) -> None:
    """The 256-bit VNNI of Alder Lake and later."""
    compiler = shutil.which("g++")
    if compiler is None or platform.machine() != "x86_64":
        return say("avx-vnni", "skipped, it needs g++ on an x86-64 machine")
    objects(compiler, [CORE / "kernels" / "avxvnni.cc"], {"avxvnni": AVX_VNNI}, folder)
    say("avx-vnni", "compiles")
    processor = Path("/proc/cpuinfo").read_text("utf-8")
    if not all(feature in processor for feature in ("avx512_vnni", "avx512vl")):
        return say("avx-vnni", "not tried, which needs a processor with AVX-512 VNNI")
    compare(compiler, {"avxvnni": SAME_OF_AVX512, "avx2": AVX2, "avx512": AVX512}, (), folder)
    return None


def neon(folder: Path) -> None:
    """Armv8.2 with dot products: the whole core, and the kernels under an emulator."""
    here = platform.machine() == "aarch64"
    compiler = shutil.which("g++" if here else "aarch64-linux-gnu-g++")
    if compiler is None:
        return say("neon-dotprod", "skipped, it needs a cross compiler (Debian: g++-aarch64-linux-gnu)")
    objects(compiler, [each for each in sorted(CORE.glob("*.cc")) if not each.stem.endswith("bindings")], {}, folder)
    say("core for aarch64", "compiles")
    emulator = shutil.which("qemu-aarch64") or shutil.which("qemu-aarch64-static")
    if emulator is None and not here:
        objects(compiler, [CORE / "kernels" / "neon.cc"], {"neon": NEON}, folder)
        return say("neon-dotprod", "compiles; not tried, which needs an emulator (Debian: qemu-user)")
    compare(compiler, {"neon": NEON}, () if here or emulator is None else (emulator,), folder)
    return None


def main() -> int:
    """All of them."""
    failed = 0
    for part in (avx_vnni, neon):
        with TemporaryDirectory() as folder:
            try:
                part(Path(folder))
            except subprocess.CalledProcessError as error:
                failed = 1
                say(part.__name__, f"FAILED: {' '.join(map(str, error.cmd))}")
    return failed


if __name__ == "__main__":
    sys.exit(main())
