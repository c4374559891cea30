"""What users hand in: taken and copied, or refused with the argument's name; and what
they get back.
"""

import io
import pickle
from concurrent.futures import ProcessPoolExecutor
from dataclasses import fields, is_dataclass
from fractions import Fraction

import numpy as np
import pytest
import torch
from torch import nn

import implicit_bias as ib
from implicit_bias import losses
from implicit_bias.data import spectra
from implicit_bias.hypotheses import conditions
from implicit_bias.margin import kkt
from implicit_bias.measures import decomposition, gradients, outputs, ranks, runs
from implicit_bias.training.descent import log_spaced

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
    x = make(4)
    y = make(4)[0] * 2 - 1
    a = make(4)[0] - 0.5
    data = ib.Dataset(x, y)
    net = ib.TwoLayer(x, a, ib.relu())
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
    assert 0 <= float(ib.kkt_residual(net, DATA).stationarity) <= 1
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
    "truth values": (
        "y",
        lambda: ib.Dataset(np.eye(4), np.array([True, False, True, False])),
    ),
    "norms": ("norms", lambda: ib.data.orthogonal(2, norms=1e-200)),
    "relu without brackets": ("activation", lambda: ib.TwoLayer(np.eye(4), A, ib.relu)),
    "a module": ("activation", lambda: ib.TwoLayer(np.eye(4), A, nn.ReLU())),
    "ten second layers": (
        "a",
        lambda: ib.TwoLayer(np.eye(4), np.ones((10, 4)), ib.relu()),
    ),
    "an unknown activation": ("name", lambda: ib.Activation("gelu", 0.0)),
    "asymmetric": (
        "frozen_gram",
        lambda: ib.TwoLayer(
            np.eye(2), [1, -1], ib.relu(), np.array([[1.0, 2], [0, 1]])
        ),
    ),
    "indefinite": (
        "frozen_gram",
        lambda: ib.TwoLayer(np.eye(2), [1, -1], ib.relu(), -np.eye(2)),
    ),
    "no network": (
        "net",
        lambda: ib.kkt_residual(nn.Sequential(nn.Linear(4, 4)), DATA),
    ),
    "swapped": ("net", lambda: ib.kkt_residual(DATA, NET)),
    "no data": ("data", lambda: ib.max_margin("data")),
    "no data to train on": ("data", lambda: ib.gradient_descent(NET, RUN, 0.5, 3)),
    "record of letters": (
        "record",
        lambda: ib.gradient_descent(NET, DATA, 0.5, 5, record="abc"),
    ),
    "record of NaN": (
        "record",
        lambda: ib.gradient_descent(NET, DATA, 0.5, 5, record=[float("nan")]),
    ),
    "record of halves": (
        "record",
        lambda: ib.gradient_descent(NET, DATA, 0.5, 5, record=[1.5]),
    ),
    "record past the end": (
        "record",
        lambda: ib.gradient_descent(NET, DATA, 0.5, 5, record=[6]),
    ),
    "step": ("step_size", lambda: ib.gradient_descent(NET, DATA, float("nan"), 5)),
    "step of letters": ("step_size", lambda: ib.gradient_descent(NET, DATA, "a", 5)),
    "steps": ("steps", lambda: ib.gradient_descent(NET, DATA, 0.5, 1.5)),
    "seed of letters": ("seed", lambda: ib.data.gaussian(2, 4, seed="12")),
    "seed of halves": ("seed", lambda: ib.data.gaussian(2, 4, seed=1.5)),
    "dimension": ("d", lambda: ib.data.gaussian(2, 1e30)),
    "per decade": ("per_decade", lambda: spectra.power_law(100, 1, per_decade=-1)),
    "stable rank": (
        "weights",
        lambda: ib.stable_rank(torch.full((2, 2), float("nan"))),
    ),
}

