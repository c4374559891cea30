import literal
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

import implicit_bias as ib

GAMMAS = st.floats(0.05, 1.0)
NEURONS = st.integers(1, 5)


def cloud(seed, n, d, spread=0.0):
    """Gaussian samples of norms spread over e^{±spread}."""
    data = ib.data.gaussian(n, d, seed)
    factors = (
        2 * spread * torch.rand(n, 1, generator=ib.span.generator(seed)) - spread
    ).exp()
    return ib.Dataset(data.x * factors, data.y)


def close(ours, theirs, rel=1e-6):
    return float((ours - theirs).norm()) <= rel * float(theirs.norm())


# -- against general solvers --


@pytest.mark.parametrize(
    "seed, n, d, m_pos, m_neg, gamma",
    [
        (0, 4, 30, 2, 3, 0.5),
        (1, 6, 8, 1, 4, 0.2),
        (2, 8, 4, 3, 3, 0.7),
        (3, 9, 5, 2, 2, 1.0),
        (4, 11, 3, 5, 1, 0.1),
        (5, 9, 2, 2, 1, 0.3),
        (6, 7, 3, 1, 3, 0.8),
    ],
)
def test_kkt_candidate_solves_qp_3(seed, n, d, m_pos, m_neg, gamma):
    data = cloud(seed, n, d, 0.5)
    point = ib.kkt_point(data, m_pos, m_neg, gamma)
    exact = literal.qp3(data.x, data.y, m_pos, m_neg, gamma)
    if exact is None:
        assert (
            point.lam.isnan().all()
            and not point.is_kkt
            and "infeasible" in point.reason
        )
    else:
        assert (
            close(point.v, exact[0])
            and close(point.u, exact[1])
            and (point.lam >= 0).all()
        )


@pytest.mark.parametrize(
    "seed, n, d",
    [(0, 4, 30), (1, 6, 6), (2, 7, 5), (3, 9, 4), (4, 12, 4), (5, 3, 1), (6, 10, 3)],
)
def test_max_margin_agrees_with_a_general_solver(seed, n, d):
    data = cloud(seed, n, d, 0.5)
    exact = literal.hard_margin(data.x, data.y)
    ours = ib.max_margin(data)
    assert bool(ours.separable) == (exact is not None)
    if exact is None:
        assert ours.margin == 0 and ours.z.isnan().all() and ours.lam.isnan().all()
    else:
        assert close(ours.z, exact) and ours.margin.item() == pytest.approx(
            1 / exact.norm().item(), rel=1e-6
        )


def test_max_margin_agrees_with_a_support_vector_machine():
    from sklearn.svm import SVC

    data = ib.data.gaussian_mixture(40, 3, 4.0, seed=1)
    # With both signs of every sample the bias that SVC would fit is 0.
    x = torch.cat([data.x, -data.x]).numpy()
    y = torch.cat([data.y, -data.y]).numpy()
    machine = SVC(kernel="linear", C=1e10, tol=1e-8).fit(x, y)
    assert close(ib.max_margin(data).z, torch.tensor(machine.coef_[0]), 1e-4)


@given(seed=st.integers(0, 9999), n=st.integers(1, 10), d=st.integers(1, 6))
def test_max_margin_meets_its_own_optimality_conditions(seed, n, d):
    data = cloud(seed, n, d, 1.0)
    answer = ib.max_margin(data)
    assume(bool(answer.separable))
    q = data.y * (data.x @ answer.z)
    assert (q >= 1 - 1e-8).all() and (answer.lam >= 0).all()
    assert (answer.lam * (q - 1)).abs().max() <= 1e-7 * answer.lam.max()
    torch.testing.assert_close(
        answer.z, (answer.lam * data.y) @ data.x, rtol=1e-9, atol=1e-9
    )


# -- what holds for every input --


