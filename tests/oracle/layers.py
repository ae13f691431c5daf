#!/usr/bin/env python3
"""What a stack of layers comes to, worked out a second time: plainly, slowly, and with nothing but the standard library.

  layers.py make DIR COUNT   writes so many stacks of layers that contradict each other in every way there is: SEED/0.tar, SEED/1.tar, ...
  layers.py tell DIR         prints as JSON, by seed, what each stack comes to
"""
import hashlib
import io
import json
import os
import random
import sys
import tarfile

KINDS = {b"0": "file", b"\0": "file", b"7": "file", b"S": "file", b"1": "hardlink", b"2": "symlink", b"3": "char", b"4": "block",
         b"5": "dir", b"6": "fifo"}


def make(directory, seed):
    rng = random.Random(seed)
    names = ["a", "b", "c", "lib", "-x", "n" * 90, "m" * 120]
    os.makedirs(directory, exist_ok=True)
    for layer in range(rng.randrange(2, 6)):
        form = rng.choice([tarfile.GNU_FORMAT, tarfile.PAX_FORMAT, tarfile.USTAR_FORMAT])
        with tarfile.open(os.path.join(directory, f"{layer}.tar"), "w", format=form) as t:
            lead = rng.choice(["", "./", "/"])
            for _ in range(rng.randrange(1, 40)):
                usable = names if form != tarfile.USTAR_FORMAT else names[:5]
                path = "/".join(rng.choice(usable) for _ in range(rng.randrange(1, 4)))
                member(t, rng, form, layer, lead, path, usable)


def member(t, rng, form, layer, lead, path, usable):
    above, _, name = path.rpartition("/")
    above = above + "/" if above else ""
    kind = rng.choice("ffffffddlhhswwocp")
    if kind == "w":
        path = above + ".wh." + name
    if kind == "o":
        path = above + ".wh..wh..opq"
    if kind == "s" and form != tarfile.USTAR_FORMAT:
        return sparse(t, rng, form, lead + path)
    ti = tarfile.TarInfo(lead + path)
    ti.mode = rng.choice([0o644, 0o755, 0o4755])
    ti.uid = rng.choice([0, 0, 1000, 3_000_000 if form != tarfile.USTAR_FORMAT else 7])
    ti.mtime = 1_700_000_000 + layer
    data = b""
    if kind == "f":
        data = rng.choice([b"", b"one", b"two", b"more than a block " * rng.randrange(1, 99)])
    elif kind == "d":
        ti.type = tarfile.DIRTYPE
    elif kind in "lh":
        ti.type = tarfile.SYMTYPE if kind == "l" else tarfile.LNKTYPE
        ti.linkname = rng.choice(["", "./", "../"]) + "/".join(rng.choice(usable) for _ in range(rng.randrange(1, 3)))
    elif kind in "cp":
        ti.type = tarfile.CHRTYPE if kind == "c" else tarfile.FIFOTYPE
        ti.devmajor, ti.devminor = (1, rng.randrange(2)) if kind == "c" else (0, 0)
    ti.size = len(data)
    if form == tarfile.PAX_FORMAT and rng.random() < 0.2:
        ti.pax_headers = {"SCHILY.xattr.user.note": "x", "mtime": "1700000000.5"}
    t.addfile(ti, io.BytesIO(data))


def sparse(t, rng, form, path):
    """A file with a hole before its data, in the newest and in the oldest of the forms."""
    hole, data = 4096 * rng.randrange(1, 5), b"d" * rng.randrange(1, 700)
    ti = tarfile.TarInfo(path)
    if form == tarfile.PAX_FORMAT:
        extents = f"1\n{hole}\n{len(data)}\n".encode()
        body = extents + b"\0" * (-len(extents) % 512) + data
        ti.name = "GNUSparseFile.0/x"
        ti.pax_headers = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.name": path, "GNU.sparse.realsize": str(hole + len(data))}
        ti.size = len(body)
        return t.addfile(ti, io.BytesIO(body))
    ti.size = len(data)
    longer = len(path) > 99
    block = bytearray(ti.get_info() and ti.tobuf(tarfile.GNU_FORMAT))
    start = len(block) - 512
    block[start + 156:start + 157] = b"S"
    block[start + 386:start + 410] = b"%011o\0%011o\0" % (hole, len(data))
    block[start + 483:start + 495] = b"%011o\0" % (hole + len(data))
    block[start + 148:start + 156] = b" " * 8
    block[start + 148:start + 156] = b"%06o\0 " % sum(block[start:])
    assert longer == (start > 0)
    t.fileobj.write(bytes(block) + data + b"\0" * (-len(data) % 512))
    t.offset = t.fileobj.tell()


