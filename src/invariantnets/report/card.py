"""A card of a network and its data, in Markdown: what it is, what its features still tell, what it is not for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from invariantnets.report.headline import sentences
from invariantnets.results.format import count
from invariantnets.results.runs import Run

__all__ = ["card"]

_HEAD = "---\nlibrary_name: invariantnets\ntags: [invariance, probing]\n---\n"  # as model hubs read it
_NO_PEOPLE = (
    "Networks are trained here to measure and to remove nuisances. None was tested as a product: do not name, verify "
    "or judge people by it."
)
_LIMITS = (
    "What readers found is what can be read at least: a stronger reader, or more labelled rows, may read more (a bound "
    "from above stands in the report where one is known).",
    "It was measured on the test rows of these data: other pictures may hold more or less.",
    "Intervals speak of other images or people, not of another training.",
)


def card(run: Run) -> str:
    """Write the card of a run from what it left.

    Args:
        run: with its results and provenance.
    """
    told = run.provenance
    name, config = str(told.get("name") or run.folder.name), told.get("config") or {}
    rows = {r.n for r in run.here if r.split == "test" and not r.where}
    fitted = {r.n_fit for r in run.here if r.n_fit is not None}
    sizes = f"Read from up to {count(max(rows, default=0))} test rows"
    sizes += f", by readers fitted to up to {count(max(fitted))}." if fitted else "."
    versions = ", ".join(f"{library} {version}" for library, version in (told.get("versions") or {}).items())
    sums = [f"- {of}: `{checksum}`" for of, checksum in (told.get("data_checksum") or {}).items() if checksum]
    parts = {
        "The network": _network(told, config),
        "Trained on": _trained_on(told, config),
        "Measured on": [f"`{told.get('data')}`.", "", *sums, "", sizes] if sums else [f"`{told.get('data')}`. {sizes}"],
        f"What its features tell ({run.layer})": [f"- {said}" for said in sentences(run.here, run.layer, run.units)],
        "What it is for": [_NO_PEOPLE],
        "Limits": [f"- {said}" for said in (*_LIMITS, *(told.get("remarks") or ()), *(told.get("missing") or ()))],
        "Made by": [f"`{told.get('command')}`, commit `{told.get('commit')}`, seed {told.get('seed')}; {versions}."],
    }
    text = "\n\n".join(f"## {title}\n" + "\n".join(lines) for title, lines in parts.items() if lines)
    return f"{_HEAD}# {name}\n\n{text}\n\nAll numbers: `report.html`.\n"


def _network(told: Mapping[str, Any], config: Mapping[str, Any]) -> list[str]:
    """How it was trained; nothing of features that came from elsewhere."""
    model = config.get("model") or {}
    if not told.get("checkpoint") or not model:
        return []
    terms = {name: term for name, term in (model.get("constraints") or {}).items() if term}
    parts = [f"- {name}: weight {term.get('weight', 1)}" for name, term in terms.items() if isinstance(term, Mapping)]
    trainer, backbone = config.get("trainer") or {}, model.get("backbone") or {}
    steps = f"{trainer.get('max_epochs')} epochs of {(config.get('data') or {}).get('epoch_batches')} steps at most"
    shape = [f"- {key}: {value}" for key, value in _plain(backbone).items()]
    made = f"`{backbone.get('_target_')}`, {steps}, in {trainer.get('precision')}."
    return [made, "", *shape, "", "Terms of its loss:", *parts]


def _trained_on(told: Mapping[str, Any], config: Mapping[str, Any]) -> list[str]:
    data = config.get("data") or {}
    if not told.get("checkpoint") or not data:
        return []
    name = (config.get("choices") or {}).get("data")
    return [f"`{name}`, seed {config.get('seed')}.", "", *(f"- {key}: {value}" for key, value in _plain(data).items())]


def _plain(node: Mapping[str, Any]) -> dict[str, Any]:
    """What is one line long, of what is set."""
    own = {key: value for key, value in node.items() if not isinstance(value, Mapping) and value is not None}
    return {key: value for key, value in own.items() if not key.startswith("_") and key not in ("cache_dir", "device")}
