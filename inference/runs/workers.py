"""One process, or several joined by accelerate: each takes its share of every batch and gradients are averaged.

Started by `accelerate launch` or `torchrun` (one process per GPU over NCCL; on the processor over gloo); alone nothing
of accelerate is loaded. Knows processes; does not know what is trained.
"""

from __future__ import annotations

import os
from contextlib import AbstractContextManager, nullcontext
from typing import Any, cast

import torch
from torch import nn


class Workers:
    """The processes of this run: `count` of them, this one is number `rank`."""

    def __init__(self, *, processor: bool = True) -> None:
        self._accelerator: Any = None
        if int(os.environ.get("WORLD_SIZE", "1")) > 1:
            from accelerate import Accelerator

            self._accelerator = Accelerator(cpu=processor)

    @property
    def count(self) -> int:
        return int(self._accelerator.num_processes) if self._accelerator else 1

    @property
    def rank(self) -> int:
        return int(self._accelerator.process_index) if self._accelerator else 0

    @property
    def first(self) -> bool:
        return self.rank == 0

    def device(self, wanted: str) -> str:
        """The device of this process: its own GPU when there are several."""
        if self._accelerator and wanted.startswith("cuda"):
            return str(self._accelerator.device)
        return wanted

    def prepare(self, module: nn.Module) -> nn.Module:
        """The module with its gradients averaged over the processes."""
        return cast(nn.Module, self._accelerator.prepare_model(module)) if self._accelerator else module

    def together(self, module: nn.Module, *, last: bool) -> AbstractContextManager[Any]:
        """Around one piece of a step: gradients travel with the last piece only."""
        if self._accelerator and not last:
            return cast(AbstractContextManager[Any], self._accelerator.no_sync(module))
        return nullcontext()

    def sum(self, values: torch.Tensor) -> torch.Tensor:
        """Added up over the processes."""
        return cast(torch.Tensor, self._accelerator.reduce(values, "sum")) if self._accelerator else values

    def wait(self) -> None:
        if self._accelerator:
            self._accelerator.wait_for_everyone()

    def leave(self) -> None:
        """The end: the processes part in good order."""
        if self._accelerator:
            self._accelerator.end_training()
