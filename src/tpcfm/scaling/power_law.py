"""Power laws ``y = a x^-b + c`` with bootstrap bands (the form of arXiv 2508.14087, Sec. 4; Hoffmann et al. 2022 for the fit).

The fit minimises a Huber loss of log residuals from many starts, so that one bad run does not decide the exponent.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import least_squares

from tpcfm.errors import DataError

Floats = npt.NDArray[np.float64]
FEWEST_FOR_SATURATION = 5


@dataclass(frozen=True)
class PowerLaw:
    """A fitted law ``y = a x^-b + c``.

    Attributes:
        a, b, c: factor, exponent, saturation (``c`` is 0 where it was not fitted).
        b_low, b_high: 95 % bootstrap interval of the exponent (NaN with fewer than three points).
        c_low, c_high: the same for the saturation.
        points: distinct values of x.
        saturation: whether ``c`` was fitted.
        illustrative: fewer than five distinct x: a line to guide the eye, not a measured law.
        residual: root mean square of the log residuals.
        samples: (S, 3) bootstrap draws of a, b, c.
    """

    a: float
    b: float
    c: float
    b_low: float
    b_high: float
    c_low: float
    c_high: float
    points: int
    saturation: bool
    illustrative: bool
    residual: float
    samples: Floats

    def __call__(self, x: Floats) -> Floats:
        """Return the law at x."""
        return self.a * np.asarray(x, dtype=np.float64) ** -self.b + self.c

    def band(self, x: Floats, level: float = 0.95) -> tuple[Floats, Floats]:
        """Return the bootstrap band at x, shape (len(x),) each; NaN where there are no draws."""
        grid = np.asarray(x, dtype=np.float64)
        if not len(self.samples):
            return np.full(grid.shape, np.nan), np.full(grid.shape, np.nan)
        draws = self.samples[:, :1] * grid[None] ** -self.samples[:, 1:2] + self.samples[:, 2:]
        tail = 50 * (1 - level)
        low, high = np.percentile(draws, [tail, 100 - tail], axis=0)
        return low, high


def _fit(
    x: Floats, y: Floats, saturation: bool, near: tuple[float, float, float] | None = None
) -> tuple[float, float, float]:
    """Return a, b, c of the best start; ``near`` (a law of almost the same points) is the only one if given."""
    logx, logy = np.log(x), np.log(y)
    centre = logx.mean()
    slope = np.polyfit(logx - centre, logy, 1)[0]
    if not saturation:
        result = least_squares(
            lambda p: p[0] - p[1] * (logx - centre) - logy, [logy.mean(), -slope], loss="huber", f_scale=0.05
        )
        level, b = result.x
        return float(np.exp(level + b * centre)), float(b), 0.0

    def residual(p: Floats) -> Floats:
        return np.logaddexp(p[0] - p[1] * (logx - centre), p[2]) - logy

    starts = []
    for share in (1e-4, 0.2, 0.5, 0.8, 0.95):
        for exponent in (max(-slope, 1e-3), 0.1, 0.5, 1.0):
            floor = share * y.min()
            starts.append([np.log(max(np.exp(logy.mean()) - floor, 1e-12)), exponent, np.log(floor)])
    if near is not None:
        starts = [[np.log(near[0]) - near[1] * centre, near[1], np.log(near[2])]]
    best = None
    for start in starts:
        trial = least_squares(residual, start, loss="huber", f_scale=0.05, max_nfev=500)
        if best is None or trial.cost < best.cost:
            best = trial
    assert best is not None
    level, b, floor = best.x
    return float(np.exp(level + b * centre)), float(b), float(np.exp(floor))


def fit_power_law(x: Floats, y: Floats, *, saturation: bool = True, draws: int = 200, seed: int = 0) -> PowerLaw:
    """Fit ``y = a x^-b + c``.

    Args:
        x: (n,) positive sizes (parameters, points, FLOPs); several seeds repeat a value.
        y: (n,) positive losses.
        saturation: fit ``c`` too; dropped below five distinct x, where three parameters would pass through noise.
        draws: bootstrap draws: over the seeds within each x where every x has several, else over the residuals.

    Raises:
        DataError: fewer than two distinct x, or a value that is not positive and finite.
    """
    x, y = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    good = np.isfinite(x) & np.isfinite(y) & (x > 0) & (y > 0)
    if not good.all():
        raise DataError(f"power law: {int((~good).sum())} of {len(x)} values are not positive and finite")
    levels = np.unique(x)
    if len(levels) < 2:
        raise DataError(f"power law: needs at least two distinct sizes, found {len(levels)}")
    illustrative = len(levels) < FEWEST_FOR_SATURATION
    saturation = saturation and not illustrative
    a, b, c = _fit(x, y, saturation)
    fitted = a * x**-b + c
    residuals = np.log(y) - np.log(fitted)
    rng = np.random.default_rng(seed)
    members = [np.flatnonzero(x == level) for level in levels]
    by_seed = min(len(m) for m in members) >= 2
    samples = []
    # Without a floor to begin from (c = 0), every start is tried again.
    near = (a, b, c) if a > 0 and c > 0 else None
    for _ in range(draws if len(levels) >= 3 or by_seed else 0):
        if by_seed:
            rows = np.concatenate([rng.choice(m, len(m)) for m in members])
            samples.append(_fit(x[rows], y[rows], saturation, near))
        else:
            # Wild bootstrap, inflated for the parameters already spent.
            spare = max(len(x) - 2 - saturation, 1)
            noise = residuals * rng.choice([-1.0, 1.0], len(x)) * np.sqrt(len(x) / spare)
            samples.append(_fit(x, fitted * np.exp(noise), saturation, near))
    drawn = np.array(samples, dtype=np.float64).reshape(-1, 3)
    interval = np.percentile(drawn, [2.5, 97.5], axis=0) if len(drawn) else np.full((2, 3), np.nan)
    return PowerLaw(
        a=a,
        b=b,
        c=c,
        b_low=float(interval[0, 1]),
        b_high=float(interval[1, 1]),
        c_low=float(interval[0, 2]),
        c_high=float(interval[1, 2]),
        points=len(levels),
        saturation=saturation,
        illustrative=illustrative,
        residual=float(np.sqrt(np.mean(residuals**2))),
        samples=drawn,
    )
