"""Released checkpoints load tensor by tensor under other names, damaged ones are refused, and no pickle code is run."""

import zipfile
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from typer.testing import CliRunner

from tpcfm.errors import CheckpointError
from tpcfm.models.polar_mae.autoencoder import make_masked_autoencoder
from tpcfm.models.polar_mae.segmentation import SegmentationModel
from tpcfm.models.polar_mae.settings import PolarMaeModel
from tpcfm.systems.polar_mae.lightning_file import read_lightning
from tpcfm.systems.polar_mae.released_weights import load_released

MODEL = PolarMaeModel(width=24, depth=3, heads=2, decoder_depth=2, embed_hidden=10, preset="released")
SLOTS = 7

# Our names → names in the style of the Point-MAE family, 1×1 convolutions with a trailing axis.
RENAMED = [
    ("encoder.transformer.blocks", "encoder.transformer.blocks"),
    ("decoder.blocks", "decoder.transformer.blocks"),
    ("decoder.norm", "decoder.transformer.norm"),
    (".attention.qkv", ".attn.qkv"),
    (".attention.proj", ".attn.proj"),
    (".mlp.0", ".mlp.fc1"),
    (".mlp.2", ".mlp.fc2"),
    ("encoder.embedding", "encoder.tokenizer.embedding"),
    ("encoder.position.", "encoder.pos_embed.mlp."),
    ("position_embedding.order", "equivariant_patch_encoder.embed.1"),
    ("position_embedding", "equivariant_patch_encoder"),
    (".conv1.", ".first_conv.0."),
    (".norm1.running", ".first_conv.1.running"),
    (".conv2.", ".first_conv.3."),
    (".conv3.", ".second_conv.0."),
    (".conv4.", ".second_conv.3."),
    ("points_head", "increase_dim.0"),
    ("energy_head", "energy_decoder"),
    ("mask_token", "mask_token"),
]


def foreign_names(model: nn.Module) -> dict[str, Tensor]:
    """The state dict as another code base would have named it."""
    out: dict[str, Tensor] = {}
    for name, value in model.state_dict().items():
        pointnet = any(part in name for part in ("embedding.", "upsampler.", "head.conv", "head.norm"))
        for ours, theirs in RENAMED:
            name = name.replace(ours, theirs)
        if pointnet:
            for norm, place in (("norm1", "first_conv.1"), ("norm2", "second_conv.1")):
                name = name.replace(f".{norm}.", f".{place}.")
        name = name.replace("batches", "num_batches_tracked")
        convolution = pointnet and value.ndim == 2 and "embed.1" not in name
        if value.ndim == 1 and value.numel() == MODEL.width and "mask" in name:
            value = value[None, None]
        out[name] = value[..., None] if convolution else value
    return out


class Alien:
    """A class that the reading side must not build."""

    def __init__(self) -> None:
        self.value = 3


def write_checkpoint(path: Path, state: dict[str, Tensor]) -> Path:
    content = {
        "epoch": 3,
        "state_dict": state,
        "hyper_parameters": {"arch": Alien()},
        "optimizer_states": [{"state": {}}],
    }
    torch.save(content, path)
    return path


def randomise(model: nn.Module) -> nn.Module:
    """Give every tensor its own values, buffers too."""
    generator = torch.Generator().manual_seed(0)
    for value in model.state_dict().values():
        if value.is_floating_point():
            value.copy_(torch.rand(value.shape, generator=generator) + 0.1)
        else:
            value.fill_(77)
    return model


@pytest.mark.parametrize("kind", ["polar_mae", "point_mae"])
def test_pretraining_checkpoint_loads_tensor_by_tensor(tmp_path: Path, kind: str) -> None:
    source = randomise(make_masked_autoencoder(kind, MODEL, SLOTS))
    extra = {"svm_metric.count": torch.zeros(3)}
    path = write_checkpoint(tmp_path / "released.ckpt", foreign_names(source) | extra)
    model, config = load_released(path, heads=2)
    assert config["architecture"] == kind
    assert config["slots"] == SLOTS
    assert config["unused"] == ["svm_metric.count"]
    assert PolarMaeModel.model_validate(config["model"]) == MODEL.model_copy(
        update={"drop_path": PolarMaeModel().drop_path}
    )
    want = source.state_dict()
    assert set(want) == set(model.state_dict())
    assert all(torch.equal(value, want[name]) for name, value in model.state_dict().items())


