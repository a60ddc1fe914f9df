"""Training the same model from many seeds."""


def seeds(seed, count):
    """Return `count` seeds of 31 bits for independent runs of the experiment `seed`.

    They come from NumPy's `SeedSequence`: other values of `seed` share no run with these, however near they are. The
    first seeds are the same whatever the `count`. Within a run, `numpy.random.default_rng([run, k])` gives stream k.

    Raises:
        ValueError: `seed` is negative.
    """
    import numpy as np  # slow to import, and the command line trains nothing

    if seed < 0:
        raise ValueError(f"seed={seed} is negative: SeedSequence takes 0 and above.")
    return (np.random.SeedSequence(seed).generate_state(count) >> 1).tolist()


class FreshStart:
    """Compile once, start anew for each seed: `start = FreshStart(model, optimizer)`, then `start(seed)`.

    Compiling takes longer than many a training, so one model and one optimizer serve all seeds. A call of the
    object sets the random seed of Python, NumPy and TensorFlow and puts back everything that training changes: the
    weights, the seeds of dropout, and what the optimizer has gathered (its averages, its count of updates).

    Args:
        model: a built Keras model.
        optimizer: the one that trains it; by default `model.optimizer`, of a compiled model.
    """

    def __init__(self, model, optimizer=None):
        self.model = model
        self.optimizer = optimizer or model.optimizer
        if not self.optimizer.built:
            self.optimizer.build(model.trainable_variables)
        self._at_rest = [variable.numpy() for variable in self.optimizer.variables]

    def __call__(self, seed, draw=None):
        """Start anew from `seed`.

        Args:
            seed: an int, such as one of `repro.seeds`.
            draw: a function without arguments that returns the weights to start from, called once the seed is set;
                by default they are those of a fresh copy of the model.
        """
        import keras

        keras.utils.set_random_seed(seed)
        fresh = keras.models.clone_model(self.model)
        self.model.set_weights(draw() if draw else fresh.get_weights())
        for variable, new in zip(_dropout_seeds(self.model), _dropout_seeds(fresh), strict=True):
            variable.assign(new)
        for variable, value in zip(self.optimizer.variables, self._at_rest, strict=True):
            variable.assign(value)


def _dropout_seeds(model):
    return [variable for variable in model.variables if variable.path.endswith("seed_generator_state")]


def gradients(layer, **compilation):
    """Return a `tf.function` of x: the gradients by the layer's weights of the sum of its squared outputs.

    It is what a training step does without its optimizer. The layer must be built; `compilation` goes to `tf.function`.
    """
    import tensorflow as tf

    variables = [weight.value for weight in layer.trainable_weights]

    @tf.function(**compilation)
    def of_the_weights(x):
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(layer(x, training=True) ** 2)
        return tape.gradient(loss, variables)

    return of_the_weights
