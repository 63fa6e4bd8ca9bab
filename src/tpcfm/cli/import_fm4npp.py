"""``tpcfm import-fm4npp``: published FM4NPP weights into a model directory."""

from pathlib import Path

import typer

EDGES = "the file of the box edges of the checkpoint's training, as in edges.json of a sequences cache; they are never derived anew"


def command(
    checkpoint: Path = typer.Argument(help="the released checkpoint (*.ckpt, *.pt, *.safetensors)"),
    edges: Path = typer.Argument(help="the box edges it was trained with (edges.json of a sequences cache)"),
    out: Path = typer.Argument(help="model directory to write"),
) -> None:
    """Convert published FM4NPP weights to safetensors; nothing in the file is executed, edges are never derived anew."""
    from tpcfm.files import require_file

    require_file(checkpoint, "a published FM4NPP checkpoint (*.ckpt, *.pt, *.safetensors)")
    require_file(edges, EDGES)
    from tpcfm.systems.fm4npp.released import import_released

    model = import_released(checkpoint, edges, out)
    parameters = sum(p.numel() for p in model.parameters())
    print(f"{out}: FM4NPP backbone, width {model.config.width}, {parameters:,} numbers with the frozen embedding")
