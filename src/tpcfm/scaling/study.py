"""Fits of the scaling studies: unweighted validation error on one fixed set against size, data and compute."""

from pathlib import Path

import numpy as np
import pandas as pd

from tpcfm.evaluate.study import collect_studies
from tpcfm.files import atomic
from tpcfm.plan.table import Plan
from tpcfm.scaling.power_law import fit_power_law
from tpcfm.workspace import Workspace

# study -> (metric on the x axis, or None for the value the study varies; label)
AXES = {
    "scaling_size": ("parameters", "trainable parameters"),
    "scaling_data": (None, "share of the training events"),
    "scaling_compute": ("flops", "training FLOPs"),
}
FIT_COLUMNS = [
    *("system", "study", "group", "x_label", "a", "b", "b_low", "b_high", "c", "c_low", "c_high"),
    *("points", "runs", "saturation", "illustrative", "residual"),
]
COORDINATE_COLUMNS = ["system", "parameterization", "width", "step", "part", "activation", "update"]
CURVE_COLUMNS = ["system", "study", "group", "x", "y", "low", "high"]


def scaling_points(metrics: pd.DataFrame) -> pd.DataFrame:
    """Return one row per run of the scaling studies: ``system study group point run seed x y`` (y: validation error)."""
    rows = []
    keys = ["system", "study", "axis", "point", "run"]
    fixed = metrics[metrics["split"] == "validation"]
    for (system, study, axis, point, run), values in fixed.groupby(keys, sort=False):
        if study not in AXES:
            continue
        by_name = values.drop_duplicates("metric").set_index("metric")["value"]
        if "validation_loss" not in by_name:
            continue
        source, _ = AXES[str(study)]
        x = float(by_name[source]) if source else float(str(point))
        group = str(axis).partition("/")[2]
        seed, y = int(values["seed"].iloc[0]), float(by_name["validation_loss"])
        rows.append((system, study, group, point, run, seed, x, y))
    return pd.DataFrame(rows, columns=["system", "study", "group", "point", "run", "seed", "x", "y"])


FRONT = "best at each compute"


def fit_studies(points: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Fit a law to each study and group of a system, and to the compute front; return the table of laws and their curves with 95 % bands."""
    fits, curves = [], []
    points = pd.concat([points, compute_front(points).assign(group=FRONT)], ignore_index=True)
    for (system, study, group), rows in points.groupby(["system", "study", "group"], sort=False):
        if rows["x"].nunique() < 2:
            continue
        law = fit_power_law(rows["x"].to_numpy(), rows["y"].to_numpy())
        label = AXES[str(study)][1]
        values = [system, study, group, label, law.a, law.b, law.b_low, law.b_high, law.c, law.c_low, law.c_high]
        fits.append([*values, law.points, len(rows), law.saturation, law.illustrative, law.residual])
        grid = np.geomspace(rows["x"].min(), rows["x"].max(), 40)
        low, high = law.band(grid)
        curves += [[system, study, group, *r] for r in zip(grid, law(grid), low, high, strict=True)]
    return pd.DataFrame(fits, columns=FIT_COLUMNS), pd.DataFrame(curves, columns=CURVE_COLUMNS)


def compute_front(points: pd.DataFrame) -> pd.DataFrame:
    """Return the runs that no other run of the system beats with equal or less compute (rows of ``scaling_compute`` points)."""
    rows = points[points["study"] == "scaling_compute"].drop_duplicates(["system", "run"]).sort_values("x")
    best = rows.groupby("system")["y"].transform(lambda y: y.cummin().shift(fill_value=np.inf))
    return rows[rows["y"] < best]


def coordinate_sizes(plan: Plan) -> pd.DataFrame:
    """Return the sizes that the coordinate checks of a plan wrote: ``system parameterization width step part activation update``."""
    workspace = Workspace(Path(plan.config["results"]))
    frames = [
        pd.read_parquet(workspace.run(run) / "sizes.parquet").assign(system=study.system)
        for study in plan.studies.values()
        if study.name == "coordinate_check"
        for run in study.runs
    ]
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=COORDINATE_COLUMNS)


def write_scaling(plan: Plan, out: Path) -> pd.DataFrame:
    """Write ``metrics``, ``points``, ``fits``, ``curves``, ``front`` and ``coordinates`` (Parquet) into a folder and return the fits."""
    metrics = collect_studies(plan, ["scaling"])
    points = scaling_points(metrics)
    fits, curves = fit_studies(points)
    tables = {"metrics": metrics, "points": points, "curves": curves, "front": compute_front(points)}
    tables |= {"coordinates": coordinate_sizes(plan), "fits": fits}
    for name, frame in tables.items():
        with atomic(out / f"{name}.parquet") as temporary:
            frame.to_parquet(temporary, index=False)
    return fits
