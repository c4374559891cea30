r"""What the claims on the rank of smooth networks share: accumulated pulls, bounds on
rank and loss, what has moved.

Descent adds ``W(t) - W(0)``, whose row j is ``(α/n) a_j Σ_i c_ji y_i x_i`` with
``c_ji = Σ_{s<t} g_i(s) φ'_ji(s)``. As ``γ ≤ φ' ≤ 1``, all ``c_ji`` of one sample lie in
``[γΓ_i, Γ_i]``, ``Γ_i = Σ_{s<t} g_i(s)``. The rank bound of this module uses nothing
else.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ...data.dataset import SMALLEST_NORM, Dataset
from ...hypotheses.conditions import loss_ratio_constant
from ...losses import LOGISTIC
from ...measures.runs import networks
from ...training.trajectory import Trajectory, recorded_steps, step_size_of
from ...values.checks import fail
from ...values.scalars import leak_tensor

__all__ = [
    "fast_loss_bound",
    "log_loss_bound",
    "moved",
    "moved_rank",
    "moved_rank_bound",
    "pull_sums",
    "rank_constant",
    "slope_spread",
    "small_start_rank_bound",
    "steps_after_start",
]


def steps_after_start(run: Trajectory) -> Tensor:
    """Places (T',) of the records of a run of descent with step ≥ 1.

    Raises
    ------
    ValueError
        For a run of gradient flow, or one with no such record, or with one record only:
        no run is read off one state.
    """
    steps = recorded_steps(run)
    step_size_of(run)
    places = (steps >= 1).nonzero().flatten()
    if not len(places):
        fail("run", "a record after step 0", f"steps {steps.tolist()}")
    if len(steps) < 2:
        fail("run", "at least two records", f"steps {steps.tolist()}")
    return places


def pull_sums(run: Trajectory) -> tuple[Tensor, Tensor]:
    """Lower and upper bound (T, ...) on ``Σ_{s<t} G(W(s))`` at every record, equal
    where every step is recorded.

    Between records G is taken to lie between its values there, which is so while it
    does not rise and fall in between; under F-4.2's hypotheses it only falls. A run
    whose records begin later than step 0 is refused.
    """
    steps = recorded_steps(run)
    if int(steps[0]) != 0:
        fail("run", "a record of step 0", f"records from step {int(steps[0])} on")
    G = run.loss.g(run.margins).mean(-1)
    width = steps.diff().double().reshape(-1, *[1] * (G.ndim - 1))
    # The step that follows a record is that record's own G; the others of the interval
    # lie between both ends.
    first = G[:-1]
    rest = width - 1
    low = (first + rest * torch.minimum(G[:-1], G[1:])).cumsum(0)
    high = (first + rest * torch.maximum(G[:-1], G[1:])).cumsum(0)
    zero = torch.zeros_like(G[:1])
    return torch.cat([zero, low]), torch.cat([zero, high])


def rank_constant(data: Dataset, gamma: float | Tensor) -> Tensor:
    """``C_2 = 256 C_R R⁴/γ²`` (...), the bound on the stable rank that the proof of
    F-4.2.3 ends with.
    """
    return (
        256
        * loss_ratio_constant(data, gamma)
        * data.R.double() ** 4
        / leak_tensor(gamma) ** 2
    )


def slope_spread(gamma: float | Tensor) -> Tensor:
    """``(1+γ)²/(4γ)``: the most that ``E c²/(E c)²`` can be for numbers between γ and 1
    (Kantorovich).
    """
    gamma = leak_tensor(gamma)
    return (1 + gamma) ** 2 / (4 * gamma)


def moved_rank_bound(data: Dataset, gamma: float | Tensor) -> Tensor:
    """``cond(Ĝ) (1+γ)²/(4γ)`` (...), ``Ĝ`` the matrix of cosines: bounds the stable
    rank of ``W(t) - W(0)`` at every step. Proved in the chapter; ∞ for dependent
    samples, a zero one included.
    """
    unit = data.x.double() / data.norms.double().clamp_min(SMALLEST_NORM).unsqueeze(-1)
    values = torch.linalg.eigvalsh(unit @ unit.mT)
    lowest = values[..., 0]
    # Below rounding the samples are dependent.
    spread = torch.where(
        lowest > 1e-13 * values[..., -1], values[..., -1] / lowest, math.inf
    )
    return spread * slope_spread(gamma)


def small_start_rank_bound(gamma: float | Tensor) -> Tensor:
    """``1.04 (1+γ)²/(4γ)``: bounds the stable rank of W(t), t ≥ 1, under the hypotheses
    of F-4.2 (proved in the chapter).
    """
    return 1.04 * slope_spread(gamma)


def moved(run: Trajectory) -> Tensor:
    """``W(t) - W(0)`` (T, ..., m, d) at every record."""
    return networks(run).weights - run.initial.weights


def moved_rank(run: Trajectory) -> Tensor:
    """Stable rank (T, ...) of ``W(t) - W(0)``; NaN where nothing has moved."""
    values = torch.linalg.svdvals(moved(run))
    return (values / values[..., :1]).square().sum(-1)


def log_loss_bound(run: Trajectory, gamma: float | Tensor) -> Tensor:
    """Logarithm (T', ...) of ``2 √(16 L(W(0)) n R²/(γ² R_min² α (t+1)))``, F-4.2.1's
    bound with the constant of its proof, at the records with t ≥ 1.
    """
    data = run.data
    t = recorded_steps(run)[steps_after_start(run)].double() + 1
    t = t.reshape(-1, *[1] * (run.log_loss.ndim - 1))
    start = LOGISTIC.log_mean(run.data.y * run.initial(run.data.x)).exp()
    step = torch.as_tensor(step_size_of(run), dtype=torch.float64)
    unit = (
        16
        * start
        * data.n
        * data.R.double() ** 2
        / (leak_tensor(gamma) ** 2 * data.R_min.double() ** 2 * step)
    )
    return math.log(2) + 0.5 * (unit / t).log()


def fast_loss_bound(
    data: Dataset, gamma: float | Tensor, step_size: float | Tensor, t: Tensor
) -> Tensor:
    """``n/(0.35 γ² R_min² α (t-1))`` (...): a bound on L(W(t)), t ≥ 2, under the
    hypotheses of F-4.2 (proved in the chapter).
    """
    step = torch.as_tensor(step_size, dtype=torch.float64)
    return data.n / (
        0.35
        * leak_tensor(gamma) ** 2
        * data.R_min.double() ** 2
        * step
        * (t.double() - 1)
    )
