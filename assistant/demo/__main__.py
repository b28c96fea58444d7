"""`python -m assistant.demo DIR`: write the demo company's documents into DIR."""

import argparse
import sys
from pathlib import Path

from assistant.demo.build import build


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m assistant.demo", description=__doc__)
    parser.add_argument("directory", type=Path, help="folder to write the documents to; made if absent")
    manifest = build(parser.parse_args().directory)
    sys.stdout.write(f"{len(manifest.documents)} documents in {len(manifest.collections)} collections\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
