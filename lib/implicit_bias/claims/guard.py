r"""Is a run what it says? One guard for every check that takes one, and for the other arguments of a check.

A run carries its rule, loss, step size, data, and what was recorded. :func:`genuine` recomputes what the records say
of the recorded networks, and repeats the first steps and the last stretch. A run that disagrees with itself is no
instance of any claim: the error names the field that does not fit.
"""

from __future__ import annotations

import inspect
import math
import typing
import weakref
import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import cache, wraps

import torch
from torch import Tensor

from .._checks import a_flag, fail, failure_probability, joint_shape, number, positive
from ..data import Dataset
from ..dynamics import gradient_descent, gradient_flow
from ..flow_rough import COARSEST
from ..measures import gradient, networks
from ..network import TwoLayer
from ..trajectory import DESCENT, FLOW, Trajectory
from .verdict import FAILS, HOLDS, UNDECIDED, Verdict

__all__ = ["genuine", "guarded"]

REPEATED = 500
"""Steps of descent that are repeated from the start: all recorded states among them must come out again."""

ARITHMETIC = 3e8
"""A repetition costs about this many products at most, except that the first interval is always repeated."""

MOVED, AT_REST = 1e-6, 1e-12
"""Allowed difference of a repeated state: relative to what has moved, and to the start."""

SAME_FLOW = 1e-4
"""The same for a flow, whose steps are chosen anew: relative to what has moved."""

ROUGHLY = 3.0
"""The same for a flow that went across kinks, in units of its resolution and relative to the
network.
"""

SAME_TIME, ROUGH_TIME = 1e-3, 0.1
"""Allowed difference of log t for a repeated stretch of a flow, and of one across kinks."""

WIDEST = 20
"""A stretch between two late records is repeated up to this many times the steps repeated from
the start.
"""

ODD = 4.0
"""A stretch is odd whose way is off by more than this factor from steps along the gradients at
its ends.
"""

ALL_NORMS = 256
"""Networks up to this many neurons have every recorded spectral norm recomputed; of wider ones, a few."""

_seen: dict[int, tuple[weakref.ref, tuple]] = {}


def guarded(check: Callable, rules: dict[str, tuple[str, ...]]) -> Callable:
    """A check that first looks at what it is given: runs by :func:`genuine`, networks and data by their type and fit.

    ``rules`` says for each argument that takes a run which rules it takes; without an entry, an argument called
    ``flow`` takes gradient flow, and any other gradient descent.
    """
    signature = inspect.signature(check)

    @wraps(check)
    def wrapper(*args: object, **named: object) -> object:
        bound = signature.bind(*args, **named)
        given = bound.arguments
        for name, kind in _kinds(check).items():
            if given.get(name) is not None or (name in given and kind[1]):
                _admit(name, given[name], kind[0], rules.get(name))
        for name, value in given.items():
            if value is not None or signature.parameters[name].default is not None:
                given[name] = _admitted_number(check, name, value)
        nets = [value for value in given.values() if isinstance(value, TwoLayer)]
        data = given.get("data")
        for net in nets if isinstance(data, Dataset) else []:
            _fits(net, data)
        _one_batch(given)
        for name, value in given.items():
            given[name] = _at_home(value)
        return _as_far_as_known(check(*bound.args, **bound.kwargs), given.values())

    return wrapper


def _at_home(value: object) -> object:
    """What a check looks at, on the processor: small numbers of many kinds, which a GPU would only
    slow down.
    """
    if isinstance(value, Trajectory):
        return value if value.data.x.device.type == "cpu" else value.to("cpu")
    if isinstance(value, (TwoLayer, Dataset, Tensor)):
        return value.to("cpu")
    return value


def _as_far_as_known(verdict: Verdict, given: Iterable[object]) -> Verdict:
    """A flow that went across kinks is known to its resolution, and decides nothing that the
    hypotheses leave open.
    """
    rough = [value.resolution for value in given if isinstance(value, Trajectory) and value.resolution is not None]
    if not rough or verdict.verdict not in (HOLDS, FAILS):
        return verdict
    known = "unknown" if math.isnan(max(rough)) else f"{max(rough):.1e}"
    why = f"The flow went across kinks in steps; its resolution is {known}. {verdict.why}"
    return replace(verdict, verdict=UNDECIDED, why=why)


