"""Every claim of the register as an object: hypotheses, conclusion, verdict, and a control on either side."""

from . import (
    balance,
    balance_exponent,
    decomposition,
    found,
    found_pl,
    frei_flow,
    frei_kkt,
    frei_proxy_pl,
    log_lemma,
    near,
    random_start,
)
from .registry import Claim, Claims, Row, ledger, registry, table
from .verdict import Verdict

__all__ = ["Claim", "Claims", "Row", "Verdict", "ledger", "registry", "table"]
