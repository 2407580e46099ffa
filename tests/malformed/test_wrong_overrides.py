"""What is wrong on the command line, and the line that says so."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path

import pytest

COUNT = "give a whole number from 1 to 1,000,000,000"
FROM_0 = "give a whole number from 0 to 1,000,000,000"
SEED = "give a whole number from 0 to 4,294,967,295"
SHAPE = "give [channels, height, width] with 1 or 3 channels and sides from 1 to 4,096"
LAYERS = "give the name of a layer, a list of different ones, all, or null for the embedding"
DEVICE = "give auto, cpu, or a device of this machine (cuda, cuda:0, mps)"
NETWORK = "this network has input, conv1, pool1, conv2, pool2, ip1, ip2"
GROUPS = "it cannot be left out; --help lists what there is of it"
LR = "give a number above 0"
LEAST_0 = "give a number of at least 0"
UNITS = "give a whole number from 1 to 100,000"
FACES = "data=synthetic_faces model=deepface_mini"

# override → the end of the line, which begins with the override itself
VALUES = {
    "device=tpu": DEVICE,
    "device=cuda:99": DEVICE,
    "device=3": DEVICE,
    "layers=[]": LAYERS,
    "layers=5": LAYERS,
    "layers=[ip1,ip1]": LAYERS,
    "seed=-1": SEED,
    "seed=x": SEED,
    "seed=1.5": SEED,
    "seed=null": SEED,
    "seed=99999999999999999999": SEED,
    "views=0": "give a whole number from 1 to 64",
    "views=x": "give a whole number from 1 to 64",
    "pairs=nope": "give same_image or same_class",
    "probe_images=0": COUNT + ", or null",
    "evaluate=maybe": "give true or false",
    "save_features=2": "give true or false",
    "ckpt_path=5": "give a path (in quotes if it is a number)",
    "ckpt_path=[a,b]": "give a path (in quotes if it is a number)",
    "ckpt_path=": "give a path (in quotes if it is a number)",
    "trainer.max_epochs=-3": "give a whole number from 1 to 1,000,000",
    "trainer.max_epochs=0": "give a whole number from 1 to 1,000,000",
    "trainer.max_epochs=1.5": "give a whole number from 1 to 1,000,000",
    "trainer.max_epochs=ten": "give a whole number from 1 to 1,000,000",
    "trainer.max_epochs=null": "give a whole number from 1 to 1,000,000",
    "trainer.accelerator=tpu": "give auto, cpu, gpu or mps",
    "trainer.strategy=nope": "give auto, ddp or ddp_spawn",
    "trainer.precision=12": "give 32-true, bf16-mixed, 16-mixed or 64-true",
    "trainer.deterministic=maybe": "give true, false or warn",
    "trainer.enable_progress_bar=5": "give true or false",
    "trainer.num_nodes=0": "give a whole number from 1 to 1,024",
    "trainer.log_every_n_steps=-1": FROM_0,
    "trainer.check_val_every_n_epoch=0": COUNT,
    "trainer.gradient_clip_val=-1": "give a number above 0, or null",
    "trainer.num_sanity_val_steps=-2": "give a whole number from -1 to 1,000,000,000",
    "data.epoch_batches=0": COUNT,
    "data.epoch_batches=1.5": COUNT,
    "data.epoch_batches=null": COUNT,
    "data.batch_size=0": "give a whole number from 1 to 65,536",
    "data.batch_size=-4": "give a whole number from 1 to 65,536",
    "data.batch_size=1000000000": "give a whole number from 1 to 65,536",
    "data.shift=-1": "give a whole number from 0 to 4,096",
    "data.on_device=maybe": "give true or false",
    "data.num_classes=-1": FROM_0,
    "data.num_classes=x": FROM_0,
    "data.classes=[]": "give a list of whole numbers from 0 to 1,000,000,000, or null",
    "data.classes=3": "give a list of whole numbers from 0 to 1,000,000,000, or null",
    "data.train_images=0": COUNT + ", or null",
    "data.image_shape=[1,28]": SHAPE,
    "data.image_shape=[1,0,28]": SHAPE,
    "data.image_shape=[2,28,28]": SHAPE,
    "data.image_shape=28": SHAPE,
    "data.image_shape=[1,100000,100000]": SHAPE,
    "model.optimizer.lr=0": LR,
    "model.optimizer.lr=-0.1": LR,
    "model.optimizer.lr=x": LR,
    "model.optimizer.lr=nan": LR,
    "model.optimizer.lr=inf": LR,
    "model.optimizer.momentum=1": "give a number of at least 0 and below 1",
    "model.optimizer.weight_decay=-1": LEAST_0,
    "model.optimizer=null": "give one; it cannot be null",
    "model.backbone=null": "give one; it cannot be null",
    "model.constraints=null": "give one; it cannot be null",
    "model.bias_lr_multiplier=x": LEAST_0,
    "model.constraints.softmax.weight=-1": LEAST_0,
    "model.constraints.softmax.weight=nan": LEAST_0,
    "model.backbone.embedding_dim=0": UNITS,
    "model.backbone.embedding_dim=1000000000": UNITS,
    "model.backbone.embedding_norm=0": "give a number above 0, or null",
    "model.backbone.embedding_noise=-1": LEAST_0,
    "model.frozen=conv1": "give a list of names, as in [name]",
    "probes.knn_rows=0": COUNT,
    "probes.mlp_rows=-5": COUNT,
    "probes.mlp_epochs=0": COUNT,
    "probes.mlp_widths=[]": "give a list of whole numbers from 1 to 100,000",
    "probes.label_rows=[1]": "give a list of whole numbers from 10 to 1,000,000,000, or null",
    "protocols.folds=1": "give a whole number from 2 to 10,000",
    "protocols.pairs_per_fold=0": COUNT,
    "protocols.similarities=cosine": "give a list of some of cosine, inner_product, chi2, l1, kernel",
    "callbacks.early_stopping.patience=-1": FROM_0,
    "callbacks.checkpoint.monitor=nope": "give val/loss, val/accuracy, val/softmax, step, epoch",
}
# command line → the whole line
LINES = {
    "trainer.check_val_every_n_epoch=50 trainer.max_epochs=3": (
        "trainer.check_val_every_n_epoch=50: never comes in trainer.max_epochs=3, and what is best is chosen by "
        "validation: give 1 to 3"
    ),
    "data.views=3": "data.views=3, but views=1: give views=3 alone",
    "views=64": (
        "views=64 of one image need 64 variants of it (data.angles=, values= or vary=), but these data have 7; or use "
        "pairs=same_class"
    ),
    "model.backbone.num_classes=7": (
        "model.backbone.num_classes=7, but data.num_classes=10: give data.num_classes= alone"
    ),
    "model.backbone.image_shape=[1,32,32]": (
        "model.backbone.image_shape=[1,32,32], but data.image_shape=[1,28,28]: give data.image_shape= alone"
    ),
    "data.shift=100": "data.shift: 100 pixels move images of 28×28 out of sight",
    "data.num_classes=5 data.classes=[0,1,2]": (
        "data.num_classes=5, but data.classes names 3: give data.num_classes=3"
    ),
    "data.num_classes=3": "labels run from 0 to 9, but data.num_classes=3 allows 0 to 2",
    "data.classes=[0,0,1]": "data.classes: give one class or more, each once; got [0, 0, 1]",
    "data.classes=[0,99] data.num_classes=2": (
        "data.classes: the source has no class 99; it has 0, 1, 2, 3, 4, 5, 6, 7, 8, 9"
    ),
    "data.image_shape=[1,32,32]": "the images are (1, 28, 28), but data.image_shape says (1, 32, 32)",
    "data.angles=[]": "data.angles: needs at least one value, and no value twice; got []",
    "data.angles=[0,0]": "data.angles: needs at least one value, and no value twice; got [0.0, 0.0]",
    "data.angles=30": 'data.angles: give a list of finite numbers, or a range "start:stop:step"; got 30',
    "data=lit_digits data.values=[0,1e99]": (
        "data.values: light 1e+99 leaves nothing to see; give values from -1000 to 1000"
    ),
    "data=scaled_digits data.values=[-1,0]": (
        "data.values: scale -1 leaves nothing to see; give values from 0.05 to 20"
    ),
    "data=translated_digits data.values=[100,0]": "data.values: 100 pixels move images of 28×28 out of sight",
    "data=varied_digits +data.vary.nope=[0,1]": "data.vary.nope: choose from angle, scale, translation, light",
    "data=varied_digits data.vary.angle=[]": "data.vary.angle: needs at least one value, and no value twice; got []",
    "data=nope": None,
    "data=rotated_digit": "data has no choice 'rotated_digit'. Did you mean data=rotated_digits?",
    "model=lennet": "model has no choice 'lennet'. Did you mean model=lenet?",
    "+constraint=nope": None,
    "protocols=nope": "protocols has no choice 'nope'. Did you mean protocols=none?",
    "logger=csvv": "logger has no choice 'csvv'. Did you mean logger=csv?",
    "transfer=nope": "transfer has no choice 'nope'; it has lfw, mnist_rot_unseen, new_glyphs, rot_digits_unseen, "
    "synthetic_frames",
    "release=nope": "release has no choice 'nope'. Did you mean release=none?",
    "release=file": "release.path is missing: give release.path=…; --help says what it is",
    "method=nope": "method has no choice 'nope'. Did you mean method=noise?",
    "data=null": f"data=null: {GROUPS}",
    "model=null": f"model=null: {GROUPS}",
    "trainer=null": f"trainer=null: {GROUPS}",
    "data=bootstrap model=deepface_mini": (
        "data.features_from is missing: give data.features_from=…; --help says what it is"
    ),
    "data=faces_table": "data.table is missing: give data.table=…; --help says what it is",
    "protocols=pairs": "protocols.list is missing: give protocols.list=…; --help says what it is",
    "model.constraints.softmax=null": "model.constraints is empty: there is nothing to train for",
    "model.constraints.softmax.weight=0": "model.constraints is empty: there is nothing to train for",
    "model.constraints.softmax.layer=nope": f"there is no layer 'nope'; {NETWORK}",
    "model.constraints.softmax.layer=ip1": (
        "Softmax: the class scores of this network are its layer ip2, not ip1: set model.constraints.<name>.layer=ip2"
    ),
    "model.constraints.softmax.num_classes=7": (
        "Softmax: num_classes=7, but the data have 10 classes: set model.constraints.<name>.num_classes to that"
    ),
    "model.backbone.embedding=nope": f"there is no layer 'nope'; {NETWORK}",
    "model.frozen=[nope]": f"there is no layer 'nope'; {NETWORK}",
    "model.init_layers=[nope]": f"there is no layer 'nope'; {NETWORK}",
    "layers=nope": f"there is no layer 'nope'; {NETWORK}",
    "magnitudes=[nope] evaluate=true": "magnitudes: no nuisance 'nope' (nuisances: angle)",
    "model.init_from=train": "model.init_from=train: lenet has no recipe for it; give a checkpoint",
    "model=pair_lenet views=1": "constraint pair compares 2 views of a sample but the data give 1: set views=2",
    "+constraint=adversary model.constraints.adversary.nuisance=yaw": (
        "Adversary: the data have no nuisance 'yaw' but angle: set model.constraints.<name>.nuisance"
    ),
    "+constraint=moon": "Moon: these data have no attribute of yes and no (no binary nuisance) that could be learned",
    f"{FACES} +constraint=moon model.constraints.moon.attributes=[hat,beard]": (
        "Moon: 'beard' is no attribute of yes and no of these data; they have "
        "[glasses,dark_glasses,hat,scarf,video_frame]: set model.constraints.<name>.attributes to some of them"
    ),
    "+constraint=supcon model.constraints.supcon.layer=nope views=2": f"there is no layer 'nope'; {NETWORK}",
    "+model.backbone.nope=3": "invariantnets.backbones.lenet.lenet takes no key 'nope'; --help lists the keys it takes",
    "+trainer.nope=3": "pytorch_lightning.trainer.trainer.Trainer takes no key 'nope'; --help lists the keys it takes",
    "align=frontal": "invariantnets.data.varied.RotatedImages takes no key 'align'; --help lists the keys it takes",
    "trainer.accelerator=mps": None,
    "callbacks.checkpoint.mode=sideways": "callbacks.checkpoint: `mode` can be min, max but got sideways",
    "model.optimizer._target_=torch.optim.Nope": None,
    "model.optimizer.lr=0.1,0.2": None,
    "seed='${seed}'": None,
    "data.image_shape='${nope}'": None,
    "model.optimizer.lr=${oc.env:HOME}": None,
    f"{FACES} data.ranges.yaw=[90,-90]": "ranges: yaw needs finite numbers in ascending order, got [90, -90]",
    f"{FACES} data.ranges.yaw=x": "ranges: yaw needs finite numbers in ascending order, got x",
    f"{FACES} data.ranges.yaw=[]": "ranges: yaw needs a value, [low, high] or [low, mode, high], got []",
    f"{FACES} data.ranges.glasses=7": "ranges: glasses needs one probability in [0, 1], got 7",
    f"{FACES} data.images_per_identity=0": f"data.images_per_identity=0: {COUNT}",
    f"{FACES} data.num_classes=1": "data.num_classes=1: must be 2 to 1048576",
    f"{FACES} data.image_shape=[3,7,7]": (
        "images of (3, 7, 7) leave no pixel after C3: take larger images (data.image_shape) or smaller kernels than "
        "(5, 5, 5, 3, 3)"
    ),
    "nope": "'nope' is not key=value. --help and --cfg job list what there is",
    "model lenet": "'model' lacks a value. Did you mean model=lenet?",
    "epochs=3": "there is no key 'epochs'. Did you mean trainer.max_epochs=3?",
    "num_workers=4": "there is no key 'num_workers': images are held in memory, and no processes read them",
}
# What the library says, of which only the part that was given matters.
PARTS = {
    "data=nope": "data has no choice 'nope'; it has bootstrap, celeba, ",
    "+constraint=nope": "constraint has no choice 'nope'; it has adversary, bottleneck, ",
    "trainer.accelerator=mps": "trainer: ",
    "model.optimizer._target_=torch.optim.Nope": "optimizer: Error loading 'torch.optim.Nope': ",
    "model.optimizer.lr=0.1,0.2": "Ambiguous value for argument 'model.optimizer.lr=0.1,0.2' 1. To use it as a list, ",
    "seed='${seed}'": "Recursive interpolation detected full_key: seed",
    "data.image_shape='${nope}'": "Interpolation key 'nope' not found full_key: data.image_shape",
    "model.optimizer.lr=${oc.env:HOME}": "model.optimizer.lr=",
}


@pytest.mark.parametrize("override", VALUES)
def test_values_are_refused_by_their_key(said: Callable[..., str], override: str) -> None:
    assert said("train", override) == f"{override}: {VALUES[override]}"


@pytest.mark.parametrize("command", LINES)
def test_command_lines(said: Callable[..., str], command: str) -> None:
    words = shlex.split(command) if "'" in command else command.split()
    line, whole = said("train", *words), LINES[command]
    assert line == whole if whole else line.startswith(PARTS[command])


def test_more_processes_than_cores_would_be_as_many_copies_of_the_program(said: Callable[..., str]) -> None:
    assert said("train", "trainer.devices=99999").startswith("trainer.devices=99999: give a whole number from 1 to ")


# What one types for a table of one's own → what is proposed.
OF_A_TABLE = {
    "nuisance=yaw": "there is no key 'nuisance'. Did you mean nuisances=yaw?",
    "nuisances=[yaw, smile]": "A list is one word: leave out its spaces, or quote it: 'nuisances=[…, …]'",
    "nuisances=[abs(yaw)]": "A value that holds = or () needs quotes: 'nuisances=\"[abs(yaw)]\"'",
    "mine.npz": "'mine.npz' is not key=value. Did you mean features=mine.npz?",
    "mine.ckpt": "'mine.ckpt' is not key=value. Did you mean ckpt_path=mine.ckpt?",
}


@pytest.mark.parametrize("command", OF_A_TABLE)
def test_what_one_types_for_a_table(
    said: Callable[..., str], command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("mine.npz", "mine.ckpt"):
        (tmp_path / name).touch()
    assert said("evaluate", *command.split()).endswith(OF_A_TABLE[command])


def test_what_is_of_the_other_program_is_told(said: Callable[..., str]) -> None:
    meant = "it is of evaluate.py, which measures what exists: python evaluate.py features=mine.npz"
    assert said("train", "features=mine.npz") == f"there is no key 'features': {meant}"
