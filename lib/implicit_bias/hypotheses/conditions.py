r"""The hypotheses of each theorem as computed objects: left side, right side, slack
``lhs/rhs`` (holds iff ≥ 1).

``C_R = 10 R²/γ² + 10`` throughout, and ``p = max_{i≠k} |⟨x_i, x_k⟩|``. A zero sample
gives slack 0; orthogonal data give slack ∞. K leaves its constant C unspecified ("large
enough"): here it is a parameter.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..data.dataset import Dataset, a_dataset
from ..values.scalars import failure_probability, positive_int
from .hypothesis import Hypothesis, _leak_beside, _read, inequality

__all__ = [
    "A1",
    "A2",
    "H_3_2",
    "H_4_2",
    "H_K4_1",
    "H_K4_3",
    "H_S1",
    "data_conditions",
    "loss_ratio_constant",
]


def _bound(constant: object, data: Dataset, *, squared_ratio: bool) -> Tensor:
    """``constant · R² n p``, 0 for orthogonal data even where R is infinite."""
    p = data.p.double()
    size = (
        torch.as_tensor(constant, dtype=torch.float64)
        * data.n
        * p
        * (data.R.double() ** 2 if squared_ratio else 1.0)
    )
    return torch.where(p == 0, torch.zeros_like(size), size)


def loss_ratio_constant(data: Dataset, gamma: float | Tensor) -> Tensor:
    """``C_R = 10 R²/γ² + 10`` (...), the bound of F-E.4 on the ratio of losses."""
    gamma = _leak_beside(data, gamma)
    return 10 * data.R.double() ** 2 / gamma**2 + 10


def H_3_2(data: Dataset, gamma: float | Tensor) -> Hypothesis:
    """F-3.2's condition on the data: ``R_min² ≥ 3 γ⁻³ R² n p``."""
    gamma = _leak_beside(data, gamma)
    cube = gamma**3
    bound = _bound(3 / cube, data, squared_ratio=True)
    return inequality("H-3.2", "R_min² ≥ 3 γ⁻³ R² n p", data.R_min.double() ** 2, bound)


def H_S1(data: Dataset, gamma: float | Tensor) -> Hypothesis:
    """S-1's weaker condition, which is enough: ``R_min² ≥ 3 γ⁻³ n p``."""
    gamma = _leak_beside(data, gamma)
    cube = gamma**3
    bound = _bound(3 / cube, data, squared_ratio=False)
    return inequality("H-S1", "R_min² ≥ 3 γ⁻³ n p", data.R_min.double() ** 2, bound)


def H_4_2(data: Dataset, gamma: float | Tensor) -> Hypothesis:
    """F-4.2's condition on the data: ``R_min² ≥ 5 γ⁻² C_R n p``."""
    gamma = _leak_beside(data, gamma)
    factor = 5 / gamma**2 * loss_ratio_constant(data, gamma)
    bound = _bound(factor, data, squared_ratio=False)
    return inequality(
        "H-4.2", "R_min² ≥ 5 γ⁻² C_R n p", data.R_min.double() ** 2, bound
    )


def data_conditions(
    data: Dataset, gamma: float | Tensor, C: float = 1.0
) -> dict[str, Hypothesis]:
    """What each theorem asks of the data alone, by name: H-3.2, H-S1, H-4.2, H-K4.1,
    H-K4.3 (no steps, scales or widths).

    K's constant ``C`` is unspecified: the slack at ``C = 1`` is the largest C for which
    the condition holds.
    """
    leak = _leak_beside(data, gamma)
    constant = _read(data, C, "C")
    size = data.R_min.double() ** 2
    return {
        "H-3.2": H_3_2(data, gamma),
        "H-S1": H_S1(data, gamma),
        "H-4.2": H_4_2(data, gamma),
        "H-K4.1": inequality(
            "H-K4.1",
            "R_min² ≥ C R² γ⁻⁴ n p",
            size,
            _bound(constant / leak**4, data, squared_ratio=True),
        ),
        "H-K4.3": inequality(
            "H-K4.3",
            "R_min² ≥ C R² n p",
            size,
            _bound(constant, data, squared_ratio=True),
        ),
    }


