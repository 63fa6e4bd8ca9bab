"""The image recipes: two recipes with one set of steps, honest commands, an environment that leaks nothing, errors that say what to do.

Static, and with plain processes; what needs Apptainer itself is in test_cluster_slurm.py.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CONTAINERS = ROOT / "containers"
sys.path.insert(0, str(CONTAINERS))

import build  # noqa: E402
import check  # noqa: E402
import image  # noqa: E402


@pytest.fixture
def program(monkeypatch: pytest.MonkeyPatch) -> None:
    """Command lines are only looked at here, so Apptainer need not be installed."""
    monkeypatch.setattr(image, "apptainer", lambda: "apptainer")
    monkeypatch.delenv("TPCFM_APPTAINER_ARGS", raising=False)


def options(*words: str):
    return build.parse(list(words))


def test_both_recipes_take_the_same_steps() -> None:
    definition, docker = (CONTAINERS / "tpcfm.def").read_text(), (CONTAINERS / "Dockerfile").read_text()
    for needed in ("containers/install.sh", "containers/environment.sh", "envs/image.txt"):
        assert needed in definition
        assert needed in docker
    bases = {v.base for v in image.VARIANTS.values()}
    assert set(re.findall(r"python:3\.\d+-slim-bookworm", definition)) == bases
    assert set(re.findall(r"python:3\.\d+-slim-bookworm", docker)) == bases
    for text in (definition, docker):
        assert "src" not in re.sub(r"#.*", "", text), "the code is bound, never in the image"


def test_default_configuration_names_the_image_that_is_built() -> None:
    from tpcfm.systems.registry import load

    assert ROOT / load(ROOT / "config.yaml").container == image.VARIANTS["cpu"].file
    assert image.version() in image.VARIANTS["cpu"].file.name


def test_lock_hash_follows_the_locks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    before = image.VARIANTS["cpu"].lock_hash()
    for name in ("envs", "containers"):
        (tmp_path / name).mkdir()
        for path in (ROOT / name).iterdir():
            if path.suffix in (".txt", ".sh"):
                (tmp_path / name / path.name).write_bytes(path.read_bytes())
    monkeypatch.setattr(image, "ROOT", tmp_path)
    assert image.VARIANTS["cpu"].lock_hash() == before
    with (tmp_path / "envs/cpu.txt").open("a") as stream:
        stream.write("more==1\n")
    assert image.VARIANTS["cpu"].lock_hash() != before


@pytest.mark.usefixtures("program")
@pytest.mark.parametrize("variant", ["cpu", "cuda"])
def test_build_needs_no_root_and_says_what_it_builds(variant: str) -> None:
    command = build.build_command(image.VARIANTS[variant], Path("out.sif"), image.VARIANTS[variant].base, None)
    assert command[:3] == ["apptainer", "build", "--fakeroot"]
    values = dict(command[i + 1].split("=", 1) for i, word in enumerate(command) if word == "--build-arg")
    assert values["variant"] == variant
    assert values["bootstrap"] == "docker"
    assert values["lock"] == image.VARIANTS[variant].lock_hash()
    definition = (CONTAINERS / "tpcfm.def").read_text()
    used = set(re.findall(r"\{\{ (\w+) \}\}", definition))
    assert used == set(values), "every argument of the definition is given, and no other"


@pytest.mark.usefixtures("program")
def test_local_base_and_wheelhouse_need_no_network(tmp_path: Path) -> None:
    (tmp_path / "base.sif").touch()
    command = build.build_command(image.VARIANTS["cpu"], Path("o.sif"), str(tmp_path / "base.sif"), tmp_path)
    assert "bootstrap=localimage" in command
    assert f"from={tmp_path}/base.sif" in command
    assert f"{tmp_path}:/mnt:ro" in command
    assert "--no-index --find-links /mnt" in (CONTAINERS / "install.sh").read_text()


def test_wheels_come_from_the_index_that_the_makefile_takes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    variant = image.Variant("cpu", f"{sys.version_info.major}.{sys.version_info.minor}", "base", ())
    monkeypatch.delenv("TORCH_INDEX", raising=False)
    assert "--extra-index-url" not in build.wheel_command(variant, tmp_path)
    monkeypatch.setenv("TORCH_INDEX", f"{image.INDEX}/cpu")
    command = build.wheel_command(variant, tmp_path)
    assert command[command.index("--extra-index-url") + 1] == f"{image.INDEX}/cpu"


@pytest.mark.usefixtures("program")
@pytest.mark.parametrize("compression", ["gzip", "zstd"])
def test_compression_is_said(compression: str) -> None:
    command = build.build_command(image.VARIANTS["cpu"], Path("o.sif"), "base", None, compression)
    assert f"-comp {compression}" in command[command.index("--mksquashfs-args") + 1]


@pytest.mark.usefixtures("program")
def test_driver_is_passed_through_for_gpus_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    run = ["tpcfm", "doctor"]
    assert "--nv" not in image.exec_command(Path("i.sif"), run)
    assert "--nv" in image.exec_command(Path("i.sif"), run, gpu=True)
    monkeypatch.setenv("TPCFM_APPTAINER_ARGS", "--userns --bind '/a b'")
    command = image.exec_command(Path("i.sif"), run)
    assert command[-6:] == ["--userns", "--bind", "/a b", "i.sif", "tpcfm", "doctor"]


def test_nothing_clears_the_environment() -> None:
    for path in (*CONTAINERS.iterdir(), *(ROOT / "profiles").rglob("*.yaml")):
        if path.suffix in (".py", ".def", ".sh", ".yaml"):
            assert "--cleanenv" not in path.read_text(), path


def inside(**variables: str) -> dict[str, str]:
    """The environment that the image makes of one of the host."""
    done = subprocess.run(["sh", "-c", f". {CONTAINERS}/environment.sh; env"], env=variables, capture_output=True)
    return dict(line.split("=", 1) for line in done.stdout.decode().splitlines() if "=" in line)


def test_scratch_that_is_not_bound_is_not_used() -> None:
    found = inside(USER="me", TMPDIR="/scratch/of/a/job")
    assert found["TMPDIR"] == "/tmp"
    assert found["XDG_CACHE_HOME"] == "/tmp/tpcfm-cache-me"


def test_caches_go_where_the_host_says_or_a_word_tells_where(tmp_path: Path) -> None:
    found = inside(USER="me", TMPDIR=str(tmp_path), TPCFM_CACHE=str(tmp_path / "own"))
    assert found["PYTHONPYCACHEPREFIX"] == f"{tmp_path}/own/pycache"
    (tmp_path / "file").touch()
    wrong = {"USER": "me", "TMPDIR": str(tmp_path), "TPCFM_CACHE": f"{tmp_path}/file/below"}
    done = subprocess.run(
        ["sh", "-c", f". {CONTAINERS}/environment.sh; echo $XDG_CACHE_HOME"], env=wrong, capture_output=True, text=True
    )
    assert done.stdout.strip() == f"{tmp_path}/tpcfm-cache-me"
    assert f"TPCFM_CACHE={tmp_path}/file/below cannot be written" in done.stderr


def test_caches_leave_the_checkout_and_host_python_stays_out(tmp_path: Path) -> None:
    host = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "PYTHONDONTWRITEBYTECODE")
    leaked = dict.fromkeys(host, "/leaked") | {"CUDA_VISIBLE_DEVICES": "3"}
    found = inside(HOME=str(ROOT), USER="me", TMPDIR=str(tmp_path), **leaked)
    for name in ("TRITON_CACHE_DIR", "NUMBA_CACHE_DIR", "MPLCONFIGDIR", "XDG_CACHE_HOME", "TORCHINDUCTOR_CACHE_DIR"):
        assert found[name].startswith(f"{tmp_path}/tpcfm-cache-me"), name
    assert {found[name] for name in host} == {""}
    assert found["PYTHONNOUSERSITE"] == "1"
    assert found["CUDA_VISIBLE_DEVICES"] == "3"


def wrapper(tmp_path: Path) -> Path:
    """The wrapper that install.sh writes, with the Python of these tests in place of the image's."""
    text = (CONTAINERS / "install.sh").read_text()
    body = text.split("<<'WRAPPER'\n", 1)[1].split("WRAPPER\n", 1)[0]
    path = tmp_path / "tpcfm"
    body = body.replace("/opt/tpcfm/environment.sh", str(CONTAINERS / "environment.sh"))
    path.write_text(body.replace("/opt/tpcfm/venv/bin/python", sys.executable))
    path.chmod(0o755)
    return path


