"""Real data that need no download: handwritten digits, two of them at a time."""

from __future__ import annotations

from collections.abc import Iterable

import torch

from ..values.checks import fail, shown
from ..values.scalars import a_flag, positive_int
from .dataset import Dataset
from .made_to_order import whitened
from .span import generator

__all__ = ["digits"]


def _two_digits(classes: Iterable[object]) -> tuple[int, int]:
    """Two different digits."""
    try:
        found = tuple(
            positive_int(label, "classes", least=0, most=9) for label in classes
        )
    except (TypeError, ValueError):
        found = ()
    if len(found) != 2 or found[0] == found[1]:
        fail("classes", "two different digits", shown(classes))
    return found


def digits(
    n: int | None = None,
    classes: tuple[int, int] = (3, 8),
    seed: int | None = 0,
    *,
    centre: bool = False,
    whiten: bool = False,
) -> Dataset:
    """Handwritten digits (8 × 8 pixels, ships with scikit-learn): ``classes[0]`` is +1,
    ``classes[1]`` is -1.

    Pixels are scaled to [0, 1]. ``n`` samples are drawn without replacement, evenly
    between the classes. Needs scikit-learn.

    Parameters
    ----------
    centre : bool
        Subtract the mean of the drawn images. Then ``Σ x_i = 0``, so
        ``R_max² ≤ (n-1) p``: every theorem's condition on the data fails, at every
        ``n ≥ 2``.
    whiten : bool
        Replace the samples X (n, 64) by :func:`whitened` ones, which are orthonormal.

    Raises
    ------
    ValueError
        With ``whiten``, when the images are linearly dependent: beyond about 60 of
        them, or centred.
    """
    from sklearn.datasets import load_digits

    images, target = load_digits(return_X_y=True)
    classes = _two_digits(classes)
    centre = a_flag(centre, "centre")
    whiten = a_flag(whiten, "whiten")
    stream = generator(seed)
    rows = []
    for position, label in enumerate(classes):
        members = torch.from_numpy((target == label).nonzero()[0])
        want = (
            len(members)
            if n is None
            else (positive_int(n, "n", least=2) + 1 - position) // 2
        )
        if want > len(members):
            fail("n", f"at most {2 * len(members)} samples of these classes", n)
        rows.append(members[torch.randperm(len(members), generator=stream)[:want]])
    x = torch.from_numpy(images).to(torch.float64)[torch.cat(rows)] / 16
    if centre:
        x = x - x.mean(0)
    if whiten:
        x = whitened(x)
    return Dataset(x, torch.cat([torch.ones(len(rows[0])), -torch.ones(len(rows[1]))]))
