"""The index structures: vectors in FAISS, postings in numpy, immutable segments of both, and their snapshot."""
