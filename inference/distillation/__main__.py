"""`python -m inference.distillation --teacher DIR … --data FILE … --out DIR`: see `recipe`."""

from inference.distillation.recipe import main

raise SystemExit(main())
