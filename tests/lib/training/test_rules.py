"""Rules against slow twins: autograd and torch.optim in the full space, and plain loops."""

import math
from dataclasses import replace

import literal
import pytest
import torch

import implicit_bias as ib
from implicit_bias.theorems.genuine import genuine
from implicit_bias.training.rules import Rule
from implicit_bias.training.stepper import Stepper
from implicit_bias.training.trajectory import DESCENT, FLOW

SHAPES = {"n<d": (6, 25), "n>2d": (15, 4)}
STEPS = 40
BETA = 0.9


def pair(shape, phi=None, seed=2):
    data = ib.data.gaussian(*shape, seed=1, space="full")
    return ib.TwoLayer.init(data, 3, 4, phi or ib.leaky_relu(0.3), 0.3, seed=seed), data


def optimised(net, data, optimiser, batches, loss="logistic"):
    """The weights after one step of ``optimiser`` on each of the batches, all by torch."""
    gamma = float(net.activation.gamma)
    plain = literal.Net(net.weights, net.a, net.activation.name, gamma)
    steps = optimiser([plain.W])
    seen = [net.weights.clone()]
    for chosen in batches:
        steps.zero_grad()
        literal.mean_loss(data.y[chosen] * plain(data.x[chosen]), loss).backward()
        steps.step()
        seen.append(plain.W.detach().clone())
    return seen


def heavy_ball(rate, beta=BETA):
    return lambda weights: torch.optim.SGD(weights, lr=rate, momentum=beta)


class Sign(torch.optim.SGD):
    """``W - lr · sign ∇L`` by torch's plain step."""

    def step(self):
        for group in self.param_groups:
            for weights in group["params"]:
                weights.grad = torch.sign(weights.grad)
        super().step()


def whole(steps):
    return [slice(None)] * steps


def close(ours, theirs, tolerance=1e-10):
    torch.testing.assert_close(ours, theirs, rtol=tolerance, atol=tolerance)


RULES = {
    "descent": (ib.GradientDescent(), lambda rate: heavy_ball(rate, 0.0)),
    "momentum": (ib.Momentum(BETA), heavy_ball),
    "sign": (ib.SignDescent(), lambda rate: lambda weights: Sign(weights, lr=rate)),
}


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("name", RULES)
def test_rules_are_those_of_torch_in_the_full_space(name, shape, activation, loss):
    net, data = pair(shape, activation)
    rule, optimiser = RULES[name]
    rate = 0.02
    run = ib.gradient_descent(net, data, rate, STEPS, loss, [0, 1, 7, STEPS], rule=rule)
    seen = optimised(net, data, optimiser(rate), whole(STEPS), loss)
    assert run.outcome.ok and run.rule == rule.name
    for index, step in enumerate(run.step.tolist()):
        weights = seen[step]
        gamma = float(net.activation.gamma)
        f = literal.Net(weights, net.a, net.activation.name, gamma)(data.x).detach()
        close(run.net(index).weights, weights)
        close(run.margins[index], data.y * f)
        close(run.frobenius[index], weights.norm())
        close(run.spectral[index], torch.linalg.svdvals(weights)[0])


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("name", RULES)
def test_minibatches_are_those_of_torch_in_the_full_space(name, shape):
    net, data = pair(shape)
    rule, optimiser = RULES[name]
    stream = ib.span.generator(9, "batches")
    batches = []
    while len(batches) < 12:
        order = torch.randperm(data.n, generator=stream)
        batches += order[: data.n - data.n % 4].split(4)
    run = ib.sgd(net, data, 0.1, 12, batch_size=4, seed=9, rule=rule)
    close(run.final.weights, optimised(net, data, optimiser(0.1), batches[:12])[-1])
    assert run.rule == f"stochastic {rule.name} with batches of 4"
    assert ib.sgd(net, data, 0.1, 1, batch_size=data.n, rule=rule).rule == rule.name


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("name", RULES)
def test_a_batch_of_seeds_and_step_sizes_equals_its_runs_one_by_one(name, shape):
    data = ib.data.gaussian(*shape, seed=1, space="full")
    phi = ib.smoothed_leaky_relu(0.2)
    nets = ib.TwoLayer.init(data, 2, 3, phi, 0.3, seed=[0, 1, 2])
    net = ib.TwoLayer(nets.weights.unsqueeze(1), nets.a, phi)
    rates = torch.tensor([0.05, 0.2], dtype=torch.float64)
    rule, optimiser = RULES[name]
    run = ib.gradient_descent(net, data, rates, STEPS, rule=rule)
    parts = ib.sgd(net, data, rates, STEPS, 3, 5, rule=rule)
    assert run.margins.shape == (STEPS + 1, 3, 2, data.n)
    for i in range(3):
        one = ib.TwoLayer(nets.weights[i], nets.a, phi)
        for k, rate in enumerate(rates.tolist()):
            twin = optimised(one, data, optimiser(rate), whole(STEPS))
            close(run.final.weights[i, k], twin[-1])
            close(run.member(i, k).net(7).weights, twin[7])
            alone = ib.sgd(one, data, rate, STEPS, 3, 5, rule=rule)
            close(parts.final.weights[i, k], alone.final.weights)


