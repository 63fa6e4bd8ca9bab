"""``tpcfm import-polar-mae``: published PoLAr-MAE or Point-MAE weights into a model directory."""

from pathlib import Path

import typer


def command(
    checkpoint: Path = typer.Argument(help="the released Lightning checkpoint (*.ckpt)"),
    out: Path = typer.Argument(help="model directory to write"),
    heads: int = typer.Option(0, help="attention heads; 0 means one per 64 channels, as published"),
) -> None:
    """Convert published PoLAr-MAE or Point-MAE weights to safetensors; nothing in the file is executed."""
    from tpcfm.errors import CheckpointError
    from tpcfm.files import require_file, sha256

    require_file(checkpoint, "a published Lightning checkpoint (*.ckpt)")
    from tpcfm.systems.polar_mae.released_weights import load_released
    from tpcfm.train import save_model

    try:
        model, config = load_released(checkpoint, heads or None)
    except CheckpointError as error:
        asked = "Is it a published PoLAr-MAE or Point-MAE checkpoint? FM4NPP weights: `tpcfm import-fm4npp`"
        raise CheckpointError(f"{error}. {asked}") from error
    unused = config.pop("unused")
    parameters = sum(p.numel() for p in model.parameters())
    digest = sha256(checkpoint)
    card = f"""# {config["architecture"]}, imported

{parameters:,} parameters from `{checkpoint.name}` (SHA-256 `{digest}`), converted by tpcfm.
Method and weights: Young, Jwa, Terao, arXiv 2502.02558. Preset `released`: batch-scalar norms and unmasked maxima, as these
weights were trained; with them, outputs depend on what else is in the batch.
"""
    source = {"file": checkpoint.name, "sha256": digest, "unused_tensors": unused}
    save_model(out, model, config=config, card=card, run={"imported": source}, history=[])
    print(f"{out}: {config['architecture']}, {parameters:,} parameters; {len(unused)} tensors of the file not used")
