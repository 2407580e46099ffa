"""No file may make the programs run code or open a file of its choice: only the command line names networks."""

from __future__ import annotations

from pathlib import Path

import pytest

from invariantnets import foreign
from invariantnets.errors import InvariantNetsError
from invariantnets.trust import check_targets
from programs import run

LOADERS = [name for name in foreign.__all__ if name.islower()]


@pytest.mark.parametrize("name", foreign.__all__)
@pytest.mark.parametrize(
    "place", ["invariantnets.foreign", "invariantnets.backbones.foreign", "invariantnets.backbones"]
)
def test_a_checkpoint_may_name_none_of_them(name: str, place: str) -> None:
    config = {"_target_": "invariantnets.module.InvariantNet", "backbone": {"_target_": f"{place}.{name}"}}
    with pytest.raises(InvariantNetsError, match="so it was not loaded|does not exist here"):
        check_targets(config, "evil.ckpt")


def test_all_loaders_are_tested() -> None:
    assert LOADERS == ["dlib_face", "module", "onnx", "published_vggface", "timm", "torchscript", "torchvision"]


SOURCE = "raise SystemExit('was run')"


@pytest.mark.parametrize(("loader", "key"), [("module", "target: evil:net"), ("torchscript", "path: evil.pt")])
def test_code_is_named_on_the_command_line_alone(loader: str, key: str, tmp_path: Path) -> None:
    (tmp_path / "evil.py").write_text(SOURCE)
    (tmp_path / "backbone").mkdir()
    (tmp_path / "backbone" / "evil.yaml").write_text(f"defaults: [{loader}]\n{key}\n")
    words = ("backbone=evil", "data=rotated_digits", "hydra.run.dir=out", f"--config-dir={tmp_path}")
    _, err = run("evaluate.py", *words, cwd=tmp_path, code=2)
    key = key.partition(":")[0]
    assert f"backbone.{key} is code that is run: name it on the command line, not in a file" in err.splitlines()[-1]