@cache
def _kinds(check: Callable) -> dict[str, tuple[type, bool]]:
    """Which arguments are runs, networks or data, and whether each must be given."""
    kinds = {}
    for name, hint in _hints(check).items():
        options = typing.get_args(hint) or (hint,)
        for kind in (Trajectory, TwoLayer, Dataset):
            if kind in options and name != "return":
                kinds[name] = (kind, type(None) not in options)
    return kinds


SIZES = ("C", "c", "constant", "rho", "scale", "step_size")
"""Arguments of checks that are numbers above 0 where they are given."""

FLAGS = ("everywhere", "gaussian", "search")


def _admitted_number(check: Callable, name: str, value: object) -> object:
    """A number or a flag among the arguments of a check, refused where it is none."""
    if name in FLAGS:
        return a_flag(value, name)
    if name == "delta":
        return failure_probability(value)
    if name in SIZES or name == "H":
        found = positive(value, name, zero=name == "H")
        several = Tensor in typing.get_args(_hints(check)[name])
        return torch.as_tensor(found, dtype=torch.float64) if several else number(found, name)
    return value


@cache
def _hints(check: Callable) -> dict[str, object]:
    return typing.get_type_hints(check)


def _one_batch(given: dict[str, object]) -> None:
    """Refuse networks, data, runs and numbers whose batch shapes do not go together."""
    shapes = {}
    for name, value in given.items():
        if isinstance(value, Trajectory):
            shapes[name] = value.log_loss.shape[1:]
        elif isinstance(value, TwoLayer):
            shapes[name] = value.weights.shape[:-2]
        elif isinstance(value, Dataset):
            shapes[name] = value.x.shape[:-2]
    if not shapes:
        return
    numbers = {name: given[name].shape for name in SIZES if isinstance(given.get(name), Tensor)}
    batch = torch.Size()
    for name, shape in (shapes | numbers).items():
        joint = joint_shape(batch, shape)
        if joint is None or (name in numbers and joint != batch):
            fail(
                name,
                f"one, or one for each draw or run of the batch {tuple(batch)}",
                f"shape {tuple(shape)}",
            )
        batch = joint


CURES = {
    TwoLayer: "a TwoLayer (make one with TwoLayer(weights, second_layer, activation))",
    Dataset: "a Dataset (make one with Dataset(x, y))",
    Trajectory: "a Trajectory, as gradient_descent and gradient_flow return it",
}


def _admit(name: str, value: object, kind: type, rules: tuple[str, ...] | None) -> None:
    if not isinstance(value, kind):
        raise TypeError(f"{name}: expected {CURES[kind]}, got {type(value).__name__}")
    if kind is Trajectory:
        genuine(value, rules or ((FLOW,) if name == "flow" else (DESCENT,)), name)


def _fits(net: TwoLayer, data: Dataset) -> None:
    if net.d != data.d:
        fail("net", f"weights with {data.d} columns, like the data", net.d)


def genuine(run: Trajectory, rules: tuple[str, ...] = (DESCENT, FLOW), name: str = "run") -> Trajectory:
    """Return ``run`` if it is one of ``rules`` and agrees with itself.

    Raises
    ------
    ValueError
        Naming the rule, or the field that does not fit the others.
    """
    if run.rule not in rules:
        fail(name, f"a run of {' or '.join(rules)}", f"one of {run.rule or 'an unnamed rule'}")
    state = _fingerprint(run)
    known = _seen.get(id(run))
    if known is not None and known[0]() is run and known[1] == state:
        return run
    _records_fit(run, name)
    _first_and_last(run, name)
    key = id(run)
    _seen[key] = weakref.ref(run, lambda _: _seen.pop(key, None)), state
    return run


