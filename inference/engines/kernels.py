"""Triton kernels of one decode step: few tokens, every weight read once.

With few tokens a step is as fast as memory delivers the weights, provided that little else is started: a layer is five
kernels (normalise + query, key, value + rotate + remember; attend; project + add; normalise + gate; project + add). The
products run on the ordinary cores in single precision: up to four tokens they are not what limits. Long contexts are
read by several programs per key head, of which the last to finish combines the parts, always in the same order
(flash decoding: Dao et al. 2023). Knows shapes and pointers. Does not know models; `fused` does.

Triton comes with torch's CUDA builds; where it is missing this module cannot be imported.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import triton
import triton.language as tl


@dataclass(frozen=True, slots=True)
class Tile:
    """How a program reads weights: `rows` of either of two blocks, `width` values of each at a time."""

    rows: int
    width: int
    warps: int = 4
    stages: int = 2


@triton.jit
def _pair(
    x_ptr, tokens, a_ptr, a_row, b_ptr, b_row, rows, norm_ptr, eps,
    K: tl.constexpr, M: tl.constexpr, BN: tl.constexpr, BK: tl.constexpr, NORM: tl.constexpr, STAGES: tl.constexpr,
):  # fmt: skip
    """Products of M tokens with BN rows of two weights, in float32: two of (M, BN). Rows from `rows` on count nothing.
    With NORM the tokens are normalised by their root mean square and weighed first."""
    m = tl.arange(0, M)[:, None]
    n = tl.arange(0, BN)[:, None]
    a_base = a_ptr + (a_row + n).to(tl.int64) * K
    b_base = b_ptr + (b_row + n).to(tl.int64) * K
    a_inside = a_row + n < rows
    b_inside = b_row + n < rows
    a_sum = tl.zeros((M, BN, BK), tl.float32)
    b_sum = tl.zeros((M, BN, BK), tl.float32)
    squares = tl.zeros((M, BK), tl.float32)
    for start in tl.range(0, K, BK, num_stages=STAGES):
        k = start + tl.arange(0, BK)[None, :]
        inside = k < K
        a = tl.load(a_base + k, mask=inside & a_inside, other=0.0).to(tl.float32)
        b = tl.load(b_base + k, mask=inside & b_inside, other=0.0).to(tl.float32)
        x = tl.load(x_ptr + m * K + k, mask=inside & (m < tokens), other=0.0).to(tl.float32)
        if NORM:
            squares += x * x
            x = x * tl.load(norm_ptr + k, mask=inside, other=0.0).to(tl.float32)
        a_sum += a[None, :, :] * x[:, None, :]
        b_sum += b[None, :, :] * x[:, None, :]
    a_out = tl.sum(a_sum, 2)
    b_out = tl.sum(b_sum, 2)
    if NORM:
        scale = tl.rsqrt(tl.sum(squares, 1) / K + eps)[:, None]
        a_out *= scale
        b_out *= scale
    return a_out, b_out


@triton.jit
def _project(
    x_ptr, tokens, weight_ptr, N, norm_ptr, eps, out_ptr,
    K: tl.constexpr, M: tl.constexpr, BN: tl.constexpr, BK: tl.constexpr, NORM: tl.constexpr, ADD: tl.constexpr,
    STAGES: tl.constexpr,
):  # fmt: skip
    """out (tokens, N) = x (tokens, K) weight (N, K)^T, added to what is there with ADD."""
    first = tl.program_id(0) * 2 * BN
    a, b = _pair(x_ptr, tokens, weight_ptr, first, weight_ptr, first + BN, N, norm_ptr, eps, K, M, BN, BK, NORM, STAGES)
    m = tl.arange(0, M)[:, None]
    n = first + tl.arange(0, BN)[None, :]
    out = out_ptr + m * N + n
    a_kept = (m < tokens) & (n < N)
    b_kept = (m < tokens) & (n + BN < N)
    if ADD:
        a += tl.load(out, mask=a_kept, other=0.0).to(tl.float32)
        b += tl.load(out + BN, mask=b_kept, other=0.0).to(tl.float32)
    tl.store(out, a.to(out_ptr.dtype.element_ty), mask=a_kept)
    tl.store(out + BN, b.to(out_ptr.dtype.element_ty), mask=b_kept)


@triton.jit
def _gate(
    x_ptr, tokens, gate_ptr, up_ptr, N, norm_ptr, eps, out_ptr,
    K: tl.constexpr, M: tl.constexpr, BN: tl.constexpr, BK: tl.constexpr, STAGES: tl.constexpr,
):  # fmt: skip
    """out (tokens, N) = silu(x gate^T) * (x up^T) of the normalised x."""
    first = tl.program_id(0) * BN
    gate, up = _pair(x_ptr, tokens, gate_ptr, first, up_ptr, first, N, norm_ptr, eps, K, M, BN, BK, True, STAGES)
    m = tl.arange(0, M)[:, None]
    n = first + tl.arange(0, BN)[None, :]
    out = gate * tl.sigmoid(gate) * up
    tl.store(out_ptr + m * N + n, out.to(out_ptr.dtype.element_ty), mask=(m < tokens) & (n < N))


@triton.jit
def _attention_input(
    x_ptr, tokens, q_ptr, k_ptr, v_ptr, q_bias, k_bias, v_bias, norm_ptr, eps, positions, rows, cos_ptr, sin_ptr,
    queries, keys, values, row_stride, head_stride,
    K: tl.constexpr, M: tl.constexpr, BN: tl.constexpr, BK: tl.constexpr, STAGES: tl.constexpr,
    HEADS: tl.constexpr, KEY_HEADS: tl.constexpr, D: tl.constexpr, WIDE: tl.constexpr, BIAS: tl.constexpr,
):  # fmt: skip
    """Rotated queries (tokens, HEADS * D); rotated keys, and values, at their positions of their rows in the cache."""
    half: tl.constexpr = D // 2
    blocks: tl.constexpr = half // BN
    head = tl.program_id(0) // blocks
    at = tl.program_id(0) % blocks * BN
    weight = q_ptr
    bias = q_bias
    local = head
    if head >= HEADS:
        weight = k_ptr
        bias = k_bias
        local = head - HEADS
    if head >= HEADS + KEY_HEADS:
        weight = v_ptr
        bias = v_bias
        local = head - HEADS - KEY_HEADS
    row = local * D + at
    a, b = _pair(x_ptr, tokens, weight, row, weight, row + half, row + D, norm_ptr, eps, K, M, BN, BK, True, STAGES)
    m = tl.arange(0, M)[:, None]
    n = tl.arange(0, BN)[None, :]
    kept = (m < tokens) & (n < BN)
    if BIAS:
        a += tl.load(bias + row + n).to(tl.float32)
        b += tl.load(bias + row + half + n).to(tl.float32)
    position = tl.load(positions + m, mask=m < tokens, other=0)
    if head < HEADS + KEY_HEADS:
        cos = tl.load(cos_ptr + position * half + at + n).to(tl.float32)
        sin = tl.load(sin_ptr + position * half + at + n).to(tl.float32)
        turned = a * cos - b * sin
        b = b * cos + a * sin
        a = turned
    if head < HEADS:
        out = queries + m * HEADS * D + row + n
        tl.store(out, a.to(queries.dtype.element_ty), mask=kept)
        tl.store(out + half, b.to(queries.dtype.element_ty), mask=kept)
    else:
        cache = keys
        if head >= HEADS + KEY_HEADS:
            cache = values
        which = tl.load(rows + m // WIDE, mask=m < tokens, other=0)
        out = cache + which * row_stride + local * head_stride + position * D + at + n
        tl.store(out, a.to(keys.dtype.element_ty), mask=kept)
        tl.store(out + half, b.to(keys.dtype.element_ty), mask=kept)


@triton.jit
def _attend(
    queries, positions, rows, keys, values, row_stride, head_stride, scale, parts, highs, sums, done, out_ptr,
    HEADS: tl.constexpr, KEY_HEADS: tl.constexpr, D: tl.constexpr, WIDE: tl.constexpr, Q: tl.constexpr,
    SPLIT: tl.constexpr, SPLITS: tl.constexpr,
):  # fmt: skip
    """Attention of one row's queries of one key head over one SPLIT of the row; the last program combines them all."""
    group: tl.constexpr = HEADS // KEY_HEADS
    place = tl.program_id(0)
    row = place // KEY_HEADS
    key_head = place % KEY_HEADS
    begins = tl.load(positions + row * WIDE)
    used = begins + WIDE
    splits = tl.cdiv(used, SPLIT)
    split = tl.program_id(1)
    if split < splits:
        i = tl.arange(0, Q)
        real = i < WIDE * group
        token = tl.where(real, i // group, 0)
        d = tl.arange(0, D)
        source = (row * WIDE + token) * HEADS * D + (key_head * group + i % group) * D
        query = tl.load(queries + source[:, None] + d[None, :], mask=real[:, None], other=0.0)
        n = split * SPLIT + tl.arange(0, SPLIT)
        cached = tl.load(rows + row) * row_stride + key_head * head_stride + n[:, None] * D + d[None, :]
        key = tl.load(keys + cached, mask=n[:, None] < used, other=0.0)
        value = tl.load(values + cached, mask=n[:, None] < used, other=0.0)
        scores = tl.dot(query, tl.trans(key), input_precision="ieee") * scale
        scores = tl.where(n[None, :] <= (begins + token)[:, None], scores, float("-inf"))
        high = tl.maximum(tl.max(scores, 1), -1.0e30)
        weight = tl.exp(scores - high[:, None])
        total = tl.sum(weight, 1)
        mixed = tl.dot(weight.to(value.dtype), value, input_precision="ieee")
        out = out_ptr + source[:, None] + d[None, :]
        if splits == 1:
            tl.store(out, (mixed / total[:, None]).to(out_ptr.dtype.element_ty), mask=real[:, None])
        else:
            mine = (place * SPLITS + split) * Q + i
            tl.store(highs + mine, high)
            tl.store(sums + mine, total)
            tl.store(parts + mine[:, None] * D + d[None, :], mixed)
            tl.debug_barrier()
            if tl.atomic_add(done + place, 1, sem="acq_rel") == splits - 1:
                top = tl.full((Q,), -1.0e30, tl.float32)
                for other in range(splits):
                    top = tl.maximum(top, tl.load(highs + (place * SPLITS + other) * Q + i, cache_modifier=".cg"))
                total = tl.zeros((Q,), tl.float32)
                mixed = tl.zeros((Q, D), tl.float32)
                for other in range(splits):
                    theirs = (place * SPLITS + other) * Q + i
                    share = tl.exp(tl.load(highs + theirs, cache_modifier=".cg") - top)
                    total += share * tl.load(sums + theirs, cache_modifier=".cg")
                    part = tl.load(parts + theirs[:, None] * D + d[None, :], cache_modifier=".cg")
                    mixed += share[:, None] * part
                tl.store(out, (mixed / total[:, None]).to(out_ptr.dtype.element_ty), mask=real[:, None])
                tl.store(done + place, 0)


@dataclass(frozen=True, slots=True)
class Attention:
    """The layer-independent part of attention: shapes, and where the tokens of a step lie.

    `positions` (tokens,) and `rows` (rows,) are int64; `cos` and `sin` (context, d / 2); `done` int32 zeros, one for
    each row and key head.
    """

    heads: int
    key_heads: int
    size: int
    scale: float
    wide: int
    span: int
    positions: torch.Tensor
    rows: torch.Tensor
    cos: torch.Tensor
    sin: torch.Tensor
    done: torch.Tensor


def project(
    x: torch.Tensor,
    weight: torch.Tensor,
    out: torch.Tensor,
    *,
    tile: Tile,
    norm: torch.Tensor | None = None,
    eps: float = 0.0,
    add: bool = False,
) -> None:
    """`out` (tokens, n) = `x` (tokens, k) times `weight` (n, k) transposed; `norm` (k,) normalises `x` first."""
    tokens, rows = len(x), len(weight)
    _project[(triton.cdiv(rows, 2 * tile.rows),)](
        x, tokens, weight, rows, weight if norm is None else norm, eps, out,
        K=x.shape[1], M=_padded(tokens), BN=tile.rows, BK=tile.width, NORM=norm is not None, ADD=add,
        STAGES=tile.stages, num_warps=tile.warps,
    )  # fmt: skip


def gate(
    x: torch.Tensor,
    gate_weight: torch.Tensor,
    up_weight: torch.Tensor,
    out: torch.Tensor,
    *,
    tile: Tile,
    norm: torch.Tensor,
    eps: float,
) -> None:
    """`out` (tokens, n) = silu(x gate) * (x up) of the normalised `x` (tokens, k)."""
    tokens, rows = len(x), len(gate_weight)
    _gate[(triton.cdiv(rows, tile.rows),)](
        x, tokens, gate_weight, up_weight, rows, norm, eps, out,
        K=x.shape[1], M=_padded(tokens), BN=tile.rows, BK=tile.width, STAGES=tile.stages, num_warps=tile.warps,
    )  # fmt: skip


def attention_input(
    x: torch.Tensor,
    weights: tuple[torch.Tensor, torch.Tensor, torch.Tensor],
    biases: tuple[torch.Tensor, torch.Tensor, torch.Tensor] | None,
    queries: torch.Tensor,
    cache: torch.Tensor,
    step: Attention,
    *,
    tile: Tile,
    norm: torch.Tensor,
    eps: float,
) -> None:
    """Fill `queries` (tokens, heads * d) and the keys and values in `cache` (2, rows, key heads, length, d)."""
    tokens, half = len(x), step.size // 2
    rows = min(tile.rows, half)
    _attention_input[((step.heads + 2 * step.key_heads) * (half // rows),)](
        x, tokens, *weights, *(biases or weights), norm, eps, step.positions, step.rows, step.cos, step.sin,
        queries, cache[0], cache[1], cache.stride(1), cache.stride(2),
        K=x.shape[1], M=_padded(tokens), BN=rows, BK=tile.width, STAGES=tile.stages, HEADS=step.heads,
        KEY_HEADS=step.key_heads, D=step.size, WIDE=step.wide, BIAS=biases is not None, num_warps=tile.warps,
    )  # fmt: skip


def attend(queries: torch.Tensor, cache: torch.Tensor, out: torch.Tensor, step: Attention) -> None:
    """`out` (tokens, heads * d): attention over the queries' rows in `cache` (2, rows, key heads, length, d)."""
    count = len(queries) // step.wide
    size = max(16, triton.next_power_of_2(step.wide * step.heads // step.key_heads))
    split = 128 if step.span > 2048 else 64
    splits = triton.cdiv(step.span, split)
    options: dict[str, Any] = {"dtype": torch.float32, "device": queries.device}
    places = count * step.key_heads
    parts = torch.empty(places * splits * size, step.size, **options)
    highs, sums = torch.empty(2, places * splits * size, **options)
    _attend[(places, splits)](
        queries, step.positions, step.rows, cache[0], cache[1], cache.stride(1), cache.stride(2), step.scale,
        parts, highs, sums, step.done, out,
        HEADS=step.heads, KEY_HEADS=step.key_heads, D=step.size, WIDE=step.wide, Q=size, SPLIT=split, SPLITS=splits,
        num_warps=4 if size <= 32 else 8, num_stages=1,
    )  # fmt: skip


def _padded(tokens: int) -> int:
    return int(triton.next_power_of_2(tokens))
