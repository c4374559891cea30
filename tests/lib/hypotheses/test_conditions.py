import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import implicit_bias as ib
from implicit_bias.hypotheses.conditions import (
    A1,
    A2,
    H_3_2,
    H_4_2,
    H_K4_1,
    H_K4_3,
    H_S1,
    loss_ratio_constant,
)

DATA_ONLY = {"H_3_2": H_3_2, "H_4_2": H_4_2, "H_S1": H_S1}


def by_hand(data, gamma):
    """The slacks of the conditions on the data, from their formulas in Python floats."""
    x = data.x.tolist()
    inner = [[sum(a * b for a, b in zip(r, s)) for s in x] for r in x]
    n = len(x)
    low = min(inner[i][i] for i in range(n))
    high = max(inner[i][i] for i in range(n))
    p = max(abs(inner[i][k]) for i in range(n) for k in range(n) if i != k)
    C_R = 10 * high / low / gamma**2 + 10
    return {
        "H_3_2": low / (3 / gamma**3 * (high / low) * n * p),
        "H_4_2": low / (5 / gamma**2 * C_R * n * p),
        "H_S1": low / (3 / gamma**3 * n * p),
    }


@given(
    seed=st.integers(0, 9999),
    n=st.integers(2, 6),
    d=st.integers(1, 9),
    gamma=st.floats(0.05, 1),
)
def test_slacks_are_those_of_the_formulas(seed, n, d, gamma):
    data = ib.data.gaussian(n, d, seed)
    for name, exact in by_hand(data, gamma).items():
        hypothesis = DATA_ONLY[name](data, gamma)
        assert hypothesis.slack.item() == pytest.approx(exact, rel=1e-9)
        assert hypothesis.slack.item() == pytest.approx(
            (hypothesis.lhs / hypothesis.rhs).item()
        )
        assert bool(hypothesis.holds) == (hypothesis.slack >= 1)


@given(seed=st.integers(0, 9999), factor=st.floats(1e-6, 1e6))
def test_conditions_on_the_data_forget_scale_order_and_rotation(seed, factor):
    data = ib.data.gaussian(4, 6, seed)
    stream = ib.span.generator(seed)
    rotation, _ = torch.linalg.qr(
        torch.randn(6, 6, generator=stream, dtype=torch.float64)
    )
    moved = ib.Dataset(factor * (data.x @ rotation)[[2, 0, 3, 1]], data.y)
    for condition in DATA_ONLY.values():
        torch.testing.assert_close(
            condition(moved, 0.3).slack, condition(data, 0.3).slack, rtol=1e-8, atol=0
        )


def test_step_and_scale_conditions_by_hand():
    data = ib.Dataset(
        torch.diag(torch.tensor([2.0, 2.0, 4.0])), [1, -1, 1], ambient_dim=100
    )
    C_R = 10 * 4 / 0.25 + 10
    assert loss_ratio_constant(data, 0.5).item() == C_R
    a1 = 0.25 / (5 * 3 * 16 * 4 * C_R)
    assert A1(data, 0.5, 0.125, 1e-3).slack.item() == pytest.approx(a1 / 1e-3)
    assert A1(data, 0.5, 2.0, 1e-3).slack.item() == pytest.approx(a1 / 2 / 1e-3)
    a2 = 1e-3 * 0.25 * 2 / (72 * 2 * C_R * 3 * math.sqrt(8 * 100 * math.log(32 / 0.05)))
    assert A2(data, 0.5, 8, 1e-3, 1e-9, delta=0.05).slack.item() == pytest.approx(
        a2 / 1e-9
    )
    step, scale = H_K4_1(data, 0.5, 8, 0.1, 1e-3, C=2.0, delta=0.05).parts
    assert step.slack.item() == pytest.approx(3 * 8 / (2 * 16) / 0.1)
    assert scale.slack.item() == pytest.approx(
        0.5 / (2 * 4 * math.sqrt(math.log(24 / 0.05))) / 1e-3
    )
    *_, scale, width = H_K4_3(data, 8, 0.1, 1e-3, C=2.0, delta=0.05).parts
    assert scale.slack.item() == pytest.approx(
        1 / (2 * 4 * math.sqrt(math.log(24 / 0.05))) / 1e-3
    )
    assert width.slack.item() == pytest.approx(8 / (2 * math.log(3 / 0.05)))