@given(
    seed=st.integers(0, 9999),
    n=st.integers(1, 8),
    d=st.integers(2, 20),
    m_pos=NEURONS,
    m_neg=NEURONS,
    gamma=GAMMAS,
)
def test_a_verified_kkt_point_has_no_residual_and_a_perturbed_one_has(
    seed, n, d, m_pos, m_neg, gamma
):
    data = cloud(seed, n, d, 0.3)
    point = ib.kkt_point(data, m_pos, m_neg, gamma)
    assume(bool(point.is_kkt))
    residual = ib.kkt_residual(point.net, data)
    assert residual.worst < 1e-6, residual
    torch.testing.assert_close(
        residual.scale, torch.ones(()).double(), rtol=1e-6, atol=0
    )
    if bool(point.unique):
        torch.testing.assert_close(
            residual.lam, point.lam, rtol=1e-5, atol=1e-6 * float(point.lam.max())
        )
    noise = torch.randn(
        point.weights.shape, generator=ib.span.generator(seed), dtype=torch.float64
    )
    off = ib.TwoLayer(
        point.weights + 0.3 * point.weights.norm() * noise / noise.norm(),
        point.net.a,
        point.net.activation,
    )
    assume(m_pos + m_neg > 1 and d > n)
    assert ib.kkt_residual(off, data).stationarity > 1e-3


@given(
    seed=st.integers(0, 9999),
    n=st.integers(1, 8),
    d=st.integers(2, 12),
    factor=st.floats(1e-6, 1e6),
    gamma=GAMMAS,
)
def test_kkt_point_scales_turns_and_permutes(seed, n, d, factor, gamma):
    data = cloud(seed, n, d, 0.3)
    stream = ib.span.generator(seed + 1)
    rotation, _ = torch.linalg.qr(
        torch.randn(d, d, generator=stream, dtype=torch.float64)
    )
    order = torch.randperm(n, generator=stream)
    point = ib.kkt_point(data, 2, 3, gamma)
    assume(bool(point.unique))
    moved = ib.kkt_point(
        ib.Dataset(factor * (data.x @ rotation)[order], data.y[order]), 2, 3, gamma
    )
    top = float(point.lam.max())
    torch.testing.assert_close(
        moved.lam * factor**2, point.lam[order], rtol=1e-6, atol=1e-7 * top
    )
    for name in ("v", "u", "z"):
        assert close(getattr(moved, name) * factor, getattr(point, name) @ rotation)
    flipped = ib.kkt_point(ib.Dataset(data.x, -data.y), 3, 2, gamma)
    torch.testing.assert_close(flipped.lam, point.lam, rtol=1e-6, atol=1e-7 * top)
    assert close(flipped.v, point.u)


@given(
    seed=st.integers(0, 9999),
    n=st.integers(2, 8),
    gamma=GAMMAS,
    m_pos=NEURONS,
    m_neg=NEURONS,
)
def test_items_of_F_3_2_hold_under_its_hypothesis(seed, n, gamma, m_pos, m_neg):
    data = ib.data.correlated(
        n, p=0.999 * gamma**3 / (3 * n), signs="random", seed=seed
    )
    assert ib.hypotheses.H_3_2(data, gamma).holds
    point = ib.kkt_point(data, m_pos, m_neg, gamma)
    assert point.is_kkt and point.unique
    torch.testing.assert_close(point.margins, torch.ones(n).double())
    assert (point.lam > 0.5).all() and (point.lam < 1.5 / gamma**2).all()
    assert (data.y * (data.x @ point.v) > 0).all() and (
        data.y * (data.x @ point.u) < 0
    ).all()
    torch.testing.assert_close(
        ib.margin.kkt_matrix(data, m_pos, m_neg, gamma) @ point.lam,
        torch.ones(n).double(),
    )
    star = ib.max_margin(data)
    assert (data.y * (data.x @ point.z) >= 1 - 1e-9).all()
    assert point.z.norm() <= 2 / (point.net.kappa + gamma) / star.margin


