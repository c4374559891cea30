"""Implicit bias in two-layer networks: the dynamics, the max-margin problem, and every claim of two papers as an
object.
"""

from . import data, dynamics, hypotheses, losses, margin, measures, network, residual, rules, span
from .activation import Activation, gelu, leaky_relu, relu, smoothed_leaky_relu, squared_relu
from .claims import Verdict, ledger
from .claims import registry as claims
from .data import Dataset
from .dynamics import gradient_descent, gradient_flow, sgd
from .margin import kkt_point, max_margin
from .measures import stable_rank
from .network import TwoLayer
from .residual import kkt_residual
from .rules import GradientDescent, Momentum, Rule, SignDescent
from .stored import stored_result
from .trajectory import Outcome, Trajectory


def __getattr__(name: str):
    # Figures and widgets bring matplotlib and anywidget along; a run on a cluster needs neither.
    if name in ("figures", "widgets"):
        import importlib

        return importlib.import_module(f".{name}", __name__)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
