"""How much of a start still shows in a run's norms, and whether that can explain a limit
not reached.
"""

from __future__ import annotations

from torch import Tensor

from .long_runs import LongRun

__all__ = ["neuron_norms", "start_shows"]


START_FADED = 0.2
"""Limits in log t are read only where ``‖W(0)‖`` is at most this share of what training
has added.
"""


def neuron_norms(run: LongRun) -> Tensor:
    """``‖w_{j,r}‖`` (T, m) along a run, frozen parts included."""
    return run.nets.weight_gram().diagonal(dim1=-2, dim2=-1).clamp_min(0).sqrt()


def start_shows(run: LongRun) -> str:
    """A sentence when the start still shows in the norms, so that limits in log t
    cannot be read yet.
    """
    added = (run.nets.weights[-1] - run.initial.weights).norm()
    left = float(run.initial.frobenius() / added.clamp_min(1e-300))
    return (
        ""
        if left <= START_FADED
        else f"The start still shows (‖W(0)‖ is {left:.2g} times what was added):"
    )
