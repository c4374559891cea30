import pytest
import scipy.stats
import torch
from hypothesis import given
from hypothesis import strategies as st

import implicit_bias as ib

SAMPLERS = {
    "gaussian": lambda n, **k: ib.data.gaussian(n, 30, **k),
    "mixture": lambda n, **k: ib.data.gaussian_mixture(n, 30, 2.0, **k),
    "orthogonal": lambda n, **k: ib.data.orthogonal(n, 30, **k),
    "correlated": lambda n, **k: ib.data.correlated(n, 30, p=0.01, **k),
}


# -- the Dataset --


def test_statistics_of_a_small_set_by_hand():
    data = ib.Dataset([[3.0, 4.0], [1.0, 0.0], [0.0, -2.0]], [1, -1, -1])
    assert (data.n, data.d, data.ambient_dim) == (3, 2, 2)
    assert data.gram.tolist() == [[25, 3, -8], [3, 1, 0], [-8, 0, 4]]
    assert (data.R_min, data.R_max, data.R, data.p) == (1, 5, 5, 8)
    assert data.mu_hat.tolist() == [2, 6] and data.positive.tolist() == [
        True,
        False,
        False,
    ]


@given(seed=st.integers(0, 10**6), n=st.integers(1, 5), d=st.integers(1, 5))
def test_statistics_do_not_depend_on_order_and_batch(seed, n, d):
    stack = torch.stack([ib.data.gaussian(n, d, seed + k).x for k in range(2)])
    y = ib.data.gaussian(n, d, seed).y
    order = torch.randperm(n)
    batch = ib.Dataset(stack, y.expand(2, n))
    alone = ib.Dataset(stack[1][order], y[order])
    for name in ("R_min", "R_max", "R", "p", "mu_hat"):
        torch.testing.assert_close(getattr(batch, name)[1], getattr(alone, name))


def test_numbers_of_other_kinds_become_float64_and_float32_stays():
    import numpy as np

    assert ib.Dataset([[1, 2]], [1]).x.dtype == torch.float64
    assert (
        ib.Dataset(np.ones((2, 2), np.float32), np.array([1, -1])).y.dtype
        == torch.float32
    )
    assert (
        ib.Dataset(torch.ones(2, 2, dtype=torch.float16), [1, -1]).x.dtype
        == torch.float64
    )
    assert ib.data.gaussian(3, 4).to(torch.float32).y.dtype == torch.float32


def test_bad_input_is_named(rejects):
    x = torch.ones(2, 3)
    y = [1, -1]
    for value in (0.0, 2.0, float("nan")):
        with rejects("y", r"labels \+1 or -1", f"got {value}", "index 1"):
            ib.Dataset(x, [1, value])
    with rejects("y", r"index \(1, 0\)"):
        ib.Dataset(torch.ones(2, 1, 3), [[1], [0]])
    for value in (float("nan"), float("inf")):
        bad = x.clone()
        bad[1, 2] = value
        with rejects("x", "finite", str(value), r"index \(1, 2\)"):
            ib.Dataset(bad, y)
    for shape in ((3,), (0, 3), (2, 0), ()):
        with rejects("x", r"\(\.\.\., n, d\)"):
            ib.Dataset(torch.ones(shape), y)
    for labels in ([1], [[1, -1]], [1, -1, 1]):
        with rejects("y", r"\(2,\)"):
            ib.Dataset(x, labels)
    for junk in (
        None,
        "abc",
        [["a", "b"]],
        [[1.0, 2.0], [3.0]],
        torch.ones(2, 3, dtype=torch.complex64),
        torch.ones(2, 3) > 0,
    ):
        with rejects("x"):
            ib.Dataset(junk, y)
    with rejects("y"):
        ib.Dataset(x, ["cat", "dog"])
    for ambient in (2, 2.5, "many"):
        with rejects("ambient_dim"):
            ib.Dataset(x, y, ambient_dim=ambient)