def A1(
    data: Dataset, gamma: float | Tensor, H: float | Tensor, step_size: float | Tensor
) -> Hypothesis:
    """F-4.2's condition on the step: ``α ≤ γ² / (5 n R_max² R² C_R max(1, H))``; lhs is
    the bound, rhs is α.
    """
    gamma = _leak_beside(data, gamma)
    step_size = _read(data, step_size, "step_size")
    H = _read(data, H, "H", zero=True).clamp_min(1)
    below = (
        5
        * data.n
        * data.R_max.double() ** 2
        * data.R.double() ** 2
        * loss_ratio_constant(data, gamma)
        * H
    )
    return inequality(
        "A1", "α ≤ γ² / (5 n R_max² R² C_R max(1, H))", gamma**2 / below, step_size
    )


def A2(
    data: Dataset,
    gamma: float | Tensor,
    m: int,
    step_size: float | Tensor,
    scale: float | Tensor,
    delta: float = 0.01,
) -> Hypothesis:
    """F-4.2's condition on the initialisation:
    ``ω ≤ α γ² R_min / (72 R C_R n √(m d log(4m/δ)))``; lhs is the bound, rhs is ω.
    """
    gamma = _leak_beside(data, gamma)
    step = _read(data, step_size, "step_size")
    m = positive_int(m, "m")
    delta = failure_probability(delta)
    scale = _read(data, scale, "scale", zero=True)
    root = (
        torch.tensor(4.0 * m / delta, dtype=torch.float64).log() * m * data.ambient_dim
    ).sqrt()
    bound = (
        step
        * gamma**2
        * data.R_min.double()
        / (72 * data.R.double() * loss_ratio_constant(data, gamma) * data.n * root)
    )
    return inequality(
        "A2", "ω ≤ α γ² R_min / (72 R C_R n √(m d log(4m/δ)))", bound, scale
    )


def H_K4_1(
    data: Dataset,
    gamma: float | Tensor,
    m: int,
    step_size: float | Tensor,
    scale: float | Tensor,
    C: float = 1.0,
    delta: float = 0.01,
) -> Hypothesis:
    """K-4.1's conditions (m neurons of each sign): data ``R_min² ≥ C R² γ⁻⁴ n p``, step
    ``η ≤ nm/(C R_max²)``, scale ``σ₀ ≤ γ/(C R_max √log(mn/δ))``.
    """
    gamma = _leak_beside(data, gamma)
    constant = _read(data, C, "C")
    delta = failure_probability(delta)
    parts = _K_step_and_scale(data, gamma, m, step_size, scale, constant, delta)
    return inequality(
        "H-K4.1",
        "R_min² ≥ C R² γ⁻⁴ n p (and step, scale)",
        data.R_min.double() ** 2,
        _bound(constant / gamma**4, data, squared_ratio=True),
        parts,
    )


def H_K4_3(
    data: Dataset,
    m: int,
    step_size: float | Tensor,
    scale: float | Tensor,
    C: float = 1.0,
    delta: float = 0.01,
) -> Hypothesis:
    """K-4.3's conditions (ReLU): data ``R_min² ≥ C R² n p``, width ``m ≥ C log(n/δ)``,
    step as in K-4.1, scale ``σ₀ ≤ 1/(C R_max √log(mn/δ))``.
    """
    a_dataset(data)
    m = positive_int(m, "m")
    constant = _read(data, C, "C")
    delta = failure_probability(delta)
    one = torch.tensor(1.0, dtype=torch.float64)
    parts = _K_step_and_scale(data, one, m, step_size, scale, constant, delta)
    width = inequality(
        "width",
        "m ≥ C log(n/δ)",
        m,
        constant * torch.tensor(data.n / delta, dtype=torch.float64).log(),
    )
    return inequality(
        "H-K4.3",
        "R_min² ≥ C R² n p (and width, step, scale)",
        data.R_min.double() ** 2,
        _bound(constant, data, squared_ratio=True),
        (*parts, width),
    )


def _K_step_and_scale(
    data: Dataset,
    gamma: Tensor,
    m: int,
    step_size: object,
    scale: object,
    C: Tensor,
    delta: float,
) -> tuple[Hypothesis, Hypothesis]:
    m = positive_int(m, "m")
    step_size = _read(data, step_size, "step_size")
    scale = _read(data, scale, "scale", zero=True)
    R_max = data.R_max.double()
    root = torch.tensor(m * data.n / delta, dtype=torch.float64).log().sqrt()
    step = inequality(
        "step", "η ≤ nm / (C R_max²)", data.n * m / (C * R_max**2), step_size
    )
    return step, inequality(
        "scale", "σ₀ ≤ γ / (C R_max √log(mn/δ))", gamma / (C * R_max * root), scale
    )
