"""`python -m inference.pruning --model DIR --data FILE … --out DIR`: see `recipe`."""

from inference.pruning.recipe import main

raise SystemExit(main())
