"""The setting of Kou, Chen and Gu: networks, start, step, and what the proofs read off
them.
"""

import pytest
import torch
from decomposition_cases import at_the_edge

import implicit_bias as ib
from implicit_bias.theorems.kou2023 import sample_clocks
from implicit_bias.theorems.kou2023 import setting as kou_setting
from implicit_bias.theorems.setting import largest_start


def test_every_step_of_the_proof():
    run = at_the_edge(3, relu=False)
    run = ib.gradient_descent(
        run.initial, run.data, run.step_size, 1500, record=range(1501)
    )
    ours = sample_clocks.clocks_of(run)
    h = kou_setting.gains(run)
    gamma = float(run.initial.activation.gamma)
    g = ib.losses.LOGISTIC.g(run.margins)
    B = h * (g.cumsum(0) - g)
    rho = ib.measures.rho_along(run)
    slope = torch.where(ib.measures.own_class(run.initial, run.data), 1.0, gamma)
    beta = float(largest_start(run.initial, run.data))
    eps = (1 - gamma) * (2 * beta / gamma + float(h.max()))
    lean = run.data.p * (run.data.n - 1) / run.data.R_min**2 * ours.D
    assert float(lean) == pytest.approx(float(ours.delta))
    z = ib.measures.networks(run).preactivations(run.data.x)
    rounding = 1e-12
    assert bool((rho.abs() <= B[:, None] + rounding).all()) and bool(
        (rho.abs() >= gamma * B[:, None] - rounding).all()
    )
    assert bool(((z - z[0] - rho).abs() <= ours.delta * B[:, None] + rounding).all())
    assert bool(((rho.abs() - slope * B[:, None]).abs() <= eps + rounding).all())
    assert float(ours.E) == pytest.approx(2 * beta + eps)
    assert bool(
        (
            (run.margins - (1 + gamma**2) * B).abs()
            <= 2 * ours.delta * B + ours.E + rounding
        ).all()
    )
    assert bool((B[1:].amin(-1) >= ours.balance * B[1:].amax(-1)).all())
    t = run.step[1:, None].double()
    under = torch.log1p(ours.fast * h * torch.exp(-ours.E) * t / 2) / ours.fast
    alpha = ours.slow * h * torch.exp(ours.E)
    assert bool((B[1:] >= under).all()) and bool(
        (B[1:] <= torch.log1p(alpha * alpha.exp() * t) / ours.slow).all()
    )
