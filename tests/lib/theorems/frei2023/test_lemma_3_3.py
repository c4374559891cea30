"""Lemma 3.3 (F-3.3), with constants: how far samples from N(0, Σ) are from orthogonal,
and what each theorem asks of d.
"""

import math

import pytest
import scipy.integrate
import scipy.stats
import torch

import implicit_bias as ib
from implicit_bias.data import spectra
from implicit_bias.theorems.frei2023 import lemma_3_3 as near

STEPS = spectra.Spectrum([4.0, 1.0, 0.25], [3, 40, 200])


def test_traces_of_a_small_spectrum_by_hand():
    assert (STEPS.d, STEPS.trace, STEPS.square, STEPS.norm) == (243, 102.0, 100.5, 4.0)
    assert pytest.approx(102**2 / 100.5) == STEPS.effective_dim
    flat = STEPS.normalised()
    assert flat.trace == pytest.approx(flat.d) and flat.effective_dim == pytest.approx(
        STEPS.effective_dim
    )


@pytest.mark.parametrize("decay", [0.25, 0.5, 1.0, 1.7])
@pytest.mark.parametrize("d", [1, 7, 64, 65, 1000, 100_000])
def test_power_law_against_every_eigenvalue(decay, d):
    k = torch.arange(1, d + 1, dtype=torch.float64) ** -decay
    k *= d / k.sum()
    made = spectra.power_law(d, decay)
    assert made.d == d and made.trace == pytest.approx(d)
    assert made.square == pytest.approx(float(k.square().sum()), rel=2e-3)
    assert made.norm == pytest.approx(float(k[0]), rel=1e-4)


def test_autoregressive_against_a_toeplitz_matrix_and_an_integral():
    r = 0.6
    d = 1500
    lags = torch.arange(d, dtype=torch.float64)
    values = torch.linalg.eigvalsh(r ** (lags[:, None] - lags).abs())
    made = spectra.autoregressive(d, r)
    assert made.trace == pytest.approx(d)
    assert made.square == pytest.approx(float(values.square().sum()), rel=5e-3)
    assert made.norm == pytest.approx(float(values[-1]), rel=1e-2)
    kernel = lambda t: (1 - r * r) / (1 - 2 * r * math.cos(t) + r * r)  # noqa: E731
    first = scipy.integrate.quad(kernel, 0, math.pi * 6 / d)[0] / (math.pi * 6 / d)
    assert float(made.eigenvalues[0]) == pytest.approx(first, rel=1e-3)


def test_equicorrelated_is_the_matrix_it_says():
    matrix = 0.3 * torch.ones(6, 6, dtype=torch.float64) + 0.7 * torch.eye(
        6, dtype=torch.float64
    )
    made = spectra.equicorrelated(6, 0.3)
    values = (
        made.eigenvalues.repeat_interleave(made.multiplicities.long()).sort().values
    )
    torch.testing.assert_close(values, torch.linalg.eigvalsh(matrix))


@pytest.mark.parametrize(
    "make",
    [
        lambda: spectra.Spectrum([1.0], [2, 3]),
        lambda: spectra.Spectrum([], []),
        lambda: spectra.Spectrum([-1.0], [2]),
        lambda: spectra.Spectrum([0.0], [2]),
        lambda: spectra.Spectrum([1.0], [1.5]),
        lambda: spectra.Spectrum([1.0], [0]),
        lambda: spectra.power_law(10, -0.5),
        lambda: spectra.autoregressive(100, 1.0),
        lambda: spectra.autoregressive(0, 0.5),
        lambda: spectra.equicorrelated(10, 1.5),
        lambda: ib.data.heavy_tailed(3, 5, 2.0),
        lambda: ib.data.heavy_tailed(3, 5, 3.0, scale="row"),
        lambda: ib.data.heavy_tailed(10, 10**9, 3.0, scale="coordinate"),
        lambda: ib.data.gaussian_spectrum(0, [1.0], [3]),
        lambda: ib.data.gaussian_spectrum(2, [1.0], [3], draws=0),
        lambda: near.guaranteed(3, STEPS, 0.0),
        lambda: near.dimension_needed("H-9.9", 3, 0.5),
        lambda: near.dimension_needed("H-3.2", 1, 0.5),
    ],
)
def test_bad_input_is_refused(make):
    with pytest.raises(ValueError, match="expected"):
        make()


