"""One process of `test_distribute`: trains by the program in the book and saves what comes out."""

import os
import signal
import sys
from functools import partial
from pathlib import Path

import keras
import many_machines
import numpy as np
import tensorflow as tf
from tensorflow.python.eager.context import context  # not public, and no public option sets the time below


class Kill(keras.callbacks.Callback):
    """Kill this process in the middle of an epoch, without warning."""

    def __init__(self, epoch):
        super().__init__()
        self.at = epoch

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        if (self.epoch, batch) == (self.at, 2):
            os.kill(os.getpid(), signal.SIGKILL)


def save(folder, name, model):
    """Write the weights, the losses and the runtime of a trained model."""
    weights = np.concatenate([weight.numpy().ravel() for weight in model.weights])
    np.savez(folder / name, weights=weights, losses=model.history.history["loss"], runtime=model.layers[0].runtime)


def train(folder, name, strategy, callbacks=()):
    save(folder, name, many_machines.train(strategy, folder / f"backup of {name}", callbacks))


def fit(folder, name, strategy):
    with strategy.scope():
        model = many_machines.compiled()
    model.fit(many_machines.batches(0), verbose=0)
    save(folder, name, model)


def as_machine(folder):
    """Train on one device and on two, by the program and by `fit`, and with gradients twice too large."""
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    one, mirrored = tf.distribute.get_strategy(), tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    train(folder, "one", one)
    train(folder, "mirrored", mirrored)
    fit(folder, "fit on one", one)
    fit(folder, "fit", mirrored)

    batches = many_machines.batches
    many_machines.batches = lambda epoch: batches(epoch).unbatch().batch(2 * many_machines.BATCH, drop_remainder=True)
    many_machines.BATCH //= 2
    train(folder, "scaled by the share", mirrored)


def as_worker(folder, killed_in=None):
    """Train as one of several workers, of which the last may be killed."""
    # A worker that a busy machine starves is not dead.
    context().configure_coordination_service = partial(
        context().configure_coordination_service, heartbeat_timeout_in_ms=600_000
    )
    strategy = tf.distribute.MultiWorkerMirroredStrategy()
    task = strategy.cluster_resolver.task_id
    callbacks = [Kill(int(killed_in))] if killed_in and task else []
    save(folder, f"worker-{task}", many_machines.train(strategy, folder / "backup", callbacks))
    save(folder, f"uninterrupted-{task}", many_machines.train(strategy, folder / "other backup"))

    everything = tf.data.Options()
    everything.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.OFF
    batches = many_machines.batches
    many_machines.batches = lambda epoch: batches(epoch).with_options(everything)
    save(folder, f"unsharded-{task}", many_machines.train(strategy, folder / "unsharded backup"))


if __name__ == "__main__":
    {"machine": as_machine, "worker": as_worker}[sys.argv[1]](Path(sys.argv[2]), *sys.argv[3:])
