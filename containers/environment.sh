# The environment inside the image (both recipes). Apptainer reads it before the variables of the host are there, and hands those on
# where this file sets none; so `tpcfm` reads it once more (install.sh), and then it sees them.
export PATH=/opt/tpcfm/venv/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export TPCFM_IMAGE=__VARIANT__
# Nothing of the host's Python may leak in; its other variables (CUDA_VISIBLE_DEVICES, SLURM_*, OMP_NUM_THREADS) pass through.
# Empty, not unset: Apptainer hands a variable of the host on again if it finds it unset. Python takes empty as not given.
export PYTHONHOME= PYTHONPATH= PYTHONSTARTUP= PYTHONDONTWRITEBYTECODE= VIRTUAL_ENV=
export PYTHONNOUSERSITE=1
export MLFLOW_DISABLE_TELEMETRY=true
# Inside, HOME is the working folder: caches that follow HOME would land in the checkout.
# Scratch folders of a job are often not seen in here (bind them to use them).
[ -w "${TMPDIR:-/tmp}" ] || export TMPDIR=/tmp
# Not exported: the host's TPCFM_CACHE would no longer be handed on.
tpcfm_cache="${TMPDIR:-/tmp}/tpcfm-cache-${USER:-$(id -u)}"
if [ -n "${TPCFM_CACHE:-}" ]; then
  if mkdir -p "$TPCFM_CACHE" 2>/dev/null && [ -w "$TPCFM_CACHE" ]; then
    tpcfm_cache="$TPCFM_CACHE"
  else
    echo "tpcfm: TPCFM_CACHE=$TPCFM_CACHE cannot be written inside the image (bind it); caches go to $tpcfm_cache" >&2
  fi
fi
export XDG_CACHE_HOME="$tpcfm_cache"
export TRITON_CACHE_DIR="$tpcfm_cache/triton"
export TORCHINDUCTOR_CACHE_DIR="$tpcfm_cache/inductor"
export NUMBA_CACHE_DIR="$tpcfm_cache/numba-__VARIANT__"
export MPLCONFIGDIR="$tpcfm_cache/matplotlib"
export PYTHONPYCACHEPREFIX="$tpcfm_cache/pycache"
