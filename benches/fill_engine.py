#!/usr/bin/env python3
"""Fills an engine with images that are always the same: many small ones, or a big one.

  fill_engine.py unix:///path/docker.sock --images 10000     the list of a busy machine
  fill_engine.py unix:///path/docker.sock --big 1000         one image dock/big:1 of so many MB, in eight layers
  fill_engine.py unix:///path/docker.sock --containers 100   created, never started

No network is used: the images go in as docker-archives by POST /images/load. Repositories are named dock/…, most images share
theirs with others, one in sixteen is dangling, one in eight has further tags, one in ten has a layer that no other image has.
"""

import argparse
import hashlib
import io
import json
import random
import tarfile
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor

from engine_api import Engine

SERVICES = """anchor ballast barge beacon berth bollard buoy capstan cargo chart compass crane davit derrick ferry fender
galley gauge harbour hatch hawser helm hold hull jetty keel ledger lighter lock manifest mast moor oar pilot port quay rigging
rudder sail signal slip stern tally tide tug wharf winch""".split()
DAY = 86_400
EPOCH = 1_704_067_200  # 2024-01-01
BATCH = 250


def stamp(seconds):
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def add(tar, name, data):
    entry = tarfile.TarInfo(name)
    entry.size = len(data)
    entry.mtime = EPOCH
    tar.addfile(entry, io.BytesIO(data))


def layer(files):
    """A layer's hex diff ID and its tar, from (name, bytes)."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, data in files:
            add(tar, name, data)
    data = out.getvalue()
    return hashlib.sha256(data).hexdigest(), data


class Archive:
    """A docker-archive in the making. A layer that several images have is written once."""

    def __init__(self, file):
        self.tar = tarfile.open(fileobj=file, mode="w", format=tarfile.USTAR_FORMAT)
        self.manifest = []
        self.written = set()

    def image(self, number, tags, layers, created):
        """`layers` are (diff ID, bytes), lowest first."""
        for diff_id, data in layers:
            if diff_id not in self.written:
                self.written.add(diff_id)
                add(self.tar, f"{diff_id}/layer.tar", data)
        history = [{"created": stamp(created - 60 * (len(layers) - step)), "created_by": f"COPY part-{diff_id[:12]} /srv # buildkit"}
                   for step, (diff_id, _) in enumerate(layers)]
        history.append({"created": stamp(created), "created_by": f'ENTRYPOINT ["/srv/run", "{number}"]', "empty_layer": True})
        config = json.dumps({
            "architecture": "amd64", "os": "linux", "created": stamp(created), "history": history,
            "config": {"Entrypoint": ["/srv/run", str(number)], "Env": ["PATH=/usr/bin:/bin"],
                       "Labels": {"org.opencontainers.image.version": f"{number % 9}.{number % 37}"}},
            "rootfs": {"type": "layers", "diff_ids": ["sha256:" + diff_id for diff_id, _ in layers]},
        }, separators=(",", ":")).encode()
        name = hashlib.sha256(config).hexdigest() + ".json"
        add(self.tar, name, config)
        self.manifest.append({"Config": name, "RepoTags": tags, "Layers": [f"{diff_id}/layer.tar" for diff_id, _ in layers]})

    def finish(self):
        add(self.tar, "manifest.json", json.dumps(self.manifest).encode())
        self.tar.close()


def names(number, rng):
    """The tags of image `number`."""
    if rng.random() < 1 / 16:
        return []
    service = SERVICES[int(len(SERVICES) * rng.random() ** 3)]
    repository = f"dock/{service}" if rng.random() < 2 / 3 else f"dock/{service}-{rng.randrange(400)}"
    tags = [f"{repository}:{number % 9}.{number % 37}.{number}"]
    if rng.random() < 1 / 8:
        tags += [f"{repository}:{word}-{number}" for word in ("build", "rc", "stable")[: 1 + rng.randrange(3)]]
    return tags


def small(engine, count):
    rng = random.Random("layers")
    shared = [layer([(f"srv/part-{i}/{k}", rng.randbytes(300 + 211 * (i % 7))) for k in range(1 + i % 4)]) for i in range(36)]
    # Chains grow from a common bottom, so that most of what an engine stores is shared.
    chains = [[shared[c % 6]] + [shared[6 + (7 * c + 11 * k) % 30] for k in range(c % 5)] for c in range(48)]

    def load(first):
        with tempfile.TemporaryFile() as file:
            archive = Archive(file)
            for number in range(first, min(first + BATCH, count)):
                rng = random.Random(f"image {number}")
                layers = list(chains[rng.randrange(len(chains))])
                if rng.random() < 0.1:
                    layers.append(layer([(f"srv/own-{number}", rng.randbytes(512 + rng.randrange(4096)))]))
                archive.image(number, names(number, rng), layers, EPOCH + int(rng.random() * 1000 * DAY))
            archive.finish()
            size = file.tell()
            file.seek(0)
            engine.load(file, size)

    # The first batch brings the shared layers in; the others then mostly wait for the disk, so they go together.
    load(0)
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(load, range(BATCH, count, BATCH)))


def big(engine, megabytes, name):
    """Half of the bytes can be compressed and half can't, as in images people build; several files a layer."""
    rng = random.Random(f"big {name}")
    half = megabytes * 1_000_000 // 8 // 20 // 2
    with tempfile.TemporaryFile() as file:
        archive = Archive(file)
        layers = [layer([(f"srv/{level}/{k}.bin", rng.randbytes(half) + rng.randbytes(64) * (half // 64)) for k in range(20)])
                  for level in range(8)]
        archive.image(0, [name], layers, EPOCH)
        archive.finish()
        size = file.tell()
        file.seek(0)
        engine.load(file, size)


def containers(engine, count):
    tags = sorted(tag for image in json.loads(engine.get("/images/json")) for tag in image.get("RepoTags") or [])
    tags = [tag for tag in tags if tag.startswith("dock/")]
    for number in range(count):
        engine.post(f"/containers/create?name=dock-{number}", {"Image": tags[number * 37 % len(tags)]})


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("host")
    parser.add_argument("--images", type=int, default=0)
    parser.add_argument("--big", type=int, default=0, metavar="MB")
    parser.add_argument("--name", default="dock/big:1", help="the big image's name")
    parser.add_argument("--containers", type=int, default=0)
    options = parser.parse_args()
    engine = Engine(options.host)
    if options.images:
        small(engine, options.images)
    if options.big:
        big(engine, options.big, options.name)
    if options.containers:
        containers(engine, options.containers)


if __name__ == "__main__":
    main()
