"""Published FM4NPP weights become a model directory with the same answers; damaged files and missing edges are named."""

import pytest
import torch

from tpcfm.errors import CheckpointError, DataError
from tpcfm.files import read_json, write_json
from tpcfm.models.fm4npp.backbone import Fm4npp
from tpcfm.models.fm4npp.settings import Fm4nppModel
from tpcfm.systems.fm4npp.released import import_released
from tpcfm.systems.fm4npp.released_weights import to_released
from tpcfm.systems.fm4npp.support import load_backbone

AXES = {"eta": [i / 8 for i in range(9)], "phi": [i / 8 for i in range(9)], "r": [i / 6 for i in range(7)]}
EDGES = {
    "format": 2,
    "detector": "sphenix",
    "preset": "released",
    "axes": AXES,
    "signal": {"kind": "affine", "offset": 253.0982, "width": 268.7093},
    "n_events": 1,
    "n_points": 1,
}


@pytest.fixture
def published(tmp_path):
    torch.manual_seed(0)
    model = Fm4npp(Fm4nppModel(width=64, depth=2, dropout=0.0), 30).eval()
    torch.nn.init.normal_(model.head.weight)
    torch.save({"state_dict": to_released(model.state_dict()), "epoch": 1}, tmp_path / "pp.ckpt")
    write_json(tmp_path / "edges.json", EDGES)
    return model, tmp_path


def test_import_gives_the_same_answers(published):
    model, folder = published
    import_released(folder / "pp.ckpt", folder / "edges.json", folder / "out")
    loaded = load_backbone(folder / "out").eval()
    features, offsets = torch.rand(100, 4), torch.tensor([0, 30, 100])
    assert torch.equal(loaded(features, offsets), model(features, offsets))
    config = read_json(folder / "out" / "config.json")
    assert config["serialization"]["preset"] == "released"
    assert config["targets"]["candidates"] == "later_index"
    assert config["edges"] == EDGES


def test_edges_are_never_guessed(published):
    _, folder = published
    with pytest.raises(DataError, match="never derived anew"):
        import_released(folder / "pp.ckpt", folder / "none.json", folder / "out")
    assert not (folder / "out").exists()


def test_a_file_that_would_run_code_is_refused(published):
    _, folder = published

    class Runs:
        def __reduce__(self):
            return print, ("executed",)

    torch.save({"state_dict": Runs()}, folder / "bad.ckpt")
    with pytest.raises(CheckpointError, match=r"without executing code: it asks for \S*print; needed"):
        import_released(folder / "bad.ckpt", folder / "edges.json", folder / "out")


@pytest.mark.parametrize(
    ("edges", "said"),
    [
        ({"architecture": "fm4npp"}, "not an edges file"),
        (EDGES | {"preset": ""}, "fitted with preset '', but the settings ask for 'released'"),
        (EDGES | {"axes": AXES | {"r": [0, 1]}}, r"holds \(8, 8, 1\) boxes"),
    ],
)
def test_edges_of_something_else_are_refused(published, edges, said):
    _, folder = published
    write_json(folder / "edges.json", edges)
    with pytest.raises(DataError, match=said):
        import_released(folder / "pp.ckpt", folder / "edges.json", folder / "out")
    assert not (folder / "out").exists()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"state_dict": {"encoder.weight": torch.zeros(2)}}, "weight 'encoder.weight' is not .* import-polar-mae"),
        ({"epoch": 3}, "no weights in the checkpoint; its keys are"),
        (torch.zeros(3), "holds a Tensor; needed are weights by name"),
        (b"{}", "not a PyTorch checkpoint"),
    ],
)
def test_a_wrong_file_is_named_with_what_it_holds(published, content, said):
    _, folder = published
    if isinstance(content, bytes):
        (folder / "wrong.ckpt").write_bytes(content)
    else:
        torch.save(content, folder / "wrong.ckpt")
    with pytest.raises(CheckpointError, match=rf"wrong\.ckpt: .*{said}"):
        import_released(folder / "wrong.ckpt", folder / "edges.json", folder / "out")


def test_a_checkpoint_that_lacks_a_weight_is_refused_with_its_name(published):
    model, folder = published
    state = to_released(model.state_dict())
    del state["mamba_layers.1.0.weight"]
    torch.save(state, folder / "short.ckpt")
    with pytest.raises(CheckpointError, match=r"short\.ckpt: .*blocks\.1\.norm\.weight"):
        import_released(folder / "short.ckpt", folder / "edges.json", folder / "out")