@given(seed=st.integers(0, 9999), n=st.integers(3, 8), gamma=st.floats(0.05, 0.9))
def test_is_kkt_says_yes_exactly_where_the_residual_vanishes(seed, n, gamma):
    data = cloud(seed, n, 3, 0.5)
    point = ib.kkt_point(data, 2, 2, gamma)
    assume(bool(torch.isfinite(point.margins).all()))
    assert bool(point.is_kkt) == bool(
        (ib.kkt_residual(point.net, data).worst < 1e-6)
        & (point.margins.min() > 1 - 1e-6)
    ), point.reason


@pytest.mark.parametrize(
    "seed, n, d, m_pos, m_neg, gamma",
    [(260, 4, 5, 2, 3, 0.68028), (519, 5, 3, 1, 3, 0.53836)],
)
def test_samples_that_are_no_support_vectors_may_lie_on_either_side_of_v_and_u(
    seed, n, d, m_pos, m_neg, gamma
):
    data = cloud(seed, n, d, 0.5)
    point = ib.kkt_point(data, m_pos, m_neg, gamma)
    astray = (data.y * (data.x @ point.v) < 0) | (data.y * (data.x @ point.u) > 0)
    assert astray.any() and (point.lam[astray] == 0).all()
    assert (
        point.is_kkt
        and point.margins.min() > 1 - 1e-9
        and ib.kkt_residual(point.net, data).worst < 1e-9
    )


@pytest.mark.parametrize("seed, n, d", [(121, 5, 3), (141, 4, 4), (149, 5, 3)])
def test_a_solution_of_qp_3_whose_true_margins_fall_short_is_refused(seed, n, d):
    point = ib.kkt_point(cloud(seed, n, d, 0.5), 2, 2, 0.3)
    assert not point.is_kkt and "below 1" in point.reason and point.margins.min() < 0.99


@pytest.mark.parametrize("epsilon", [0.0, 1 / 144, 1 / 72])
def test_lemma_b8_in_numbers(epsilon):
    point = ib.kkt_point(ib.data.lemma_b8(epsilon), 3, 3, 0.5)
    lam = 8 / (5 + 4 * epsilon)
    assert point.is_kkt and point.lam.tolist() == pytest.approx(
        [lam, lam, 8 / 5], rel=1e-12
    )
    z = ib.data.lemma_b8(epsilon).x @ point.z
    assert z[1:].tolist() == pytest.approx(
        [6 * (1 + epsilon) / (5 + 4 * epsilon), 6 / 5], rel=1e-12
    )


def test_batches_of_data_and_slopes_equal_their_entries():
    sets = [cloud(s, 5, 9) for s in range(3)]
    data = ib.Dataset(
        torch.stack([d.x for d in sets]), torch.stack([d.y for d in sets])
    )
    gamma = torch.tensor([0.2, 0.5, 1.0])
    whole = ib.kkt_point(data, 2, 3, gamma)
    stars = ib.max_margin(data)
    residual = ib.kkt_residual(whole.net, data)
    for k in range(3):
        one = ib.kkt_point(sets[k], 2, 3, float(gamma[k]))
        torch.testing.assert_close(whole.lam[k], one.lam, rtol=1e-6, atol=0)
        torch.testing.assert_close(whole.weights[k], one.weights, rtol=1e-6, atol=1e-9)
        assert whole.is_kkt[k] == one.is_kkt
        torch.testing.assert_close(stars.z[k], ib.max_margin(sets[k]).z)
        torch.testing.assert_close(
            residual.lam[k], ib.kkt_residual(one.net, sets[k]).lam, rtol=1e-6, atol=1e-9
        )
    slopes = ib.kkt_point(sets[0], 2, 3, torch.tensor([0.2, 0.5], dtype=torch.float64))
    torch.testing.assert_close(slopes.lam[1], ib.kkt_point(sets[0], 2, 3, 0.5).lam)


