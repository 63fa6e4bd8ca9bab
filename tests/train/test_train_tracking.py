"""Mirroring to a tracking server never disturbs a training: dead port, server that dies in mid-run, slow server."""

import http.server
import json
import logging
import socket
import threading
import time

import pytest

from tpcfm.errors import Interrupted
from tpcfm.train.tracking import Mirror, from_environment
from train_toys import ToyObjective, same_bits, toy_config, toy_fit, toy_model


class Server:
    """As much of MLflow's REST interface as the mirror uses."""

    def __init__(self, fail_after=None, delay=0.0):
        self.calls, self.metrics, self.runs, self.status = [], [], {}, {}
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def handle_any(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                call = self.path.split("mlflow/")[1].split("?")[0]
                outer.calls.append(call)
                time.sleep(delay)
                if fail_after is not None and len(outer.calls) > fail_after:
                    self.connection.close()
                    return
                code, answer = outer.answer(call, json.loads(body or b"{}"))
                self.send_response(code)
                self.end_headers()
                self.wfile.write(json.dumps(answer).encode())

            do_GET = do_POST = handle_any

            def log_message(self, *args):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.uri = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def answer(self, call, content):
        if call == "experiments/get-by-name":
            return 404, {"error_code": "RESOURCE_DOES_NOT_EXIST"}
        if call == "experiments/create":
            return 200, {"experiment_id": "1"}
        if call == "runs/search":
            key = content["filter"].split("'")[1]
            return 200, {"runs": [{"info": {"run_id": i}} for i, k in self.runs.items() if k == key]}
        if call == "runs/create":
            self.runs[f"id{len(self.runs)}"] = content["run_name"]
            return 200, {"run": {"info": {"run_id": f"id{len(self.runs) - 1}"}}}
        if call == "runs/update":
            if content["run_id"] not in self.runs:
                return 404, {}
            self.status[content["run_id"]] = content["status"]
        if call == "runs/log-batch":
            assert len(content.get("metrics", [])) <= 1000
            self.metrics += content.get("metrics", [])
        return 200, {}

    def close(self):
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def server():
    server = Server()
    yield server
    server.close()


def dead_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_a_server_gets_every_value(tmp_path, monkeypatch, server, caplog):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.uri)
    _, result = toy_fit(tmp_path / "my-run", toy_config(), validate=lambda m, s: {"loss": 1.0 / (s + 1)})
    sent = {(m["key"], m["step"]): m["value"] for m in server.metrics}
    for row in result.history:
        for name, value in row.items():
            if name not in ("step", "split"):
                assert sent[f"{row['split']}/{name}", row["step"]] == pytest.approx(value)
    assert server.runs == {"id0": "my-run"}
    assert server.status == {"id0": "FINISHED"}
    assert not caplog.records


def test_a_resumed_job_continues_its_run(tmp_path, monkeypatch, server):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.uri)
    left = iter([None] * 3)
    with monkeypatch.context() as patch:
        patch.setattr("tpcfm.train.signals.StopRequest.reason", lambda request, needed: next(left, "test limit"))
        with pytest.raises(Interrupted):
            toy_fit(tmp_path / "my-run", toy_config())
    assert server.status == {"id0": "SCHEDULED"}
    toy_fit(tmp_path / "my-run", toy_config())
    assert server.runs == {"id0": "my-run"}
    assert server.status == {"id0": "FINISHED"}
    losses = [m["step"] for m in server.metrics if m["key"] == "train/loss"]
    assert losses == [1, 2, 3, 4, 5, 6]


def test_a_dead_port_costs_one_warning(tmp_path, monkeypatch, caplog):
    plain, _ = toy_fit(tmp_path / "plain", toy_config())
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{dead_port()}")
    with caplog.at_level(logging.WARNING):
        model, result = toy_fit(tmp_path / "mirrored", toy_config())
    assert same_bits(plain, model)
    assert [r.levelname for r in caplog.records] == ["WARNING"]
    assert "mirroring is off" in caplog.text
    assert len(result.history) == 6


@pytest.mark.parametrize("calls", [1, 3, 5, 7])
def test_a_server_that_dies_in_mid_run_costs_one_warning(tmp_path, monkeypatch, caplog, calls):
    server = Server(fail_after=calls)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.uri)

    class Slow(ToyObjective):
        def counts(self, batch, info):
            time.sleep(0.02)
            return super().counts(batch, info)

    with caplog.at_level(logging.WARNING):
        model, result = toy_fit(tmp_path, toy_config(steps=8), objective=Slow())
    server.close()
    assert result.steps == 8
    assert len(caplog.records) == 1
    assert len((tmp_path / "metrics.jsonl").read_text().splitlines()) == 8
    assert not same_bits(model, toy_model())


def test_a_hanging_server_delays_only_the_end_and_only_shortly(caplog):
    server = Server(delay=30)
    mirror = Mirror(server.uri, "run", timeout=0.2)
    begun = time.monotonic()
    mirror.add({"step": 1, "split": "train", "loss": 1.0})
    with caplog.at_level(logging.WARNING):
        mirror.close("FINISHED")
    assert time.monotonic() - begun < 25  # the server answers after 30 s: neither call waited for it
    assert len(caplog.records) == 1
    server.server.shutdown()


def test_only_http_addresses_are_mirrored(monkeypatch):
    for uri in ("", "sqlite:///x.db", "file:///tmp/x", "./mlruns"):
        monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
        assert from_environment("run", {}, None) is None
