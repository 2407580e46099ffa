"""Probes of a feature table: plain functions of the table and a seed, without a network."""
