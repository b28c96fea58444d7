"""The packaged reader from nothing: ``python -m inference.training --data DIR --encoder DIR --out DIR``.

Readers are trained (`evidence`; minutes on a graphics card), the one on all articles is packed with its card
(`finish`), and the probability that its quotations answer is fitted on questions asked of whole sets (`weighing`; a few
minutes a set on a CPU). Other options are those of `evidence`. What is in ``--out`` is not made again, so an
interrupted run goes on; readings belong to the reader that made them: another reader's folder is refused.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from inference.training import evidence, finish, weighing


def main(arguments: Sequence[str] | None = None) -> None:
    """Run all three."""
    parser = argparse.ArgumentParser(prog="python -m inference.training", description=__doc__, allow_abbrev=False)
    parser.add_argument("--data", type=Path, required=True, help="folder of question files")
    parser.add_argument("--encoder", type=Path, required=True, help="folder of all-MiniLM-L6-v2")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--package", type=Path, default=Path(evidence.__file__).parents[1] / "reading")
    parser.add_argument("--splitter", default="", help="MODULE:FUNCTION that cuts sentences as the product does")
    parser.add_argument("--weighed", nargs="+", default=[], help="sets that the probability is fitted on")
    given, others = parser.parse_known_args(arguments)
    common = ["--data", str(given.data), "--encoder", str(given.encoder)]
    evidence.main([*common, "--out", str(given.out), *others])
    finish.main([*common, "--out", str(given.out), "--package", str(given.package)])
    sets = ["--sets", *given.weighed] if given.weighed else []
    place = ["--out", str(given.out / "weighing"), "--package", str(given.package), "--splitter", given.splitter]
    weighing.main([*common, *place, *sets])


if __name__ == "__main__":
    main()
