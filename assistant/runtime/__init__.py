"""Running the whole product on one machine: its private Redis, its processes, its first start.

Top room: it may use every other; nothing imports it but commands and tests.
"""
