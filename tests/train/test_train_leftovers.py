"""Variables of a launcher that are left over from elsewhere change nothing, and are said; a whole set of them counts."""

import logging

import pytest

from tpcfm.train.distributed import is_main, join, launched
from train_toys import toy_config, toy_fit

GROUP = {"RANK": "1", "WORLD_SIZE": "2", "LOCAL_RANK": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "1"}


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch):
    for name in GROUP:
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    "names", [["RANK"], ["WORLD_SIZE"], ["LOCAL_RANK", "RANK"], ["RANK", "WORLD_SIZE", "MASTER_ADDR"]]
)
def test_single_variables_are_ignored_with_a_warning(monkeypatch, caplog, tmp_path, names):
    for name in names:
        monkeypatch.setenv(name, GROUP[name])
    with caplog.at_level(logging.WARNING, "tpcfm.train"):
        assert is_main()
        ranks = join("cpu")
    assert (ranks.rank, ranks.world) == (0, 1)
    assert all(f"{name}={GROUP[name]}" in caplog.text for name in names)
    _, result = toy_fit(tmp_path / "state", toy_config())
    assert result.history


def test_a_whole_set_describes_a_group(monkeypatch):
    assert not launched()
    assert is_main()
    for name, value in GROUP.items():
        monkeypatch.setenv(name, value)
    assert launched()
    assert not is_main()
