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
    h that U_z, U_r and U_h see. `joined` is that of `_Products`.
    """

    def __init__(self, recurrent_kernel, recurrent_bias, *masks, joined):
        self.products = _Products(recurrent_kernel, masks or [None] * 3, joined)
        self.recurrent_bias = recurrent_bias

    def gates(self, x_z, x_r, x_h, h):
        """z, r, c and s."""
        u_z, u_r, u_h = self.products.of(h)
        z, r, s = tf.sigmoid(x_z + u_z), tf.sigmoid(x_r + u_r), u_h + self.recurrent_bias
        return z, r, tf.tanh(x_h + r * s), s

    def coefficients(self, gates, h):
        """What M and Mᵀ take of each step: z, and dz, dr and ds by δ; and dc by δ, which they do not need."""
        z, r, c, s = gates
        dc = (1 - z) * (1 - c * c)
        dz = (h - c) * z * (1 - z)
        dr = dc * s * r * (1 - r)
        return (z, dz, dr, dc * r), dc

    def transposed(self, delta, z, dz, dr, ds):
        """Mᵀ δ = δ ⊙ z + [dz, dr, ds] Uᵀ."""
        return delta * z + self.products.transposed([dz * delta, dr * delta, ds * delta])

    def moved(self, w, z, dz, dr, ds):
        """M w."""
        u_z, u_r, u_h = self.products.of(w)
        return w * z + dz * u_z + dr * u_r + ds * u_h

    def gradients(self, delta, h, coefficients, dc):
        """The gradients by the projection, (T, B, 3H), and by U and d, from all δ and all h, (T, B, H)."""
        _, dz, dr, ds = (coefficient * delta for coefficient in coefficients)
        by_projection = tf.concat([dz, dr, dc * delta], -1)
        return by_projection, self.products.kernel_gradient(h, [dz, dr, ds]), tf.reduce_sum(ds, [0, 1])


class ResetBefore:
    """The reset gate before the product: c = tanh(x_h + s U_h), s = r ⊙ h.

    It is made from U and recurrent dropout's masks, as `ResetAfter`.
    """

    def __init__(self, recurrent_kernel, *masks, joined):
        *gate_masks, self.candidate_mask = masks or [None] * 3
        gate_kernel, candidate_kernel = tf.split(recurrent_kernel, [2 * recurrent_kernel.shape[0], -1], 1)
        self.products = _Products(gate_kernel, gate_masks, joined)
        self.candidate_product = _Products(candidate_kernel, [None], joined)

    def gates(self, x_z, x_r, x_h, h):
        """z, r, c and s."""
        u_z, u_r = self.products.of(h)
        z, r = tf.sigmoid(x_z + u_z), tf.sigmoid(x_r + u_r)
        s = r * _masked(h, self.candidate_mask)
        return z, r, tf.tanh(x_h + self._candidate(s)), s

    def coefficients(self, gates, h):
        """What M and Mᵀ take of each step: z, dz and dc by δ, ds by h, and dr by ds; and s."""
        z, r, c, s = gates
        dz = (h - c) * z * (1 - z)
        dc = (1 - z) * (1 - c * c)
        return (z, dz, dc, _masked(r, self.candidate_mask), s * (1 - r)), s

    def transposed(self, delta, z, dz, dc, r, dr):
        """Mᵀ δ = δ ⊙ z + ds ⊙ r + [dz, dr] [U_z, U_r]ᵀ with ds = dc U_hᵀ."""
        ds = self.candidate_product.transposed([dc * delta])
        return delta * z + ds * r + self.products.transposed([dz * delta, dr * ds])

    def moved(self, w, z, dz, dc, r, dr):
        """M w."""
        u_z, u_r = self.products.of(w)
        return w * z + dz * u_z + dc * self._candidate(r * w + dr * u_r)

    def gradients(self, delta, h, coefficients, s):
        """The gradients by the projection, (T, B, 3H), and by U, from all δ and all h, (T, B, H)."""
        _, dz, dc, _, dr = coefficients
        dz, dc = dz * delta, dc * delta
        dr = dr * self.candidate_product.transposed([dc])
        by_gate_kernel = self.products.kernel_gradient(h, [dz, dr])
        by_candidate_kernel = self.candidate_product.kernel_gradient(s, [dc])
        return tf.concat([dz, dr, dc], -1), tf.concat([by_gate_kernel, by_candidate_kernel], 1)

    def _candidate(self, s):
        return self.candidate_product.of(s)[0]


class _Products:
    """h ↦ h U_1, h U_2, … for the column blocks U_i of a kernel, (H, nH), each with its own mask of h or None.

    Where no block has a mask and `joined` is true, one GEMM serves all blocks. Under XLA that is faster.
    A TensorFlow loop is faster with a GEMM for each block, as nothing is then cut out of a result and copied.
    """

    def __init__(self, kernel, masks, joined):
        self.masks = masks
        self.joined = joined and not any(mask is not None for mask in masks)
        self.kernels = [kernel] if self.joined else tf.split(kernel, len(masks), 1)
        # Here, as a loop would transpose them in every step.
        self.transposed_kernels = [tf.transpose(kernel) for kernel in self.kernels]

    def of(self, h):
        """The list of h U_i."""
        if self.joined:
            return tf.split(_matmul(h, *self.kernels), len(self.masks), -1)
        return [_matmul(_masked(h, mask), kernel) for mask, kernel in zip(self.masks, self.kernels, strict=True)]

    def transposed(self, gradients):
        """The gradient by h, (…, B, H), from those by the products."""
        if self.joined:
            return _matmul(tf.concat(gradients, -1), *self.transposed_kernels)
        blocks = zip(gradients, self.transposed_kernels, self.masks, strict=True)
        return sum(_masked(_matmul(gradient, kernel), mask) for gradient, kernel, mask in blocks)

    def kernel_gradient(self, h, gradients):
        """The gradient by the kernel, from all h and the gradients by their products, (T, B, H) each."""
        if self.joined:
            return _outer(h, tf.concat(gradients, -1))
        return tf.concat([_outer(_masked(h, m), g) for m, g in zip(self.masks, gradients, strict=True)], 1)


def _masked(values, mask):
    return values if mask is None else values * mask


def _matmul(values, kernel):
    """The product with a kernel as one GEMM over all rows of (…, N)."""
    if values.shape.rank == 2:
        return tf.matmul(values, kernel)
    product = tf.matmul(tf.reshape(values, [-1, values.shape[-1]]), kernel)
    return tf.reshape(product, tf.concat([tf.shape(values)[:-1], tf.shape(product)[-1:]], 0))


def _outer(a, b):
    """Σ aᵀ b over all rows: (M, N) from (…, M) and (…, N)."""
    return tf.matmul(*(tf.reshape(v, [-1, v.shape[-1]]) for v in (a, b)), transpose_a=True)
