"""What users hand in: taken and copied, or refused with the argument's name; and what they get
back.
"""

import io
import pickle
from concurrent.futures import ProcessPoolExecutor

import numpy as np
import pytest
import torch
from torch import nn

import implicit_bias as ib
from implicit_bias import hypotheses, spectra

LABELS = [1, -1, 1, -1]
A = [0.5, 0.5, -0.5, -0.5]
DATA = ib.data.orthogonal(4)
NET = ib.TwoLayer(torch.eye(4, dtype=torch.float64), A, ib.leaky_relu(0.5))
RUN = ib.gradient_descent(NET, DATA, 0.5, 20)
READ_ONLY = np.eye(4)
READ_ONLY.setflags(write=False)


class Squared(ib.Activation):
    """Squared ReLU: of degree two, and with no kink in its slope's place."""

    def value(self, z):
        return z.clamp(min=0) ** 2

    def derivative(self, z):
        return 2 * z.clamp(min=0)


# -- taken --------


@pytest.mark.parametrize(
    "x",
    [
        np.eye(4),
        np.eye(4, dtype=np.float16),
        np.eye(4, dtype=np.float32),
        np.eye(4, dtype=int),
        np.eye(4, dtype=np.uint8),
        READ_ONLY,
        np.eye(4)[::-1][::-1],
        np.eye(4, dtype=">f8"),
        np.asfortranarray(np.eye(4)),
        np.ma.masked_array(np.eye(4), mask=False),
        np.eye(4).tolist(),
        torch.eye(4, dtype=torch.float16),
        torch.eye(4, dtype=torch.bfloat16),
        torch.eye(4, dtype=torch.int32),
        torch.eye(4, requires_grad=True),
        torch.eye(8)[::2, ::2],
    ],
    ids=lambda x: f"{type(x).__name__}-{getattr(x, 'dtype', '')}",
)
def test_samples_of_many_kinds_are_the_same_samples(x):
    data = ib.Dataset(x, LABELS)
    assert not data.x.requires_grad
    assert torch.equal(data.x.double(), torch.eye(4, dtype=torch.float64))


@pytest.mark.parametrize("make", [np.eye, lambda n: torch.eye(n, dtype=torch.float64)])
def test_nothing_is_shared_with_the_caller(make):
    x, y, a = make(4), make(4)[0] * 2 - 1, make(4)[0] - 0.5
    data, net = ib.Dataset(x, y), ib.TwoLayer(x, a, ib.relu())
    for mine in (x, y, a):
        mine -= 100
    assert float(data.x.abs().max()) == 1
    assert float(data.y.abs().max()) == 1
    assert float(net.weights.abs().max()) == 1
    assert float(net.a.abs().max()) == 0.5


def test_a_trained_layer_is_taken():
    layer = nn.Linear(4, 4, bias=False)
    net = ib.TwoLayer(layer.weight, A, ib.leaky_relu(0.5))
    assert not net.weights.requires_grad
    assert 0 <= float(ib.kkt_residual(net, DATA).worst) <= 1
    assert ib.claims["F-3.2.1"].check(net, DATA).verdict == "vacuous"


def test_a_second_layer_as_torch_keeps_it_is_taken():
    net = ib.TwoLayer(torch.eye(4), nn.Linear(4, 1, bias=False).weight, ib.relu())
    assert net.a.shape == (4,)


def test_an_activation_of_ones_own_trains_as_it_says():
    noise = torch.randn(4, 4, generator=torch.Generator().manual_seed(1)).double()
    start = ib.TwoLayer(0.1 * noise, A, Squared("sq", 0.0))
    run = ib.gradient_descent(start, DATA, 0.5, 50)
    weights = start.weights.clone()
    for _ in range(50):
        z = weights @ DATA.x.T
        margins = DATA.y * (start.a @ z.clamp(min=0) ** 2)
        pull = DATA.y / (1 + torch.exp(margins)) / DATA.n
        weights += 0.5 * (start.a[:, None] * 2 * z.clamp(min=0) * pull) @ DATA.x
    torch.testing.assert_close(run.final.weights, weights, rtol=1e-12, atol=1e-14)
    flow = ib.gradient_flow(start, DATA, 1.0)
    assert flow.outcome.ok


# -- refused --------

