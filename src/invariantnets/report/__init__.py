"""Reports: one self-contained HTML file of a run, or of a whole sweep."""

from invariantnets.report.render import render_run, render_sweep

__all__ = ["render_run", "render_sweep"]
