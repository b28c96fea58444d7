"""The process a parser runs in, and the way there and back; knows no format.

`parent` asks and waits, `nursery` starts processes from the `zygote`, `child` reads one file after `isolation` has
taken its rights away, `wire` is what they say to each other.
"""
