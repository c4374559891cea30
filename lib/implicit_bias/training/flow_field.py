"""The right-hand side of gradient flow on the loss clock, for the activation pattern
that it holds fixed.
"""

from __future__ import annotations

import torch
from torch import Tensor

from .problem import Problem
from .runge_kutta import Point

__all__ = ["Field"]


class Field:
    """Where the runs of a batch stand, the slopes of their pairs (neuron, sample), which of
    these slide along their kink, and the velocity that follows.
    """

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.span = problem.span
        shape = problem.span.state_shape
        c = torch.zeros(
            shape if problem.batch else (1, *shape),
            dtype=torch.float64,
            device=problem.y.device,
        )
        z = problem.span.preactivations(c)
        flat = [z.flatten(1), z.new_zeros(len(z), 1), c.flatten(1)]
        self.here = Point(torch.cat(flat, dim=1), *z.shape[1:])
        low = torch.as_tensor(
            problem.activation.gamma, dtype=torch.float64, device=c.device
        )
        self.low = (low[..., None, None] if low.ndim else low).expand_as(z)
        self.kinked = self.low < 1
        # Only there do both sides of a kink push a preactivation back to it: raising the
        # slope must slow it down.
        self.restoring = (problem.a * problem.y < 0).expand_as(z)
        self.slopes = problem.activation.derivative(z).expand_as(z).clone()
        self.sliding = torch.zeros_like(z, dtype=torch.bool)
        self.gram = problem.span.x @ problem.span.x.mT
        self.independent = bool((torch.linalg.cond(self.gram) < 1e12).all())

    def velocity(self, point: Point, out: Point | None = None) -> Point:
        """Velocity at a point, with the activation pattern held fixed."""
        out = out or point.like(torch.empty_like(point.flat))
        pull, _ = self.pull(point.z)
        along = self.span.velocity(pull)
        dz = along @ self.span.readout
        # ‖∇ log L‖² = Σ_ik pull_i ⟨x_i, x_k⟩ pull_k, and pull @ gram is dz.
        inverse = (pull * dz).sum((-2, -1), keepdim=True).reciprocal()
        torch.mul(dz, inverse, out=out.z)
        torch.mul(along, inverse, out=out.c)
        torch.sub(inverse[:, 0, 0], point.tL, out=out.tL)
        return out

    def pull(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Coefficients of the samples in ``-∇_{w_j} log L``, and those a neuron would
        have at slope 1.
        """
        problem = self.problem
        if not problem.activation.piecewise_linear:
            f = (problem.a * problem.activation.value(z)).sum(-2, keepdim=True)
            slopes = problem.activation.derivative(z)
        else:
            slopes = self.slopes
            f = (problem.a * slopes * z).sum(-2, keepdim=True)
        q = problem.y * f
        log_total = torch.logsumexp(problem.loss.log_value(q), dim=-1, keepdim=True)
        at_slope_one = problem.a * (
            problem.y * torch.exp(problem.loss.log_g(q) - log_total)
        )
        pull = slopes * at_slope_one
        return (self.hold(pull) if self.sliding.any() else pull), at_slope_one

    def hold(self, pull: Tensor) -> Tensor:
        """Replace the coefficients of sliding pairs (neuron, sample) by those that keep
        their preactivation still.
        """
        runs, neurons = self.sliding.any(-1).nonzero(as_tuple=True)
        mask = self.sliding[runs, neurons].to(pull)
        gram = (
            self.gram[runs]
            if self.gram.ndim == 3
            else self.gram.expand(len(runs), -1, -1)
        )
        free = pull[runs, neurons] * (1 - mask)
        matrix = gram * mask.unsqueeze(-1) * mask.unsqueeze(-2) + torch.diag_embed(
            1 - mask
        )
        push = -(free.unsqueeze(-2) @ gram).squeeze(-2) * mask
        held = pull.clone()
        push = push.unsqueeze(-1)
        hold = (
            torch.linalg.solve(matrix, push)
            if self.independent
            else torch.linalg.lstsq(matrix, push).solution
        )
        held[runs, neurons] = free + hold.squeeze(-1)
        return held

    def holding(self, z: Tensor) -> Tensor:
        """The slopes that hold sliding pairs at their kink (b, m, n); a middling one
        elsewhere.
        """
        pull, at_slope_one = self.pull(z)
        return torch.where(
            self.sliding & (at_slope_one != 0), pull / at_slope_one, (1 + self.low) / 2
        )

    def room(self, point: Point) -> Tensor:
        """How far the holding slopes are from leaving ``[γ, 1]`` (b,); negative once
        one has left.
        """
        slope = self.holding(point.z)
        return torch.minimum(1 - slope, slope - self.low).amin((-2, -1))