def test_segmentation_checkpoint_loads_tensor_by_tensor(tmp_path: Path) -> None:
    source = randomise(SegmentationModel(MODEL, 4, head_hidden=16))
    state = foreign_names(source)
    model, config = load_released(write_checkpoint(tmp_path / "segsem.ckpt", state), heads=2)
    assert config["architecture"] == "polar_mae_head"
    assert config["unused"] == []
    want = source.state_dict()
    assert all(torch.equal(value, want[name]) for name, value in model.state_dict().items())


def test_shared_positional_embedding_may_be_stored_twice_but_not_with_two_values(tmp_path: Path) -> None:
    state = foreign_names(randomise(make_masked_autoencoder("point_mae", MODEL, SLOTS)))
    twice = {n.replace("encoder.pos_embed", "decoder.pos_embed"): v for n, v in state.items() if "pos_embed" in n}
    _, config = load_released(write_checkpoint(tmp_path / "a.ckpt", state | twice), heads=2)
    assert config["unused"] == []
    other = {name: value + 1 for name, value in twice.items()}
    with pytest.raises(CheckpointError, match=r"several positional MLP: .*pos_embed"):
        load_released(write_checkpoint(tmp_path / "b.ckpt", state | other), heads=2)


def test_missing_part_is_named(tmp_path: Path) -> None:
    state = foreign_names(make_masked_autoencoder("point_mae", MODEL, SLOTS))
    state = {name: value for name, value in state.items() if not name.startswith("increase_dim")}
    with pytest.raises(CheckpointError, match=r"cut\.ckpt: no points head"):
        load_released(write_checkpoint(tmp_path / "cut.ckpt", state), heads=2)


class Dangerous:
    """Unpickling this the ordinary way would create a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return Path.touch, (self.path,)


def test_code_in_the_pickle_is_not_run(tmp_path: Path) -> None:
    trace = tmp_path / "executed"
    path = tmp_path / "bad.ckpt"
    torch.save({"state_dict": {"a": torch.ones(2)}, "hyper_parameters": Dangerous(trace)}, path)
    assert list(read_lightning(path)) == ["a"]
    assert not trace.exists()
    torch.load(path, weights_only=False)
    assert trace.exists()  # so the test would have seen it


@pytest.mark.parametrize("content", [b"", b"not a zip file"])
def test_other_files_are_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.ckpt"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match="not a PyTorch checkpoint"):
        read_lightning(path)


def test_damaged_and_foreign_checkpoints_are_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "damaged.ckpt", "w") as archive:
        archive.writestr("x/data.pkl", b"\x80\x02garbage")
        archive.writestr("x/version", b"3")
    with pytest.raises(CheckpointError, match="cannot be read as a checkpoint"):
        read_lightning(tmp_path / "damaged.ckpt")
    torch.save({"weights": {}}, tmp_path / "other.ckpt")
    with pytest.raises(CheckpointError, match=r"no `state_dict`; found \['weights'\]"):
        read_lightning(tmp_path / "other.ckpt")
    with pytest.raises(CheckpointError, match="no such file"):
        read_lightning(tmp_path / "absent.ckpt")


def test_command_writes_a_model_directory_that_recipes_accept(tmp_path: Path) -> None:
    import typer

    from tpcfm.cli.import_polar_mae import command
    from tpcfm.systems.polar_mae.support import load_encoder

    source = randomise(make_masked_autoencoder("polar_mae", MODEL, SLOTS))
    path = write_checkpoint(tmp_path / "released.ckpt", foreign_names(source))
    app = typer.Typer()
    app.command()(command)
    result = CliRunner().invoke(app, [str(path), str(tmp_path / "out"), "--heads", "2"])
    assert result.exit_code == 0, result.output
    target = make_masked_autoencoder("polar_mae", MODEL, SLOTS)
    load_encoder(target.encoder, tmp_path / "out")
    assert torch.equal(target.encoder.position[0].weight, source.encoder.position[0].weight)


def test_command_asks_whether_it_is_the_right_file(tmp_path: Path) -> None:
    from tpcfm.cli.import_polar_mae import command

    torch.save({"state_dict": {"blocks.0.mixer.A_log": torch.zeros(4)}}, tmp_path / "other.ckpt")
    with pytest.raises(CheckpointError, match=r"other\.ckpt: .*FM4NPP weights: `tpcfm import-fm4npp`"):
        command(tmp_path / "other.ckpt", tmp_path / "out", 0)
    assert not (tmp_path / "out").exists()
