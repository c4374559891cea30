"""Activations: what each is, what it says of itself, and how to bring one of your own."""

import copy
import dataclasses
import inspect
import io
import math
import pickle
from functools import cache

import literal
import mpmath
import pytest
import torch

import implicit_bias as ib
from implicit_bias.networks.activations import (
    GELU,
    LeakyReLU,
    ReLU,
    SmoothedLeakyReLU,
    SmoothedReLU,
    SquaredReLU,
)
from implicit_bias.theorems.claim import registry
from implicit_bias.theorems.frei2023 import proxy_pl
from implicit_bias.theorems.frei2023.smooth_setting import slopes_fit, smoothness
from implicit_bias.training import flow_limits
from implicit_bias.training.problem import Problem

LEAKS = torch.tensor([0.1, 0.5, 1.0], dtype=torch.float64)
LIBRARY = {
    "leaky": ib.leaky_relu(0.3),
    "linear": ib.leaky_relu(1.0),
    "relu": ib.relu(),
    "smoothed": ib.smoothed_leaky_relu(0.2),
    "smoothed relu": ib.Activation("smoothed_relu", 0.0, smooth=True),
    "squared": ib.squared_relu(),
    "gelu": ib.gelu(),
}
SMOOTH = {name: phi for name, phi in LIBRARY.items() if phi.smooth}
NEW = {"squared": ib.squared_relu(), "gelu": ib.gelu()}
DATA = ib.data.gaussian(4, 6, seed=3)


class Tanh(ib.Activation):
    """A function of one's own."""

    def value(self, z):
        return torch.tanh(z)

    def derivative(self, z):
        return 1 - torch.tanh(z) ** 2


TANH = Tanh("tanh", 0.0, smooth=True)


class Written(ib.Activation):
    """One that writes into what it is given, and hands it back."""

    def value(self, z):
        return z.clamp_(min=0)

    def derivative(self, z):
        return z.copy_((z >= 0).to(z))


def of(cases):
    return pytest.mark.parametrize("phi", cases.values(), ids=cases)


def places(dtype=torch.float64, count=60):
    """Preactivations of many sizes, none at 0."""
    stream = torch.Generator().manual_seed(1)
    sizes = [1e-8, 1e-2, 1.0, 5.0]
    parts = [
        size * torch.randn(2, count, generator=stream, dtype=dtype) for size in sizes
    ]
    return torch.cat(parts, dim=-1)


# -- values and slopes --------


@of(LIBRARY | {"own": TANH})
@pytest.mark.parametrize("dtype, rtol", [(torch.float64, 1e-13), (torch.float32, 1e-5)])
def test_slopes_are_the_gradients_of_values(phi, dtype, rtol):
    z = places(dtype).requires_grad_()
    (slope,) = torch.autograd.grad(phi.value(z).sum(), z)
    assert phi.derivative(z).dtype == dtype
    torch.testing.assert_close(phi.derivative(z), slope, rtol=rtol, atol=rtol * 1e-2)


@of(LIBRARY)
def test_values_are_exact_to_the_last_digits(phi):
    z = torch.linspace(-30, 30, 121, dtype=torch.float64).reshape(1, -1)
    exact = [float(true_value(phi, at)) for at in z.flatten().tolist()]
    exact = torch.tensor(exact, dtype=torch.float64).reshape(1, -1)
    torch.testing.assert_close(phi.value(z), exact, rtol=2e-13, atol=1e-300)


def true_value(phi, z):
    """``φ(z)`` at 60 digits."""
    with mpmath.workdps(60):
        z = mpmath.mpf(z)
        gamma = mpmath.mpf(float(phi.gamma))
        if phi.name == "gelu":
            return z * mpmath.erfc(-z / mpmath.sqrt(2)) / 2
        if phi.name == "squared_relu":
            return max(z, mpmath.mpf(0)) ** 2
        if phi.smooth:
            return gamma * z + (1 - gamma) * (
                mpmath.log1p(mpmath.exp(z)) - mpmath.log(2)
            )
        return max(z, gamma * z)


