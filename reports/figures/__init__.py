"""Figures as SVG text, drawn from records by pure functions: the same record gives the same bytes."""

from reports.figures.fidelity import diversity
from reports.figures.gain import differences, dose, forest, learning
from reports.figures.training import curves, health
from reports.figures.trend import data_over_runs, diversity_over_runs, gain_over_runs

__all__ = [
    "curves",
    "data_over_runs",
    "differences",
    "diversity",
    "diversity_over_runs",
    "dose",
    "forest",
    "gain_over_runs",
    "health",
    "learning",
]