# Each function of networks, data and runs, with what else it takes.
OF_NET_AND_DATA = {
    "margins": lambda net, data: outputs.margins(net, data),
    "loss_ratio": lambda net, data: outputs.loss_ratio(net, data),
    "activation_pattern": lambda net, data: outputs.activation_pattern(net, data),
    "rho": lambda net, data: decomposition.rho(net, NET, data),
    "gradient": lambda net, data: gradients.gradient(net, data),
    "gradient_gram": lambda net, data: gradients.gradient_gram(net, data),
    "proxy_pl_ratio": lambda net, data: gradients.proxy_pl_ratio(net, data),
    "kkt_residual": lambda net, data: ib.kkt_residual(net, data),
    "gradient_descent": lambda net, data: ib.gradient_descent(net, data, 0.5, 3),
    "sgd": lambda net, data: ib.sgd(net, data, 0.5, 3, 2),
    "gradient_flow": lambda net, data: ib.gradient_flow(net, data, 1.0),
}
OF_DATA = {
    "max_margin": ib.max_margin,
    "kkt_point": lambda data: ib.kkt_point(data, 2, 2, 0.5),
    "kkt_matrix": lambda data: kkt.kkt_matrix(data, 2, 2, 0.5),
    "class_slopes": lambda data: kkt.class_slopes(data, 0.5),
    "fresh": lambda data: ib.data.fresh(data, 2),
    "H_3_2": lambda data: conditions.H_3_2(data, 0.5),
    "H_S1": lambda data: conditions.H_S1(data, 0.5),
    "H_4_2": lambda data: conditions.H_4_2(data, 0.5),
    "data_conditions": lambda data: conditions.data_conditions(data, 0.5),
    "A1": lambda data: conditions.A1(data, 0.5, 0.0, 0.1),
    "A2": lambda data: conditions.A2(data, 0.5, 4, 0.1, 0.1),
    "H_K4_1": lambda data: conditions.H_K4_1(data, 0.5, 4, 0.1, 0.1),
    "H_K4_3": lambda data: conditions.H_K4_3(data, 4, 0.1, 0.1),
}
OF_RUN = {
    "networks": runs.networks,
    "rho_along": decomposition.rho_along,
    "smoothed_margin": runs.smoothed_margin,
    "clock_velocity": runs.clock_velocity,
}
NO_OBJECTS = [None, 0.5, "abc", np.eye(4), torch.eye(4), [NET], nn.Linear(4, 4)]
PAIR = ib.TwoLayer(np.stack([np.eye(4)] * 2), A, ib.leaky_relu(0.5))
TRIPLE = ib.Dataset(np.stack([np.eye(4)] * 3), [LABELS] * 3)


@pytest.mark.parametrize("call", OF_NET_AND_DATA.values(), ids=OF_NET_AND_DATA)
def test_networks_and_data_are_what_they_should_be_and_fit(call, rejects):
    for value in [*NO_OBJECTS, DATA, RUN]:
        with rejects("net", "TwoLayer"):
            call(value, DATA)
    for value in [*NO_OBJECTS, NET, RUN]:
        with rejects("data", "Dataset"):
            call(NET, value)
    with rejects("net", "7 columns"):
        call(NET, ib.data.orthogonal(7))
    with rejects("(data|net)", "broadcast"):
        call(PAIR, TRIPLE)


@pytest.mark.parametrize("call", OF_DATA.values(), ids=OF_DATA)
def test_data_are_data(call, rejects):
    for value in [*NO_OBJECTS, NET, RUN]:
        with rejects("data", "Dataset"):
            call(value)


@pytest.mark.parametrize("call", OF_RUN.values(), ids=OF_RUN)
def test_runs_are_runs(call, rejects):
    for value in [*NO_OBJECTS, NET, DATA]:
        with rejects("run", "Trajectory"):
            call(value)


