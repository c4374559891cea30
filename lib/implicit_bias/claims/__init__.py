"""Every claim of the register as an object: hypotheses, conclusion, verdict, and a control on either side."""

from . import frei_flow, frei_kkt, near, found, frei_proxy_pl, found_pl  # noqa: F401, I001 (the order of the register)
from .registry import Claim, Claims, Row, ledger, registry, table
from .verdict import Verdict

__all__ = ["Claim", "Claims", "Row", "Verdict", "ledger", "registry", "table"]
