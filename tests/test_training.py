"""What is said before the first second of work."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from omegaconf import OmegaConf

from invariantnets.data import FacesTable
from invariantnets.errors import InvariantNetsError
from invariantnets.training import refuse_early

PROTOCOLS = {"_target_": "invariantnets.protocols.run_protocols", "_partial_": True, "folds": 10}


def listed(folder: Path, people: int, each: int, **changes: Any) -> FacesTable:
    """A table of pictures that are not there: nobody gets as far as reading one."""
    rows = [(f"{person}/{number}.png", f"p{person:03d}") for person in range(people) for number in range(each)]
    pd.DataFrame(rows, columns=["path", "person"]).to_csv(folder / "faces.csv", index=False)
    options = {"num_classes": round(0.8 * people), "image_shape": [1, 8, 8], "cache_dir": "none", **changes}
    return FacesTable(str(folder / "faces.csv"), "none", **options)


def settings(**changes: Any) -> Any:
    return OmegaConf.create({"evaluate": True, "protocols": PROTOCOLS, "seed": 0, "probe_images": None, **changes})


def test_people_enough_are_let_pass(tmp_path: Path) -> None:
    refuse_early(settings(), listed(tmp_path, people=100, each=2))


@pytest.mark.parametrize(
    ("people", "each", "changes", "message"),
    [
        (50, 3, {}, "verification in 10 folds needs 20 identities, .* the test split has 10, 10 with two"),
        (100, 1, {}, "none of the 80 people trained on has two pictures.*: add a second picture"),
        (50, 3, {"test_fraction": 0, "num_classes": 50}, "no test images to probe the network on.*evaluate=false"),
    ],
)
def test_what_could_not_end_is_refused(tmp_path: Path, people: int, each: int, changes: dict, message: str) -> None:
    with pytest.raises(InvariantNetsError, match=message) as error:
        refuse_early(settings(), listed(tmp_path, people, each, **changes))
    assert "\n" not in str(error.value)


def test_what_is_not_asked_for_is_not_missed(tmp_path: Path) -> None:
    few = listed(tmp_path, people=50, each=3)
    refuse_early(settings(protocols=None), few)
    refuse_early(settings(protocols={**PROTOCOLS, "folds": 5}), few)
    refuse_early(settings(evaluate=False), few)
    refuse_early(settings(), listed(tmp_path, people=50, each=3, division="image", num_classes=50))  # a closed set
