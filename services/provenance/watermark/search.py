"""Finding the tile in a folded picture: its orientation, its shift, and the coefficients once both are undone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import fft

from services.provenance.watermark.code import Floats
from services.provenance.watermark.tile import SIZE, Spectrum, Tile

TURNS = 8
PLACES = TURNS * SIZE * SIZE
_CLIP = 1.8
_RING = 48


@dataclass(frozen=True, slots=True)
class Lock:
    """A place where the synchronisation part was found. `z` is its peak in standard deviations over all shifts.

    `turn` is the orientation that undoes what was done to the picture, (`dy`, `dx`) where the tile then begins, in
    pixels; `values` are the coefficients with both undone.
    """

    z: float
    turn: int
    dy: float
    dx: float
    values: Spectrum


def locks(folded: Floats, tile: Tile, best: int) -> list[Lock]:
    """The `best` places of the tile over all shifts and orientations, highest peak first, one for each orientation."""
    found = []
    for turn in range(TURNS):
        values = _whiten(fft.fft2(turned(folded, turn))[tile.rows, tile.columns])
        grid = np.zeros((SIZE, SIZE), np.complex64)
        grid[tile.rows[tile.sync], tile.columns[tile.sync]] = values[tile.sync] * np.conj(tile.sync_values)
        surface = fft.ifft2(grid).real
        row, column = (int(index) for index in np.unravel_index(int(surface.argmax()), surface.shape))
        z = float(surface[row, column] / (surface.std() + 1e-12))
        dy, dx = _vertex(surface, row, column)
        found.append(Lock(z, turn, dy, dx, _unshift(values, tile, dy, dx)))
    return sorted(found, key=lambda lock: -lock.z)[:best]


def turned(plane: Floats, turn: int) -> Floats:
    """A plane in one of the eight orientations of a square: `turn` mod 4 quarter turns, mirrored before from 4 on."""
    return np.rot90(plane if turn < 4 else plane[:, ::-1], turn % 4)


def lay(tile: Floats, lock: Lock) -> Floats:
    """A tile as it lies in the picture in which a lock found it."""
    shifted = np.roll(tile, (round(lock.dy), round(lock.dx)), axis=(0, 1))
    back = np.rot90(shifted, -(lock.turn % 4))
    return back if lock.turn < 4 else back[:, ::-1]


def _whiten(values: Spectrum) -> Spectrum:
    """Even out radius-sorted coefficients: each is divided by the level of its ring, and outliers are held down."""
    power = np.pad(np.abs(values) ** 2, _RING, mode="reflect")
    level = np.sqrt(np.convolve(power, np.full(2 * _RING + 1, 1 / (2 * _RING + 1)), "valid"))
    even = values / (level + 1e-9)
    held: Spectrum = (even / np.maximum(1.0, np.abs(even) / _CLIP)).astype(np.complex64)
    return held


def _vertex(surface: Floats, row: int, column: int) -> tuple[float, float]:
    """The peak between pixels: the vertices of parabolas through its neighbours on both axes."""

    def vertex(before: float, at: float, after: float) -> float:
        bend = before - 2 * at + after
        return 0.0 if bend >= 0 else 0.5 * (before - after) / bend

    rows = surface[[row - 1, row, (row + 1) % SIZE], column]
    columns = surface[row, [column - 1, column, (column + 1) % SIZE]]
    return row + vertex(*rows.tolist()), column + vertex(*columns.tolist())


def _unshift(values: Spectrum, tile: Tile, dy: float, dx: float) -> Spectrum:
    v = np.where(tile.rows > SIZE // 2, tile.rows - SIZE, tile.rows)
    u = np.where(tile.columns > SIZE // 2, tile.columns - SIZE, tile.columns)
    back: Spectrum = (values * np.exp(2j * np.pi * (v * dy + u * dx) / SIZE)).astype(np.complex64)
    return back
