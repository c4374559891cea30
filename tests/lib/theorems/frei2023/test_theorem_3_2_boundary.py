"""Frei et al., Theorem 3.2, item 6: the decision boundary is linear."""

import pytest
import torch
from kkt_items_cases import changed

import implicit_bias as ib
from implicit_bias.theorems.frei2023 import theorem_3_2_boundary


@pytest.mark.parametrize("size, true", [(1e-9, True), (1e-6, False)])
def test_a_bent_boundary_is_seen_at_the_boundary(point, size, true):
    weights = point.net.weights.clone()
    weights[0] += size * weights.norm() * torch.ones(5).double()
    finding = theorem_3_2_boundary.linear_boundary(changed(point, weights))
    assert finding.true is true


def test_in_its_row_space_the_function_is_the_same(data):
    wide = ib.TwoLayer.init(
        ib.data.gaussian(3, 50, space="full"), 2, 2, ib.leaky_relu(0.5), 1.0, seed=0
    )
    small = theorem_3_2_boundary._in_its_row_space(wide)
    basis = torch.linalg.qr(wide.weights.mT)[0]
    x = torch.randn(
        20, 50, generator=torch.Generator().manual_seed(0), dtype=torch.float64
    )
    assert small.d == 4
    torch.testing.assert_close(small(x @ basis), wide(x))
