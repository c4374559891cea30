"""Non-negative least squares that is checked, margins of rows of any length, KKT
residuals at any scale and size.
"""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import lsq_linear

import implicit_bias as ib
from implicit_bias.margin import columns
from implicit_bias.margin import least_distance as solver


def problem(rows=6, columns=4, seed=0):
    stream = np.random.default_rng(seed)
    return stream.standard_normal((rows, columns)), stream.standard_normal(rows)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 8), st.integers(1, 8))
def test_answers_meet_their_own_conditions(seed, rows, columns):
    A, b = problem(rows, columns, seed)
    x = solver.nonnegative_least_squares(A, b)
    assert solver.missed(A, b, x) <= solver.OPTIMAL
    other = lsq_linear(A, b, bounds=(0, np.inf), method="bvls", tol=1e-14).x
    assert (
        np.linalg.norm(A @ x - b) <= np.linalg.norm(A @ other - b) * (1 + 1e-9) + 1e-12
    )


@pytest.mark.parametrize("fault", ["wrong", "negative", "nan", "raises", "singular"])
def test_a_solver_that_fails_is_noticed(fault, monkeypatch):
    A, b = problem()
    expected = solver.nonnegative_least_squares(A, b)

    def broken(A, b, maxiter=None):
        if fault == "raises":
            raise RuntimeError("too many iterations")
        if fault == "singular":
            raise np.linalg.LinAlgError("singular")
        answer = {
            "wrong": 0.9 * expected,
            "negative": expected - 1,
            "nan": expected * np.nan,
        }[fault]
        return answer, 0.0

    monkeypatch.setattr("scipy.optimize.nnls", broken)
    np.testing.assert_allclose(
        solver.nonnegative_least_squares(A, b), expected, atol=1e-9
    )


def test_missed_sees_each_condition():
    A = np.eye(2)
    b = np.array([1.0, -1.0])
    assert solver.missed(A, b, np.array([1.0, 0.0])) == 0
    assert solver.missed(A, b, np.array([0.5, 0.0])) == pytest.approx(0.5 / 2**0.5)
    assert solver.missed(A, b, np.array([1.5, 0.0])) == pytest.approx(0.5 / 2**0.5)
    assert solver.missed(A, b, np.array([1.0, -0.1])) == np.inf


@pytest.mark.parametrize("short", [1e-3, 1e-5, 1e-8, 1e-100])
def test_short_rows_are_separated(short):
    best = ib.max_margin(ib.Dataset([[short, 0.0], [0.0, 1.0]], [1, -1]))
    assert bool(best.separable)
    assert float(best.margin) == pytest.approx(short / (1 + short**2) ** 0.5, rel=1e-9)
    torch.testing.assert_close(
        best.z, torch.tensor([1 / short, -1.0], dtype=torch.float64), rtol=1e-9, atol=0
    )


@pytest.mark.parametrize("angle", [1e-1, 1e-3, 1e-5])
def test_samples_nearly_opposed_are_separated(angle):
    data = ib.Dataset([[1.0, angle], [1.0, -angle]], [1, -1])
    assert float(ib.max_margin(data).margin) == pytest.approx(angle, rel=1e-6)


@pytest.mark.parametrize(
    "x, y",
    [
        ([[1.0, 2.0], [1.0, 2.0]], [1, -1]),
        ([[0.0, 0.0], [1.0, 0.0]], [1, 1]),
        ([[1.0], [-2.0]], [1, 1]),
    ],
)
def test_what_cannot_be_separated(x, y):
    best = ib.max_margin(ib.Dataset(x, y))
    assert not bool(best.separable)
    assert float(best.margin) == 0


@settings(max_examples=25, deadline=None)
@given(st.floats(-140, 140), st.integers(0, 1000))
def test_margins_scale_with_the_samples(power, seed):
    data = ib.data.gaussian(5, 8, seed=seed)
    scaled = ib.max_margin(ib.Dataset(data.x * 10.0**power, data.y))
    plain = ib.max_margin(data)
    assert float(scaled.margin) == pytest.approx(
        float(plain.margin) * 10.0**power, rel=1e-9
    )


def test_multipliers_of_single_precision_samples_do_not_vanish():
    best = ib.max_margin(ib.Dataset(torch.eye(2) * 1e30, [1, -1]))
    torch.testing.assert_close(
        best.lam, torch.full((2,), 1e-60, dtype=torch.float64), rtol=1e-6, atol=0
    )


# -- KKT residuals --------


def trained(n=8, d=12, m=4, seed=0):
    data = ib.data.gaussian(n, d, seed=seed, space="full")
    net = ib.TwoLayer.init(data, m, m, ib.leaky_relu(0.3), 0.3, seed=seed)
    return ib.gradient_descent(net, data, 0.3, 400, record=[400]).final, data


def test_the_gram_matrix_gives_what_the_gradients_give(monkeypatch):
    for seed in range(4):
        net, data = trained(seed=seed)
        explicit = ib.kkt_residual(net, data)
        with monkeypatch.context() as patch:
            patch.setattr(columns, "EXPLICIT", 0)
            by_gram = ib.kkt_residual(net, data)
        for name in (
            "stationarity",
            "feasibility",
            "slackness",
            "dual",
            "lam",
            "scale",
        ):
            torch.testing.assert_close(
                getattr(by_gram, name), getattr(explicit, name), rtol=1e-9, atol=1e-10
            )


