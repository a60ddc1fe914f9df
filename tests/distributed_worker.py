"""One process of `test_distribute`: trains by the program in the book and saves what comes out."""

import os
import signal
import sys
import traceback
from functools import partial
from pathlib import Path

import keras
import many_machines
import numpy as np
import tensorflow as tf
from tensorflow.python.eager.context import context  # not public, and no public option sets the time below

KILLED_IN = 3  # the epoch, counted from zero


class Kill(keras.callbacks.Callback):
    """Kill this process in the middle of an epoch, without warning."""

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        if (self.epoch, batch) == (KILLED_IN, 2):
            os.kill(os.getpid(), signal.SIGKILL)


def save(folder, name, model):
    """Write the weights, the losses and the runtime of a trained model."""
    weights = np.concatenate([weight.numpy().ravel() for weight in model.weights])
    np.savez(folder / name, weights=weights, losses=model.history.history["loss"], runtime=model.layers[0].served_by)


def train(folder, name, strategy, backup, callbacks=()):
    """Train by the program, from the backup of that name if there is one."""
    save(folder, name, many_machines.train(strategy, folder / f"backup of {backup}", callbacks))


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
    train(folder, "one", one, "one")
    train(folder, "mirrored", mirrored, "mirrored")
    fit(folder, "fit on one", one)
    fit(folder, "fit", mirrored)

    batches = many_machines.batches
    many_machines.batches = lambda epoch: batches(epoch).unbatch().batch(2 * many_machines.BATCH, drop_remainder=True)
    many_machines.BATCH //= 2
    train(folder, "scaled by the share", mirrored, "scaled")


def as_worker(folder, *runs):
    """Do these runs, one after the other, as one of several workers."""
    # A worker that a busy machine starves is not dead.
    context().configure_coordination_service = partial(
        context().configure_coordination_service, heartbeat_timeout_in_ms=600_000
    )
    strategy = tf.distribute.MultiWorkerMirroredStrategy()
    task = strategy.cluster_resolver.task_id
    for run in runs:
        name = f"{run}-{task}"
        match run:
            case "killed":
                train(folder, name, strategy, run, [Kill()] if task else [])
            case "resumed":
                train(folder, name, strategy, "killed")
            case "unsharded":
                many_machines.batches = all_to_each(many_machines.batches)
                train(folder, name, strategy, run)
            case "fit":
                try:
                    fit(folder, name, strategy)
                except ValueError:
                    traceback.print_exc()
            case _:
                train(folder, name, strategy, run)


def all_to_each(batches):
    """The same batches by epoch, but each worker takes all examples instead of its part."""
    options = tf.data.Options()
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.OFF
    return lambda epoch: batches(epoch).with_options(options)


if __name__ == "__main__":
    {"machine": as_machine, "worker": as_worker}[sys.argv[1]](Path(sys.argv[2]), *sys.argv[3:])
