"""`python -m inference.evaluation --data DIR --encoder DIR`: see `evidence`."""

from inference.evaluation.evidence import main

main()
