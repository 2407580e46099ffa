"""Figures of a run and of a sweep, from results (and, for the heat maps, a feature table)."""

from invariantnets.figures.draw import draw_run, draw_sweep

__all__ = ["draw_run", "draw_sweep"]
