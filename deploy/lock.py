"""Write deploy/requirements.txt, requirements-gguf.txt and requirements-test.txt: every package at the version a fresh
resolution gives.

Run by hand (`make lock`) after changing the dependencies of pyproject.toml. Works in a temporary environment.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import tomllib
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# Its metadata names opencv-python, which needs a display library; the headless build is listed in pyproject instead.
WITHOUT_DEPENDENCIES = ["rapidocr-onnxruntime==1.4.4"]
EXCLUDED = {"openvino-telemetry"}  # openvino names it and works without it
HEADER = "# Written by `make lock` from pyproject.toml; torch is installed first, the rest with --no-deps.\n"


def main() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    with tempfile.TemporaryDirectory() as folder:
        venv.create(folder, with_pip=True)
        python = str(Path(folder) / "bin" / "python")

        def pip(*arguments: str) -> str:
            command = [python, "-m", "pip", "--disable-pip-version-check", *arguments]
            return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout  # noqa: S603

        pip("install", next(name for name in project["dependencies"] if name.startswith("torch==")))
        pip("install", *project["dependencies"])
        pip("install", "--no-deps", *WITHOUT_DEPENDENCIES)
        product = frozen(pip("freeze"))
        pip("install", *project["optional-dependencies"]["gguf"])
        llama = frozen(pip("freeze"))
        pip("uninstall", "--yes", *[line.partition("==")[0] for line in llama if line not in product])
        pip("install", *project["optional-dependencies"]["test"])
        everything = frozen(pip("freeze"))
    if missing := [line for line in product if line not in everything or line not in llama]:
        sys.exit(f"The test packages or llama.cpp change the product's: {missing}")
    write("requirements.txt", product)
    write("requirements-gguf.txt", [line for line in llama if line not in product])
    write("requirements-test.txt", [line for line in everything if line not in product])


def frozen(text: str) -> list[str]:
    """One `name==version` a line; a build's local label (+cpu) is dropped."""
    return [
        re.sub(r"\+\w+$", "", line)
        for line in text.splitlines()
        if "==" in line and line.partition("==")[0] not in EXCLUDED
    ]


def write(name: str, lines: list[str]) -> None:
    (ROOT / "deploy" / name).write_text(HEADER + "\n".join(sorted(lines, key=str.lower)) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
