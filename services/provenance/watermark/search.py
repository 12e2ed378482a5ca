"""Finding the tile in a folded picture: its orientation, its shift, its variant, and what it then carries."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import fft
from scipy.ndimage import maximum_filter, uniform_filter1d

from services.provenance.watermark.code import Floats
from services.provenance.watermark.tile import SIZE, VARIANTS, Index, Spectrum, Tile

TURNS = 8
PLACES = TURNS * SIZE * SIZE
_RING = 31
_LEAST_GAIN = 0.35
_SCANNED = 48


@dataclass(frozen=True, slots=True)
class Lock:
    """A place where a variant of the tile seems to lie. `z` is its sync and pilots' match in standard deviations.

    `turn` is the orientation that undoes what was done to the picture; `values` are the coefficients with the turn and
    the shift (`dy`, `dx`, pixels) undone, in units of the noise; `weights` say how much of the mark each ring of the
    band still holds: under noise alone, a weighted sum of real parts has half the sum of squared weights as variance.
    """

    z: float
    turn: int
    dy: float
    dx: float
    variant: int
    values: Spectrum
    weights: Floats


def turned(plane: Floats, turn: int) -> Floats:
    """A plane in one of the eight orientations of a square: `turn` mod 4 quarter turns, mirrored before from 4 on."""
    return np.rot90(plane if turn < 4 else plane[:, ::-1], turn % 4)


def lay(tile: Floats, lock: Lock) -> Floats:
    """A tile as it lies in the picture in which a lock found it."""
    shifted = np.roll(tile, (round(lock.dy), round(lock.dx)), axis=(0, 1))
    back = np.rot90(shifted, -(lock.turn % 4))
    return back if lock.turn < 4 else back[:, ::-1]


def locks(folded: Floats, tile: Tile, best: int, peaks: int) -> list[Lock]:
    """The `best` of so many `peaks` of the synchronisation part, by how the pilots confirm them; likeliest first."""
    seen = [carried(folded, tile, turn) for turn in range(TURNS)]
    values, weights = np.stack([each[0] for each in seen]), np.stack([each[1] for each in seen])
    grid = np.zeros((TURNS, SIZE, SIZE), np.complex64)
    sync = (values * weights)[:, tile.sync] * np.conj(tile.sync_values)
    grid[:, tile.rows[tile.sync], tile.columns[tile.sync]] = sync
    surfaces = fft.ifft2(grid, overwrite_x=True).real
    turns, rows, columns = _peaks(surfaces, peaks)
    dy, dx = _vertices(surfaces, turns, rows, columns)
    z = _agreement(tile, values[turns][:, tile.known], weights[turns][:, tile.known], dy, dx).ravel()
    found = []
    for place in np.argpartition(z, -best)[-best:].tolist():
        peak, variant = divmod(place, VARIANTS)
        turn = int(turns[peak])
        found.append(_settled(tile, values[turn], weights[turn], turn, float(dy[peak]), float(dx[peak]), variant))
    return sorted(found, key=lambda lock: -lock.z)


def _agreement(tile: Tile, values: Spectrum, weights: Floats, dy: Floats, dx: Floats) -> Floats:
    """How well sync and pilots of every variant match at some places, in deviations: (places, VARIANTS)."""
    turns = tile.v[tile.known] * dy[:, None] + tile.u[tile.known] * dx[:, None]
    aligned = (values * weights * np.exp(np.complex64(2j * np.pi) * turns)).astype(np.complex64)
    sync, pilots = aligned[:, : len(tile.sync)], aligned[:, len(tile.sync) :]
    match = (sync @ np.conj(tile.sync_values)).real[:, None] + (pilots @ np.conj(tile.pilot_values).T).real
    z: Floats = match / np.sqrt((weights**2).sum(axis=1) / 2)[:, None]
    return z


def _settled(tile: Tile, values: Spectrum, weights: Floats, turn: int, dy: float, dx: float, variant: int) -> Lock:
    """The lock near a shift: Newton's step to where sync and pilots together agree best."""
    known = np.concatenate([tile.sync_values, tile.pilot_values[variant]])
    v, u = 2 * np.pi * tile.v[tile.known], 2 * np.pi * tile.u[tile.known]
    for _ in range(2):
        match = (tile.moved(values, dy, dx) * weights)[tile.known] * np.conj(known)
        slope = -np.array([v @ match.imag, u @ match.imag])
        bend = np.array([[v * v @ match.real, v * u @ match.real], [v * u @ match.real, u * u @ match.real]])
        step = np.linalg.solve(bend + np.eye(2) * 1e-6, slope)
        if np.abs(step).max() > 1.0:
            break
        dy, dx = dy + float(step[0]), dx + float(step[1])
    aligned = tile.moved(values, dy, dx)
    match = ((aligned * weights)[tile.known] * np.conj(known)).real.sum()
    z = float(match / np.sqrt((weights[tile.known] ** 2).sum() / 2))
    return Lock(z, turn, dy, dx, variant, aligned, weights)