def test_samplers_refuse_bad_arguments(rejects):
    for n in (0, -1, 2.5, "3", None, True, float("nan")):
        with rejects("n", "integer >= 1"):
            ib.data.gaussian(n, 5)
        with rejects("n", "integer >= 1"):
            ib.data.orthogonal(n)
    with rejects("d", "integer >= 1"):
        ib.data.gaussian(3, 0)
    with rejects("positive", "at most n = 3"):
        ib.data.gaussian(3, 5, positive=4)
    with rejects("space", "'huge'"):
        ib.data.gaussian(3, 5, space="huge")
    with rejects("mean_norm"):
        ib.data.gaussian_mixture(3, 5, -1.0)
    for noise in (-0.1, 1.0, float("nan")):
        with rejects("label_noise"):
            ib.data.gaussian_mixture(3, 5, 1.0, noise)
    with rejects("d", "integer >= 2"):
        ib.data.xor(4, 1, 1.0)
    with rejects("d", "at least n = 4", "got 3"):
        ib.data.orthogonal(4, 3)
    for norms in (0.0, [1.0, -1.0, 1.0], [1.0, 1.0], float("nan")):
        with rejects("norms"):
            ib.data.orthogonal(3, norms=norms)
    for p in (-0.1, float("nan"), float("inf")):
        with rejects("p", ">= 0"):
            ib.data.correlated(3, p=p)
    with rejects("signs", "'both'"):
        ib.data.correlated(3, p=0.1, signs="both")
    with rejects("p", "semidefinite", "-0.2"):
        ib.data.correlated(3, p=0.6, signs="oppose")
    with rejects("gram", "symmetric"):
        ib.data.from_gram([[1.0, 0.5], [0.0, 1.0]])
    with rejects("epsilon"):
        ib.data.lemma_b8(1.0)
    with rejects("classes"):
        ib.data.digits(classes=(3, 3))
    with rejects("classes"):
        ib.data.digits(classes=(3, 10))
    with rejects("n", "at most"):
        ib.data.digits(5000)


# -- labels --


@pytest.mark.parametrize("name", SAMPLERS)
@pytest.mark.parametrize("n", [1, 2, 3, 8, 9])
def test_labels_are_as_even_as_n_allows(name, n):
    y = SAMPLERS[name](n).y
    assert abs(y.sum()) == n % 2
    assert n == 1 or y.unique().tolist() == [-1, 1]


@pytest.mark.parametrize("name", SAMPLERS)
@pytest.mark.parametrize("positive", [0, 2, 5])
def test_label_counts_can_be_asked_for(name, positive):
    assert (SAMPLERS[name](5, positive=positive).y > 0).sum() == positive


@given(n=st.integers(2, 40), noise=st.floats(0, 0.49), seed=st.integers(0, 10**6))
def test_label_noise_flips_the_promised_number_evenly(n, noise, seed):
    try:
        data = ib.data.gaussian_mixture(n, 4, 100.0, noise, seed)
    except ValueError as error:
        assert "both classes" in str(error) and n <= 3
        return
    clusters = data.x[:, 0].sign()
    flipped = data.y != clusters
    assert flipped.sum() == round(noise * n)
    assert (
        abs(
            int((flipped & (clusters > 0)).sum())
            - int((flipped & (clusters < 0)).sum())
        )
        <= 1
    )
    assert data.y.unique().tolist() == [-1, 1]


@given(
    n=st.integers(2, 12),
    positive=st.integers(1, 11),
    noise=st.floats(0, 0.5),
    seed=st.integers(0, 99),
)
def test_uneven_classes_still_flip_the_promised_number(n, positive, noise, seed):
    positive = min(positive, n - 1)
    try:
        data = ib.data.gaussian_mixture(n, 4, 100.0, noise, seed, positive=positive)
    except ValueError as error:
        assert "both classes" in str(error)
        return
    assert (data.y != data.x[:, 0].sign()).sum() == round(noise * n)


def test_seeds_reproduce():
    for draw in (
        lambda s: ib.data.gaussian(4, 9, s),
        lambda s: ib.data.xor(4, 9, 1.0, seed=s),
        lambda s: ib.data.digits(20, seed=s),
    ):
        assert draw(1).x.equal(draw(1).x) and not draw(1).x.equal(draw(2).x)


# -- laws --

LAWS = {
    "gaussian": lambda s, space: ib.data.gaussian(4, 7, s, space=space),
    "gaussian d<n": lambda s, space: ib.data.gaussian(4, 2, s, space=space),
    "mixture": lambda s, space: ib.data.gaussian_mixture(
        4, 7, 1.5, seed=s, space=space
    ),
    "mixture d=1": lambda s, space: ib.data.gaussian_mixture(
        4, 1, 1.5, seed=s, space=space
    ),
    "xor": lambda s, space: ib.data.xor(4, 7, 1.5, seed=s, space=space),
    "xor d=2": lambda s, space: ib.data.xor(4, 2, 1.5, seed=s, space=space),
}


