"""Sufficient statistics, resampling, spaces and neighbours: what probes and protocols are computed with."""
