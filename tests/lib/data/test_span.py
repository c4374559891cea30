import pytest
import scipy.stats
import torch

import implicit_bias as ib
from implicit_bias.data.span import (
    Span,
    gaussian_rows,
    generator,
    spectral_norm,
    wishart,
)

DRAWS = 1500


def grams(draw):
    stream = generator(1)
    return torch.stack(
        [rows @ rows.mT for rows in (draw(stream) for _ in range(DRAWS))]
    )


@pytest.mark.parametrize("n, d", [(3, 5), (4, 4), (5, 3), (1, 1), (2, 40)])
def test_span_rows_have_the_law_of_gaussian_gram_matrices(n, d):
    ours = grams(lambda s: gaussian_rows(n, d, s))
    full = grams(lambda s: torch.randn(n, d, generator=s, dtype=torch.float64))
    for i in range(n):
        for k in range(i + 1):
            assert scipy.stats.ks_2samp(ours[:, i, k], full[:, i, k]).pvalue > 1e-4, (
                i,
                k,
            )
    determinants = [torch.linalg.det(g + torch.eye(n)).log() for g in (ours, full)]
    assert scipy.stats.ks_2samp(*determinants).pvalue > 1e-4


@pytest.mark.parametrize("m, degrees", [(3, 7), (6, 2), (4, 10**10)])
def test_wishart_moments(m, degrees):
    stream = generator(2)
    draws = torch.stack([wishart(m, degrees, stream) for _ in range(DRAWS)])
    scaled = (draws - degrees * torch.eye(m)) / degrees**0.5
    error = 6 / DRAWS**0.5
    assert scaled.mean(0).abs().max() < 2 * error
    variance = torch.ones(m, m) + torch.eye(m)
    assert (
        (scaled.var(0) - variance) / (8 + 60 / degrees) ** 0.5
    ).abs().max() < 2 * error
    assert torch.linalg.matrix_rank(draws[0] / degrees, hermitian=True) == min(
        m, degrees
    )


def test_wishart_without_degrees_of_freedom_is_zero():
    assert wishart(3, 0, generator(0)).equal(torch.zeros(3, 3, dtype=torch.float64))


def test_generator_is_reproducible_and_leaves_the_global_stream_alone():
    before = torch.random.get_rng_state()
    assert gaussian_rows(3, 5, generator(7)).equal(gaussian_rows(3, 5, generator(7)))
    assert not gaussian_rows(3, 5, generator(7)).equal(
        gaussian_rows(3, 5, generator(8))
    )
    assert not gaussian_rows(3, 5, generator(None)).equal(
        gaussian_rows(3, 5, generator(None))
    )
    assert torch.random.get_rng_state().equal(before)


@pytest.mark.parametrize("n, d", [(4, 9), (9, 4)])
@pytest.mark.parametrize("batch", [(), (3,)])
def test_span_maps_are_those_of_the_moved_weights(n, d, batch):
    stream = generator(3)
    x, weights = (
        torch.randn(*batch, k, d, generator=stream, dtype=torch.float64) for k in (n, 5)
    )
    frozen = wishart(5, 20, stream)
    span = Span.of(x, weights, frozen)
    assert span.coordinates == (n > 2 * d)
    state = torch.randn(span.state_shape, generator=stream, dtype=torch.float64)
    moved = weights + span.displacement(state)
    torch.testing.assert_close(span.preactivations(state), moved @ x.mT)
    torch.testing.assert_close(span.weight_gram_at(state), moved @ moved.mT + frozen)
    push = torch.randn(*batch, 5, n, generator=stream, dtype=torch.float64)
    torch.testing.assert_close(span.displacement(span.velocity(push)), push @ x)


def test_spectral_norm_is_the_largest_singular_value():
    weights = torch.randn(2, 6, 3, generator=generator(4), dtype=torch.float64)
    torch.testing.assert_close(
        spectral_norm(weights @ weights.mT), torch.linalg.svdvals(weights)[..., 0]
    )


def test_weights_of_another_dimension_are_refused(rejects):
    with rejects("weights", "rows of length 3", "got 2"):
        Span.of(torch.zeros(2, 3), torch.zeros(4, 2))


def test_the_global_seed_does_not_reach_the_samplers():
    torch.manual_seed(0)
    first = ib.data.gaussian(3, 4, seed=5).x
    torch.manual_seed(1)
    assert first.equal(ib.data.gaussian(3, 4, seed=5).x)


@pytest.mark.parametrize("d", [10**16, 10**18])
def test_rows_can_be_drawn_past_the_whole_numbers_that_floats_hold(d):
    data = ib.data.gaussian(5, d)
    assert data.x.shape == (5, 5) and data.ambient_dim == d
    assert bool(((data.norms / d**0.5 - 1).abs() < 1e-6).all())