def normal(path):
    out = []
    for part in path.split("/"):
        if part == "..":
            del out[-1:]
        elif part not in ("", "."):
            out.append(part)
    return "/".join(out)


def stored(raw, offset):
    """The size that the member's own header has, behind whatever stands before it."""
    while True:
        block = raw[offset:offset + 512]
        size = int(block[124:136].rstrip(b"\0 ") or b"0", 8)
        if block[156:157] not in (b"x", b"g", b"L", b"K"):
            return size
        offset += 512 + (size + 511) // 512 * 512


def members(file, layer):
    with open(file, "rb") as f:
        raw = f.read()
    out, latest = [], {}
    with tarfile.open(fileobj=io.BytesIO(raw)) as t:
        for ti in t:
            kind = KINDS[ti.type]
            path = normal(ti.name)
            m = {"layer": layer, "at": len(out), "path": path, "kind": kind, "mode": ti.mode, "uid": ti.uid, "gid": ti.gid, "size": 0, "stored": 0,
                 "content": None, "link": ti.linkname if kind in ("symlink", "hardlink") else None, "device": None, "target": None,
                 "sparse": ti.issparse(), "xattrs": sum(key.startswith("SCHILY.xattr.") for key in ti.pax_headers)}
            if kind == "file":
                m["size"] = ti.size
                m["stored"] = stored(raw, ti.offset) if m["sparse"] else ti.size
                m["content"] = hashlib.sha256(t.extractfile(ti).read()).hexdigest()
            if kind in ("char", "block"):
                m["device"] = [ti.devmajor, ti.devminor]
            if kind == "hardlink" and normal(ti.linkname) in latest:
                to = latest[normal(ti.linkname)]
                m["target"] = to if to["kind"] == "file" else to["target"]
            latest[path] = m
            out.append(m)
    return out


def linked(member):
    """What a hard link is another name of, where its layer has that."""
    return member["target"] or member


def is_same(a, b):
    """Two files with holes are never known to be the same. Names of one file are as good as another."""
    if a is None or b is None or linked(a)["sparse"]:
        return False
    own = all(a[k] == b[k] for k in ("mode", "uid", "gid", "xattrs"))
    return own and all(linked(a)[k] == linked(b)[k] for k in ("kind", "size", "content", "link", "device", "sparse"))


def is_dir(node):
    return node["member"] is None or node["member"]["kind"] == "dir"


class Stack:
    def __init__(self):
        self.now = {}
        self.hidden = []

    def apply(self, layer):
        before = dict(self.now)
        for m in layer:
            above, _, name = m["path"].rpartition("/")
            if name == ".wh..wh..opq":
                self.remove(above, False)
            elif name.startswith(".wh.") and not name.startswith(".wh..wh."):
                self.remove((above + "/" if above else "") + name[4:], True)
        for m in layer:
            path = m["path"]
            if any(part.startswith(".wh.") for part in path.split("/")) or not path:
                continue
            parts = path.split("/")
            for end in range(1, len(parts)):
                self.directory("/".join(parts[:end]))
            if m["kind"] != "dir" and path in self.now and is_dir(self.now[path]):
                self.remove(path, False)
            self.put(path, {"member": m})
        return self.changes(before)

    def directory(self, path):
        if path not in self.now or not is_dir(self.now[path]):
            self.put(path, {"member": None})

    def put(self, path, node):
        self.hide(path, "overwritten")
        self.now[path] = node

    def hide(self, path, how):
        old = self.now.pop(path, None)
        if old and old["member"] and old["member"]["kind"] == "file":
            self.hidden.append((path, how, old["member"]))

    def remove(self, path, itself):
        for p in [p for p in self.now if p == path and itself or p.startswith(path + "/" if path else "")]:
            self.hide(p, "removed")

    def changes(self, before):
        out = {}
        for path in before.keys() | self.now.keys():
            a, b = before.get(path), self.now.get(path)
            if a is b:
                continue
            if b is None or a is None:
                out[path] = "removed" if b is None else "added"
            else:
                out[path] = "repeated" if is_same(a["member"], b["member"]) else "modified"
        return out

    def sizes(self):
        out = {}
        for path, node in self.now.items():
            size = node["member"]["size"] if node["member"] else 0
            parts = path.split("/")
            for end in range(len(parts) + 1):
                key = "/".join(parts[:end])
                out[key] = out.get(key, 0) + size
        return out

    def wasted(self):
        alive = {id(n["member"]["target"]) for n in self.now.values() if n["member"] and n["member"]["target"]}
        out = {}
        for path, how, m in self.hidden:
            if m["stored"] and id(m) not in alive:
                out.setdefault(path, {"overwritten": 0, "removed": 0})[how] += m["stored"]
        return out

    def duplicates(self):
        by = {}
        for path, node in self.now.items():
            m = node["member"]
            if m and m["kind"] == "file" and m["size"] and not m["sparse"]:
                by.setdefault((m["content"], m["size"]), []).append(path)
        return sorted(sorted(paths) for paths in by.values() if len(paths) > 1)