def _fingerprint(run: Trajectory) -> tuple:
    """What a run holds, its numbers as checksums: a change through a numpy view of a tensor leaves
    no other trace.
    """
    held = [run.log_loss, run.margins, run.frobenius, run.spectral, run.step, run.s, run.log_time, run.step_size]
    net = run.initial
    held += [run.data.x, run.data.y, net.weights, net.a, net.frozen_gram, net.activation.gamma]
    sums = tuple(map(_checksum, [*held, *run._states, run._end]))
    return (run.rule, run.loss, run.outcome.status, run.resolution, *sums)


def _checksum(value: object) -> object:
    if not isinstance(value, Tensor):
        return value
    return zlib.crc32(value.detach().cpu().contiguous().numpy().reshape(-1).view("u1"))


# -- the records among themselves ------------------------------------------------------------------------------------


def _relative(run: Trajectory) -> float:
    return max(1e-8, 1e3 * torch.finfo(run.margins.dtype).eps)


def _compare(run: Trajectory, name: str, field: str, expected: Tensor, size: Tensor, source: str) -> None:
    """Refuse records of ``field`` (T, ...) that differ from ``expected`` by more than the rounding of ``size``."""
    found = getattr(run, field)
    if found.shape != expected.shape:
        fail(name, f"{field} of shape {tuple(expected.shape)}", tuple(found.shape))
    close = (found - expected).abs() <= _relative(run) * size
    close |= found == expected
    if not bool(close.all()):
        index = int((~close).flatten(1).any(-1).nonzero()[0]) if close.ndim > 1 else int((~close).nonzero()[0])
        fail(name, f"{field} that fit {source}", f"others at record {index}: the run is not what it says")


def _records_fit(run: Trajectory, name: str) -> None:
    """Margins, losses and norms as the recorded networks, the data and the loss give them."""
    nets = networks(run)
    if nets.d != run.data.d:
        fail(name, f"data in {nets.d} dimensions, like its networks", run.data.d)
    z = nets.preactivations(run.data.x)
    a = nets.a.unsqueeze(-1)
    size = (a.abs() * z.abs()).sum(-2)
    margins = run.data.y * (a * nets.activation.value(z)).sum(-2)
    _compare(run, name, "margins", margins, size + 1e-300, "its networks and data")
    log_loss = run.loss.log_mean(run.margins)
    _compare(run, name, "log_loss", log_loss, 1 + log_loss.abs(), f"its margins under {run.loss.name} loss")
    frobenius = nets.frobenius().expand_as(run.frobenius)
    _compare(run, name, "frobenius", frobenius, frobenius + 1e-300, "its networks")
    _spectral_fits(run, name)
    _times_fit(run, name)