def fit(folded: Floats, tile: Tile, expected: Spectrum) -> float:
    """How well a whole spectrum of unit magnitudes fits a folded picture where it fits best, in standard deviations."""
    best = 0.0
    for turn in range(TURNS):
        values, weights = carried(folded, tile, turn)
        grid = np.zeros((SIZE, SIZE), np.complex64)
        grid[tile.rows, tile.columns] = values * weights * np.conj(expected)
        match = float(fft.ifft2(grid).real.max()) * SIZE**2
        best = max(best, match / float(np.sqrt((weights[tile.used] ** 2).sum() / 2)))
    return best


def scan(folded: Floats, tile: Tile) -> list[Lock]:
    """As `locks`, without the synchronisation part, which an average over many pictures can take away: every variant
    at every shift and orientation. Costs a thousand times as much.
    """
    best: list[tuple[float, int, int, int]] = []
    for turn in range(TURNS):
        values, weights = carried(folded, tile, turn)
        pilots = np.conj(tile.pilot_values) * (values * weights)[tile.pilots]
        # One product of matrices: the match of each variant at each place.
        surfaces = np.concatenate([pilots.real, -pilots.imag], axis=1) @ tile.waves
        highest = surfaces.max(axis=1)
        for variant in np.argpartition(highest, -_SCANNED)[-_SCANNED:].tolist():
            best.append((float(highest[variant]), turn, variant, int(surfaces[variant].argmax())))
    found = []
    for _, turn, variant, place in sorted(best, reverse=True)[:_SCANNED]:
        row, column = divmod(place, SIZE)
        values, weights = carried(folded, tile, turn)
        aligned = tile.moved(values, row, column)
        match = float(((aligned * weights)[tile.pilots] @ np.conj(tile.pilot_values[variant])).real)
        z = match / float(np.sqrt((weights[tile.pilots] ** 2).sum() / 2))
        found.append(Lock(z, turn, float(row), float(column), variant, aligned, weights))
    return sorted(found, key=lambda lock: -lock.z)


def settled_weights(tile: Tile, lock: Lock) -> Floats:
    """Other weights for a lock, from how its sync and pilots fare: filters turn a ring's phases, or mix it up."""
    known = np.concatenate([tile.sync_values, tile.pilot_values[lock.variant]])
    agreement = (lock.values[tile.known] * np.conj(known)).real
    gain = lock.weights
    signal = np.clip(tile.nearness @ agreement / (tile.nearness @ gain[tile.known]), 0.05, 1.0) * gain
    weights: Floats = signal / (1 + gain**2 - signal**2)
    return weights


def carried(folded: Floats, tile: Tile, turn: int) -> tuple[Spectrum, Floats]:
    """The band's coefficients in one orientation, and how much of the mark is in each ring, in units of the noise."""
    values: Spectrum = fft.rfft2(turned(folded, turn))[tile.rows, tile.columns]
    power = np.minimum(values.real**2 + values.imag**2, 30.0)
    gain = np.sqrt(np.maximum(uniform_filter1d(power, _RING) - 1.0, _LEAST_GAIN**2)).astype(np.float32)
    held = np.maximum(3.0, 2.0 * gain)
    return (values / np.maximum(1.0, np.abs(values) / held)).astype(np.complex64), gain


def _peaks(surfaces: Floats, best: int) -> tuple[Index, Index, Index]:
    tops = np.flatnonzero(surfaces == maximum_filter(surfaces, (1, 3, 3), mode="wrap"))
    highest = tops[np.argpartition(surfaces.ravel()[tops], -best)[-best:]]
    turns, rows, columns = np.unravel_index(highest, surfaces.shape)
    return turns, rows, columns


def _vertices(surfaces: Floats, turns: Index, rows: Index, columns: Index) -> tuple[Floats, Floats]:
    """The peaks between pixels: the vertices of parabolas through their neighbours on both axes."""

    def vertex(before: Floats, at: Floats, after: Floats) -> Floats:
        bend = before - 2 * at + after
        return (0.5 * (before - after) / np.where(bend < 0, bend, np.inf)).astype(np.float32)

    at = surfaces[turns, rows, columns]
    above, below = surfaces[turns, rows - 1, columns], surfaces[turns, (rows + 1) % SIZE, columns]
    left, right = surfaces[turns, rows, columns - 1], surfaces[turns, rows, (columns + 1) % SIZE]
    dy, dx = rows + vertex(above, at, below), columns + vertex(left, at, right)
    return dy.astype(np.float32), dx.astype(np.float32)
