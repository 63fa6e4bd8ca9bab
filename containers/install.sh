#!/bin/sh
# What both recipes (tpcfm.def, Dockerfile) do inside the image: the locked dependencies in /opt/tpcfm/venv and the wrapper `tpcfm`.
#   install.sh cpu|cuda        reads /opt/tpcfm/envs/*.txt; takes wheels from /mnt alone if there are any
set -eu
variant=$1
root=/opt/tpcfm
case $variant in
  cpu) python=3.11 index=https://download.pytorch.org/whl/cpu ;;
  cuda) python=3.12 index=https://download.pytorch.org/whl/cu128 ;;
  *) echo "variant $variant: cpu or cuda" >&2; exit 2 ;;
esac

found=$(python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])')
[ "$found" = "$python" ] || { echo "the base image has Python $found; the $variant lock is made for $python" >&2; exit 1; }

# A compiler: Triton and torch.compile build small host stubs at run time. git: the revision written into run.json.
if ! command -v g++ >/dev/null || ! command -v git >/dev/null; then
  apt-get update -qq
  apt-get install -y -qq --no-install-recommends g++ libc6-dev git ca-certificates
  rm -rf /var/lib/apt/lists/*
fi

if ls /mnt/*.whl >/dev/null 2>&1; then
  sources="--no-index --find-links /mnt"
else
  sources="--extra-index-url $index"
  [ "$variant" = cpu ] || sources="$sources --extra-index-url https://wheels.astral.sh/simple/cu128"
fi
# Never compile the CUDA packages: their source distributions would build for hours, or for the wrong torch.
[ "$variant" = cpu ] || sources="$sources --only-binary mamba-ssm,causal-conv1d,pytorch3d"

python3 -m venv --copies "$root/venv"
# The variables of the builder's own environment must not reach pip here: the lock alone decides.
# shellcheck disable=SC2086
env -u PIP_FIND_LINKS -u PIP_INDEX_URL -u PIP_EXTRA_INDEX_URL "$root/venv/bin/python" -m pip install \
  --quiet --disable-pip-version-check --no-cache-dir --no-compile $sources \
  -r "$root/envs/$variant.txt" -r "$root/envs/image.txt"
"$root/venv/bin/python" -m pip check
if [ "$variant" = cuda ]; then
  "$root/venv/bin/python" - <<'PYTHON'
from importlib.metadata import version

for name in ("mamba-ssm", "causal-conv1d", "pytorch3d"):
    found = version(name)
    if not found.endswith("torch.2.11"):
        raise SystemExit(f"{name} {found} is not the build for torch 2.11 and CUDA 12.8")
PYTHON
fi
"$root/venv/bin/python" -m pip list --format=freeze >"$root/installed.txt"

# The code is never in the image: the wrapper runs the checkout that is bound, the working folder if nothing else is said.
cat >"$root/venv/bin/tpcfm" <<'WRAPPER'
#!/bin/sh
source=${TPCFM_SOURCE:-$PWD/src}
if [ ! -f "$source/tpcfm/__main__.py" ]; then
  echo "tpcfm: no code in $source: the image holds the dependencies only. Run from the checkout, or set TPCFM_SOURCE to its src folder (and bind it)." >&2
  exit 2
fi
. /opt/tpcfm/environment.sh
PYTHONPATH=$source exec /opt/tpcfm/venv/bin/python -m tpcfm "$@"
WRAPPER
chmod 755 "$root/venv/bin/tpcfm"