@of(LIBRARY)
def test_at_zero_the_value_is_zero_and_the_slope_the_larger_one(phi):
    slopes = {"squared_relu": 0.0, "gelu": 0.5}
    usual = (1 + phi.gamma) / 2 if phi.smooth else 1.0
    zero = torch.zeros(1, 1, dtype=torch.float64)
    assert float(phi.value(zero)) == 0
    assert float(phi.derivative(zero)) == pytest.approx(
        slopes.get(phi.name, usual), rel=1e-15
    )


@of(LIBRARY)
def test_large_numbers_stay_finite(phi):
    z = torch.tensor([[-1e4, 1e4]], dtype=torch.float64)
    assert torch.isfinite(phi.value(z)).all()
    assert torch.isfinite(phi.derivative(z)).all()


@pytest.mark.parametrize("make", [ib.leaky_relu, ib.smoothed_leaky_relu])
def test_a_batch_of_slopes_is_each_of_them(make, rejects):
    z = places().expand(3, -1, -1)
    u = 0.01 * z.flip(-1)
    many = make(LEAKS)
    for k, leak in enumerate(LEAKS.tolist()):
        one = make(leak)
        for ask in ("value", "derivative"):
            assert torch.equal(getattr(many, ask)(z)[k], getattr(one, ask)(z[k]))
        for ask in ("increment", "remainder"):
            assert torch.equal(
                getattr(many, ask)(z, u)[k], getattr(one, ask)(z[k], u[k])
            )
    assert many.gamma_for(z).shape == (3, 1, 1)
    assert many.has_leak
    with rejects("z", r"\(\.\.\., m, n\)"):
        many.value(z[0, 0])


@of(LIBRARY | {"own": TANH})
def test_what_descent_multiplies_is_value_and_slope(phi):
    z = places()
    a = torch.tensor([[0.5], [-2.0]], dtype=torch.float64)
    kept = z.clone()
    slopes, values = phi.weighted(z, a)
    torch.testing.assert_close(slopes, a * phi.derivative(z), rtol=0, atol=0)
    torch.testing.assert_close(values, a * phi.value(z), rtol=1e-15, atol=0)
    slopes.zero_()
    values.zero_()
    assert torch.equal(z, kept)


# -- from one place to another --------


def true_slope(phi, z):
    """``φ'(z)`` at 60 digits."""
    with mpmath.workdps(60):
        z = mpmath.mpf(z)
        gamma = mpmath.mpf(float(phi.gamma))
        if phi.name == "gelu":
            return mpmath.ncdf(z) + z * mpmath.npdf(z)
        if phi.name == "squared_relu":
            return 2 * max(z, mpmath.mpf(0))
        if phi.smooth:
            return gamma + (1 - gamma) / (1 + mpmath.exp(-z))
        return 1 if z >= 0 else gamma


def true_change(phi, z, u):
    """``φ(z + u) - φ(z)`` at 60 digits, with the sum exact."""
    with mpmath.workdps(60):
        return true_value(phi, mpmath.mpf(z) + mpmath.mpf(u)) - true_value(phi, z)


@of(LIBRARY)
@pytest.mark.parametrize("size", [1e-14, 1e-6, 0.05, 0.5, 3.0])
def test_increments_keep_their_digits(phi, size):
    for z in (-3.0, -0.4, 1e-3, 0.3, 2.0):
        for u in (-size, size):
            at = (
                torch.tensor([[z]], dtype=torch.float64),
                torch.tensor([[u]], dtype=torch.float64),
            )
            true = float(true_change(phi, z, u))
            # At a kink z + u is rounded before anything is asked.
            across = 1e-16 if not phi.smooth and z * (z + u) < 0 else 0
            assert float(phi.increment(*at)) == pytest.approx(
                true, rel=1e-12, abs=across
            )


