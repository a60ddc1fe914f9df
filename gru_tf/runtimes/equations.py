"""The unit's equations, forward and backward, for a runtime that keeps only the states between the two.

Names are those of the text: x_z, x_r, x_h are the gates' parts of the hoisted input projection, h the state
before a step, z, r, c the gates, s what the reset gate scales, δ the gradient of the loss by a state and w a
change of it. Every function takes one step, arrays (B, H), or all steps at once, (T, B, H).

The update gate keeps the state, h' = z ⊙ h + (1 - z) ⊙ c. What a step does to a small change of its state is linear,
w ↦ M w, and what it does to a gradient is the transpose, δ ↦ Mᵀ δ. Both are made of coefficients that do not
depend on w or δ: these are computed for all steps at once, and only the products M w or Mᵀ δ are left to a loop.
"""

import tensorflow as tf


class ResetAfter:
    """The reset gate after the product: c = tanh(x_h + r ⊙ s), s = h U_h + d.

    It is made from U = [U_z, U_r, U_h], (H, 3H), d, (H,), and recurrent dropout's masks (B, H), none or three: of the
    h that U_z, U_r and U_h see.
    """

    def __init__(self, recurrent_kernel, recurrent_bias, *masks):
        self.kernels = tf.split(recurrent_kernel, 3, 1)
        self.recurrent_bias = recurrent_bias
        self.masks = masks or [None] * 3

    def gates(self, x_z, x_r, x_h, h):
        """z, r, c and s."""
        u_z, u_r, u_h = self._products(h)
        z, r, s = tf.sigmoid(x_z + u_z), tf.sigmoid(x_r + u_r), u_h + self.recurrent_bias
        return z, r, tf.tanh(x_h + r * s), s

    def coefficients(self, x, h):
        """What M and Mᵀ take of each step: z, and dz, dr and ds by δ; and dc by δ, which they do not need."""
        z, r, c, s = self.gates(*x, h)
        dc = (1 - z) * (1 - c * c)
        dz = (h - c) * z * (1 - z)
        dr = dc * s * r * (1 - r)
        return (z, dz, dr, dc * r), dc

    def transposed(self, delta, z, dz, dr, ds):
        """Mᵀ δ = δ ⊙ z + [dz, dr, ds] Uᵀ."""
        through = _transposed_products([dz * delta, dr * delta, ds * delta], self.kernels, self.masks)
        return delta * z + through

    def moved(self, w, z, dz, dr, ds):
        """M w."""
        u_z, u_r, u_h = self._products(w)
        return w * z + dz * u_z + dr * u_r + ds * u_h

    def gradients(self, delta, h, coefficients, dc):
        """The gradients by the projection, (T, B, 3H), and by U and d, from all δ and all h, (T, B, H)."""
        _, dz, dr, ds = (coefficient * delta for coefficient in coefficients)
        dU = [_outer(_masked(h, m), d) for m, d in zip(self.masks, (dz, dr, ds), strict=True)]
        return tf.concat([dz, dr, dc * delta], -1), tf.concat(dU, 1), tf.reduce_sum(ds, [0, 1])

    def _products(self, h):
        """h U_z, h U_r and h U_h."""
        return [_matmul(_masked(h, m), u) for m, u in zip(self.masks, self.kernels, strict=True)]


class ResetBefore:
    """The reset gate before the product: c = tanh(x_h + s U_h), s = r ⊙ h.

    It is made from U and recurrent dropout's masks, as `ResetAfter`.
    """

    def __init__(self, recurrent_kernel, *masks):
        *self.kernels, self.candidate_kernel = tf.split(recurrent_kernel, 3, 1)
        *self.masks, self.candidate_mask = masks or [None] * 3

    def gates(self, x_z, x_r, x_h, h):
        """z, r, c and s."""
        u_z, u_r = self._products(h)
        z, r = tf.sigmoid(x_z + u_z), tf.sigmoid(x_r + u_r)
        s = r * _masked(h, self.candidate_mask)
        return z, r, tf.tanh(x_h + _matmul(s, self.candidate_kernel)), s

    def coefficients(self, x, h):
        """What M and Mᵀ take of each step: z, dz and dc by δ, ds by h, and dr by ds; and s."""
        z, r, c, s = self.gates(*x, h)
        dz = (h - c) * z * (1 - z)
        dc = (1 - z) * (1 - c * c)
        return (z, dz, dc, _masked(r, self.candidate_mask), s * (1 - r)), s

    def transposed(self, delta, z, dz, dc, r, dr):
        """Mᵀ δ = δ ⊙ z + ds ⊙ r + [dz, dr] [U_z, U_r]ᵀ with ds = dc U_hᵀ."""
        ds = _matmul(dc * delta, self.candidate_kernel, transpose_b=True)
        return delta * z + ds * r + _transposed_products([dz * delta, dr * ds], self.kernels, self.masks)

    def moved(self, w, z, dz, dc, r, dr):
        """M w."""
        u_z, u_r = self._products(w)
        return w * z + dz * u_z + dc * _matmul(r * w + dr * u_r, self.candidate_kernel)

    def gradients(self, delta, h, coefficients, s):
        """The gradients by the projection, (T, B, 3H), and by U, from all δ and all h, (T, B, H)."""
        _, dz, dc, _, dr = coefficients
        dz, dc = dz * delta, dc * delta
        dr = dr * _matmul(dc, self.candidate_kernel, transpose_b=True)
        dU = [_outer(_masked(h, m), d) for m, d in zip(self.masks, (dz, dr), strict=True)]
        return tf.concat([dz, dr, dc], -1), tf.concat([*dU, _outer(s, dc)], 1)

    def _products(self, h):
        """h U_z and h U_r."""
        return [_matmul(_masked(h, m), u) for m, u in zip(self.masks, self.kernels, strict=True)]


def _masked(values, mask):
    return values if mask is None else values * mask


def _matmul(values, kernel, **options):
    """The product with a kernel as one GEMM over all rows of (…, N)."""
    if values.shape.rank == 2:
        return tf.matmul(values, kernel, **options)
    product = tf.matmul(tf.reshape(values, [-1, values.shape[-1]]), kernel, **options)
    return tf.reshape(product, tf.concat([tf.shape(values)[:-1], tf.shape(product)[-1:]], 0))


def _transposed_products(gradients, kernels, masks):
    """The gradient by h, (…, B, H), from those by the products of h with the kernels."""
    products = [_masked(_matmul(g, u, transpose_b=True), m) for g, u, m in zip(gradients, kernels, masks, strict=True)]
    return tf.add_n(products)


def _outer(a, b):
    """Σ aᵀ b over all rows: (M, N) from (…, M) and (…, N)."""
    return tf.matmul(*(tf.reshape(v, [-1, v.shape[-1]]) for v in (a, b)), transpose_a=True)