def span_and_full(shape, phi):
    """One network and its data, in full space and in coordinates of the span."""
    net, full = pair(shape, phi)
    basis, _ = torch.linalg.qr(full.x.T)
    inside = net.weights @ basis
    outside = net.weights - inside @ basis.T
    data = ib.Dataset(full.x @ basis, full.y, ambient_dim=full.d)
    held = ib.TwoLayer(inside, net.a, net.activation, outside @ outside.T)
    return (net, full), (held, data)


class Normalised(Rule):
    """``∇L / ‖∇L‖_F``: it turns with the space."""

    in_span = True

    def update(self, gradient, memory):
        return gradient / gradient.norm(dim=(-2, -1), keepdim=True), memory


@pytest.mark.parametrize(
    "rule", [ib.Momentum(BETA), Normalised()], ids=lambda rule: rule.name
)
@pytest.mark.parametrize("batch_size", [2, 5])
def test_rules_that_keep_to_the_span_know_no_dimension(rule, batch_size, activation):
    pairs = span_and_full((5, 40), activation)
    one, two = (ib.sgd(*each, 0.1, STEPS, batch_size, rule=rule) for each in pairs)
    for name in ("margins", "log_loss", "frobenius", "spectral"):
        close(getattr(one, name), getattr(two, name))
    assert float((one.final.weights - one.initial.weights).norm()) > 0.1


def test_momentum_runs_where_the_full_space_does_not_fit():
    data = ib.data.gaussian(10, 10**10, seed=0)
    net = ib.TwoLayer.init(data, 8, 8, ib.leaky_relu(0.5), 1e-10)
    fast, slow = (
        ib.gradient_descent(net, data, 1e-10, 50, rule=rule)
        for rule in (ib.Momentum(BETA), ib.Momentum(0))
    )
    assert float(fast.log_loss[-1]) < float(slow.log_loss[-1]) < math.log(math.log(2))
    close(slow.final.weights, ib.gradient_descent(net, data, 1e-10, 50).final.weights)


# -- rules of one's own --------


class Twin(Rule):
    """Gradient descent, as a rule of one's own."""

    def __init__(self, in_span, linear):
        self.in_span = in_span
        self.linear = linear

    def update(self, gradient, memory):
        return gradient, memory


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize(
    "linear, in_span", [(True, True), (False, True), (False, False)]
)
def test_descent_is_the_same_in_all_coordinates(shape, linear, in_span, activation):
    net, data = pair(shape, activation)
    own = ib.gradient_descent(net, data, 0.3, STEPS, rule=Twin(in_span, linear))
    here = ib.gradient_descent(net, data, 0.3, STEPS)
    assert own.rule == "Twin" and here.rule == DESCENT
    close(own.final.weights, here.final.weights)
    assert own._states[0].shape[-1] == (
        data.n if linear and shape[0] < shape[1] else data.d
    )


class Adam(Rule):
    """With a memory of three things."""

    name = "Adam"

    def update(self, gradient, memory):
        first, second, t = memory or (0.0, 0.0, 0)
        t += 1
        first = 0.9 * first + 0.1 * gradient
        second = 0.999 * second + 0.001 * gradient**2
        root = (second / (1 - 0.999**t)).sqrt() + 1e-8
        return first / (1 - 0.9**t) / root, (first, second, t)


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_a_rule_of_ones_own_remembers(shape):
    net, data = pair(shape)
    run = ib.gradient_descent(net, data, 0.01, STEPS, rule=Adam())
    twin = optimised(
        net, data, lambda weights: torch.optim.Adam(weights, lr=0.01), whole(STEPS)
    )
    close(run.final.weights, twin[-1], 1e-7)
    assert run.rule == "Adam"


class Selfish(Rule):
    """Keeps its velocity in itself."""

    velocity = 0.0

    def update(self, gradient, memory):
        self.velocity = BETA * self.velocity + gradient
        return self.velocity, memory


def test_what_a_rule_keeps_in_itself_ends_with_the_run():
    net, data = pair((6, 25))
    rule = Selfish()
    runs = [ib.gradient_descent(net, data, 0.1, STEPS, rule=rule) for _ in range(2)]
    assert runs[0] == runs[1] and rule.velocity == 0
    twin = ib.gradient_descent(net, data, 0.1, STEPS, rule=ib.Momentum(BETA))
    close(runs[0].final.weights, twin.final.weights)


def test_a_rule_derived_from_descent_is_asked_for_its_steps():
    class Half(ib.GradientDescent):
        name = "half"

        def update(self, gradient, memory):
            return gradient / 2, memory

    net, data = pair((6, 25))
    run = ib.gradient_descent(net, data, 0.2, STEPS, rule=Half())
    close(run.final.weights, ib.gradient_descent(net, data, 0.1, STEPS).final.weights)


