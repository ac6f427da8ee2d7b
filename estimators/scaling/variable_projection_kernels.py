"""The compiled half of ``variable_projection``: one sample, one start after another, in loops that numba turns to code.

The functions do what the array program of ``variable_projection`` does, operation by operation where that matters, and
are documented there. Without numba they would be plain Python, and are not called.
"""

import numpy as np

from sandtable.simulators.compilation import compiled, inlined


@inlined
def _evaluate(
    theta: np.ndarray,
    u: np.ndarray,
    v: np.ndarray,
    losses: np.ndarray,
    weights: np.ndarray,
    log: bool,
    delta: float,
    gradient: np.ndarray,
    newton: np.ndarray,
    majorant: np.ndarray,
) -> float:
    """Return the objective at theta [5]; write its gradient [5], Hessian and majorant [5, 5], lower triangles."""
    level, a, b, alpha, beta = theta[0], theta[1], theta[2], theta[3], theta[4]
    gradient[:], newton[:], majorant[:] = 0.0, 0.0, 0.0
    column = np.empty(5)
    total = 0.0
    for i in range(len(u)):
        weight = weights[i]
        if weight == 0.0:
            continue
        x, y = np.exp(-alpha * u[i]), np.exp(-beta * v[i])
        model = level + a * x + b * y
        scale = 1.0
        residual = losses[i] - model
        if log:
            scale = 1.0 / model
            residual = np.log1p(residual * scale)
        column[0], column[1], column[2] = scale, x * scale, y * scale
        column[3], column[4] = -a * u[i] * column[1], -b * v[i] * column[2]
        size = abs(residual)
        if size <= delta:
            total += weight * 0.5 * residual * residual
            influence, curvature, reweighted = weight * residual, weight, weight
        else:
            total += weight * delta * (size - 0.5 * delta)
            influence, curvature, reweighted = weight * np.copysign(delta, residual), 0.0, weight * delta / size
        if log:
            curvature += influence
        for p in range(5):
            gradient[p] -= influence * column[p]
            for q in range(p + 1):
                product = column[p] * column[q]
                newton[p, q] += curvature * product
                majorant[p, q] += reweighted * product
        newton[3, 1] += influence * u[i] * column[1]
        newton[4, 2] += influence * v[i] * column[2]
        newton[3, 3] += influence * u[i] * column[3]
        newton[4, 4] += influence * v[i] * column[4]
    return total


@inlined
def _solve(matrix: np.ndarray, right: np.ndarray, size: int) -> bool:
    """Overwrite ``right`` [size] by the solution, ``matrix`` by its Cholesky factor; False if not positive definite."""
    for p in range(size):
        for q in range(p + 1):
            total = matrix[p, q]
            for k in range(q):
                total -= matrix[p, k] * matrix[q, k]
            if p == q:
                if not total > 1e-16 * matrix[p, p]:
                    return False
                matrix[p, p] = np.sqrt(total)
            else:
                matrix[p, q] = total / matrix[q, q]
    for p in range(size):
        for k in range(p):
            right[p] -= matrix[p, k] * right[k]
        right[p] /= matrix[p, p]
    for p in range(size - 1, -1, -1):
        for k in range(p + 1, size):
            right[p] -= matrix[k, p] * right[k]
        right[p] /= matrix[p, p]
    return True


