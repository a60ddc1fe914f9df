"""Train a GRU on one machine or several: run this on each, with a shared folder."""

import sys

import keras
import numpy as np
import tensorflow as tf

import gru_tf

EXAMPLES, STEPS, INPUTS, UNITS = 96, 10, 3, 8
BATCH, EPOCHS = 16, 6  # the global batch: of all replicas together


def batches(epoch):
    """The global batches of an epoch, by its number alone: all workers agree."""
    x = np.random.default_rng(0).normal(size=(EXAMPLES, STEPS, INPUTS))
    y = x[:, :, 0].sum(axis=1, keepdims=True)
    x, y = x.astype("float32"), y.astype("float32")
    order = np.random.default_rng(epoch).permutation(EXAMPLES)
    dataset = tf.data.Dataset.from_tensor_slices((x[order], y[order]))
    options = tf.data.Options()
    policy = tf.data.experimental.AutoShardPolicy.DATA
    options.experimental_distribute.auto_shard_policy = policy
    return dataset.batch(BATCH, drop_remainder=True).with_options(options)


def compiled():
    """The model and its optimizer, with the same first weights on every worker."""
    keras.utils.set_random_seed(0)
    layers = [gru_tf.GRU(UNITS), keras.layers.Dense(1)]
    model = keras.Sequential([keras.Input((STEPS, INPUTS)), *layers])
    model.compile(keras.optimizers.SGD(0.02, momentum=0.9), "mse")
    model.optimizer.build(model.trainable_variables)
    return model


def train(strategy, folder, callbacks=()):
    """Train from the start, or from the backup in the folder; returns the model."""
    with strategy.scope():
        model = compiled()

    def replica_step(x, y):
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum((model(x, training=True) - y) ** 2) / BATCH
        gradients = tape.gradient(loss, model.trainable_variables)
        # Adds up the gradients of all replicas, then applies the sum.
        model.optimizer.apply(gradients, model.trainable_variables)
        return loss

    @tf.function
    def step(x, y):
        losses = strategy.run(replica_step, args=(x, y))
        return strategy.reduce("SUM", losses, axis=None)

    first = not (strategy.cluster_resolver and strategy.cluster_resolver.task_id)
    backup = keras.callbacks.BackupAndRestore(
        folder,
        save_freq="epoch" if first else sys.maxsize,  # the first one writes, all read
        double_checkpoint=True,
        delete_checkpoint=first,
    )
    callbacks = [backup, *callbacks]
    callbacks = keras.callbacks.CallbackList(callbacks, add_history=True, model=model)
    callbacks.on_train_begin()
    epochs_done = model.optimizer.iterations.numpy() // (EXAMPLES // BATCH)
    for epoch in range(epochs_done, EPOCHS):
        callbacks.on_epoch_begin(epoch)
        losses = []
        distributed = strategy.experimental_distribute_dataset(batches(epoch))
        for number, (x, y) in enumerate(distributed):
            losses.append(step(x, y).numpy())
            callbacks.on_train_batch_end(number)
        callbacks.on_epoch_end(epoch, {"loss": np.mean(losses)})
    callbacks.on_train_end()
    return model


if __name__ == "__main__":
    model = train(tf.distribute.MultiWorkerMirroredStrategy(), folder=sys.argv[1])
    print(model.history.history["loss"])
