"""One logistic regression, as the calibration of the reader wants it."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional

from inference.reading.calibration import Calibration

Array = npt.NDArray[Any]


def calibrated(values: Array, target: Array, shares: Array, latin: float, cjk: float) -> Calibration:
    """Fit ``target (n,)`` on ``values (n, k)``, rows counting by ``shares``; the weights of cosines are given."""
    values = values.astype(np.float64)
    mean, scale = values.mean(0), np.maximum(values.std(0), 1e-6)
    inputs, wanted = torch.tensor((values - mean) / scale), torch.tensor(target.astype(np.float64))
    counts = torch.tensor(shares.astype(np.float64))
    weights = torch.zeros(values.shape[1] + 1, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([weights], max_iter=200, line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        logit = inputs @ weights[:-1] + weights[-1]
        value = functional.binary_cross_entropy_with_logits(logit, wanted, weight=counts)
        value = value + 1e-4 * weights[:-1].square().sum()
        value.backward()
        return value

    optimizer.step(closure)
    found = weights.detach().numpy()
    return Calibration(mean, scale, found[:-1], float(found[-1]), latin, cjk)
