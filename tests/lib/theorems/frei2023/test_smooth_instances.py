"""The instances that controls of the claims on the loss ratio run on, on either side of
their hypotheses.
"""

import torch

import implicit_bias as ib
from implicit_bias.theorems.frei2023 import smooth_instances
from implicit_bias.theorems.frei2023.smooth_instances import with_margins
from implicit_bias.training.long_descent import long_descent


def test_long_descent_is_gradient_descent():
    base = ib.data.gaussian(4, 10**9, seed=1)
    data = smooth_instances.with_norms(
        base, torch.tensor([[1.0, 1, 1, 1], [1, 2, 1, 2]], dtype=torch.float64)
    )
    phi = ib.smoothed_leaky_relu(torch.tensor([0.3, 0.8], dtype=torch.float64))
    step = torch.tensor([0.5, 0.1], dtype=torch.float64)
    start = ib.TwoLayer.init(
        base, 3, 2, phi, torch.tensor([1e-5, 1e-6], dtype=torch.float64), seed=2
    )
    slow, fast = (
        f(start, data, step, 300) for f in (ib.gradient_descent, long_descent)
    )
    assert torch.equal(slow.step, fast.step)
    assert fast.rule == slow.rule
    torch.testing.assert_close(fast.margins, slow.margins, rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(fast.stable_rank, slow.stable_rank, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(
        fast.final.weights, slow.final.weights, rtol=1e-9, atol=1e-12
    )


def test_with_norms_keeps_directions():
    base = ib.data.gaussian(3, 50, seed=0)
    data = smooth_instances.with_norms(base, torch.tensor([[1.0, 2.0, 3.0]]))
    torch.testing.assert_close(
        data.norms[0], torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64)
    )
    torch.testing.assert_close(
        data.x[0] / data.norms[0][:, None], base.x / base.norms[:, None]
    )


def test_margins_are_as_asked():
    for gamma in (0.1, 0.9995):
        net, data = with_margins([0.3, 2.0, -1.0], gamma)
        torch.testing.assert_close(
            ib.measures.margins(net, data),
            torch.tensor([0.3, 2.0, -1.0], dtype=torch.float64),
        )
