"""The model that MLflow loads and serves: this file itself is what it stores (models from code), so nothing is pickled."""

from typing import Any

import mlflow
import pandas as pd

import tpcfm


class ServedModel(mlflow.pyfunc.PythonModel):  # type: ignore[name-defined]
    """A model directory; takes a row per point, gives a row per point."""

    def load_context(self, context: Any) -> None:
        """Open the model directory among the artifacts."""
        self.model = tpcfm.load(context.artifacts["model"])

    def predict(self, context: Any, model_input: pd.DataFrame, params: Any = None) -> pd.DataFrame:
        """Label points.

        Args:
            context: of MLflow, not used.
            model_input: ``event`` (whatever tells events apart), ``x y z`` and the signals, in the detector's units.
            params: none are known.

        Returns:
            In the order of the rows each label, ``<label>_score`` (null where there is none) and ``answered``.
        """
        found: pd.DataFrame = self.model.predict(model_input, event="event")
        scores = {f"{label}_score" for label in self.model.labels} - {*found.columns}
        return found.assign(**dict.fromkeys(scores, float("nan"))).reset_index(drop=True)


mlflow.models.set_model(ServedModel())
