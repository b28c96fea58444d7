"""The demo company, Tarnwald Flow Systems: people, collections, documents and questions, all invented.

This room knows how to write the documents in their file formats. It knows neither Django nor the product: whoever
loads the demo company builds it with :func:`assistant.demo.build.build` and walks the returned manifest.
"""
