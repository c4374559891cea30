"""Every claim of the register as an object: hypotheses, conclusion, verdict, and a control on either side."""

from . import (
    found,
    found_leaky,
    found_orthogonal,
    found_pl,
    found_ratio,
    found_relu,
    frei_flow,
    frei_kkt,
    frei_proxy_pl,
    loss_ratio,
    loss_ratio_start,
    near,
    smooth_descent,
    leaky_limits,
    near,
    patterns,
    relu_patterns,
    orthogonal,
)
from .registry import Claim, Claims, Row, ledger, registry, table
from .verdict import Verdict

__all__ = ["Claim", "Claims", "Row", "Verdict", "ledger", "registry", "table"]