@of(LIBRARY)
@pytest.mark.parametrize("size", [1e-6, 0.05, 0.5, 3.0])
def test_remainders_keep_their_digits(phi, size):
    for z in (-3.0, -0.4, 0.3, 2.0):
        for u in (-size, size):
            at = (
                torch.tensor([[z]], dtype=torch.float64),
                torch.tensor([[u]], dtype=torch.float64),
            )
            with mpmath.workdps(60):
                true = float(
                    true_change(phi, z, u) - true_slope(phi, z) * mpmath.mpf(u)
                )
            # Straight pieces leave rounding alone; elsewhere it is of second order in u.
            plain = not phi.smooth or size > 0.1
            floor = 1e-14 * (z**2 + u**2) if plain else 1e-9 * size**2
            assert float(phi.remainder(*at)) == pytest.approx(
                true, rel=1e-12, abs=floor
            )


def test_of_ones_own_the_difference_is_taken():
    z = places()
    u = torch.full_like(places(), 0.3)
    assert torch.equal(TANH.increment(z, u), torch.tanh(z + u) - torch.tanh(z))


@pytest.mark.parametrize("temperature", [1.0, 1e-9])
@of(LIBRARY | {"own": TANH})
def test_stand_ins_of_a_search_have_gradients(phi, temperature):
    z = places().requires_grad_()
    value, slopes = phi.softened(z, temperature)
    (value.sum() + slopes.sum()).backward()
    assert torch.isfinite(z.grad).all()
    if phi.smoothed:
        torch.testing.assert_close(value, phi.value(z), rtol=1e-12, atol=1e-15)
    if phi.piecewise_linear and temperature == 1e-9:
        far = z.abs() > 1e-6
        torch.testing.assert_close(slopes[far], phi.derivative(z)[far])


# -- what each says of itself --------


@of(SMOOTH)
def test_H_bounds_the_curvature_and_is_reached(phi):
    z = torch.linspace(-8, 8, 160_001, dtype=torch.float64)
    steepest = (phi.derivative(z).diff() / z.diff()).abs().max()
    assert float(steepest) <= phi.H * (1 + 1e-9)
    assert float(steepest) >= phi.H * (1 - 1e-6)
    assert smoothness(phi) == phi.H


@of(LIBRARY)
def test_degrees_are_what_scaling_does(phi):
    z = places()
    scaled = {k: 3.0**k * phi.value(z) for k in (1, 2)}
    fits = [
        k
        for k, value in scaled.items()
        if torch.allclose(value, phi.value(3 * z), rtol=1e-12)
    ]
    assert fits == ([] if phi.degree is None else [phi.degree])
    assert phi.homogeneous is (phi.degree == 1)


def test_what_each_says():
    asked = (
        "piecewise_linear",
        "homogeneous",
        "has_leak",
        "is_leaky_relu",
        "is_relu",
        "smoothed",
    )
    said = {
        name: [ask for ask in asked if getattr(phi, ask)]
        for name, phi in LIBRARY.items()
    }
    leaky = ["piecewise_linear", "homogeneous", "has_leak", "is_leaky_relu"]
    assert said == {
        "leaky": leaky,
        "linear": leaky,
        "relu": ["piecewise_linear", "homogeneous", "is_relu"],
        "smoothed": ["has_leak", "smoothed"],
        "smoothed relu": ["smoothed"],
        "squared": [],
        "gelu": [],
    }


def test_a_leak_is_one_in_every_network_or_none():
    mixed = ib.Activation("leaky_relu", torch.tensor([0.0, 0.5]))
    assert not mixed.has_leak and not mixed.is_leaky_relu and not mixed.is_relu
    assert ib.Activation("leaky_relu", torch.zeros(2)).is_relu
    assert ib.leaky_relu(1e-50).has_leak


@of(LIBRARY)
def test_far_below_zero_the_offset_is_reached(phi):
    if phi.offset_below is None:
        assert phi.name in ("squared_relu", "gelu")
        return
    z = torch.tensor([[-60.0]], dtype=torch.float64)
    left = float(phi.value(z)) - phi.gamma * -60.0
    assert left == pytest.approx(phi.offset_below, abs=1e-13)


def test_slopes_between_the_leak_and_one_are_looked_at():
    assert slopes_fit(LIBRARY["leaky"]) and slopes_fit(LIBRARY["smoothed"])
    for phi in (*NEW.values(), TANH, ib.relu()):
        assert not slopes_fit(phi)