@pytest.mark.parametrize("name", LAWS)
def test_span_and_full_sampling_have_one_law(name):
    def sample(space, first):
        sets = [LAWS[name](first + s, space) for s in range(500)]
        grams = torch.stack([one.gram for one in sets])
        towards = (
            None
            if sets[0].means is None
            else torch.stack([one.x @ one.means.mT for one in sets])
        )
        return grams, towards

    (span, towards_span), (full, towards_full) = (
        sample("span", 0),
        sample("full", 10_000),
    )
    for i in range(4):
        for k in range(i + 1):
            assert scipy.stats.ks_2samp(span[:, i, k], full[:, i, k]).pvalue > 1e-4, (
                i,
                k,
            )
    assert (
        scipy.stats.ks_2samp(
            torch.linalg.eigvalsh(span)[:, -1], torch.linalg.eigvalsh(full)[:, -1]
        ).pvalue
        > 1e-4
    )
    if towards_span is not None:
        for i in range(4):
            for k in range(towards_span.shape[-1]):
                assert (
                    scipy.stats.ks_2samp(
                        towards_span[:, i, k], towards_full[:, i, k]
                    ).pvalue
                    > 1e-4
                )


@pytest.mark.parametrize(
    "draw",
    [
        lambda d: ib.data.gaussian(10, d),
        lambda d: ib.data.gaussian_mixture(10, d, 3.0),
        lambda d: ib.data.xor(10, d, 3.0),
    ],
)
def test_a_dimension_of_a_million_million_costs_no_more_than_a_thousand(draw):
    small = draw(10**3)
    huge = draw(1e12)
    assert (
        huge.x.numel() <= 10 * 12
        and huge.x.numel() <= small.x.numel()
        and huge.ambient_dim == 10**12
    )
    assert ((huge.norms.square() / 1e12 - 1).abs() < 1e-5).all()
    assert huge.p < 6e6
    assert "1,000,000,000,000" in repr(huge)
    net = ib.TwoLayer.init(huge, 4, 4, ib.relu(), 1e-6)
    assert net.weights.numel() + net.frozen_gram.numel() <= 8 * 12 + 64


def test_weights_at_initialisation_have_one_law_in_span_and_in_full_space():
    def sample(space):
        rows = []
        for s in range(400):
            data = ib.data.gaussian(3, 8, s, space=space)
            net = ib.TwoLayer.init(data, 2, 2, ib.relu(), 0.7, seed=5000 + s)
            gram = net.weight_gram()
            rows.append([gram[0, 0], gram[0, 1], net.spectral(), net(data.x)[0]])
        return torch.tensor(rows)

    span = sample("span")
    full = sample("full")
    for k in range(4):
        assert scipy.stats.ks_2samp(span[:, k], full[:, k]).pvalue > 1e-4


# -- mixtures, xor, prescribed Gram matrices, digits --


@pytest.mark.parametrize("space", ["full", "span"])
def test_mixture_means_are_where_they_are_said_to_be(space):
    data = ib.data.gaussian_mixture(2000, 50, 5.0, seed=1, space=space)
    assert data.means.norm() == 5
    centre = (data.y.unsqueeze(-1) * data.x).mean(0)
    assert (centre - data.means[0])[: data.d].norm() < 0.4
    assert data.mu_hat[0] > 0


@pytest.mark.parametrize("space", ["full", "span"])
def test_xor_clusters_stand_at_right_angles_and_cancel(space):
    n = 2002
    data = ib.data.xor(n, 20, 8.0, seed=1, space=space)
    one, two = data.means
    assert one.norm() == two.norm() == 8 and one @ two == 0
    along = data.x @ data.means.T / 8
    axis = along.abs().argmax(-1)
    assert ((axis == 0) == (data.y > 0)).all()
    shares = [
        int(((axis == k) & (along[:, k] * side > 0)).sum())
        for k in (0, 1)
        for side in (1, -1)
    ]
    assert max(shares) - min(shares) <= 2
    assert data.mu_hat[:2].norm() / n < 0.2