@compiled
def polish_compiled(
    u: np.ndarray,
    v: np.ndarray,
    losses: np.ndarray,
    weights: np.ndarray,
    starts: np.ndarray,
    log: bool,
    delta: float,
    low: float,
    high: float,
    iterations: int,
    tolerance: float,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """See ``variable_projection.polish``."""
    count = len(starts)
    thetas, objectives = starts.copy(), np.empty(count)
    cosines, stationary = np.empty(count), np.zeros(count, np.bool_)
    gradient, newton, majorant = np.empty(5), np.empty((5, 5)), np.empty((5, 5))
    new_gradient, new_newton, new_majorant = np.empty(5), np.empty((5, 5)), np.empty((5, 5))
    matrix, step, trial, free = np.empty((5, 5)), np.empty(5), np.empty(5), np.empty(5, np.bool_)
    for row in range(count):
        theta = thetas[row]
        own, weight = losses[row], weights[row]
        heaviest = weight.sum()
        typical = (weight * own).sum() / heaviest
        value = _evaluate(theta, u, v, own, weight, log, delta, gradient, newton, majorant)
        damping = 1e-2
        for _ in range(iterations):
            free[0] = theta[0] > 0.0 or gradient[0] < 0.0
            for p in range(1, 3):
                free[p] = theta[p] > 0.0 or gradient[p] < 0.0
                exponent = theta[p + 2]
                free[p + 2] = theta[p] > 0.0 and not (
                    (exponent <= low and gradient[p + 2] > 0.0) or (exponent >= high and gradient[p + 2] < 0.0)
                )
            for p in range(5):
                step[p] = -gradient[p] if free[p] else 0.0
                for q in range(p + 1):
                    both = free[p] and free[q]
                    matrix[p, q] = newton[p, q] + damping * majorant[p, q] if both else 0.0
                matrix[p, p] = matrix[p, p] + 0.1 * damping * majorant[p, p] if free[p] else 1.0
            if not _solve(matrix, step, 5):
                damping = max(10.0 * damping, 1e-8)
                if damping > 1e12:
                    break
                continue
            trial[0] = max(theta[0] + step[0], 0.0)
            for p in range(1, 3):
                trial[p] = max(theta[p] + step[p], 0.1 * theta[p])
                if trial[p] < 1e-12 * typical:
                    trial[p] = 0.0
                exponent = theta[p + 2]
                moved = min(max(exponent + step[p + 2], exponent / 3.0), 3.0 * exponent)
                trial[p + 2] = min(max(moved, low), high)
            moved = 0.0
            for p in range(5):
                reference = typical if p < 3 else theta[p]
                moved = max(moved, abs(trial[p] - theta[p]) / reference)
            new_value = _evaluate(trial, u, v, own, weight, log, delta, new_gradient, new_newton, new_majorant)
            if new_value < value:
                value = new_value
                theta[:], gradient[:] = trial, new_gradient
                newton[:], majorant[:] = new_newton, new_majorant
                settled = damping
                damping = 0.1 * damping if damping > 1e-12 else 0.0
            else:
                settled = damping
                damping = max(10.0 * damping, 1e-8)
            if moved <= tolerance and settled <= 1e-2:
                stationary[row] = True
                break
            if damping > 1e12:
                break
        objectives[row] = value
        cosines[row] = 0.0
        for p in range(5):
            inside = theta[p] > 0.0 or gradient[p] < 0.0
            if p > 2:
                inside = theta[p - 2] > 0.0 and low < theta[p] < high
            if inside and majorant[p, p] > 0.0 and value > 0.0:
                cosines[row] = max(cosines[row], abs(gradient[p]) / np.sqrt(2.0 * majorant[p, p] * value))
    return thetas, objectives, cosines, stationary


@inlined
def _nonnegative(matrix: np.ndarray, right: np.ndarray, solution: np.ndarray, square: np.ndarray) -> None:
    """Write the non-negative least-squares solution [3] of normal equations, by trying every set of columns."""
    best = 1.0
    part, chosen = np.empty(3), np.empty(3, np.int64)
    for subset in range(1, 8):
        size = 0
        for p in range(3):
            if subset >> p & 1:
                chosen[size] = p
                size += 1
        for p in range(size):
            part[p] = right[chosen[p]]
            for q in range(p + 1):
                square[p, q] = matrix[chosen[p], chosen[q]]
            square[p, p] *= 1.0 + 1e-13
        if not _solve(square, part, size):
            continue
        gain, feasible = 0.0, True
        for p in range(size):
            gain -= part[p] * right[chosen[p]]
            feasible = feasible and part[p] >= 0.0
        if feasible and gain < best:
            best = gain
            solution[:] = 0.0
            for p in range(size):
                solution[chosen[p]] = part[p]


@compiled
def project_compiled(
    x: np.ndarray,
    y: np.ndarray,
    losses: np.ndarray,
    weights: np.ndarray,
    log: bool,
    delta: float,
    reweightings: int,
) -> tuple[np.ndarray, np.ndarray]:
    """See ``variable_projection.project``."""
    cells = (len(x), len(y))
    linear, objectives = np.zeros((*cells, 3)), np.empty(cells)
    matrix, right, square = np.empty((3, 3)), np.empty(3), np.empty((3, 3))
    columns = np.ones(3)
    for g in range(cells[0]):
        for h in range(cells[1]):
            solution = linear[g, h]
            for turn in range(reweightings + 2):
                matrix[:], right[:] = 0.0, 0.0
                total = 0.0
                for i in range(len(losses)):
                    weight = weights[i]
                    if turn > 0:
                        model = solution[0] + solution[1] * x[g, i] + solution[2] * y[h, i]
                        residual = np.log(losses[i] / model) if log else losses[i] - model
                        size = abs(residual)
                        if size <= delta:
                            total += weight * 0.5 * residual * residual
                        else:
                            total += weight * delta * (size - 0.5 * delta)
                            weight *= delta / size
                    if turn == reweightings + 1:
                        continue
                    if log:
                        weight /= losses[i] * losses[i]
                    columns[1], columns[2] = x[g, i], y[h, i]
                    for p in range(3):
                        right[p] += weight * columns[p] * losses[i]
                        for q in range(p + 1):
                            matrix[p, q] += weight * columns[p] * columns[q]
                if turn <= reweightings:
                    _nonnegative(matrix, right, solution, square)
            objectives[g, h] = total
    return linear, objectives
