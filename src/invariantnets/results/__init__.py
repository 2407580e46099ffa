"""Results: one number each, how they are found again, and how they are written."""

from invariantnets.results.result import Result, read_jsonl, to_jsonl

__all__ = ["Result", "read_jsonl", "to_jsonl"]
