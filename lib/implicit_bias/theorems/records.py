"""Do the records of a run fit its networks, its data and its loss?"""

from __future__ import annotations

import torch
from torch import Tensor

from ..measures.runs import networks
from ..training.trajectory import FLOW, Trajectory
from ..values.checks import fail

__all__ = []


ALL_NORMS = 256
"""Networks up to this many neurons have every recorded spectral norm recomputed; of
wider ones, a few.
"""


def _relative(run: Trajectory) -> float:
    return max(1e-8, 1e3 * torch.finfo(run.margins.dtype).eps)


def _compare(
    run: Trajectory, name: str, field: str, expected: Tensor, size: Tensor, source: str
) -> None:
    """Refuse records of ``field`` (T, ...) that differ from ``expected`` by more than
    the rounding of ``size``.
    """
    found = getattr(run, field)
    if found.shape != expected.shape:
        fail(name, f"{field} of shape {tuple(expected.shape)}", tuple(found.shape))
    close = (found - expected).abs() <= _relative(run) * size
    close |= found == expected
    if not bool(close.all()):
        index = (
            int((~close).flatten(1).any(-1).nonzero()[0])
            if close.ndim > 1
            else int((~close).nonzero()[0])
        )
        fail(
            name,
            f"{field} that fit {source}",
            f"others at record {index}: the run is not what it says",
        )


def _records_fit(run: Trajectory, name: str) -> None:
    """Margins, losses and norms as the recorded networks, the data and the loss give
    them.
    """
    nets = networks(run)
    if nets.d != run.data.d:
        fail(name, f"data in {nets.d} dimensions, like its networks", run.data.d)
    z = nets.preactivations(run.data.x)
    a = nets.a.unsqueeze(-1)
    size = (a.abs() * z.abs()).sum(-2)
    margins = run.data.y * (a * nets.activation.value(z)).sum(-2)
    _compare(run, name, "margins", margins, size + 1e-300, "its networks and data")
    log_loss = run.loss.log_mean(run.margins)
    _compare(
        run,
        name,
        "log_loss",
        log_loss,
        1 + log_loss.abs(),
        f"its margins under {run.loss.name} loss",
    )
    frobenius = nets.frobenius().expand_as(run.frobenius)
    _compare(run, name, "frobenius", frobenius, frobenius + 1e-300, "its networks")
    _spectral_fits(run, name)
    _times_fit(run, name)


def _spectral_fits(run: Trajectory, name: str) -> None:
    last = len(run) - 1
    few = sorted({0, last // 3, last // 2, last - 1 if last else 0, last})
    for k in range(len(run)) if run.initial.m <= ALL_NORMS else few:
        net = run.net(k)
        expected = net.spectral().expand_as(run.spectral[k])
        # The square is what was computed: half the digits of a norm far below the largest.
        close = (run.spectral[k] - expected).abs() <= _relative(
            run
        ) ** 0.5 * 1e-2 * net.frobenius() + 1e-300
        if not bool(close.all()):
            fail(
                name,
                "spectral norms that fit its networks",
                f"others at record {k}: the run is not what it says",
            )


def _times_fit(run: Trajectory, name: str) -> None:
    clock, field = (run.step, "step") if run.rule != FLOW else (run.s, "s")
    if clock is None or clock.shape != run.log_loss.shape[:1]:
        fail(name, f"{field} with one time for each of {len(run)} records", clock)
    if len(run) > 1 and not bool(
        (clock.diff() > 0).all() if field == "step" else (clock.diff() >= 0).all()
    ):
        fail(name, f"{field} that rises from record to record", "one that does not")
    if field == "step" and run.step_size is None:
        fail(name, "a step size", None)
    if field == "s":
        _loss_clock_fits(run, name, clock)


def _loss_clock_fits(run: Trajectory, name: str, clock: Tensor) -> None:
    # Of a batch the run that is least far stands at the clock; none does before its start.
    reached = -run.log_loss.reshape(len(run), -1)
    start = -run.loss.log_mean(run.data.y * run.initial(run.data.x))
    off = (reached.amin(-1) - clock).abs() > 1e-3 * (1 + clock.abs())
    if run.outcome.ok and bool((off & (clock > start.min())).any()):
        fail(
            name,
            "s that fit its losses",
            "a clock other than log(1/L): the run is not what it says",
        )
    log_time = run.log_time
    if log_time is None or log_time.shape != run.log_loss.shape:
        fail(name, "log_time with one entry for each loss", log_time)
    if bool((log_time[1:] < log_time[:-1] - 1e-9).any()):
        fail(name, "log_time that rises from record to record", "one that falls")
