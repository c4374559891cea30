"""The max-margin problems: of linear predictors, and of the first layer with its KKT points
and residuals."""

from .kkt import KKTPoint, class_slopes, kkt_matrix, kkt_point
from .predictor import MaxMargin, max_margin
from .residual import KKTResidual, kkt_residual

__all__ = [
    "KKTPoint",
    "KKTResidual",
    "MaxMargin",
    "class_slopes",
    "kkt_matrix",
    "kkt_point",
    "kkt_residual",
    "max_margin",
]
