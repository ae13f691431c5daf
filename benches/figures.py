#!/usr/bin/env python3
"""Measures the program against its targets and its peers on one engine, in one run, and prints a table. Run it by figures.sh.

Whole commands are run in turn (ours, theirs, ours, theirs …) and compared by their medians, so that a busy machine hurts both.
What the screen shows and which keys do what is in DECK below: adjust it there.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

from engine_api import Engine
from terminal import Program

DECK = {
    "frame": r"Images",                 # on the first frame, with or without a list
    "row": r"dock/[a-z]+",              # on any frame with a row of the list
    "down": "j",
    "filter": "/", "filter_text": "anchor", "filter_end": "\x1b",
    "pull": "p{reference}\r",
    "quit": "q",
    # Rows of the screen in which a key shows its effect while a pull runs: not the strip with the running tasks.
    "top": 0, "bottom": 40,
}
PEERS = {  # name: (command, keys to reach the images, what a row looks like there)
    "lazydocker": (["lazydocker"], "]]", r"dock/[a-z]+"),
    "ducker": (["ducker"], ":images\r", r"dock/[a-z]+"),
}
COLUMNS, ROWS = 200, 60


class Figures:
    def __init__(self, options):
        self.o = options
        self.engine = Engine(options.host)
        self.rows = []
        self.ours = [options.program, "--host", options.host]
        self.environment = dict(os.environ, DOCKER_HOST=options.host)

    def row(self, what, measured, beside="", target=""):
        self.rows.append((what, measured, beside, target))
        print(f"  {what}: {measured}{'; ' + beside if beside else ''}", file=sys.stderr, flush=True)

    def part(self, name, measure):
        print(f"== {name}", file=sys.stderr, flush=True)
        try:
            measure()
        except (OSError, EOFError, RuntimeError, TimeoutError, subprocess.SubprocessError) as error:
            words = str(error).strip().splitlines() or [type(error).__name__]
            self.row(name, "not measured", words[0][:100])
            print(error, file=sys.stderr)

    # Whole commands

    def wall(self, command):
        """Seconds one command takes; its output goes nowhere."""
        began = time.monotonic()
        done = subprocess.run(command, env=self.environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        took = time.monotonic() - began
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)}: code {done.returncode}: {done.stderr[-300:].decode(errors='replace')}")
        return took

    def in_turn(self, jobs, rounds):
        """Medians of `jobs` {name: function returning seconds}, with the order turned from round to round."""
        times = {name: [] for name in jobs}
        names = list(jobs)
        for turn in range(rounds):
            for name in names[turn % len(names):] + names[:turn % len(names)]:
                times[name].append(jobs[name]())
        return {name: statistics.median(values) for name, values in times.items()}

    def bare(self, parse):
        def once():
            began = time.monotonic()
            body = self.engine.get("/images/json")
            if parse:
                json.loads(body)
            return time.monotonic() - began
        return once

    def lists(self):
        jobs = {"bare": self.bare(False), "parsed": self.bare(True), "docker": lambda: self.wall(["docker", "images"])}
        if self.o.program:
            jobs["ours"] = lambda: self.wall(self.ours + ["images"])
        took = self.in_turn(jobs, self.o.rounds)
        self.floor = took["parsed"]
        count = len(json.loads(self.engine.get("/images/json")))
        self.row(f"bare GET /images/json, {count} images", seconds(took["bare"]), f"with parse {seconds(took['parsed'])}")
        self.row("docker images", seconds(took["docker"]), ratio(took["docker"], self.floor, "the bare request"))
        if "ours" in took:
            self.row("lighterman images", seconds(took["ours"]), ratio(took["ours"], self.floor, "the bare request")
                     + ", " + ratio(took["ours"], took["docker"], "docker images"), "< docker images")

    # The deck

    def deck(self, home, command=None):
        environment = {"XDG_CACHE_HOME": f"{home}/cache", "XDG_STATE_HOME": f"{home}/state", "XDG_DATA_HOME": f"{home}/data",
                       "XDG_CONFIG_HOME": f"{home}/config", "DOCKER_HOST": self.o.host}
        return Program(command or self.ours, COLUMNS, ROWS, environment)

    def starts(self):
        frames, fresh, known_frames, known = [], [], [], []
        for _ in range(self.o.rounds):
            with tempfile.TemporaryDirectory() as home:
                for frame, list_seen in ((frames, fresh), (known_frames, known)):
                    program = self.deck(home)
                    try:
                        frame.append(program.until_text(DECK["frame"]))
                        list_seen.append(program.until_text(DECK["row"], 120))
                        program.settle(0.5)
                    finally:
                        program.close(DECK["quit"])
        floor = self.in_turn({"parsed": self.bare(True), "docker": lambda: self.wall(["docker", "images"])}, self.o.rounds)
        self.row("first frame, first start", seconds(statistics.median(frames)), span(frames), "< 30 ms")
        self.row("first frame, second start", seconds(statistics.median(known_frames)), span(known_frames), "< 30 ms")
        self.row("last known list on screen, second start", seconds(statistics.median(known)), span(known), "on the first frame")
        self.row("fresh list on screen, first start", seconds(statistics.median(fresh)),
                 ratio(statistics.median(fresh), floor["parsed"], "the bare request") + ", "
                 + ratio(statistics.median(fresh), floor["docker"], "docker images"), "< 1.2 x, < docker images")

    def keys(self):
        with tempfile.TemporaryDirectory() as home:
            program = self.deck(home)
            try:
                program.until_text(DECK["row"], 120)
                program.settle(1.0)
                self.latency("key to changed frame", program, [DECK["down"]] * self.o.keys)
                program.send(DECK["filter"])
                program.settle(0.3)
                self.latency("… while filtering", program, list(DECK["filter_text"]) + ["\x7f"] * (len(DECK["filter_text"]) - 1))
                program.send(DECK["filter_end"])
                program.settle(0.5)
                program.send(DECK["filter_end"])
                program.settle(1.0)
                self.idle(program)
                if self.o.registry:
                    self.while_pulling(program)
            finally:
                program.close(DECK["quit"])

    def latency(self, what, program, keys, first=0, last=None):
        times = []
        for key in keys:
            times.append(program.latency(key, first, last, 2.0))
            if last is None:
                program.settle(0.02, 1.0)
        seen = sorted(value for value in times if value is not None)
        if not seen:
            raise RuntimeError(f"{what}: no key changed the screen:\n{program.screen.text()}")
        missed = len(times) - len(seen)
        self.row(what, seconds(statistics.median(seen)), f"95th of 100 {seconds(seen[int(len(seen) * 0.95)])}, worst {seconds(seen[-1])}, "
                 f"{len(seen)} keys{f', {missed} without effect' if missed else ''}", "< 16 ms")

    def idle(self, program):
        if not program.settle(2.0, 20):
            self.row("idle", "not quiet", "it draws without a reason")
        cpu, wakes = program.cpu_seconds(), program.wake_ups()
        began = time.monotonic()
        drawn = program.pump(self.o.idle)
        time.sleep(max(0, began + self.o.idle - time.monotonic()))
        took = time.monotonic() - began
        self.row(f"idle, {self.o.idle} s", f"{100 * (program.cpu_seconds() - cpu) / took:.1f} % CPU",
                 f"{program.wake_ups() - wakes} wake-ups{', and it drew' if drawn else ''}", "0.0 %, no timers")
        self.row("memory", f"{program.memory() / 1e6:.0f} MB", f"peak {program.memory('VmHWM') / 1e6:.0f} MB", "< 60 MB")

    def while_pulling(self, program):
        reference = f"{self.o.registry}/dock/pulled:1"
        program.send(DECK["pull"].format(reference=reference))
        program.settle(0.15, 1.0)
        self.latency("… while a pull runs", program, [DECK["down"]] * self.o.keys, DECK["top"], DECK["bottom"])
        end = time.monotonic() + 120
        while subprocess.run(["docker", "image", "inspect", reference], env=self.environment, stdout=subprocess.DEVNULL,
                             stderr=subprocess.DEVNULL).returncode:
            program.pump(0.2)
            if time.monotonic() > end:
                raise RuntimeError(f"the pull that should have run did not bring {reference}")

    def peers(self):
        for name, (command, keys, pattern) in PEERS.items():
            if not shutil.which(name):
                self.row(name, "not on PATH")
                continue
            with tempfile.TemporaryDirectory() as home:
                program = self.deck(home, command)
                try:
                    program.pump(1)
                    program.settle(0.2, 2)
                    program.send(keys)
                    first = program.until_text(pattern, 60)
                    program.settle(1, 10)
                    cpu, began = program.cpu_seconds(), time.monotonic()
                    while time.monotonic() - began < self.o.idle:
                        program.pump(0.5)
                    self.row(name, f"{seconds(first)} to the list", f"{100 * (program.cpu_seconds() - cpu) / self.o.idle:.1f} % CPU idle, "
                             f"{program.memory() / 1e6:.0f} MB")
                finally:
                    program.close(DECK["quit"])

    # Archives

    def archives(self):
        with tempfile.TemporaryDirectory() as folder:
            self.exports(folder)
            self.imports(folder)

    def exports(self, folder):
        def job(name, command):
            def once():
                file = f"{folder}/{name}"
                took = self.wall([part.format(file=file) for part in command])
                if name != "saved.tar":
                    os.unlink(file)
                return took
            return once
        daemon = f"--src-daemon-host={self.o.host}"
        jobs = {"save": job("saved.tar", ["docker", "save", "-o", "{file}", "dock/big:1"])}
        if shutil.which("skopeo"):
            jobs["skopeo"] = job("skopeo.tar", ["skopeo", "--insecure-policy", "copy", "-q", daemon, "docker-daemon:dock/big:1",
                                                "oci-archive:{file}"])
        if self.o.program:
            jobs["ours"] = job("ours.tar", self.ours + ["export", "dock/big:1", "docker-archive:{file}"])
            jobs["oci"] = job("ours-oci.tar", self.ours + ["export", "dock/big:1", "oci-archive:{file}"])
        took = self.in_turn(jobs, self.o.archive_rounds)
        size = os.path.getsize(f"{folder}/saved.tar") / 1e6
        self.row(f"docker save, {size:.0f} MB", seconds(took["save"]))
        if "skopeo" in took:
            self.row("skopeo copy docker-daemon: oci-archive:", seconds(took["skopeo"]), ratio(took["skopeo"], took["save"], "docker save"))
        if "ours" in took:
            self.row("export to docker-archive, verified", seconds(took["ours"]), ratio(took["ours"], took["save"], "docker save"), "<= 1.05 x")
            faster = f"{took['skopeo'] / took['oci']:.2f} x faster than skopeo" if "skopeo" in took else ""
            self.row("export to oci-archive, verified", seconds(took["oci"]), faster, ">= 1.8 x faster")

    def imports(self, folder):
        def fresh(command):
            def once():
                subprocess.run(["docker", "rmi", "dock/big:1"], env=self.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                return self.wall(command)
            return once
        jobs = {"load": fresh(["docker", "load", "-q", "-i", f"{folder}/saved.tar"])}
        if self.o.program:
            jobs["ours"] = fresh(self.ours + ["import", f"{folder}/saved.tar"])
        took = self.in_turn(jobs, self.o.archive_rounds)
        self.row("docker load", seconds(took["load"]))
        if "ours" in took:
            self.row("import, verified", seconds(took["ours"]), ratio(took["ours"], took["load"], "docker load"), "<= 1.05 x")

    def table(self):
        head = ("what", "measured", "beside", "target")
        widths = [max(len(row[column]) for row in [head, *self.rows]) for column in range(4)]
        lines = ["| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths)) + " |" for row in [head, *self.rows]]
        return "\n".join([lines[0], "|" + "|".join("-" * (width + 2) for width in widths) + "|", *lines[1:]])


def seconds(value):
    return f"{value * 1000:.1f} ms" if value < 1 else f"{value:.2f} s"


def span(values):
    return f"{seconds(min(values))} to {seconds(max(values))}, {len(values)} runs"


def ratio(value, base, name):
    return f"{value / base:.2f} x {name}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("host")
    parser.add_argument("--program", default="", help="the release binary; without it only the engine and the peers are measured")
    parser.add_argument("--registry", default="", help="HOST:PORT holding dock/pulled:1, which the engine doesn't have yet")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--archive-rounds", type=int, default=3)
    parser.add_argument("--keys", type=int, default=100)
    parser.add_argument("--idle", type=float, default=20)
    parser.add_argument("--only", default="lists,starts,keys,peers,archives")
    figures = Figures(parser.parse_args())
    needs_program = {"starts", "keys"}
    for part in figures.o.only.split(","):
        if figures.o.program or part not in needs_program:
            figures.part(part, getattr(figures, part))
    print(figures.table())
    sys.exit(any(row[1] == "not measured" for row in figures.rows))


if __name__ == "__main__":
    main()
