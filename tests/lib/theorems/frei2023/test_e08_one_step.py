"""Frei et al., Lemma E.8: one step evens out what is uneven."""

import math

import pytest
import torch
from hypothesis import given
from loss_ratio_cases import SEEDS, crowd, nearly_orthogonal
from smooth_constants_cases import leaning, short, slack_of

import implicit_bias as ib
from implicit_bias.theorems.frei2023 import (
    e08_one_step,
    e10_invariant,
    gradients,
    one_step,
)

SMOOTH_03 = ib.smoothed_leaky_relu(0.3)


@given(SEEDS)
def test_contraction_on_random_networks_in_the_words_of_the_lemma(seed):
    data = nearly_orthogonal(seed)
    nets, c, alpha = crowd(seed, data)
    made = one_step.one_step(nets, data, alpha)
    g = made.g
    n = data.n
    R2 = float(data.R) ** 2
    left, right = e08_one_step.step_sides(made, data, c, alpha)
    for k in range(0, len(c), 17):
        a = float(alpha[k])
        ck = float(c[k])
        G = float(g[k].mean())
        for i in range(n):
            for j in range(n):
                gi = float(g[k, i])
                gj = float(g[k, j])
                exponent = (
                    -gj * a * ck * float(data.R_min) ** 2 / n * (gi / gj - R2 / ck)
                )
                exponent += a * float(data.R_max) ** 2 * G / ((10 * R2 / ck + 10) * n)
                growth = float(made.log_growth[k, i, j])
                assert growth <= exponent + 1e-12
                assert (a / n) * float(right[k, i, j] - left[k, i, j]) == pytest.approx(
                    exponent - growth, abs=1e-12
                )


def test_contraction_check_sees_every_pair():
    """The slack is that of the worst pair, by a loop, at the one record where that is."""
    data = nearly_orthogonal(1, p=1e-4)
    start = ib.TwoLayer.init(data, 3, 3, SMOOTH_03, 1.0, seed=0)
    run = ib.gradient_descent(start, data, 1e-4, 40, record=[0, 10, 40])
    verdict = ib.claims["F-E.8"].check(run)
    worst = math.inf
    for k in range(3):
        net = run.net(k)
        made = one_step.one_step(net, data, 1e-4)
        c = float(gradients.persistence(net, data).min())
        K = 10 * float(data.R) ** 2 / c + 10
        for i in range(4):
            for j in range(4):
                left = 4 / 1e-4 * float(made.dq[j] - made.dq[i]) + c * float(
                    data.R_min
                ) ** 2 * float(made.g[i])
                right = float(data.R_max) ** 2 * (float(made.g[j]) + float(made.G) / K)
                worst = min(worst, right / left if left > 0 else math.inf)
    assert verdict.slack == pytest.approx(worst) and verdict.verdict == "holds"


def test_contraction_is_false_when_persistence_is_overstated():
    """With c = 1 the bound says more than is true, and the check both sees that and
    calls it vacuous.
    """
    data = ib.data.orthogonal(4, norms=[1, 2, 1, 2])
    start = ib.TwoLayer.init(data, 3, 3, SMOOTH_03, 1e-6, seed=0)
    run = ib.gradient_descent(start, data, 1e-4, 2, record=[0, 1])
    assert ib.claims["F-E.8"].check(run).verdict == "holds"
    verdict = ib.claims["F-E.8"].check(run, c=1.0)
    assert verdict.verdict == "vacuous" and "E.6 fails" in verdict.why


def test_hypotheses_of_one_step_by_hand():
    data = leaning()
    run = short(data)
    seen = {"E.6": [], "E.5": [], "step": [], "wide step": [], "ρ": []}
    for k in range(3):
        net = run.net(k)
        c = float(gradients.persistence(net, data).min())
        K = 10 * 4 / c + 10
        seen["E.6"].append(1.0)
        seen["E.5"].append(
            float(gradients.orthogonality(net, data).min()) / (25 * 4 / c + 25)
        )
        seen["step"].append(1 / (5 * 0.15 * 4 * 4 * K) / 1e-4)
        seen["wide step"].append(1 / (5 * 1.0 * 4 * 4 * K) / 1e-4)
        q = run.margins[k]
        seen["ρ"].append(max(math.exp(float(q.max() - q.min())), 5 * 4 / c + 5))
    verdict = ib.claims["F-E.8"].check(run)
    for name in ("E.6", "E.5", "step"):
        assert slack_of(verdict, name) == pytest.approx(min(seen[name]), rel=1e-6)
    parts, after, log_rho = e10_invariant.invariant_parts(
        ib.measures.networks(run), data, torch.tensor(1e-4), None, None, "logistic", 1.0
    )
    assert log_rho.exp().tolist() == pytest.approx(seen["ρ"])
    wide = next(h for h in parts if h.name == "step")
    assert wide.slack.tolist() == pytest.approx(seen["wide step"])
    later = run.margins[1:].amax(-1) - run.margins[1:].amin(-1)
    assert after[:2].tolist() == pytest.approx(later.tolist())