MASKED = np.ma.masked_array(np.eye(4), mask=np.eye(4) > 0)
REFUSED = {
    "masked": ("x", lambda: ib.Dataset(MASKED, LABELS)),
    "complex": ("x", lambda: ib.Dataset(np.eye(4) * 1j, LABELS)),
    "NaN": ("x", lambda: ib.Dataset(np.eye(4) * np.nan, LABELS)),
    "meta": ("x", lambda: ib.Dataset(torch.eye(4, device="meta"), LABELS)),
    "sparse": ("x", lambda: ib.Dataset(torch.eye(4).to_sparse(), LABELS)),
    "words": ("x", lambda: ib.Dataset("four samples", LABELS)),
    "too short": ("x", lambda: ib.Dataset(np.eye(4) * 1e-160, LABELS)),
    "too long": ("x", lambda: ib.Dataset(np.eye(4) * 1e160, LABELS)),
    "denormal": ("x", lambda: ib.Dataset(np.eye(4) * 1e-320, LABELS)),
    "truth values": ("y", lambda: ib.Dataset(np.eye(4), np.array([True, False, True, False]))),
    "norms": ("norms", lambda: ib.data.orthogonal(2, norms=1e-200)),
    "relu without brackets": ("activation", lambda: ib.TwoLayer(np.eye(4), A, ib.relu)),
    "a module": ("activation", lambda: ib.TwoLayer(np.eye(4), A, nn.ReLU())),
    "ten second layers": ("a", lambda: ib.TwoLayer(np.eye(4), np.ones((10, 4)), ib.relu())),
    "an unknown activation": ("name", lambda: ib.Activation("gelu", 0.0)),
    "asymmetric": (
        "frozen_gram",
        lambda: ib.TwoLayer(np.eye(2), [1, -1], ib.relu(), np.array([[1.0, 2], [0, 1]])),
    ),
    "indefinite": ("frozen_gram", lambda: ib.TwoLayer(np.eye(2), [1, -1], ib.relu(), -np.eye(2))),
    "no network": ("net", lambda: ib.kkt_residual(nn.Sequential(nn.Linear(4, 4)), DATA)),
    "swapped": ("net", lambda: ib.kkt_residual(DATA, NET)),
    "no data": ("data", lambda: ib.max_margin("data")),
    "no data to train on": ("data", lambda: ib.gradient_descent(NET, RUN, 0.5, 3)),
    "record of letters": ("record", lambda: ib.gradient_descent(NET, DATA, 0.5, 5, record="abc")),
    "record of NaN": (
        "record",
        lambda: ib.gradient_descent(NET, DATA, 0.5, 5, record=[float("nan")]),
    ),
    "record of halves": ("record", lambda: ib.gradient_descent(NET, DATA, 0.5, 5, record=[1.5])),
    "record past the end": ("record", lambda: ib.gradient_descent(NET, DATA, 0.5, 5, record=[6])),
    "step": ("step_size", lambda: ib.gradient_descent(NET, DATA, float("nan"), 5)),
    "step of letters": ("step_size", lambda: ib.gradient_descent(NET, DATA, "a", 5)),
    "steps": ("steps", lambda: ib.gradient_descent(NET, DATA, 0.5, 1.5)),
    "seed of letters": ("seed", lambda: ib.data.gaussian(2, 4, seed="12")),
    "seed of halves": ("seed", lambda: ib.data.gaussian(2, 4, seed=1.5)),
    "dimension": ("d", lambda: ib.data.gaussian(2, 1e30)),
    "per decade": ("per_decade", lambda: spectra.power_law(100, 1, per_decade=-1)),
    "stable rank": ("weights", lambda: ib.stable_rank(torch.full((2, 2), float("nan")))),
}


@pytest.mark.parametrize("argument, call", REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_meant_is_refused_by_name(argument, call, rejects):
    with rejects(argument):
        call()


@pytest.mark.parametrize("given", [(nn.Sequential(), DATA), (RUN, DATA), (DATA, NET)])
def test_checks_name_what_is_no_network(given):
    with pytest.raises((TypeError, ValueError), match="^net: expected"):
        ib.claims["F-3.2.1"].check(*given)


def test_spectra_of_any_dimension_come_back():
    assert spectra.power_law(1e17, 0.5).d == pytest.approx(1e17)
    assert spectra.power_law(1e300, 1).trace == pytest.approx(1e300)


# -- given back --------

RESULTS = {
    "run": RUN,
    "flow": ib.gradient_flow(NET, DATA, 1.0),
    "network": NET,
    "data": DATA,
    "outcome": RUN.outcome,
    "verdict": ib.claims["F-3.2.1"].check(NET, DATA),
    "margin": ib.max_margin(DATA),
    "point": ib.kkt_point(DATA, 2, 2, 0.5),
    "residual": ib.kkt_residual(NET, DATA),
    "hypothesis": hypotheses.H_4_2(DATA, 0.5),
    "row": ib.ledger(["F-E.1"])[0],
}


@pytest.mark.parametrize("result", RESULTS.values(), ids=RESULTS)
def test_results_travel(result, tmp_path):
    assert pickle.loads(pickle.dumps(result)) == result
    buffer = io.BytesIO()
    torch.save(result, buffer)
    buffer.seek(0)
    assert torch.load(buffer, weights_only=True) == result
    result.save(tmp_path / "result.pt")
    assert type(result).load(tmp_path / "result.pt") == result


def test_a_result_is_not_another():
    assert RUN != ib.gradient_descent(NET, DATA, 0.4, 20)
    assert DATA != ib.Dataset(DATA.x, -DATA.y)
    assert NET != NET.scaled(2.0)
    assert RESULTS["margin"] != ib.max_margin(ib.data.orthogonal(4, norms=2.0))


def test_a_run_comes_back_from_another_process():
    with ProcessPoolExecutor(1) as pool:
        assert pool.submit(ib.gradient_descent, NET, DATA, 0.5, 20).result() == RUN


def test_a_run_moves_whole():
    assert RUN.to("cpu") == RUN
    flow = RESULTS["flow"].to("cpu")
    assert flow == RESULTS["flow"]
    assert flow.net(3) == RESULTS["flow"].net(3)


def test_stored_results_travel_with_the_library(rejects):
    assert ib.stored_result("xor_sweep")["setting"]["seeds"]
    with rejects("name", "rank_figures, relu_study, xor_sweep"):
        ib.stored_result("../xor_sweep")