# -- ways to make one --------

WAYS = {
    "leaky": (lambda: ib.Activation("leaky_relu", 0.3), LeakyReLU, ib.leaky_relu(0.3)),
    "relu": (lambda: ib.Activation("relu", 0.0), ReLU, ib.relu()),
    "relu by names": (lambda: ib.Activation(gamma=0.0, name="relu"), ReLU, ib.relu()),
    "smoothed": (
        lambda: ib.Activation("smoothed_leaky_relu", 0.3, smooth=True),
        SmoothedLeakyReLU,
        ib.smoothed_leaky_relu(0.3),
    ),
    "smoothed relu": (
        lambda: ib.Activation("smoothed_relu", 0.0, True),
        SmoothedReLU,
        LIBRARY["smoothed relu"],
    ),
    "squared": (ib.squared_relu, SquaredReLU, NEW["squared"]),
    "gelu": (ib.gelu, GELU, NEW["gelu"]),
}


@pytest.mark.parametrize("make, kind, other", WAYS.values(), ids=WAYS)
def test_every_way_makes_the_same(make, kind, other):
    made = make()
    assert type(made) is kind and type(other) is kind
    assert made == other and hash(made) == hash(other)


WRONG = {
    "unknown": ("name", lambda: ib.Activation("swish", 0.0)),
    "no name": ("name", lambda: ib.Activation(None, 0.0)),
    "other name": ("name", lambda: GELU("relu", 0.0, smooth=True)),
    "kinked": ("smooth", lambda: ib.Activation("smoothed_leaky_relu", 0.3)),
    "not kinked": ("smooth", lambda: ib.Activation("relu", 0.0, smooth=True)),
    "kinked gelu": ("smooth", lambda: GELU("gelu", 0.0)),
    "leak of relu": ("gamma", lambda: ib.Activation("relu", 0.1)),
    "leak of squared": ("gamma", lambda: SquaredReLU("squared_relu", 0.1, smooth=True)),
    "leak of gelu": ("gamma", lambda: ib.gelu().with_gamma(0.5)),
    "steep": ("gamma", lambda: ib.Activation("leaky_relu", 1.5)),
    "base": ("activation", lambda: type("Bare", (ib.Activation,), {})("bare", 0.0)),
    "half": (
        "activation",
        lambda: type("Half", (ib.Activation,), {"value": Tanh.value})("half", 0.0),
    ),
    "other half": (
        "activation",
        lambda: type("Half", (ib.Activation,), {"derivative": Tanh.derivative})(
            "half", 0.0
        ),
    ),
    "infinite": ("gamma", lambda: Tanh("tanh", math.inf)),
    "gelu in torch": (
        "activation",
        lambda: ib.TwoLayer(torch.eye(2), [1, -1], torch.nn.GELU()),
    ),
    "no brackets": (
        "activation",
        lambda: ib.TwoLayer(torch.eye(2), [1, -1], ib.squared_relu),
    ),
}


