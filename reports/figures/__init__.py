"""Figures as SVG text, drawn from records by pure functions: the same record gives the same bytes."""

from reports.figures.fidelity import diversity
from reports.figures.gain import differences, dose, forest, learning
from reports.figures.training import curves, health

__all__ = ["curves", "differences", "diversity", "dose", "forest", "health", "learning"]
