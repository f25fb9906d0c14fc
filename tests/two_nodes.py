"""A Ray cluster of two nodes on this machine, in a process of its own: runs what standard input asks for.

Each line is JSON: settings, whether a stand-in takes the model's place, and after how many results a node is killed.
The answer is a line of JSON: the exit status, and the error if there was one.
"""

import contextlib
import json
import os
import sys
import threading
import time

import numpy as np
import ray
from ray.cluster_utils import Cluster

from lowlight.cluster.run import enhance_all
from lowlight.cluster.settings import ClusterSettings
from lowlight.cluster.storage import Storage
from lowlight.cluster.worker import load_model
from lowlight.errors import UserError

NODE = {"num_cpus": 1, "object_store_memory": 80_000_000, "memory": 4_000_000_000}

QUICK_TO_NOTICE = {
    "health_check_initial_delay_ms": 500,
    "health_check_period_ms": 500,
    "health_check_failure_threshold": 3,
}


class Doubling:
    """Stands in for a model: twice as bright. It is slow enough to be killed at work, and some photos are its end."""

    def __init__(self, settings):
        if settings.model == "1":
            raise UserError("Model 1 cannot be doubled. Choose another.")

    def enhance(self, photo, controls):
        """Double a photo; a worker does not survive one whose first pixel is all 255."""
        if (photo.pixels[0, 0] == 255).all():
            os._exit(1)
        time.sleep(0.03)
        photo.pixels[:] = np.minimum(photo.pixels.astype(int) * 2, 255)
        return photo


def main():
    """Start the cluster, then answer until standard input ends."""
    answers, sys.stdout = sys.stdout, sys.stderr  # what a run tells is no answer
    cluster = Cluster(initialize_head=True, head_node_args=NODE | {"_system_config": QUICK_TO_NOTICE})
    cluster.add_node(**NODE)
    print("ready", file=answers, flush=True)
    for line in sys.stdin:
        print(json.dumps(answered(json.loads(line), cluster)), file=answers, flush=True)
    cluster.shutdown()


def answered(asked, cluster):
    """Do what was asked for."""
    settings = ClusterSettings(**asked["settings"], address=cluster.address, memory=2, quiet=True)
    if asked.get("kill_at"):
        threading.Thread(target=kill, args=(cluster, settings, asked["kill_at"]), daemon=True).start()
    begun = time.monotonic()
    told = {}
    try:
        told["status"] = enhance_all(settings, Doubling if asked["stand_in"] else load_model)
    except UserError as error:
        told["error"] = str(error)
    return told | {"seconds": time.monotonic() - begun, "nodes": sum(node["Alive"] for node in nodes(cluster))}


def kill(cluster, settings, count):
    """Kill the node that is not the head once so many results are there, as if its plug were pulled."""
    goal = Storage(settings.output)
    while len(goal.names()) < count:
        time.sleep(0.05)
    with contextlib.suppress(Exception):
        cluster.remove_node(next(iter(cluster.worker_nodes)), allow_graceful=False)


def nodes(cluster):
    """What Ray knows of them."""
    ray.init(address=cluster.address, log_to_driver=False)
    try:
        return ray.nodes()
    finally:
        ray.shutdown()


if __name__ == "__main__":
    main()
