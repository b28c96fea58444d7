"""`python -m inference.finetuning --model DIR --data FILE … --out DIR`: see `recipe`."""

from inference.finetuning.recipe import main

raise SystemExit(main())