SLOPES = ib.leaky_relu(torch.tensor([0.5, 0.3]))
NUMBERS = {
    "gamma of H": ("gamma", lambda v: conditions.H_4_2(DATA, v)),
    "gamma of a point": ("gamma", lambda v: ib.kkt_point(DATA, 2, 2, v)),
    "gamma of slopes": ("gamma", lambda v: kkt.class_slopes(DATA, v)),
    "gamma": ("gamma", ib.leaky_relu),
    "H": ("H", lambda v: conditions.A1(DATA, 0.5, v, 0.1)),
    "step": ("step_size", lambda v: conditions.A1(DATA, 0.5, 1.0, v)),
    "scale": ("scale", lambda v: conditions.A2(DATA, 0.5, 4, 0.1, v)),
    "C": ("C", lambda v: conditions.data_conditions(DATA, 0.5, v)),
    "C of K": ("C", lambda v: conditions.H_K4_3(DATA, 4, 0.1, 0.1, v)),
    "delta": ("delta", lambda v: conditions.H_K4_3(DATA, 4, 0.1, 0.1, delta=v)),
    "step of a run": ("step_size", lambda v: ib.gradient_descent(NET, DATA, v, 2)),
    "scale of a start": ("scale", lambda v: ib.TwoLayer.init(DATA, 2, 2, ib.relu(), v)),
    "factor": ("factor", NET.scaled),
    "kink": ("kink", lambda v: ib.kkt_residual(NET, DATA, kink=v)),
    "p": ("p", lambda v: ib.data.correlated(3, p=v)),
    "norms": ("norms", lambda v: ib.data.orthogonal(3, norms=v)),
    "dof": ("dof", lambda v: ib.data.heavy_tailed(3, 5, v)),
    "mean_norm": ("mean_norm", lambda v: ib.data.xor(4, 5, v)),
    "label_noise": ("label_noise", lambda v: ib.data.xor(4, 5, 1.0, v)),
    "epsilon": ("epsilon", ib.data.lemma_b8),
    "decay": ("decay", lambda v: spectra.power_law(10, v)),
    "r": ("r", lambda v: spectra.autoregressive(10, v)),
    "r of all": ("r", lambda v: spectra.equicorrelated(10, v)),
    "m_pos": ("m_pos", lambda v: kkt.kkt_matrix(DATA, v, 2, 0.5)),
    "m_neg": ("m_neg", lambda v: kkt.kkt_matrix(DATA, 2, v, 0.5)),
    "until": ("until", lambda v: ib.gradient_flow(NET, DATA, v)),
}
NO_NUMBERS = [
    None,
    "abc",
    b"1",
    True,
    1j,
    float("nan"),
    float("inf"),
    10**400,
    10**5000,
    [],
    torch.zeros(0),
    torch.tensor(float("nan")),
    torch.tensor(1.0, device="meta"),
    np.ma.masked,
    np.ma.masked_array([0.5, 0.5], mask=[False, True]),
    object(),
    {},
    [[1], [1, 2]],
    NET,
    DATA,
]


@pytest.mark.parametrize("argument, call", NUMBERS.values(), ids=NUMBERS)
def test_numbers_are_numbers(argument, call, rejects):
    for value in NO_NUMBERS:
        with rejects(argument):
            call(value)


@pytest.mark.parametrize("argument, call", NUMBERS.values(), ids=NUMBERS)
def test_numbers_of_any_kind_are_taken_without_their_graph(argument, call):
    if argument == "until":
        return
    half = 0.5
    kinds = (
        torch.tensor(half, requires_grad=True),
        np.float32(half),
        np.array(half),
        Fraction(1, 2),
    )
    small = argument == "p"
    for value in kinds:
        try:
            result = call(value)
        except ValueError:
            assert argument in ("dof", "label_noise") or small
            continue
        assert not any(tensor.requires_grad for tensor in tensors(result))


def tensors(value):
    """All tensors in a result."""
    if isinstance(value, torch.Tensor):
        return [value]
    if isinstance(value, dict):
        value = list(value.values())
    if is_dataclass(value):
        value = [getattr(value, f.name) for f in fields(value)]
    return sum(map(tensors, value), []) if isinstance(value, (tuple, list)) else []


INTEGERS = {
    "n": ("n", lambda v: ib.data.gaussian(v, 5)),
    "n of a Gram matrix": ("n", ib.data.orthogonal),
    "d": ("d", lambda v: ib.data.gaussian(2, v)),
    "positive": ("positive", lambda v: ib.data.gaussian(4, 5, positive=v)),
    "draws": ("draws", lambda v: ib.data.heavy_tailed(4, 5, 3.0, draws=v)),
    "count": ("count", lambda v: ib.data.fresh(ib.data.xor(4, 5, 1.0), v)),
    "m_pos": ("m_pos", lambda v: ib.TwoLayer.init(DATA, v, 2, ib.relu(), 0.1)),
    "m_pos of a point": ("m_pos", lambda v: ib.kkt_point(DATA, v, 2, 0.5)),
    "m": ("m", lambda v: conditions.A2(DATA, 0.5, v, 0.1, 0.1)),
    "steps": ("steps", lambda v: ib.gradient_descent(NET, DATA, 0.1, v)),
    "batch_size": ("batch_size", lambda v: ib.sgd(NET, DATA, 0.1, 3, v)),
    "last": ("last", log_spaced),
    "log_spaced": ("count", lambda v: log_spaced(10, v)),
    "exact": ("exact", lambda v: spectra.power_law(100, 1.0, exact=v)),
    "per_decade": ("per_decade", lambda v: spectra.power_law(100, 1.0, per_decade=v)),
    "ambient_dim": ("ambient_dim", lambda v: ib.Dataset(np.eye(4), LABELS, v)),
}


