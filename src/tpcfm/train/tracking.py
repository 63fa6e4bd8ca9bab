"""Live mirroring of the training log to an MLflow server: optional, in the background, and never in training's way.

The truth is ``metrics.jsonl``; what a dead server misses, ``tpcfm mlflow sync`` brings later. Talks MLflow's REST
interface with the standard library, since importing mlflow takes many seconds and its client retries for minutes.
"""

import base64
import json
import logging
import os
import queue
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from typing import Any

_log = logging.getLogger("tpcfm.train")
_BATCH = 1000
_SKIP = frozenset({"step", "split"})


def metric_name(split: str, name: str) -> str:
    """Return the name of a logged value in MLflow: ``train/loss``, ``validation/loss``."""
    return f"{split}/{name}"


class Mirror:
    """Copies log rows to a server from a background thread; the first failure costs one warning and switches it off."""

    def __init__(
        self,
        uri: str,
        run_key: str,
        *,
        experiment: str = "training",
        params: Mapping[str, Any] | None = None,
        run_id: str | None = None,
        timeout: float = 5.0,
    ) -> None:
        """Start mirroring.

        Args:
            uri: http(s) address of the server.
            run_key: id of the run, its name and tag ``run_key``.
            experiment: name of the experiment, made if need be.
            params: plain values for the run's parameters.
            run_id: MLflow's id of this run from an earlier attempt, to continue it; None makes a run.
            timeout: seconds per request.
        """
        self.uri = uri.rstrip("/")
        self.run_key, self.experiment, self.timeout = run_key, experiment, timeout
        self.params = dict(params or {})
        self.run_id = run_id
        self.alive = True
        self._rows: queue.SimpleQueue[dict[str, Any] | str] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="tpcfm-mirror", daemon=True)
        self._thread.start()

    def add(self, row: Mapping[str, Any]) -> None:
        """Queue a log row; returns at once."""
        if self.alive:
            self._rows.put({**row, "time": time.time()})

    def close(self, status: str) -> None:
        """Send what is queued and set the run's status; waits for a few seconds at most.

        Args:
            status: "FINISHED", "FAILED" or "SCHEDULED" (stopped, to be continued).
        """
        self._rows.put(status)
        self._thread.join(3 * self.timeout)
        if self._thread.is_alive():
            self._give_up(f"no answer within {3 * self.timeout:g} s")

    def _work(self) -> None:
        try:
            self._open()
            status = None
            while status is None:
                items = [self._rows.get()]
                while not self._rows.empty() and len(items) < 100:
                    items.append(self._rows.get())
                self._send([row for row in items if isinstance(row, dict)])
                status = next((item for item in items if isinstance(item, str)), None)
            self._post("runs/update", run_id=self.run_id, status=status, end_time=_milliseconds(time.time()))
        except Exception as error:  # fail open: whatever a server does, training goes on
            self._give_up(str(error) or type(error).__name__)

    def _give_up(self, why: str) -> None:
        if self.alive:
            self.alive = False
            _log.warning(
                "tracking server %s: %s; mirroring is off for this run, `tpcfm mlflow sync` will import it",
                self.uri,
                why,
            )

    def _open(self) -> None:
        if self.run_id is not None:
            try:
                self._post("runs/update", run_id=self.run_id, status="RUNNING")
                return
            except urllib.error.HTTPError:  # another server than last time: make a run there
                self.run_id = None
        name = urllib.parse.quote(self.experiment)
        try:
            answer = self._request("GET", f"experiments/get-by-name?experiment_name={name}")
            experiment = answer["experiment"]["experiment_id"]
        except urllib.error.HTTPError as error:
            if error.code != 404:
                raise
            experiment = self._post("experiments/create", name=self.experiment)["experiment_id"]
        same = f"tags.run_key = '{self.run_key}'"
        if found := self._post("runs/search", experiment_ids=[experiment], filter=same, max_results=1).get("runs"):
            self.run_id = found[0]["info"]["run_id"]
            self._post("runs/update", run_id=self.run_id, status="RUNNING")
            return
        tags = [{"key": "run_key", "value": self.run_key}]
        start = _milliseconds(time.time())
        run = self._post("runs/create", experiment_id=experiment, run_name=self.run_key, start_time=start, tags=tags)
        self.run_id = run["run"]["info"]["run_id"]
        params = [{"key": str(k)[:250], "value": str(v)[:6000]} for k, v in self.params.items()]
        for i in range(0, len(params), 100):
            self._post("runs/log-batch", run_id=self.run_id, params=params[i : i + 100])

    def _send(self, rows: list[dict[str, Any]]) -> None:
        metrics = [
            {
                "key": metric_name(row["split"], k),
                "value": v,
                "timestamp": _milliseconds(row["time"]),
                "step": row["step"],
            }
            for row in rows
            for k, v in row.items()
            if k not in _SKIP and k != "time" and isinstance(v, int | float) and v == v
        ]
        for i in range(0, len(metrics), _BATCH):
            self._post("runs/log-batch", run_id=self.run_id, metrics=metrics[i : i + _BATCH])

    def _post(self, call: str, **content: Any) -> dict[str, Any]:
        return self._request("POST", call, json.dumps(content).encode())

    def _request(self, method: str, call: str, body: bytes | None = None) -> dict[str, Any]:
        request = urllib.request.Request(f"{self.uri}/api/2.0/mlflow/{call}", data=body, method=method)  # noqa: S310 - http(s) alone, see `from_environment`
        request.add_header("Content-Type", "application/json")
        if token := os.environ.get("MLFLOW_TRACKING_TOKEN"):
            request.add_header("Authorization", f"Bearer {token}")
        elif user := os.environ.get("MLFLOW_TRACKING_USERNAME"):
            pair = f"{user}:{os.environ.get('MLFLOW_TRACKING_PASSWORD', '')}"
            request.add_header("Authorization", f"Basic {base64.b64encode(pair.encode()).decode()}")
        for attempt in (0, 1):
            try:
                with urllib.request.urlopen(request, timeout=self.timeout) as answer:  # noqa: S310
                    return json.loads(answer.read() or b"{}")
            except urllib.error.HTTPError:
                raise
            except OSError:
                if attempt:
                    raise
        raise AssertionError("unreachable")


def from_environment(run_key: str, params: Mapping[str, Any], run_id: str | None) -> Mirror | None:
    """Return a mirror to ``MLFLOW_TRACKING_URI`` if that is an http(s) address, else None.

    ``MLFLOW_EXPERIMENT_NAME`` names the experiment.
    """
    uri = os.environ.get("MLFLOW_TRACKING_URI", "")
    if not uri.startswith(("http://", "https://")):
        return None
    experiment = os.environ.get("MLFLOW_EXPERIMENT_NAME", "training")
    return Mirror(uri, run_key, experiment=experiment, params=params, run_id=run_id)


def _milliseconds(seconds: float) -> int:
    return int(seconds * 1000)