def test_wrapper_runs_the_bound_checkout(tmp_path: Path) -> None:
    (tmp_path / "src/tpcfm").mkdir(parents=True)
    (tmp_path / "src/tpcfm/__init__.py").touch()
    (tmp_path / "src/tpcfm/__main__.py").write_text("import sys, tpcfm; print(tpcfm.__file__, *sys.argv[1:])")
    program = wrapper(tmp_path)
    clean = {k: v for k, v in os.environ.items() if k != "TPCFM_SOURCE"}
    here = subprocess.run([program, "a b"], cwd=tmp_path, env=clean, capture_output=True, text=True)
    assert here.stdout.split(maxsplit=1) == [str(tmp_path / "src/tpcfm/__init__.py"), "a b\n"]
    elsewhere = subprocess.run(
        [program], cwd="/", env=clean | {"TPCFM_SOURCE": str(tmp_path / "src")}, capture_output=True, text=True
    )
    assert str(tmp_path) in elsewhere.stdout


def test_wrapper_without_a_checkout_says_so(tmp_path: Path) -> None:
    clean = {k: v for k, v in os.environ.items() if k != "TPCFM_SOURCE"}
    done = subprocess.run([wrapper(tmp_path)], cwd=tmp_path, env=clean, capture_output=True, text=True)
    assert done.returncode == 2
    assert "no code in" in done.stderr
    assert "TPCFM_SOURCE" in done.stderr


