"""Implicit bias in two-layer networks: the dynamics, the max-margin problem, and every
claim of two papers as an object.
"""

from . import data, hypotheses, losses, margin, measures, networks, training
from .data import Dataset, span
from .margin import kkt_point, kkt_residual, max_margin, residual
from .measures import stable_rank
from .networks import *
from .networks import two_layer as network
from .stored import stored_result
from .theorems import Verdict
from .theorems import registry as claims
from .theorems.ledger import ledger
from .training import *
from .training import descent as dynamics

__version__ = "0.1.0"
__all__ = [
    "Dataset",
    "Verdict",
    "claims",
    "data",
    "dynamics",
    "figures",
    "hypotheses",
    "kkt_point",
    "kkt_residual",
    "ledger",
    "losses",
    "margin",
    "max_margin",
    "measures",
    "network",
    "residual",
    "span",
    "stable_rank",
    "stored_result",
    "widgets",
]
__all__ += networks.__all__
__all__ += training.__all__


def __getattr__(name: str) -> object:
    # Figures and widgets bring matplotlib and anywidget along; a run on a cluster needs
    # neither.
    if name in ("figures", "widgets"):
        import importlib

        return importlib.import_module(f".{name}", __name__)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