def test_single_precision_data_are_solved_in_double():
    data = cloud(3, 6, 20).to(torch.float32)
    point = ib.kkt_point(data, 2, 2, 0.5)
    assert point.is_kkt, point.reason
    exact = ib.kkt_point(data.to(torch.float64), 2, 2, 0.5)
    torch.testing.assert_close(point.lam.double(), exact.lam)
    steep = ib.Dataset(torch.tensor([[1e4, 1.0], [1e4, -1.0]]), [1, -1])
    torch.testing.assert_close(
        ib.max_margin(steep).z, torch.tensor([0.0, 1.0]), rtol=0, atol=1e-5
    )
    torch.testing.assert_close(
        ib.max_margin(data).z.double(),
        ib.max_margin(data.to(torch.float64)).z,
        rtol=1e-6,
        atol=1e-7,
    )


# -- the residual --


def brute_residual(net, data):
    norm = float(net.weights.norm())
    return (
        literal.kkt_distance(
            net.weights, net.a, float(net.activation.gamma), data.x, data.y
        )
        / norm
    )


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("kinks", [0, 1, 4])
def test_stationarity_is_that_of_brute_force_kinks_included(seed, kinks):
    """Random networks with ``kinks`` preactivations moved to exactly 0 (also of one
    sample at several neurons).
    """
    data = ib.data.gaussian(4, 6, seed)
    act = ib.relu() if seed % 2 else ib.leaky_relu(0.3)
    net = ib.TwoLayer.init(data, 2, 2, act, 1.0, seed=seed)
    weights = net.weights.clone()
    for k in range(kinks):
        j = k % 3
        i = (k // 2) % 4
        held = data.x[[i]] if j != 0 or kinks < 4 else data.x[:2]
        weights[j] -= torch.linalg.pinv(held) @ (held @ weights[j])
    net = ib.TwoLayer(weights, net.a, act)
    assert ib.kkt_residual(net, data).stationarity.item() == pytest.approx(
        brute_residual(net, data), abs=1e-9
    )


def interior_kink(gamma, slope):
    """A stationary point with ⟨w_1, x_2⟩ = 0 whose subgradient there must be ``slope``:
    unit samples, λ = (1, 1), a = (1, 1).
    """
    angle = torch.tensor(-slope, dtype=torch.float64).acos()
    x = torch.stack(
        [
            torch.tensor([1.0, 0.0], dtype=torch.float64),
            torch.stack([angle.cos(), angle.sin()]),
        ]
    )
    at_first = 1.0 if slope < max(gamma, 1e-12) else gamma
    weights = torch.stack([x[0] + slope * x[1], at_first * x[0] + x[1]])
    assert abs(weights[0] @ x[1]) < 1e-15 and (weights[1] @ x[0] > 0) == (at_first == 1)
    return ib.TwoLayer(
        weights, [1.0, 1.0], ib.leaky_relu(gamma) if gamma else ib.relu()
    ), ib.Dataset(x, [1, 1])


@pytest.mark.parametrize(
    "gamma, slope", [(0.0, 0.5), (0.3, 0.6), (0.0, 0.0), (0.3, 1.0 - 1e-9)]
)
def test_a_kink_whose_subgradient_is_interior_is_recognised(gamma, slope):
    net, data = interior_kink(gamma, slope)
    assert brute_residual(net, data) < 1e-12
    assert ib.kkt_residual(net, data).stationarity < 1e-9
    rigid = ib.TwoLayer(
        net.weights + 1e-3 * torch.tensor([[0.0, 1.0], [0.0, 0.0]]),
        net.a,
        net.activation,
    )
    assert ib.kkt_residual(rigid, data).stationarity > 1e-4


@given(seed=st.integers(0, 9999), factor=st.floats(1e-3, 1e3))
def test_residual_sees_directions_only(seed, factor):
    data = cloud(seed, 5, 7)
    net = ib.TwoLayer.init(data, 2, 2, ib.leaky_relu(0.4), 1.0, seed=seed)
    one = ib.kkt_residual(net, data)
    two = ib.kkt_residual(net.scaled(factor), data)
    for name in ("stationarity", "feasibility", "dual"):
        torch.testing.assert_close(
            getattr(one, name), getattr(two, name), rtol=1e-6, atol=1e-8
        )
    if one.feasibility == 0:
        torch.testing.assert_close(one.slackness, two.slackness, rtol=1e-6, atol=1e-8)
        torch.testing.assert_close(one.lam, two.lam, rtol=1e-6, atol=1e-8)


def test_residual_vanishes_at_kkt_points_whose_multipliers_are_not_unique():
    """Dependent samples: a sample in the cone of two others is no support vector, and λ
    is not unique.
    """
    data = ib.Dataset([[1.0, 0.2], [0.2, 1.0], [1.2, 1.2]], [1, 1, 1])
    point = ib.kkt_point(data, 1, 1, 0.5)
    assert point.is_kkt and not point.unique
    assert ib.kkt_residual(point.net, data).worst < 1e-9, ib.kkt_residual(
        point.net, data
    )
    lopsided = ib.Dataset(
        [[1.0, 0.0], [0.3, 0.05], [1.3, 0.05], [1.6, 0.1]], [1, 1, 1, 1]
    )
    point = ib.kkt_point(lopsided, 1, 1, 0.5)
    assert point.is_kkt
    assert ib.kkt_residual(point.net, lopsided).worst < 1e-9, ib.kkt_residual(
        point.net, lopsided
    )


def test_each_condition_is_told_apart():
    data = ib.data.orthogonal(4)
    point = ib.kkt_point(data, 2, 2, 0.5)
    wrong = ib.kkt_residual(
        ib.TwoLayer(-point.weights, point.net.a, point.net.activation), data
    )
    assert wrong.feasibility > 0.1 and wrong.stationarity > 0.1 and wrong.scale == 1
    lam = torch.tensor([1.0, 1.0, 1.0, 3.0]) * point.lam
    s = torch.where(data.y > 0, 1.0, 0.5)
    v = ((lam * data.y * s) @ data.x) / 2
    u = -((lam * data.y * (1.5 - s)) @ data.x) / 2
    loose = ib.kkt_residual(
        ib.TwoLayer(torch.stack([v, v, u, u]), point.net.a, point.net.activation), data
    )
    assert loose.stationarity < 1e-9 and loose.slackness > 0.1 and loose.dual < 1e-9
    lam = torch.tensor([1.0, 1.0, 1.0, -0.3]) * point.lam
    v = ((lam * data.y * s) @ data.x) / 2
    u = -((lam * data.y * (1.5 - s)) @ data.x) / 2
    negative = ib.kkt_residual(
        ib.TwoLayer(torch.stack([v, v, u, u]), point.net.a, point.net.activation), data
    )
    assert negative.dual > 0.1 and negative.stationarity > 0.01


def test_weights_outside_the_span_count_as_not_stationary():
    data = ib.data.orthogonal(4)
    point = ib.kkt_point(data, 2, 2, 0.5)
    frozen = ib.TwoLayer(
        point.weights,
        point.net.a,
        point.net.activation,
        torch.eye(4).double() * point.weights.square().sum() / 4,
    )
    assert ib.kkt_residual(frozen, data).stationarity.item() == pytest.approx(0.5**0.5)


# -- data that have no such point, and bad input --


def test_a_duplicated_row_with_opposite_labels_solves_qp_3_but_not_problem_1():
    data = ib.Dataset([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]], [1, -1, 1])
    point = ib.kkt_point(data, 2, 2, 0.5)
    v, u = literal.qp3(data.x, data.y, 2, 2, 0.5)
    assert close(point.v, v) and close(point.u, u)
    assert (
        not point.is_kkt and "below 1" in point.reason or "wrong side" in point.reason
    )
    assert point.margins.min() <= 0
    assert not ib.max_margin(data).separable


