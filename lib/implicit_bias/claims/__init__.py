"""Every claim of the register as an object: hypotheses, conclusion, verdict, and a control on either side."""

from . import (
    balance,
    balance_exponent,
    decomposition,
    found,
    found_leaky,
    found_orthogonal,
    found_pl,
    found_ratio,
    found_relu,
    frei_flow,
    frei_kkt,
    frei_proxy_pl,
    gradient_conditions,
    leaky_limits,
    log_lemma,
    loss_ratio,
    loss_ratio_start,
    low_rank,
    near,
    orthogonal,
    patterns,
    random_start,
    relu_loss,
    relu_patterns,
    smooth_descent,
)
from .registry import Claim, Claims, Row, ledger, registry, table
from .verdict import Verdict

__all__ = ["Claim", "Claims", "Row", "Verdict", "ledger", "registry", "table"]
