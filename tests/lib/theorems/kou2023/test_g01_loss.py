"""Kou et al., Lemma G.1: how fast the loss of a ReLU network falls, with its constants."""

import math

import pytest
from killed_relu_cases import descend_narrow
from relu_cases import descend

import implicit_bias as ib
from implicit_bias.theorems.kou2023 import relu_setting


def test_loss_bound_by_loops():
    data = ib.data.correlated(4, p=0.01, signs="random", norms=[1, 1.2, 1, 1])
    run = descend(data, m=6, steps=50, seed=4)
    net = run.initial
    n = 4
    m = 6
    eta = 0.5
    z = net.preactivations(data.x)
    size = [
        sum(
            1
            for j in range(12)
            if float(net.a[j] * data.y[i]) > 0 and float(z[j, i]) >= 0
        )
        for i in range(n)
    ]
    b = float(z.abs().max())
    P = float(relu_setting.paper_correlation(data))
    assert P == pytest.approx(n * 0.01)
    c1 = float(relu_setting.balance_of_active(run)[0].min())
    cp = m / min(size)
    alpha = (1 - (1 + cp) * P / c1) / (cp**2 * (1 + P / c1))
    slack = math.inf
    for k, t in enumerate(run.step.tolist()):
        if t:
            terms = [
                (
                    1
                    + eta
                    * size[i]
                    * float(data.norms[i]) ** 2
                    * math.exp(-b)
                    * t
                    / (2 * n * m**2)
                )
                ** -alpha
                for i in range(n)
            ]
            slack = min(
                slack, math.exp(2 * b) * sum(terms) / n / float(run.log_loss[k].exp())
            )
    assert ib.claims["K-G.1"].check(run).slack == pytest.approx(slack)


def test_one_record_after_the_start_is_enough_for_the_loss_bound():
    run = descend_narrow(ib.data.orthogonal(4), steps=100, record=[0, 100])
    verdict = ib.claims["K-G.1"].check(run)
    assert verdict.conclusion == "holds" and verdict.worst == "record 0"