def test_install_refuses_a_base_with_another_python(tmp_path: Path) -> None:
    (tmp_path / "python3").write_text("#!/bin/sh\necho 3.9\n")
    (tmp_path / "python3").chmod(0o755)
    done = subprocess.run(
        ["sh", CONTAINERS / "install.sh", "cuda"],
        env={"PATH": f"{tmp_path}:/usr/bin:/bin"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert "Python 3.9" in done.stderr
    assert "3.12" in done.stderr


def test_shell_scripts_parse() -> None:
    for path in (CONTAINERS / "install.sh", CONTAINERS / "environment.sh"):
        subprocess.run(["sh", "-n", path], check=True)
    subprocess.run(["bash", "-n", ROOT / "tools" / "local-cluster"], check=True)


@pytest.mark.usefixtures("program")
def test_build_never_replaces_unasked(tmp_path: Path) -> None:
    (tmp_path / "x.sif").touch()
    with pytest.raises(image.ImageError, match="there already: --force"):
        build.build(options("--out", str(tmp_path / "x.sif")))


@pytest.mark.usefixtures("program")
def test_empty_wheelhouse_is_named(tmp_path: Path) -> None:
    with pytest.raises(image.ImageError, match="no wheels there; --fill-wheelhouse"):
        build.build(options("--out", str(tmp_path / "x.sif"), "--wheelhouse", str(tmp_path)))


def test_wheelhouse_is_filled_for_the_python_of_the_image() -> None:
    other = next(v for v in image.VARIANTS.values() if v.python != f"{sys.version_info.major}.{sys.version_info.minor}")
    with pytest.raises(image.ImageError, match=rf"has Python {other.python}: fill its wheelhouse with that"):
        build.wheel_command(other, Path("w"))


def test_missing_program_and_missing_image_say_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(image.ImageError, match=r"Apptainer is not installed.*tools/local-cluster install"):
        image.apptainer()
    with pytest.raises(image.ImageError, match=r"no such image; build it with `python containers/build.py`"):
        image.image(tmp_path / "none.sif")


def test_check_finds_missing_and_other_versions() -> None:
    locked = check.pins("# comment\ntorch==2.13.0\npydantic-core==2\nh5py==3\n")
    installed = check.pins("torch==2.13.0+cpu\npydantic_core==2\n")
    assert check.differences(locked, installed) == ["h5py: locked 3, in the image missing"]
