"""Every claim of the register as an object: hypotheses, conclusion, verdict, and a
control on either side.

One package a paper, one file a statement, named as the paper names it; ``here`` holds what
was found in this book.
"""

from . import frei2023, here, kou2023
from .claim import Claim, Claims, registry
from .verdict import Finding, Verdict

__all__ = [
    "Claim",
    "Claims",
    "Finding",
    "Verdict",
    "frei2023",
    "here",
    "kou2023",
    "registry",
]
