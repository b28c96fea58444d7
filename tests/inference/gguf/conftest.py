"""The tiny models as GGUF files. What runs one needs llama.cpp: `make test-gguf` installs it and runs this folder."""

from pathlib import Path

import pytest

from tests.inference.gguf import build
from tests.inference.models.conftest import llama_folder, qwen2_folder  # noqa: F401 - fixtures


@pytest.fixture(scope="session")
def qwen2_gguf(tmp_path_factory, qwen2_folder) -> Path:  # noqa: F811
    return build.write(qwen2_folder, tmp_path_factory.mktemp("gguf") / "tiny-qwen2.gguf")


@pytest.fixture(scope="session")
def llama_gguf(tmp_path_factory, llama_folder) -> Path:  # noqa: F811
    return build.write(llama_folder, tmp_path_factory.mktemp("gguf") / "tiny-llama.gguf")
