"""The convex problem under every margin: when an answer is taken, and when it is
refused.
"""

import math

import numpy as np
import pytest
import scipy.optimize

from implicit_bias.margin import least_distance as solver


@pytest.mark.parametrize(
    "x, miss",
    [
        ([1.0, 0.0], 0.0),
        ([0.0, 0.0], 0.5**0.5),
        ([3.0, 0.0], 2 * 0.5**0.5),
        ([1.0, 0.5], 1.5 * 0.5**0.5),
        ([1.0, -1.0], math.inf),
        ([math.nan, 0.0], math.inf),
    ],
)
def test_how_far_an_answer_misses_optimality(x, miss):
    """``min ‖x - (1, -1)‖`` over ``x ≥ 0`` is at (1, 0); columns of other lengths
    change nothing.
    """
    b = np.array([1.0, -1.0])
    for lengths in ([1.0, 1.0], [4.0, 0.5]):
        A = np.diag(lengths)
        assert solver.missed(A, b, np.array(x) / lengths) == pytest.approx(miss)
    assert solver.missed(np.diag([1.0, 0.0]), b, np.array([1.0, 0.0])) == 0


def test_the_slower_solver_is_asked_only_after_the_faster_one_has_failed(monkeypatch):
    A = np.array([[2.0, 1.0], [1.0, 3.0], [0.5, 1.0]])
    b = np.array([1.0, 2.0, 3.0])
    expected = solver.nonnegative_least_squares(A, b)
    asked = []

    def slow(*args, **settings):
        asked.append(settings["method"])
        return slow_one(*args, **settings)

    slow_one = scipy.optimize.lsq_linear
    monkeypatch.setattr("scipy.optimize.lsq_linear", slow)
    assert (
        np.array_equal(solver.nonnegative_least_squares(A, b), expected) and not asked
    )
    monkeypatch.setattr(
        "scipy.optimize.nnls", lambda *args, **settings: (np.zeros(2), 0.0)
    )
    np.testing.assert_allclose(
        solver.nonnegative_least_squares(A, b), expected, atol=1e-9
    )
    assert asked == ["bvls"]


@pytest.mark.parametrize("short, taken", [(0.9e-6, True), (1.1e-6, False)])
def test_a_solution_may_miss_its_constraints_by_a_millionth(monkeypatch, short, taken):
    gram = np.array([[1.0, 0.2], [0.2, 2.0]])
    monkeypatch.setattr(solver, "least_share", lambda unit, lam, wanted: 1 - short)
    lam = solver.least_distance(gram)
    assert (lam is not None) is taken
    if taken:
        np.testing.assert_allclose(gram @ lam, 1.0)
