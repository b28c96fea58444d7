"""The embedding model, loaded once for the whole run."""

import pytest

from retrieval.embedding import MiniLMEmbedder


@pytest.fixture(scope="session")
def embedder() -> MiniLMEmbedder:
    return MiniLMEmbedder.load(threads=1)