def test_a_zero_row_is_infeasible_and_says_so():
    data = ib.Dataset([[1.0, 0.0], [0.0, 0.0]], [1, -1])
    point = ib.kkt_point(data, 2, 2, 0.5)
    assert (
        not point.is_kkt
        and "infeasible" in point.reason
        and point.lam.isnan().all()
        and not point.unique
    )
    star = ib.max_margin(data)
    assert not star.separable and star.margin == 0
    zeros = ib.Dataset(torch.zeros(2, 3), [1, -1])
    assert (
        not ib.max_margin(zeros).separable and not ib.kkt_point(zeros, 1, 1, 0.5).is_kkt
    )


def test_infeasible_entries_do_not_spoil_a_batch():
    good = [[1.0, 0.0], [0.0, 1.0]]
    data = ib.Dataset(
        torch.tensor([good, [[0.0, 0.0], [1.0, 1.0]]]), [[1, -1], [1, -1]]
    )
    point = ib.kkt_point(data, 2, 2, 0.5)
    assert point.is_kkt.tolist() == [True, False] and ib.max_margin(
        data
    ).separable.tolist() == [True, False]
    torch.testing.assert_close(
        point.lam[0].double(), ib.kkt_point(ib.Dataset(good, [1, -1]), 2, 2, 0.5).lam
    )