def test_gradient_descent_alone_leaps(monkeypatch):
    steps = []
    monkeypatch.setattr(Stepper, "walk", lambda self, count: steps.append(count))
    net, data = pair((6, 25))
    ib.gradient_descent(net, data, 0.1, 5, record=[0, 5], rule=ib.GradientDescent())
    assert steps == [5]
    ib.gradient_descent(net, data, 0.1, 5, record=[0, 5], rule=ib.Momentum(0))
    assert steps == [5]


# -- how runs end, and what claims say of them --------


class Away(Rule):
    """Uphill, faster and faster."""

    def update(self, gradient, memory):
        factor = 10.0 * (memory or 1.0)
        return -factor * gradient, factor


@pytest.mark.parametrize(
    "steps, status", [(0, "finished"), (1, "diverged"), (400, "non-finite")]
)
def test_runs_of_any_rule_end_as_runs_of_descent_do(steps, status):
    net, data = pair((6, 25))
    run = ib.gradient_descent(net, data, 0.05, steps, "exponential", rule=Away())
    assert run.outcome.status == status


def test_claims_on_descent_take_no_other_rule(rejects):
    data = ib.data.correlated(4, p=0.01)
    net = ib.TwoLayer.init(data, 4, 4, ib.leaky_relu(0.5), 0.01, output="1/m")
    run = ib.gradient_descent(net, data, 0.3, 200, rule=ib.Momentum(BETA))
    for check in (genuine, ib.claims["K-5.6"].check):
        with rejects(
            "run", "a run of gradient descent", "one of heavy-ball momentum 0.9"
        ):
            check(run)
    dressed = replace(run, rule=DESCENT)
    with rejects("run", "records that gradient descent gives"):
        genuine(dressed)
    assert genuine(ib.gradient_descent(net, data, 0.3, 200, rule=ib.GradientDescent()))


# -- errors --------


@pytest.mark.parametrize(
    "beta", [1.0, -0.1, 2, math.nan, math.inf, None, "0.9", True, [0.5, 0.6]]
)
def test_momentum_is_from_zero_up_to_one(beta, rejects):
    with rejects("beta"):
        ib.Momentum(beta)


@pytest.mark.parametrize("rule", [ib.SignDescent(), Adam()], ids=lambda rule: rule.name)
def test_rules_that_leave_the_span_need_full_coordinates(rule, rejects):
    (net, full), (held, data) = span_and_full((5, 40), ib.relu())
    with rejects(
        "data", f"full coordinates for {rule.name}", 'space="full"', "5 .*of 40"
    ):
        ib.gradient_descent(held, data, 0.1, 3, rule=rule)
    with rejects("data", f"full coordinates for {rule.name}"):
        ib.sgd(held, data, 0.1, 3, 2, rule=rule)
    apart = replace(net, frozen_gram=torch.eye(net.m))
    with rejects("net", f"full coordinates for {rule.name}", "frozen_gram"):
        ib.gradient_descent(apart, full, 0.1, 3, rule=rule)


class Idle(Rule):
    """Says nothing of its steps."""


class Nameless(Twin):
    name = ""


class Numbered(Twin):
    name = 7


class Impostor(Twin):
    name = DESCENT


class Flowing(Twin):
    name = FLOW


@pytest.mark.parametrize(
    "rule, words",
    [
        ("momentum", ["ib.Momentum", "'momentum'"]),
        (None, ["ib.Momentum", "None"]),
        (torch.optim.SGD, ["ib.Momentum"]),
        (ib.Momentum, [r"make one: Momentum\("]),
        (Idle(), ["update", "Idle"]),
        (Nameless(True, True), ["name", "''"]),
        (Numbered(True, True), ["name", "7"]),
        (Impostor(True, True), ["name of its own", DESCENT]),
        (Flowing(True, True), ["name of its own", FLOW]),
    ],
)
def test_what_is_no_rule_is_refused(rule, words, rejects):
    net, data = pair((6, 25))
    with rejects("rule", *words):
        ib.gradient_descent(net, data, 0.1, 3, rule=rule)


@pytest.mark.parametrize(
    "made, words",
    [
        (lambda g, m: g, ["a pair", "Tensor"]),
        (lambda g, m: None, ["a pair", "NoneType"]),
        (lambda g, m: (g, m, m), ["a pair", "tuple"]),
        (lambda g, m: (1.0, m), [r"shape \(7, 25\)", "float"]),
        (lambda g, m: (g.sum(), m), [r"shape \(7, 25\)", r"shape \(\)"]),
        (lambda g, m: (g.mT, m), [r"shape \(7, 25\)", r"shape \(25, 7\)"]),
    ],
)
def test_steps_of_another_shape_are_refused(made, words, rejects):
    class Wrong(Rule):
        def update(self, gradient, memory):
            return made(gradient, memory)

    net, data = pair((6, 25))
    with rejects("rule", *words):
        ib.gradient_descent(net, data, 0.1, 3, rule=Wrong())
    assert ib.gradient_descent(net, data, 0.1, 0, rule=Wrong()).outcome.ok