def test_data_parts_of_kou_by_hand():
    data = ib.data.correlated(4, p=0.01)
    assert H_K4_1(data, 0.5, 10**9, 1e-9, 1e-9).slack.item() == pytest.approx(
        0.5**4 / 0.04
    )
    assert H_K4_3(data, 10**9, 1e-9, 1e-9, C=3.0).slack.item() == pytest.approx(
        1 / (3 * 0.04)
    )


def test_slack_of_many_conditions_is_the_smallest():
    data = ib.data.correlated(4, p=0.01)
    whole = H_K4_3(data, 5, 1e-9, 1e-9)
    assert whole.slack == whole.parts[-1].slack < 1 and not whole.holds


def test_orthogonal_data_give_infinite_slack_and_a_zero_row_none():
    orthogonal = ib.data.orthogonal(3)
    zero = ib.Dataset([[1.0, 0.0], [0.0, 0.0]], [1, -1])
    zeros = ib.Dataset(torch.zeros(2, 2), [1, -1])
    for condition in DATA_ONLY.values():
        assert (
            condition(orthogonal, 0.5).slack == float("inf")
            and condition(orthogonal, 0.5).holds
        )
        for data in (zero, zeros):
            assert condition(data, 0.5).slack == 0 and not condition(data, 0.5).holds
    for data in (zero, zeros):
        others = (
            A1(data, 0.5, 1.0, 0.1),
            A2(data, 0.5, 4, 0.1, 0.1),
            A2(data, 0.5, 4, 0.1, 0.0),
            H_K4_1(data, 0.5, 4, 0.1, 0.1),
            H_K4_3(data, 4, 0.1, 0.1),
        )
        for hypothesis in others:
            assert hypothesis.slack == 0, hypothesis


def test_one_sample_meets_every_condition_on_the_data():
    for condition in DATA_ONLY.values():
        assert condition(ib.Dataset([[1.0, 2.0]], [1]), 0.1).holds


def test_frei_data_condition_holds_in_ten_to_the_ten_dimensions():
    assert (
        H_4_2(ib.data.gaussian(10, 1e10), 0.5).holds
        and not H_4_2(ib.data.gaussian(10, 1e4), 0.5).holds
    )


def test_batches_of_data_slopes_steps_and_scales():
    sets = [ib.data.gaussian(4, 50, s) for s in range(2)]
    data = ib.Dataset(
        torch.stack([d.x for d in sets]), torch.stack([d.y for d in sets])
    )
    gamma = torch.tensor([0.2, 0.9], dtype=torch.float64)
    for condition in DATA_ONLY.values():
        slack = condition(data, gamma).slack
        assert slack[1].item() == pytest.approx(condition(sets[1], 0.9).slack.item())
    steps = torch.tensor([0.1, 0.2], dtype=torch.float64)
    assert A1(data, gamma, (1 - gamma) / 4, steps).slack.shape == (2,)
    assert A2(sets[0], 0.5, 4, steps, steps).slack.shape == (2,)
    assert H_K4_1(data, gamma, 4, steps, steps).slack.shape == (2,)


def test_bad_input_is_named(rejects):
    data = ib.data.gaussian(3, 5)
    for condition in DATA_ONLY.values():
        with rejects("gamma", "ReLU"):
            condition(data, 0)
        for gamma in (-0.1, 1.5, float("nan"), "steep"):
            with rejects("gamma"):
                condition(data, gamma)
    with rejects("gamma"):
        H_K4_1(data, 0, 4, 0.1, 0.1)
    for step_size in (0, -1.0, float("nan")):
        with rejects("step_size"):
            A1(data, 0.5, 1.0, step_size)
        with rejects("step_size"):
            H_K4_3(data, 4, step_size, 0.1)
    with rejects("H"):
        A1(data, 0.5, -1.0, 0.1)
    with rejects("H"):
        A1(data, 0.5, None, 0.1)
    for m in (0, 1.5):
        with rejects("m"):
            A2(data, 0.5, m, 0.1, 0.1)
        with rejects("m"):
            H_K4_3(data, m, 0.1, 0.1)
    with rejects("scale"):
        A2(data, 0.5, 4, 0.1, -1.0)
    for delta in (0, 1, 2.0, float("nan")):
        with rejects("delta"):
            A2(data, 0.5, 4, 0.1, 0.1, delta=delta)
    with rejects("C"):
        H_K4_3(data, 4, 0.1, 0.1, C=0)
