"""Spectra of neurons: how much of each weight vector lies in each frequency, or in each irreducible representation.

A function on a group is a sum of parts, one in the span of the matrix elements of each irreducible real representation;
the squared norms of the parts sum to its own. With F = sum_g f(g) R(g), the part of R has |F|^2 d / (e G), Frobenius
norm, d the dimension and e that of the commutant: a power that does not depend on the basis that was taken for R, nor
on the side from which the group acts. On Z_n the representations are frequencies, and frequency j and n - j are the
same.

Neurons of maximum margin have all of u, v and w in one part (arXiv 2311.07568, theorems 7 and 9).
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from array_api_compat import is_torch_array

from sandtable.simulators.arrays import Array
from sandtable.simulators.tasks.groups import FiniteGroup
from sandtable.simulators.tasks.representations import irreducible_representations


@dataclass(frozen=True, eq=False)
class Spectrum:
    """Spectra of vectors.

    Attributes:
        names: Of the K parts: the trivial representation, which is frequency 0, comes first.
        share: Of the squared norm in each part, float64 [..., K], sum 1; NaN for a vector that is zero or not finite.
    """

    names: tuple[str, ...]
    share: np.ndarray

    @property
    def dominant(self) -> np.ndarray:
        """Return the part with the largest share, int64 [...]; -1 where there is none."""
        known = ~np.isnan(self.share[..., 0])
        return np.where(known, np.where(known[..., None], self.share, 0.0).argmax(-1), -1)

    @property
    def purity(self) -> np.ndarray:
        """Return the largest share, float64 [...]: 1 for a vector within one part, NaN where there is none."""
        return self.share.max(-1)


class NeuronSpectra(NamedTuple):
    """Spectra of the three weight vectors of each neuron of a network on a group."""

    u: Spectrum
    v: Spectrum
    w: Spectrum

    @property
    def dominant(self) -> np.ndarray:
        """Return the part that dominates all of u, v and w, int64 [..., m]; -1 where they differ."""
        u, v, w = (one.dominant for one in self)
        return np.where((u == v) & (v == w), u, -1)

    @property
    def purity(self) -> np.ndarray:
        """Return the least purity of u, v and w, float64 [..., m]."""
        return np.minimum(np.minimum(self.u.purity, self.v.purity), self.w.purity)


def fourier_spectrum(vectors: Array) -> Spectrum:
    """Return the power spectrum of functions on Z_n, frequencies 0, ..., n // 2.

    Args:
        vectors: numpy or torch, [..., n].
    """
    values = _float64(vectors)
    n = values.shape[-1]
    power = np.abs(np.fft.rfft(values, axis=-1)) ** 2
    power[..., 1 : (n + 1) // 2] *= 2  # each stands for n - j too
    return Spectrum(tuple(f"frequency {j}" if j else "trivial" for j in range(n // 2 + 1)), _shares(power))


def irrep_spectrum(vectors: Array, group: FiniteGroup) -> Spectrum:
    """Return the power of functions on a group in each irreducible real representation.

    Args:
        vectors: numpy or torch, [..., G].
        group: Of G elements.

    Raises:
        ValueError: The last axis is not G long.
    """
    values = _float64(vectors)
    if values.shape[-1] != group.order:
        raise ValueError(f"vectors must end with the group's {group.order} elements, not be of shape {values.shape}")
    representations = irreducible_representations(group)
    power = np.stack(
        [
            ((values @ one.matrices.reshape(group.order, -1)) ** 2).sum(-1) * (one.dimension / one.commutant)
            for one in representations
        ],
        axis=-1,
    )
    return Spectrum(tuple(one.name for one in representations), _shares(power / group.order))


def neuron_spectra(u: Array, v: Array, w: Array, group: FiniteGroup) -> NeuronSpectra:
    """Return the spectra of a network's neurons: by frequency on Z_n, by representation on other groups.

    Args:
        u: Of the left element, [..., m, G]; numpy or torch.
        v: Of the right element, [..., m, G].
        w: Of the logits, [..., m, G].
        group: Of G elements.
    """
    if group.family == "cyclic":
        return NeuronSpectra(*(fourier_spectrum(one) for one in (u, v, w)))
    return NeuronSpectra(*(irrep_spectrum(one, group) for one in (u, v, w)))


def _shares(power: np.ndarray) -> np.ndarray:
    total = power.sum(-1, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(np.isfinite(total) & (total > 0), power / total, np.nan)


def _float64(array: Array) -> np.ndarray:
    """Return the values at a scale at which squares neither overflow nor vanish: the largest of each vector is 1."""
    values = np.asarray(array.detach().cpu() if is_torch_array(array) else array, dtype=np.float64)
    largest = np.abs(values).max(-1, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(largest > 0, values / largest, values)