def _spectral_fits(run: Trajectory, name: str) -> None:
    last = len(run) - 1
    few = sorted({0, last // 3, last // 2, last - 1 if last else 0, last})
    for k in range(len(run)) if run.initial.m <= ALL_NORMS else few:
        net = run.net(k)
        expected = net.spectral().expand_as(run.spectral[k])
        # The square is what was computed: half the digits of a norm far below the largest.
        close = (run.spectral[k] - expected).abs() <= _relative(run) ** 0.5 * 1e-2 * net.frobenius() + 1e-300
        if not bool(close.all()):
            fail(name, "spectral norms that fit its networks", f"others at record {k}: the run is not what it says")


def _times_fit(run: Trajectory, name: str) -> None:
    clock, field = (run.step, "step") if run.rule != FLOW else (run.s, "s")
    if clock is None or clock.shape != run.log_loss.shape[:1]:
        fail(name, f"{field} with one time for each of {len(run)} records", clock)
    if len(run) > 1 and not bool((clock.diff() > 0).all() if field == "step" else (clock.diff() >= 0).all()):
        fail(name, f"{field} that rises from record to record", "one that does not")
    if field == "step" and run.step_size is None:
        fail(name, "a step size", None)
    if field == "s":
        _loss_clock_fits(run, name)


def _loss_clock_fits(run: Trajectory, name: str) -> None:
    # Of a batch the run that is least far stands at the clock; none does before its start.
    reached = -run.log_loss.reshape(len(run), -1)
    start = -run.loss.log_mean(run.data.y * run.initial(run.data.x))
    off = (reached.amin(-1) - run.s).abs() > 1e-3 * (1 + run.s.abs())
    if run.outcome.ok and bool((off & (run.s > start.min())).any()):
        fail(
            name,
            "s that fit its losses",
            "a clock other than log(1/L): the run is not what it says",
        )
    if run.log_time is None or run.log_time.shape != run.log_loss.shape:
        fail(name, "log_time with one entry for each loss", run.log_time)
    if bool((run.log_time[1:] < run.log_time[:-1] - 1e-9).any()):
        fail(name, "log_time that rises from record to record", "one that falls")


# -- the run again ---------------------------------------------------------------------------------------------------


def _first_and_last(run: Trajectory, name: str) -> None:
    if run.rule == FLOW:
        _flow_again(run, name)
    else:
        _descent_again(run, name)


def _agree(run: Trajectory, name: str, index: int, again: TwoLayer, allowed: Tensor) -> None:
    """Refuse a record whose network is farther than ``allowed`` (...) from the one that comes out
    again.
    """
    off = _length(run.net(index).weights - again.weights)
    if not bool((off <= allowed).all()):
        step = "" if run.rule == FLOW else f"step size {run.step_size}, "
        how = f"{step}{run.loss.name} loss"
        fail(name, f"records that {run.rule} gives ({how})", f"another network at record {index}")


def _length(weights: Tensor) -> Tensor:
    return weights.flatten(-2).norm(dim=-1)


def _rounding(before: TwoLayer, again: TwoLayer, moved: float) -> Tensor:
    """What a repetition from ``before`` may miss (...): a share of the way, and of the start."""
    double = before.weights.dtype == torch.float64
    way = _length(again.weights - before.weights)
    return (moved if double else 1e-2) * way + (AT_REST if double else 1e-5) * _length(before.weights)


def _descent_again(run: Trajectory, name: str) -> None:
    steps = run.step.tolist()
    batch = max(1, run.log_loss[0].numel())
    budget = max(1, min(REPEATED, int(ARITHMETIC / (batch * run.initial.m * run.data.n))))
    early = [step for step in steps if step <= budget]
    early = early if any(early) or len(steps) == len(early) else [*early, steps[len(early)]]
    if early and early[-1] > 0:
        again = gradient_descent(run.initial, run.data, run.step_size, early[-1], run.loss, early)
        for index in range(min(len(early), len(again))):
            _agree(run, name, index, again.net(index), _rounding(run.initial, again.net(index), MOVED))
    later = range(max(len(early), 1), len(steps))
    most = WIDEST * budget
    chosen = {later[len(later) // 2], later[-1]} if len(later) else set()
    odd = _odd_stretches(run, later)
    for index in sorted(chosen | odd):
        width = steps[index] - steps[index - 1]
        if width <= most:
            before = run.net(index - 1)
            again = gradient_descent(before, run.data, run.step_size, width, run.loss, [width])
            allowed = _rounding(before, again.final, MOVED) + _pulled(run, index, width)
            _agree(run, name, index, again.final, allowed)
        elif index in odd:
            _not_there_yet(run, name, index, most)


def _pulled(run: Trajectory, index: int, width: int) -> Tensor:
    """What rounding makes of so many steps (...) in which samples pull against each other, and the
    network rests.
    """
    pulls = run.loss.g(run.margins[index - 1 : index + 1]).mean(-1).amax(0)
    size = (
        torch.as_tensor(run.step_size, dtype=pulls.dtype)
        * run.data.R_max
        * run.initial.a.norm(dim=-1)
    )
    share = AT_REST if pulls.dtype == torch.float64 else 1e-5
    return share * width * size * pulls


def _odd_stretches(run: Trajectory, later: Sequence[int]) -> set[int]:
    """The records whose way from the one before is far from what so many steps along the gradients
    at both make. Oscillations and plateaus are odd too: what is odd is repeated.
    """
    if not later:
        return set()
    odd = set()
    before = run.net(later[0] - 1)
    pull = _length(gradient(before, run.data, run.loss))
    for index in later:
        after = run.net(index)
        next_pull = _length(gradient(after, run.data, run.loss))
        if _is_odd(run, index, before, after, (pull, next_pull)):
            odd.add(index)
        before = after
        pull = next_pull
    return odd


def _is_odd(
    run: Trajectory, index: int, before: TwoLayer, after: TwoLayer, pulls: tuple[Tensor, Tensor]
) -> bool:
    """Whether the way between two networks is shorter or longer than the steps of any of ``pulls``,
    by more than ``ODD``.
    """
    size = torch.as_tensor(run.step_size, dtype=pulls[0].dtype)
    steps = float(run.step[index] - run.step[index - 1]) * size
    way = _length(after.weights - before.weights)
    least = steps * torch.minimum(*pulls) / ODD
    most = steps * torch.maximum(*pulls) * ODD
    blur = 1e3 * torch.finfo(way.dtype).eps * _length(before.weights)
    return bool(((way + blur < least) | (way > most + blur)).any())


def _not_there_yet(run: Trajectory, name: str, index: int, steps: int) -> None:
    """Refuse a record of an odd stretch, too long to repeat, whose loss is passed after a small part
    of its steps.
    """
    again = gradient_descent(run.net(index - 1), run.data, run.step_size, steps, run.loss, [steps])
    if bool((again.log_loss[-1] < run.log_loss[index] - _relative(run)).any()):
        how = f"step size {run.step_size}, {run.loss.name} loss"
        fail(
            name,
            f"records that {run.rule} gives ({how})",
            f"fewer steps than it says before record {index}",
        )


def _flow_again(run: Trajectory, name: str) -> None:
    last = len(run) - 1
    # Where a run that stalled ended is no goal that can be asked for.
    if run.outcome.ok or last > 1:
        _stretch_again(run, name, run.initial, range(min(2, len(run))))
    if run.outcome.ok and last > 1:
        _stretch_again(run, name, run.net(last - 1), [last])


def _stretch_again(run: Trajectory, name: str, before: TwoLayer, places: Sequence[int]) -> None:
    """Repeat a flow from ``before`` and compare the records at ``places`` that lie ahead of it."""
    begun = float(-run.loss.log_mean(run.data.y * before(run.data.x)).max())
    goals = {float(run.s[index]): index for index in places if float(run.s[index]) > begun}
    if not goals:
        return
    again = gradient_flow(before, run.data, max(goals), run.loss, list(goals))
    for place, index in enumerate(list(goals.values())[: len(again)]):
        _agree(run, name, index, again.net(place), _allowed(run, before, again))
        _times_agree(run, name, index, again, place)


def _times_agree(run: Trajectory, name: str, index: int, again: Trajectory, place: int) -> None:
    """Refuse times of a flow other than those that come out again from the start, or from the record
    before.
    """
    found = again.log_time[place]
    passed = run.log_time[index]
    if index > 1:
        passed = passed + torch.log(-torch.expm1(run.log_time[index - 1] - passed))
    rough = run.resolution is not None or again.resolution is not None
    off = (passed - found).abs() > (ROUGH_TIME if rough else SAME_TIME)
    if again.outcome.ok and bool((off & found.isfinite()).any()):
        fail(
            name,
            "log_time that its flow takes",
            f"another at record {index}: the run is not what it says",
        )


def _allowed(run: Trajectory, before: TwoLayer, again: Trajectory) -> Tensor:
    """What a repeated stretch of a flow may miss; across kinks it is relative to the network, as a
    resolution is.
    """
    if run.resolution is None and again.resolution is None:
        return _rounding(before, again.final, SAME_FLOW)
    known = [value for value in (run.resolution, again.resolution, COARSEST) if value is not None]
    resolution = max(value for value in known if not math.isnan(value))
    return ROUGHLY * resolution * _length(again.final.weights)
