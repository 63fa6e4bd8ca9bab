# The environment inside the image (both recipes).
export PATH=/opt/tpcfm/venv/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export TPCFM_IMAGE=__VARIANT__
# Nothing of the host's Python may leak in; its other variables (CUDA_VISIBLE_DEVICES, SLURM_*, OMP_NUM_THREADS) pass through.
# Empty, not unset: Apptainer hands a variable of the host on again if it finds it unset. Python takes empty as not given.
export PYTHONHOME= PYTHONPATH= PYTHONSTARTUP= VIRTUAL_ENV=
export PYTHONNOUSERSITE=1
export MLFLOW_DISABLE_TELEMETRY=true
# Inside, HOME is the working folder: caches that follow HOME would land in the checkout.
# Scratch folders of a job are often not seen in here (bind them to use them).
[ -w "${TMPDIR:-/tmp}" ] || export TMPDIR=/tmp
TPCFM_CACHE="${TPCFM_CACHE:-${TMPDIR:-/tmp}/tpcfm-cache-${USER:-user}}"
export TPCFM_CACHE
export XDG_CACHE_HOME="$TPCFM_CACHE"
export TRITON_CACHE_DIR="$TPCFM_CACHE/triton"
export TORCHINDUCTOR_CACHE_DIR="$TPCFM_CACHE/inductor"
export NUMBA_CACHE_DIR="$TPCFM_CACHE/numba-__VARIANT__"
export MPLCONFIGDIR="$TPCFM_CACHE/matplotlib"
export PYTHONPYCACHEPREFIX="$TPCFM_CACHE/pycache"
