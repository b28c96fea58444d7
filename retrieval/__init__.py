"""Permission-exact hybrid retrieval: parsing, chunking, embedding and search. Knows no web framework.

Import the module you need (`retrieval.schema`, `retrieval.retriever`, ...): this package imports nothing
by itself, so that a process without faiss or torch may use `retrieval.schema` and `retrieval.parsing`.
"""