def full_grams(n, spectrum, draws, seed):
    """Gram matrices (draws, n, n) of vectors drawn one coordinate at a time: the slow
    twin.
    """
    stream = torch.Generator().manual_seed(seed)
    values = spectrum.eigenvalues.repeat_interleave(spectrum.multiplicities.long())
    x = (
        torch.randn(draws, n, len(values), generator=stream, dtype=torch.float64)
        * values.sqrt()
    )
    return x @ x.mT


@pytest.mark.parametrize(
    "spectrum",
    [STEPS, spectra.Spectrum([1.0], [2]), spectra.Spectrum([2.0, 0.5], [4, 5])],
    ids=["steps", "thin", "mixed"],
)
def test_gram_entries_have_the_law_of_full_vectors(spectrum):
    n = 4
    draws = 4000
    fast = ib.data.gaussian_spectrum(n, *spectrum, seed=1, draws=draws)
    slow = full_grams(n, spectrum, draws, seed=2)
    assert (
        fast.x.shape == (draws, n, min(n, spectrum.d))
        and fast.ambient_dim == spectrum.d
    )
    for statistic in (
        lambda G: G[:, 0, 0],
        lambda G: G[:, 3, 3],
        lambda G: G[:, 0, 1],
        lambda G: G[:, 2, 3],
        lambda G: torch.linalg.eigvalsh(G)[:, -1],
        lambda G: G[:, 0, 1] * G[:, 1, 2] * G[:, 0, 2],
    ):
        assert scipy.stats.ks_2samp(statistic(fast.gram), statistic(slow)).pvalue > 1e-3


def test_one_draw_has_no_batch_and_seeds_repeat():
    one = ib.data.gaussian_spectrum(5, *STEPS, seed=3)
    assert one.x.shape == (5, 5) and one.y.tolist() == [1, 1, 1, -1, -1]
    assert torch.equal(one.x, ib.data.gaussian_spectrum(5, *STEPS, seed=3).x)
    assert not torch.equal(one.x, ib.data.gaussian_spectrum(5, *STEPS, seed=4).x)


def test_draws_made_in_turns_are_as_good(monkeypatch):
    monkeypatch.setattr(spectra, "CHUNK", 3000)
    fast = ib.data.gaussian_spectrum(4, *STEPS, seed=1, draws=1001)
    assert (
        fast.x.shape == (1001, 4, 4)
        and fast.x.flatten(1).unique(dim=0).shape[0] == 1001
    )
    assert (
        scipy.stats.ks_2samp(
            fast.gram[:, 0, 1], full_grams(4, STEPS, 1000, seed=2)[:, 0, 1]
        ).pvalue
        > 1e-3
    )


def test_a_million_million_dimensions():
    data = ib.data.gaussian_spectrum(6, *spectra.power_law(10**12, 0.25), draws=50)
    assert data.ambient_dim == 10**12
    assert float(data.norms.square().mean()) == pytest.approx(1e12, rel=1e-5)


@pytest.mark.parametrize("scale", ["sample", "coordinate"])
def test_heavy_tails_have_unit_variance_and_student_marginals(scale):
    data = ib.data.heavy_tailed(1, 1, 5.0, seed=0, scale=scale, draws=20_000)
    z = data.x.flatten() / math.sqrt(3 / 5)
    # In one dimension both are Student's t (the span sampler gives |x|).
    size = z.abs()
    assert (
        scipy.stats.kstest(size, lambda v: 2 * scipy.stats.t.cdf(v, 5) - 1).pvalue
        > 1e-3
    )
    wide = ib.data.heavy_tailed(3, 400, 8.0, seed=1, scale=scale, draws=3000)
    assert float(wide.norms.square().mean()) == pytest.approx(400, rel=0.02)