def test_duplicates_one_class_and_few_dimensions_are_legal():
    twice = ib.Dataset([[1.0, 0.5], [1.0, 0.5], [-0.3, 1.0]], [1, 1, -1])
    point = ib.kkt_point(twice, 2, 2, 0.5)
    assert point.is_kkt and not point.unique and ib.max_margin(twice).separable
    one_class = ib.data.gaussian(4, 12, positive=4)
    assert (
        ib.kkt_point(one_class, 2, 2, 0.5).is_kkt and ib.max_margin(one_class).separable
    )
    line = ib.Dataset([[1.0], [2.0], [-3.0]], [1, 1, -1])
    assert ib.max_margin(line).z.tolist() == pytest.approx([1.0])
    assert ib.kkt_point(line, 1, 1, 0.5).is_kkt


def test_bad_input_is_named(rejects):
    data = ib.data.gaussian(3, 5)
    for m in (0, -2, 1.5, "two", None):
        with rejects("m_pos", ">= 1"):
            ib.kkt_point(data, m, 1, 0.5)
        with rejects("m_neg", ">= 1"):
            ib.kkt_point(data, 1, m, 0.5)
    for gamma in (-0.1, 1.1, float("nan"), torch.tensor([0.5, 0.0])):
        with rejects("gamma"):
            ib.kkt_point(data, 1, 1, gamma)
    with rejects("gamma", "ReLU", "divides"):
        ib.kkt_point(data, 1, 1, 0)
    with rejects("net", "5 columns", "got 4"):
        ib.kkt_residual(ib.TwoLayer(torch.ones(2, 4), [1.0, -1.0], ib.relu()), data)
    with rejects("net", "homogeneous", "smoothed"):
        ib.kkt_residual(
            ib.TwoLayer.init(data, 1, 1, ib.smoothed_leaky_relu(0.5), 1.0), data
        )
    with rejects("gamma"):
        ib.kkt_point(
            ib.Dataset(torch.ones(3, 2, 5), torch.ones(3, 2)),
            1,
            1,
            torch.tensor([0.5, 0.6]),
        )


def test_a_width_that_no_memory_holds_is_refused_at_once(rejects):
    """Both signs count: as many of each is twice as many, and not none."""
    with rejects("m_pos, m_neg", "memory"):
        ib.kkt_point(ib.data.orthogonal(4), 10**12, 10**12, 0.5)