@given(
    n=st.integers(1, 8),
    share=st.floats(0, 1),
    norm=st.floats(1e-3, 1e3),
    signs=st.sampled_from(["oppose", "agree", "equal", "random"]),
)
def test_correlated_has_exactly_the_p_asked_for(n, share, norm, signs):
    p = 0.999 * share * norm**2 / max(1, n - 1)
    data = ib.data.correlated(n, p=p, signs=signs, norms=norm)
    off = data.gram - torch.diag(data.gram.diagonal())
    assert data.p.item() == pytest.approx(
        p if n > 1 else 0, rel=1e-9, abs=1e-13 * norm**2
    )
    torch.testing.assert_close(
        data.norms, torch.full((n,), norm, dtype=torch.float64), rtol=1e-12, atol=0
    )
    sign = torch.outer(data.y, data.y)
    if signs == "oppose":
        assert (off * sign <= 1e-13 * norm**2).all()
    if signs == "agree":
        assert (off * sign >= -1e-13 * norm**2).all()


@pytest.mark.parametrize("space", ["full", "span", "auto"])
def test_orthogonal_has_p_zero_and_the_norms_asked_for(space):
    data = ib.data.orthogonal(4, 50, [1.0, 2.0, 3.0, 4.0], space=space)
    assert (
        data.p == 0 and data.norms.tolist() == [1, 2, 3, 4] and data.ambient_dim == 50
    )
    assert data.d == (4 if space == "span" else 50)
    assert ib.data.orthogonal(3, 10**12).d == 3


def test_from_gram_gives_back_singular_matrices_too():
    gram = torch.tensor(
        [[2.0, 2.0, 0.0], [2.0, 2.0, 0.0], [0.0, 0.0, 0.0]], dtype=torch.float64
    )
    torch.testing.assert_close(
        ib.data.from_gram(gram, y=torch.tensor([1, -1, 1])).gram,
        gram,
        atol=1e-14,
        rtol=0,
    )


@pytest.mark.parametrize("epsilon", [0.0, 1 / 72, 0.5])
def test_lemma_b8_has_the_gram_matrix_of_the_lemma(epsilon):
    data = ib.data.lemma_b8(epsilon)
    exact = torch.tensor(
        [[1, -epsilon, 0], [-epsilon, 1, 0], [0, 0, 1]], dtype=torch.float64
    )
    torch.testing.assert_close(data.gram, exact, rtol=1e-15, atol=1e-16)
    assert data.y.tolist() == [-1, 1, 1]


def test_digits_are_the_images_of_the_two_classes():
    from sklearn.datasets import load_digits

    whole = ib.data.digits(centre=False)
    images, target = load_digits(return_X_y=True)
    assert whole.n == ((target == 3) | (target == 8)).sum() and (
        whole.x.amin(),
        whole.x.amax(),
    ) == (0, 1)
    mean = torch.from_numpy(images[target == 3]).mean(0) / 16
    torch.testing.assert_close(whole.x[whole.y > 0].mean(0), mean)
    some = ib.data.digits(21, centre=True)
    assert (
        some.n == 21 and (some.y > 0).sum() == 11 and some.x.mean(0).abs().max() < 1e-12
    )
    known = {tuple(row) for row in (images / 16).tolist()}
    drawn = [tuple(row) for row in ib.data.digits(21).x.tolist()]
    assert len(set(drawn)) == 21 and set(drawn) <= known


def test_whitening_is_the_inverse_root_of_the_gram_matrix():
    raw = ib.data.digits(30)
    values, vectors = torch.linalg.eigh(raw.gram)
    exact = vectors @ torch.diag(values.rsqrt()) @ vectors.T @ raw.x
    white = ib.data.digits(30, whiten=True)
    torch.testing.assert_close(white.x, exact, rtol=1e-9, atol=1e-10)
    torch.testing.assert_close(white.gram, torch.eye(30).double(), rtol=0, atol=1e-13)
    assert (
        torch.equal(white.y, raw.y)
        and float(ib.hypotheses.H_4_2(white, 0.5).slack) > 1e9
    )


def test_dependent_samples_are_not_whitened(rejects):
    with rejects("x", "100 of rank"):
        ib.data.digits(100, whiten=True)
    with rejects("x", "20 of rank 19"):
        ib.data.digits(20, centre=True, whiten=True)
    with rejects("x", "independent"):
        ib.data.whitened([[1.0, 2.0], [2.0, 4.0]])
    with rejects("x", "rows of shape"):
        ib.data.whitened([1.0, 2.0])


@pytest.mark.parametrize("n", [2, 20, 100])
def test_centred_samples_meet_no_condition(n):
    data = ib.data.digits(n, centre=True)
    assert float(data.R_max) ** 2 <= (n - 1) * float(data.p) * (1 + 1e-12)
    conditions = ib.hypotheses.data_conditions(data, 0.99)
    assert not any(bool(h.holds) for h in conditions.values())