def literal(net, data):
    """Stationarity at the best λ, with the gradients written out and a bounded solver."""
    z = net.weights @ data.x.T
    slopes = torch.where(z > 0, 1.0, net.activation.gamma)
    columns = [
        (data.y[i] * net.a * slopes[:, i]).outer(data.x[i]).flatten()
        for i in range(data.n)
    ]
    matrix = torch.stack(columns, 1).numpy()
    target = net.weights.flatten().numpy()
    lam = lsq_linear(matrix, target, bounds=(0, np.inf), method="bvls", tol=1e-15).x
    return np.linalg.norm(matrix @ lam - target) / np.linalg.norm(target)


@pytest.mark.parametrize("limit", [0, 1e8])
def test_stationarity_is_the_literal_one(limit, monkeypatch):
    monkeypatch.setattr(columns, "EXPLICIT", limit)
    for seed in range(3):
        net, data = trained(seed=seed)
        assert float(ib.kkt_residual(net, data).stationarity) == pytest.approx(
            literal(net, data), rel=1e-7
        )


@pytest.mark.parametrize("factor", [1e-163, 1e-30, 1e30, 1e140])
def test_a_residual_concerns_a_direction(factor):
    net, data = trained()
    plain = ib.kkt_residual(net, data)
    scaled = ib.kkt_residual(net.scaled(factor), data)
    for name in ("stationarity", "feasibility", "slackness", "dual"):
        torch.testing.assert_close(
            getattr(scaled, name), getattr(plain, name), rtol=1e-9, atol=1e-12
        )
    torch.testing.assert_close(scaled.lam, plain.lam, rtol=1e-9, atol=0)
    assert float(scaled.scale * factor) == pytest.approx(float(plain.scale), rel=1e-9)


def test_scale_brings_the_smallest_margin_to_one():
    net, data = trained()
    found = ib.kkt_residual(net, data)
    assert float(
        (data.y * net.scaled(float(found.scale))(data.x)).min()
    ) == pytest.approx(1, rel=1e-12)


def test_a_margin_that_is_not_positive_is_no_kkt_point():
    data = ib.data.orthogonal(4)
    zero = ib.TwoLayer(torch.zeros(4, 4), [0.5, 0.5, -0.5, -0.5], ib.leaky_relu(0.5))
    fits_one = torch.zeros(4, 4)
    fits_one[:2, 0] = float(data.y[0])
    for weights in (zero.weights, fits_one):
        net = ib.TwoLayer(weights, zero.a, zero.activation)
        assert float(ib.kkt_residual(net, data).feasibility) == 1


def test_many_exact_kinks():
    data = ib.Dataset([[-1.0], [0.0], [0.0], [1.0], [1.0]], [-1, -1, 1, 1, -1])
    net = ib.TwoLayer(
        [[1.0], [-1.0], [0.0], [-1.0], [1.0]], [-1.0, 1, 1, -1, -1], ib.leaky_relu(0.1)
    )
    assert float(ib.kkt_residual(net, data).feasibility) == 1


# -- stable rank --------


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 7), st.integers(1, 7), st.floats(-140, 140), st.integers(0, 1000))
def test_stable_rank_is_that_of_the_singular_values(m, d, power, seed):
    weights = torch.randn(
        m, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64
    )
    values = torch.linalg.svdvals(weights)
    expected = float((values / values[0]).square().sum())
    assert float(ib.stable_rank(weights * 10.0**power)) == pytest.approx(
        expected, rel=1e-12
    )


@pytest.mark.parametrize("shape", [(40, 6), (6, 40)])
def test_no_larger_eigenvalue_problem_than_needed(shape, monkeypatch):
    sizes = []
    plain = torch.linalg.eigvalsh

    def watched(matrix):
        sizes.append(matrix.shape[-1])
        return plain(matrix)

    monkeypatch.setattr(torch.linalg, "eigvalsh", watched)
    ib.stable_rank(torch.randn(shape))
    assert sizes == [6]
    sizes.clear()
    data = ib.data.gaussian(10, shape[1], seed=0, space="full")
    net = ib.TwoLayer.init(data, shape[0] // 2, shape[0] // 2, ib.relu(), 0.1)
    ib.gradient_descent(net, data, 0.1, 3)
    assert max(sizes) == 6


@pytest.mark.parametrize("explicit", [0, 10**9])
@pytest.mark.parametrize("n, d, m", [(40, 3, 4), (8, 5, 6), (8, 6, 2)])
def test_no_larger_least_squares_problem_than_needed(n, d, m, explicit, monkeypatch):
    """``W`` has m d entries, and there are n gradients to combine."""
    shapes = []

    def watched(plain):
        def call(matrix, *rest, **named):
            shapes.append(sorted(matrix.shape)[0])
            return plain(matrix, *rest, **named)

        return call

    monkeypatch.setattr(columns, "EXPLICIT", explicit)
    for name in ("eigh", "qr", "lstsq"):
        monkeypatch.setattr(torch.linalg, name, watched(getattr(torch.linalg, name)))
    data = ib.data.gaussian(n, d, seed=0, space="full")
    net = ib.TwoLayer.init(data, m // 2, m // 2, ib.leaky_relu(0.5), 0.1, seed=0)
    ib.kkt_residual(net, data)
    assert max(shapes) == min(n, m * d)