def test_multivariate_t_keeps_gaussian_angles():
    t = ib.data.heavy_tailed(2, 50, 3.0, draws=4000)
    g = ib.data.gaussian_spectrum(2, [1.0], [50], 9, draws=4000)
    cosine = [d.gram[:, 0, 1] / (d.norms[:, 0] * d.norms[:, 1]) for d in (t, g)]
    assert scipy.stats.ks_2samp(*cosine).pvalue > 1e-3
    assert float(t.R.median()) - 1 > 4 * (float(g.R.median()) - 1)


def literal_bounds(n, s, m, delta):
    """The theorem's right sides written out, one sum at a time."""
    trace = sum(a * b for a, b in zip(s, m))
    square = sum(a * a * b for a, b in zip(s, m))
    t1 = math.log(4 * n / delta)
    t2 = math.log(2 * n * (n - 1) / delta)
    low = trace - 2 * (t1 * square) ** 0.5
    high = trace + 2 * (t1 * square) ** 0.5 + 2 * t1 * max(s)
    return max(low, 0), high, (2 * t2 * square) ** 0.5 + t2 * max(s)


@pytest.mark.parametrize("n, delta", [(2, 0.5), (5, 1e-3), (50, 1e-12)])
def test_guarantee_is_the_theorem(n, delta):
    made = near.guaranteed(n, STEPS, delta)
    assert (made.R_min2, made.R_max2, made.p) == pytest.approx(
        literal_bounds(n, [4, 1, 0.25], [3, 40, 200], delta)
    )


@pytest.mark.parametrize(
    "spectrum", [STEPS, spectra.isotropic(30), spectra.equicorrelated(100, 0.5)]
)
@pytest.mark.parametrize("delta", [0.5, 0.1, 0.01])
def test_guarantee_is_kept(spectrum, delta):
    n = 3
    draws = 20_000
    data = ib.data.gaussian_spectrum(n, *spectrum, seed=5, draws=draws)
    sure = near.guaranteed(n, spectrum, delta)
    broken = (
        (data.p > sure.p)
        | (data.R_min**2 < sure.R_min2)
        | (data.R_max**2 > sure.R_max2)
    )
    assert float(broken.double().mean()) <= delta + 4 * math.sqrt(delta / draws)


def test_moment_generating_functions_stay_below_their_bounds():
    for u in torch.linspace(0.001, 0.499, 300, dtype=torch.float64):
        assert -0.5 * torch.log(1 - 2 * u) - u <= u**2 / (1 - 2 * u)
        assert -0.5 * torch.log(1 + 2 * u) + u <= u**2
        assert -0.5 * torch.log(1 - u**2) <= u**2 / (2 * (1 - u))


def test_tail_exponent_of_the_chosen_lambda_is_exact():
    for v, c, t in ((1.0, 0.0, 2.0), (3.0, 0.7, 0.1), (0.2, 5.0, 30.0)):
        w = math.sqrt(2 * t / v)
        lam = w / (1 + c * w)
        reach = math.sqrt(2 * v * t) + c * t
        assert lam**2 * v / (2 * (1 - c * lam)) - lam * reach == pytest.approx(-t)


@pytest.mark.parametrize("count", [1, 2, 45, 10**6])
def test_median_of_the_largest_normal(count):
    assert scipy.stats.norm.cdf(
        near.median_of_largest(count)
    ) ** count == pytest.approx(0.5)


@pytest.mark.parametrize("n", [3, 10, 30])
def test_typical_geometry_is_the_median_of_draws(n):
    shape = spectra.power_law(10**8, 0.25)
    data = ib.data.gaussian_spectrum(n, *shape, seed=6, draws=400)
    made = near.typical(n, shape)
    assert float(data.p.median()) == pytest.approx(made.p, rel=0.08)
    assert float(data.R_max.square().median() - 1e8) == pytest.approx(
        made.R_max2 - 1e8, rel=0.12
    )
    assert float(1e8 - data.R_min.square().median()) == pytest.approx(
        1e8 - made.R_min2, rel=0.12
    )


def test_factors_agree_with_the_hypotheses():
    data = ib.data.gaussian(7, 500, seed=2)
    shape = near.Geometry(
        7, float(data.R_min) ** 2, float(data.R_max) ** 2, float(data.p)
    )
    for gamma in (0.1, 0.5, 0.9):
        for name, condition in ib.hypotheses.data_conditions(data, gamma).items():
            assert shape.slack(name, gamma) == pytest.approx(float(condition.slack))


