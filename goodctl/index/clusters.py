"""The centres of inverted lists: k-means and nearest centres, as matrix products on the model's device.

faiss has both, on its own CPU library; here they take the device and the precision that computes fastest, which is what
makes adding to a store cheap. What a centre is need not be exact: rows are encoded relative to the centre they are
given, and the search asks for several.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch

from goodctl.models.device import computes_bf16

Array = npt.NDArray[np.float32]

BLOCK_ROWS = 512
"""Small enough that nothing in a block is so large that the allocator fetches fresh pages for it each time."""

ITERATIONS = 8
"""Of k-means."""


def nearest(points: npt.NDArray[np.floating], centres: Array, device: torch.device) -> npt.NDArray[np.int64]:
    """The nearest centre of each point by squared L2 distance.

    Args:
        points: (n, D) float16 or float32.
        centres: (c, D) float32.
        device: Where to compute; in bf16 where the hardware does that natively.

    Returns:
        (n,) int64 numbers of centres.
    """
    precision = torch.bfloat16 if computes_bf16(device) else torch.float32
    # Distances stay the same when all is moved, and small numbers lose less to rounding.
    middle = torch.from_numpy(centres.mean(0)).to(device)
    moved = torch.from_numpy(centres).to(device) - middle  # (c, D)
    half_squares = (moved * moved).sum(1) / 2  # (c,)
    lowered = moved.to(precision).T.contiguous()  # (D, c)
    exact = torch.empty(BLOCK_ROWS, centres.shape[1], device=device)
    block = torch.empty_like(exact, dtype=precision)
    products = torch.empty(BLOCK_ROWS, len(centres), dtype=precision, device=device)
    likeness = torch.empty_like(products, dtype=torch.float32)
    found = torch.empty(len(points), dtype=torch.int64)
    for start in range(0, len(points), BLOCK_ROWS):
        chosen = torch.from_numpy(points[start : start + BLOCK_ROWS])
        rows = len(chosen)
        exact[:rows].copy_(chosen)
        torch.sub(exact, middle, out=exact)
        block.copy_(exact)
        torch.mm(block, lowered, out=products)  # (b, c)
        torch.sub(products, half_squares, out=likeness)  # half of |p|² - |p - c|²: largest where the centre is nearest
        found[start : start + rows] = likeness[:rows].argmax(1)
    return found.numpy()


def kmeans(points: Array, count: int, device: torch.device, seed: int = 0) -> Array:
    """Centres by Lloyd's algorithm, from random points; the same seed gives the same centres on the same machine.

    Args:
        points: (n, D) float32, n at least ``count``.
        count: Number of centres.
        device: Where to compute.
        seed: Chooses the first centres.

    Returns:
        (count, D) float32.
    """
    rng = np.random.default_rng(seed)
    centres = points[np.sort(rng.choice(len(points), count, replace=False))].copy()
    for _ in range(ITERATIONS if count > 1 else 1):
        of_point = nearest(points, centres, device)
        sizes = np.bincount(of_point, minlength=count)
        order = np.argsort(of_point, kind="stable")
        starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
        filled = sizes > 0
        sums = np.add.reduceat(points[order], starts[filled], axis=0, dtype=np.float32)
        centres[filled] = sums / sizes[filled, None]
        _refill(centres, sizes, rng)
    return centres


def _refill(centres: Array, sizes: npt.NDArray[np.int64], rng: np.random.Generator) -> None:
    """Give each centre without points a place beside a crowded one, so that the two share its points."""
    empty = np.flatnonzero(sizes == 0)
    if not len(empty):
        return
    crowded = np.argsort(-sizes, kind="stable")[: len(empty)]
    crowded = crowded[sizes[crowded] > 0]
    spread = 1e-3 * np.abs(centres).mean()
    for place, source in zip(empty, np.resize(crowded, len(empty)), strict=True):
        centres[place] = centres[source] + spread * rng.standard_normal(centres.shape[1], dtype=np.float32)
