"""Found here: S-4, the best constant of the proxy-PL inequality."""

import pytest
import torch
from proxy_pl_cases import leaning

import implicit_bias as ib
from implicit_bias.theorems.frei2023 import proxy_pl, proxy_pl_attack
from implicit_bias.values.wording import format_error


@pytest.mark.parametrize(
    "factor, verdict",
    [(0.99, "fails"), (1.0, "holds"), (1 + 1e-7, "fails"), (1.01, "fails")],
)
def test_s4_refuses_any_other_constant(factor, verdict):
    data = leaning(0.2)
    wrong = factor * float(proxy_pl.best_constant(data, 0.3))
    assert ib.claims["S-4"].check(data, 0.3, constant=wrong).verdict == verdict


@pytest.mark.parametrize(
    "arguments, name",
    [
        ((0.3, 4, 4, "logistic", 0.0), "constant"),
        ((0.3, 4, 4, "logistic", -1.0), "constant"),
        ((0.3, 0, 0), "m_pos, m_neg"),
        ((0.3, -1, 2), "m_pos"),
        (("a",), "gamma"),
        ((0.0,), "gamma"),
    ],
)
def test_s4_names_what_it_refuses(arguments, name, rejects):
    with rejects(name, "expected"):
        ib.claims["S-4"].check(leaning(0.2), *arguments)
    with rejects("data", "one data set"):
        ib.claims["S-4"].check(ib.data.gaussian_spectrum(4, [1.0], [100], draws=3), 0.3)


def test_s4_without_unique_multipliers_is_open():
    twins = ib.Dataset(torch.eye(3, dtype=torch.float64)[[0, 0, 1, 2]], [1, 1, -1, -1])
    verdict = ib.claims["S-4"].check(twins, 0.5)
    assert verdict.verdict == "undecided" and verdict.constants["adversary"] < 1.01


def test_s4_on_inseparable_data_is_vacuous():
    clash = ib.Dataset(torch.eye(3, dtype=torch.float64)[[0, 0, 1]], [1, -1, 1])
    assert ib.claims["S-4"].check(clash, 0.5).verdict == "vacuous"


@pytest.mark.parametrize("norms", [[1, 2, 3, 1, 4], [0.1, 0.2, 0.3, 0.1, 0.4]])
def test_s4_tells_how_close_construction_and_adversary_come(norms):
    data = ib.data.orthogonal(5, norms=norms)
    verdict = ib.claims["S-4"].check(data, 0.3, 2, 3)
    built = verdict.constants["construction"]
    found = verdict.constants["adversary"]
    assert (
        f"construction comes within {format_error(abs(built - 1))} of the constant"
        in verdict.why
    )
    assert (
        f"adversary comes within {format_error(found - 1)} from "
        f"{proxy_pl_attack.ATTACK_STARTS} starts" in verdict.why
    )


def test_s4_below_its_constant_is_refuted_with_slack_zero():
    data = ib.data.orthogonal(5, norms=[1, 2, 3, 1, 4])
    wrong = 2 * float(proxy_pl.best_constant(data, 0.3))
    verdict = ib.claims["S-4"].check(data, 0.3, constant=wrong)
    assert (
        verdict.slack == 0
        and "a network reaches 0.5000 times the constant" in verdict.why
    )


def test_s4_takes_four_neurons_of_each_sign():
    data = ib.data.orthogonal(3, norms=[1, 2, 3])
    default, given = (
        ib.claims["S-4"].check(data, 0.3, *width) for width in ((), (4, 4))
    )
    assert default.constants == given.constants
    assert default.constants != ib.claims["S-4"].check(data, 0.3, 3, 4).constants
