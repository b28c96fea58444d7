"""The language models of this installation: brought in, made smaller, measured, chosen.

One module for each act, and the rows of those that take long (`jobs`). Knows the store, the audit log and the workers;
not who asks, nor what an answer is.
"""