def test_data_conditions_are_the_named_hypotheses():
    data = ib.data.gaussian(7, 500, seed=2)
    made = ib.hypotheses.data_conditions(data, 0.3, C=2.0)
    full = {
        "H-3.2": ib.hypotheses.H_3_2(data, 0.3),
        "H-4.2": ib.hypotheses.H_4_2(data, 0.3),
    }
    full["H-K4.1"] = ib.hypotheses.H_K4_1(data, 0.3, 10, 1e-9, 1e-9, C=2.0)
    full["H-K4.3"] = ib.hypotheses.H_K4_3(data, 10**6, 1e-9, 1e-9, C=2.0)
    for name, hypothesis in full.items():
        assert float(made[name].slack) == pytest.approx(
            float(hypothesis.lhs / hypothesis.rhs)
        )


@pytest.mark.parametrize("name", list(near.CONDITIONS))
@pytest.mark.parametrize("delta", [None, 1e-6])
def test_dimension_needed_is_the_least(name, delta):
    d = near.dimension_needed(name, 20, 0.4, delta)
    make = near.typical if delta is None else lambda n, s: near.guaranteed(n, s, delta)
    assert make(20, spectra.isotropic(math.ceil(d * 1.01))).slack(name, 0.4) >= 1
    assert make(20, spectra.isotropic(math.floor(d * 0.99))).slack(name, 0.4) < 1


def test_dimension_grows_like_n_squared_log_n():
    wanted = {
        "H-3.2": 36 / 0.5**6,
        "H-4.2": 1e4 * (1 + 0.25) ** 2 / 0.5**8,
        "H-K4.1": 4 / 0.5**8,
        "H-K4.3": 4,
    }
    n = 10**6
    for name, factor in wanted.items():
        assert near.dimension_needed(name, n, 0.5) / (
            factor * n**2 * math.log(n)
        ) == pytest.approx(1, abs=0.1)


def check(data, *arguments, **options):
    return ib.claims["F-3.3"].check(data, *arguments, **options)


def orthogonal_batch(off_norm, off_pair, n=5, d=10**6):
    """A data set with prescribed deviations: first norm off by one, first pair by the
    other.
    """
    gram = d * torch.eye(n, dtype=torch.float64)
    gram[0, 0] *= 1 + off_norm
    gram[1, 2] = gram[2, 1] = d * off_pair
    return ib.data.from_gram(gram)


def test_check_tells_both_sides_of_each_bound():
    n = 5
    d = 10**6
    bound = 4.0
    t1 = math.log(4 * n * 5.0**10)
    t2 = math.log(2 * n * (n - 1) * 5.0**10)
    norm = 2 * math.sqrt(bound * t1 / d) + 2 * bound * t1 / d
    pair = math.sqrt(2 * bound * t2 / d) + bound * t2 / d
    flat = spectra.isotropic(d)
    for inside, off in ((True, 0.999), (False, 1.001)):
        for sign in (1, -1):
            for made in (
                orthogonal_batch(sign * off * norm, 0.0),
                orthogonal_batch(0.0, sign * off * pair),
            ):
                # No Gaussian draws them: the bounds are seen in the conclusion.
                assert check(made, flat).conclusion == ("holds" if inside else "fails")


def test_check_reports_the_measured_constants():
    verdict = check(orthogonal_batch(0.003, 0.001), spectra.isotropic(10**6))
    unit = math.sqrt(math.log(5) / 1e6)
    assert verdict.constants["norms worst"] == pytest.approx(0.003 / unit)
    assert verdict.constants["pairs worst"] == pytest.approx(0.001 / unit)