@pytest.mark.parametrize("argument, make", WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_named(argument, make, rejects):
    with rejects(argument):
        make()


def test_cures_are_told(rejects):
    for value in (torch.nn.GELU(), torch.nn.functional.gelu, ib.gelu):
        with rejects("activation", r"write ib.gelu\(\)"):
            ib.TwoLayer(torch.eye(2), [1, -1], value)


def test_the_way_to_one_without_a_leak_is_told(rejects):
    with rejects("name", r"write ib.gelu\(\)"):
        ib.Activation("gelu", 0.0)


def test_what_is_known_of_one_is_not_inherited():
    with pytest.raises(TypeError, match="derive it from ib.Activation"):
        type("Mine", (LeakyReLU,), {"value": Tanh.value})


# -- copies and files --------

KEPT = LIBRARY | {
    "batch": ib.leaky_relu(LEAKS),
    "smoothed batch": ib.smoothed_leaky_relu(LEAKS),
}


@of(KEPT)
def test_copies_and_files_keep_it(phi, tmp_path):
    pickled = pickle.loads(pickle.dumps(phi))
    for again in (
        pickled,
        copy.copy(phi),
        copy.deepcopy(phi),
        dataclasses.replace(phi),
    ):
        assert again == phi and type(again) is type(phi)
    assert type(phi).from_state_dict(phi.state_dict()) == phi
    phi.save(tmp_path / "phi.pt")
    assert ib.Activation.load(tmp_path / "phi.pt") == phi
    buffer = io.BytesIO()
    torch.save(phi, buffer)
    buffer.seek(0)
    assert torch.load(buffer, weights_only=True) == phi


OLD = {name: phi for name, phi in KEPT.items() if name not in NEW}


@of(OLD)
def test_what_was_saved_when_one_class_stood_for_all_is_read(phi):
    entries = {"name": phi.name, "gamma": phi.gamma, "smooth": phi.smooth}
    assert ib.Activation.from_state_dict({"kind": "Activation", **entries}) == phi
    past = object.__new__(ib.Activation)
    vars(past).update(entries)
    assert pickle.loads(pickle.dumps(past)) == phi
    buffer = io.BytesIO()
    torch.save(past, buffer)
    buffer.seek(0)
    assert torch.load(buffer, weights_only=True) == phi


def test_a_network_keeps_its_activation(tmp_path):
    for phi in (*KEPT.values(),):
        batch = tuple(torch.as_tensor(phi.gamma).shape)
        net = ib.TwoLayer(torch.ones(*batch, 2, 3), [1, -1], phi)
        net.save(tmp_path / "net.pt")
        assert ib.TwoLayer.load(tmp_path / "net.pt") == net
        assert type(net.to(torch.float32).activation) is type(phi)


def test_ones_own_is_pickled_and_not_written(rejects):
    assert pickle.loads(pickle.dumps(TANH)) == TANH
    with rejects("state", "pickle"):
        TANH.state_dict()


# -- runs --------

OTHERS = NEW | {"own": TANH}


def start(phi, scale=0.4, seed=1):
    return ib.TwoLayer.init(DATA, 3, 2, phi, scale, seed=seed)


@of(OTHERS)
@pytest.mark.parametrize("loss", ["logistic", "exponential"])
def test_descent_is_that_of_autograd(phi, loss):
    net = start(phi)
    run = ib.gradient_descent(net, DATA, 0.3, 40, loss, record=range(41))
    seen = literal.autograd_descent(
        net.weights, net.a, phi.name, 0.0, DATA.x, DATA.y, 0.3, 40, loss
    )
    for k in (1, 20, 40):
        torch.testing.assert_close(run.net(k).weights, seen[k], rtol=1e-11, atol=1e-13)


@of(OTHERS)
def test_minibatches_of_everything_are_descent(phi):
    net = start(phi)
    whole = ib.sgd(net, DATA, 0.3, 20, DATA.n)
    plain = ib.gradient_descent(net, DATA, 0.3, 20)
    torch.testing.assert_close(
        whole.final.weights, plain.final.weights, rtol=1e-11, atol=1e-13
    )
    some = ib.sgd(net, DATA, 0.3, 40, 2)
    assert some.outcome.ok and float(some.log_loss[-1]) < float(some.log_loss[0])


@of(OTHERS)
def test_flow_is_that_of_plain_time(phi):
    net = start(phi)
    log_loss, log_time, weights = literal.flow_in_plain_time(
        net.weights, net.a, phi.name, 0.0, DATA.x, DATA.y, 300, 2e-2
    )
    run = ib.gradient_flow(net, DATA, -log_loss, rtol=1e-11)
    assert run.outcome.ok
    assert float(run.log_time[-1]) == pytest.approx(log_time, abs=1e-6)
    torch.testing.assert_close(run.final.weights, weights, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize(
    "data", [DATA, ib.data.gaussian(12, 3, seed=3)], ids=["wide", "tall"]
)
def test_one_that_writes_into_what_it_is_given_descends_as_it_should(data):
    net = ib.TwoLayer.init(data, 3, 2, Written("written", 0.0), 0.4, seed=1)
    other = dataclasses.replace(net, activation=ib.relu())
    run, plain = (ib.gradient_descent(each, data, 0.3, 1) for each in (net, other))
    torch.testing.assert_close(
        run.final.weights, plain.final.weights, rtol=1e-13, atol=1e-15
    )


def test_a_loss_that_two_scaled_samples_hold_up_is_foreseen():
    data = ib.Dataset([[1.0, 0.0], [2.0, 0.0]], [1, -1])
    least = {}
    f = torch.linspace(-3, 3, 60_001, dtype=torch.float64)
    for phi in (ib.relu(), ib.squared_relu(), ib.gelu()):
        problem = Problem.of(
            ib.TwoLayer.init(data, 2, 2, phi, 0.1), data, "logistic", "cpu"
        )
        found = flow_limits.contradiction(problem)
        least[phi.name] = None if found is None else found[0]
        if phi.degree is not None:
            costs = torch.log1p(torch.exp(-f)) + torch.log1p(
                torch.exp(2.0**phi.degree * f)
            )
            assert least[phi.name] == pytest.approx(
                math.log(2 / float(costs.min())), abs=1e-8
            )
    # Of no degree: outputs at x and 2x are two numbers.
    assert least["gelu"] is None
    assert least["relu"] < least["squared_relu"]


# -- what refuses them --------


@of(OTHERS)
def test_kkt_points_are_those_of_leaky_relus(phi, rejects):
    with rejects("net", "leaky ReLU or ReLU", phi.name):
        ib.kkt_residual(start(phi), DATA)
    with rejects("gamma", "leak", phi.name):
        ib.kkt_point(DATA, 2, 2, phi)
    with rejects("activation", phi.name):
        proxy_pl.extremal_network(ib.data.orthogonal(4), 2, 2, phi)


ANY = {"F-E.1", "F-E.5", "F-E.6", "K-A.1", "K-A.2", "K-5.1"}
"""Claims about starts, about the span, and conditions on one network: any activation
will do.
"""

SEARCHES = dict.fromkeys(("F-E.2", "F-E.3", "F-D.2"), {"search": False})
"""What spares the time of an adversary; F-E.14 and F-E.7 run theirs."""

NAMES = {"activation", "smoothness", "homogeneous"}
"""The hypotheses that an activation breaks."""


@cache
def material(name):
    """A network, another, and runs of descent and flow."""
    data = ib.data.orthogonal(4, norms=[1, 1.1, 1.2, 1])
    net, other = (
        ib.TwoLayer.init(data, 2, 2, OTHERS[name], 0.5, "1/m", seed=seed)
        for seed in (1, 2)
    )
    descent = ib.gradient_descent(net, data, 0.5, 40, record=range(41))
    return {
        "data": data,
        "net": net,
        "other": other,
        "initial": net,
        "activation": OTHERS[name],
        "scale": 0.5,
        "step_size": 0.5,
        "run": descent,
        "trajectory": descent,
        "flow": ib.gradient_flow(net, data, 1.0),
    }


def asked(id):
    """The arguments that a claim asks for, where it asks for a network, a run or an
    activation.
    """
    plain = inspect.signature(registry[id].check).parameters.values()
    names = [part.name for part in plain if part.default is part.empty]
    return names if {"net", "run", "trajectory", "activation"} & set(names) else []


@pytest.mark.parametrize("id", [id for id in registry if asked(id) and id not in ANY])
@pytest.mark.parametrize("name", OTHERS)
def test_no_claim_about_leaky_relus_speaks_of_others(id, name):
    given = material(name)
    for which in ("run", "flow"):
        args = [
            given[which] if part in ("run", "trajectory") else given[part]
            for part in asked(id)
        ]
        try:
            verdict = registry[id].check(*args, **SEARCHES.get(id, {}))
        except ValueError as error:
            assert str(error).split(":")[0] in (
                "net",
                "gamma",
                "run",
                "trajectory",
                "activation",
            )
            continue
        assert verdict.verdict == "vacuous"
        assert NAMES & {
            part.name for part in verdict.hypotheses if not bool(part.holds.all())
        }