@pytest.mark.parametrize("argument, call", INTEGERS.values(), ids=INTEGERS)
def test_integers_are_integers(argument, call, rejects):
    for value in [*NO_NUMBERS, 1.5, -1, torch.tensor([1.0, 2.0])]:
        if value is None and argument in ("positive", "draws", "ambient_dim"):
            continue
        with rejects(argument):
            call(value)


HUGE = 2**50
TOO_LARGE = {
    "gaussian": lambda: ib.data.gaussian(HUGE, 10),
    "full": lambda: ib.data.gaussian(2, HUGE, space="full"),
    "orthogonal": lambda: ib.data.orthogonal(HUGE),
    "correlated": lambda: ib.data.correlated(HUGE, p=0.1),
    "mixture": lambda: ib.data.gaussian_mixture(HUGE, 10, 1.0),
    "spectrum": lambda: ib.data.gaussian_spectrum(HUGE, [1.0], [4.0]),
    "draws": lambda: ib.data.gaussian_spectrum(4, [1.0], [4.0], draws=HUGE),
    "fresh": lambda: ib.data.fresh(ib.data.xor(4, 5, 1.0), HUGE),
    "init": lambda: ib.TwoLayer.init(DATA, HUGE, 2, ib.relu(), 0.1),
    "kkt_point": lambda: ib.kkt_point(DATA, HUGE, 2, 0.5),
}


@pytest.mark.parametrize("call", TOO_LARGE.values(), ids=TOO_LARGE)
def test_what_no_memory_holds_is_refused_at_once(call):
    with pytest.raises(
        ValueError, match=r"^[\w, ]+: expected a size that memory holds"
    ):
        call()


WORDS = {
    "space": ("space", lambda v: ib.data.gaussian(2, 4, space=v)),
    "scale": ("scale", lambda v: ib.data.heavy_tailed(2, 4, 3.0, scale=v)),
    "signs": ("signs", lambda v: ib.data.correlated(2, signs=v)),
    "output": ("output", lambda v: ib.TwoLayer.init(DATA, 2, 2, ib.relu(), 0.1, v)),
    "loss": ("loss", lambda v: ib.gradient_descent(NET, DATA, 0.1, 2, v)),
    "device": ("device", lambda v: ib.gradient_descent(NET, DATA, 0.1, 2, device=v)),
    "name": ("name", ib.stored_result),
    "name of an activation": ("name", lambda v: ib.Activation(v, 0.5)),
    "smooth": ("smooth", lambda v: ib.Activation("leaky_relu", 0.5, v)),
    "centre": ("centre", lambda v: ib.data.digits(4, centre=v)),
    "whiten": ("whiten", lambda v: ib.data.digits(4, whiten=v)),
    "classes": ("classes", lambda v: ib.data.digits(4, v)),
    "ids": ("ids", ib.ledger),
    "to": ("to", DATA.to),
    "net.to": ("to", NET.to),
    "run.to": ("to", RUN.to),
}


@pytest.mark.parametrize("argument, call", WORDS.values(), ids=WORDS)
def test_words_are_words(argument, call, rejects):
    numbers = (3.5, np.ones(2), torch.ones(2, 2, dtype=torch.bool), 10**5000, object())
    for value in (
        "abc",
        *(() if argument == "ids" else ([1, 2, 3], np.ma.masked_array([1, 2, 3]))),
        *numbers,
    ):
        if argument == "ids" and not isinstance(value, (str, float, int)):
            continue
        with rejects(argument):
            call(value)


@pytest.mark.parametrize(
    "kind", [torch.int32, torch.float16, torch.complex64, torch.bool, "meta", True]
)
def test_nothing_is_rounded_or_dropped_on_a_move(kind, rejects):
    for thing in (DATA, NET):
        with rejects("to", "float64"):
            thing.to(kind)


