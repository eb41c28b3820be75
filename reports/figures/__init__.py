"""Figures as SVG text, drawn from records by pure functions: the same record gives the same bytes."""

from reports.figures.detail import calibration, roc
from reports.figures.feature_map import feature_map
from reports.figures.fidelity import diversity
from reports.figures.gain import differences, dose, forest, learning
from reports.figures.training import curves, health
from reports.figures.trend import data_over_runs, diversity_over_runs, gain_over_runs

__all__ = [
    "calibration",
    "curves",
    "data_over_runs",
    "differences",
    "diversity",
    "diversity_over_runs",
    "dose",
    "feature_map",
    "forest",
    "gain_over_runs",
    "health",
    "learning",
    "roc",
]