def efficiency(layers):
    """The score as dive defines it."""
    stack, seen = {}, {}
    for at, layer in enumerate(layers):
        own = {}
        for m in layer:
            parts = m["path"].split("/")
            usable = next((i for i, part in enumerate(parts) if part.startswith(".wh..wh.")), len(parts))
            for end in range(1, usable + 1):
                own.setdefault("/".join(parts[:end]), None)
            if usable == len(parts) and m["path"]:
                own[m["path"]] = (m["size"], m["kind"] == "dir")
        inner = {path.rpartition("/")[0] for path in own}
        marks = [p for p in own if p.rpartition("/")[2].startswith(".wh.")]
        if at == 0:
            lay(stack, own)
        for path, told in own.items():
            if path in inner:
                continue
            size = told[0] if told else 0
            if path in marks:
                path = hidden(path)
                if path not in stack:
                    continue
                size = sum(s for p, (s, _) in stack.items() if p == path or p.startswith(path + "/")) if stack[path][1] else 0
            seen.setdefault(path, []).append(size)
        if at > 0:
            for mark in marks:
                for p in [p for p in stack if p == hidden(mark) or p.startswith(hidden(mark) + "/")]:
                    del stack[p]
            lay(stack, own)
    total = sum(map(sum, seen.values()))
    return {"least": sum(map(min, seen.values())), "total": total, "wasted": sum(sum(v) for v in seen.values() if len(v) > 1),
            "paths": {p: [sum(v), len(v)] for p, v in seen.items() if len(v) > 1}}


def hidden(mark):
    above, _, name = mark.rpartition("/")
    return (above + "/" if above else "") + name[4:]


def lay(stack, own):
    for path, told in own.items():
        if not path.rpartition("/")[2].startswith(".wh."):
            stack[path] = told or stack.get(path) or (0, False)


def tell(files):
    layers = [members(file, at) for at, file in enumerate(files)]
    stack = Stack()
    keys = ("path", "kind", "mode", "uid", "gid", "size", "stored", "link", "device", "xattrs")
    out = {"layers": [], "efficiency": efficiency(layers)}
    for layer in layers:
        changes = stack.apply(layer)
        out["layers"].append({"members": [[m[k] for k in keys] for m in layer], "changes": changes, "sizes": stack.sizes()})
    out["tree"] = {p: [n["member"]["layer"], n["member"]["kind"], n["member"]["size"]] if n["member"] else None for p, n in stack.now.items()}
    out["wasted"] = stack.wasted()
    out["duplicates"] = stack.duplicates()
    return out


def main():
    verb, directory = sys.argv[1:3]
    if verb == "make":
        for seed in range(int(sys.argv[3])):
            make(os.path.join(directory, str(seed)), seed)
    else:
        stacks = {seed: os.path.join(directory, seed) for seed in os.listdir(directory)}
        json.dump({seed: tell([os.path.join(stack, name) for name in sorted(os.listdir(stack))]) for seed, stack in stacks.items()}, sys.stdout)


if __name__ == "__main__":
    main()