def test_what_networks_and_losses_are_asked_of(rejects):
    for value in (0.5, np.ones(4), np.ones((0, 3)), "abc", None):
        with rejects("x"):
            NET(value)
    for value in (np.full((2, 4), np.nan), np.full((2, 4), np.inf)):
        with rejects("x", "finite"):
            NET.preactivations(value)
    with rejects("x", "broadcast"):
        PAIR(TRIPLE.x)
    with rejects("activation", "broadcast"):
        ib.TwoLayer(np.ones((3, 2, 2)), [1, -1], SLOPES)
    with rejects("z", "a row for each neuron"):
        outputs.even_odd(NET, np.ones(4))
    with rejects("z", "finite"):
        outputs.even_odd(NET, np.full((4, 2), np.nan))
    for value in ("abc", None, np.ma.masked):
        for function in (
            losses.LOGISTIC.g,
            losses.EXPONENTIAL.log_g,
            losses.LOGISTIC.log_mean,
        ):
            with rejects("q"):
                function(value)
        for function in (
            ib.leaky_relu(0.5).value,
            ib.smoothed_leaky_relu(0.5).derivative,
        ):
            with rejects("z"):
                function(value)
    with rejects("value", "function"):
        losses.Loss("mine", 1, 2, 3, 4)
    assert float(losses.LOGISTIC.value(np.zeros(()))) == pytest.approx(np.log(2))


def test_a_smoothed_margin_of_a_loss_of_ones_own_is_refused(rejects):
    known = losses.EXPONENTIAL
    own = losses.Loss("own", known.value, known.log_value, known.g, known.log_g)
    with rejects("run", "inverse"):
        runs.smoothed_margin(ib.gradient_descent(NET, DATA, 0.1, 2, own))


# -- scale --------


@pytest.mark.parametrize("size", [1e-300, 1e-150, 1.0, 1e150, 1e308])
def test_ranks_do_not_change_with_the_scale(size):
    rows = np.array([[1.0, 0.25], [0.0, 0.5]])
    assert float(ib.stable_rank(size * rows)) == pytest.approx(
        float(ib.stable_rank(rows)), rel=1e-14
    )
    net, unit = (ib.TwoLayer(s * rows, [1, 1], ib.relu()) for s in (size, 1.0))
    torch.testing.assert_close(
        ranks.class_stable_rank(net),
        ranks.class_stable_rank(unit),
        rtol=1e-14,
        atol=0,
        equal_nan=True,
    )


def test_small_gram_matrices_are_symmetric_or_refused(rejects):
    with rejects("gram", "mirror"):
        ib.data.from_gram(1e-20 * np.array([[1.0, 0.5], [0.0, 1.0]]))
    for size in (1e-290, 1e290):
        data = ib.data.from_gram(size * np.array([[1.0, 1.0], [1.0, 1.0]]))
        assert float(data.gram.min()) == pytest.approx(size)
    for size in (1e-320, 1e305):
        with rejects("gram"):
            ib.data.from_gram(size * np.eye(2))


def test_spectra_are_their_own_at_any_size():
    values = torch.tensor([2.0, 1.0], dtype=torch.float64)
    spectrum = spectra.Spectrum(values, torch.tensor([1.0, 1.0], dtype=torch.float64))
    values -= 100
    assert spectrum.norm == 2
    assert "1e+160" in repr(spectra.isotropic(1e160))
    assert spectra.isotropic(1e300).effective_dim == pytest.approx(1e300)
    assert pickle.loads(pickle.dumps(spectrum)) == spectrum


def test_a_run_does_not_share_its_step_size():
    steps = torch.tensor([0.1, 0.2], dtype=torch.float64)
    run = ib.gradient_descent(NET, DATA, steps, 2)
    steps -= 100
    assert run.step_size.tolist() == [0.1, 0.2]
    for given in ([0.1, 0.2], np.array([0.2, 0.1])[::-1]):
        assert ib.gradient_descent(NET, DATA, given, 2) == run


def test_a_start_that_overflows_is_refused(rejects):
    for go in (
        lambda net: ib.gradient_descent(net, DATA, 0.1, 2),
        lambda net: ib.gradient_flow(net, DATA, 1.0),
    ):
        with rejects("net", "overflow"):
            go(NET.scaled(1e200))


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
    "hypothesis": conditions.H_4_2(DATA, 0.5),
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