def test_each_hypothesis_can_fail():
    flat = spectra.isotropic(10**4)
    data = ib.data.gaussian_spectrum(10, [1.0], [10**4], draws=20)
    assert check(data, flat).verdict == "holds"
    assert "law" in check(data, flat, gaussian=False).why
    assert "trace" in check(data, spectra.Spectrum([1.5], [10**4])).why
    assert "norm" in check(data, spectra.power_law(10**4, 0.25)).why
    assert check(data, flat, bound=0.5).verdict == "vacuous"
    tiny = spectra.isotropic(20)
    assert check(ib.data.gaussian_spectrum(10, *tiny, draws=20), tiny).why.startswith(
        "n fails"
    )


def test_random_lengths_break_the_norms_only():
    tails = ib.data.heavy_tailed(10, 10**8, 3.0, draws=50)
    verdict = check(tails, spectra.isotropic(10**8), gaussian=False)
    assert verdict.verdict == "vacuous" and verdict.conclusion == "fails"
    assert (
        verdict.constants["norms worst"] > 1000
        and verdict.constants["pairs median"] < 3
    )


def test_power_laws_below_one_half_keep_the_conclusion_and_above_lose_it():
    """The corollary: a bounded norm is not needed."""
    for decay, conclusion in (
        (0.25, "holds"),
        (0.4, "holds"),
        (0.7, "fails"),
        (1.0, "fails"),
    ):
        shape = spectra.power_law(10**10, decay)
        verdict = check(ib.data.gaussian_spectrum(10, *shape, draws=100), shape)
        assert verdict.verdict == "vacuous" and verdict.conclusion == conclusion


def test_a_few_failures_are_excused_as_delta_allows():
    flat = spectra.isotropic(10**6)
    data = ib.data.gaussian_spectrum(2, *flat, draws=2000)
    x = data.x.clone()
    for spoilt, verdict in ((3, "holds"), (60, "fails")):
        x[:spoilt] *= 2
        assert check(ib.Dataset(x, data.y, ambient_dim=10**6), flat).verdict == verdict


def test_one_draw_at_low_confidence_still_has_a_verdict():
    assert (
        check(
            ib.data.gaussian_spectrum(3, [1.0], [10**6]),
            spectra.isotropic(10**6),
            delta=0.5,
        ).verdict
        == "holds"
    )


def test_one_sample_is_refused():
    with pytest.raises(ValueError, match="data.n"):
        check(ib.data.gaussian(1, 100), spectra.isotropic(100))


def test_what_no_gaussian_draws_is_vacuous():
    flat = spectra.isotropic(10**4)
    data = ib.data.gaussian_spectrum(5, [1.0], [10**4], draws=3)
    for spoil in (
        lambda x: 0 * x[..., :1, :],
        lambda x: x[..., 1:2, :],
        lambda x: -x[..., 1:2, :],
    ):
        x = torch.cat([spoil(data.x), data.x[..., 1:, :]], dim=-2)
        verdict = check(ib.Dataset(x, data.y, ambient_dim=10**4), flat)
        assert verdict.verdict == "vacuous" and verdict.why.startswith("law fails")
    assert check(data, flat).verdict == "holds"


@pytest.mark.parametrize(
    "arguments, name",
    [
        ((3,), "spectrum"),
        ((spectra.isotropic(9), -1.0), "bound"),
        ((spectra.isotropic(9), 4.0, 2.0), "delta"),
    ],
)
def test_the_check_names_what_it_refuses(arguments, name, rejects):
    with rejects(name, "expected"):
        check(ib.data.gaussian_spectrum(3, [1.0], [9]), *arguments)


def test_the_negative_control_breaks_one_hypothesis():
    negative = ib.claims["F-3.3"].negative()
    assert [h.name for h in negative.hypotheses if not bool(h.holds.all())] == ["norm"]
    assert negative.conclusion == "fails"


def test_one_sample_has_no_pair_to_lean():
    spectrum = spectra.isotropic(1000)
    assert near.typical(1, spectrum).p == near.guaranteed(1, spectrum, 0.1).p == 0
    assert near.typical(1, spectrum).slack("H-3.2", 0.5) == math.inf


def test_two_samples_are_the_fewest_that_need_a_dimension(rejects):
    for delta in (None, 0.1):
        assert 1 < near.dimension_needed("H-3.2", 2, 0.5, delta) < 1e12
        with rejects("n", "2"):
            near.dimension_needed("H-3.2", 1, 0.5, delta)
