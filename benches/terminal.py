"""Runs a full-screen program in a pty, keeps its screen, and times what a person would see. Standard library only.

The screen understands what full-screen programs on a modern terminal send: cursor moves, colours, erasing, scrolling at the bottom.
Times are taken when bytes are read, before they are interpreted, so that the cost of this file is not in them.
"""

import fcntl
import os
import re
import select
import signal
import struct
import subprocess
import termios
import time
import unicodedata

TOKEN = re.compile(rb"""
    (?P<csi>\x1b\[(?P<private>[<=>?]?)(?P<numbers>[0-9;:]*)(?P<between>[\x20-\x2f]*)(?P<final>[\x40-\x7e]))
  | (?P<osc>\x1b[\]PX^_].*?(?:\x07|\x1b\\))
  | (?P<escape>\x1b[\x20-\x2f]*[\x30-\x5a\x5c\x60-\x7e])
  | (?P<control>[\x00-\x1a\x1c-\x1f\x7f])
  | (?P<text>[^\x00-\x1f\x7f]+)
""", re.X | re.S)

CLOCK_TICKS = os.sysconf("SC_CLK_TCK")


class Screen:
    def __init__(self, columns, rows):
        self.columns, self.rows = columns, rows
        self.style = ""
        self.x = self.y = 0
        self.rest = b""
        self.clear()

    def clear(self):
        self.cells = [[(" ", "")] * self.columns for _ in range(self.rows)]

    def line(self, row):
        return "".join(text for text, _ in self.cells[row])

    def text(self):
        return "\n".join(self.line(row).rstrip() for row in range(self.rows))

    def picture(self, first=0, last=None):
        """The rows' contents, colours included, for comparing."""
        return [tuple(row) for row in self.cells[first:last]]

    def feed(self, data):
        """Takes bytes; returns what the terminal answers to questions in them."""
        data = self.rest + data
        answers, at = [], 0
        while at < len(data):
            token = TOKEN.match(data, at)
            if not token or (token["text"] and token.end() == len(data) and self._cut(token["text"])):
                break
            at = token.end()
            if token["text"]:
                self._write(token["text"].decode("utf-8", "replace"))
            elif token["csi"]:
                answers.append(self._csi(token["private"], token["numbers"], token["final"]))
            elif token["osc"]:
                answers.append(b"\x1b]11;rgb:1010/1010/1010\x1b\\" if token["osc"].startswith(b"\x1b]11;?") else b"")
            elif token["control"]:
                self._control(token["control"])
        self.rest = data[at:]
        return b"".join(answers)

    @staticmethod
    def _cut(text):
        """Whether a UTF-8 character is cut off at the end."""
        try:
            text.decode()
        except UnicodeDecodeError as error:
            return error.reason == "unexpected end of data"
        return False

    def _write(self, text):
        for character in text:
            if unicodedata.combining(character):
                continue
            if self.x >= self.columns:
                self.x, self.y = 0, min(self.y + 1, self.rows - 1)
            self.cells[self.y][self.x] = (character, self.style)
            wide = unicodedata.east_asian_width(character) in "WF"
            if wide and self.x + 1 < self.columns:
                self.cells[self.y][self.x + 1] = ("", self.style)
            self.x += 2 if wide else 1

    def _control(self, byte):
        if byte == b"\r":
            self.x = 0
        elif byte == b"\n" and self.y == self.rows - 1:
            self.cells = [*self.cells[1:], [(" ", "")] * self.columns]
        elif byte == b"\n":
            self.y += 1
        elif byte == b"\x08":
            self.x = max(self.x - 1, 0)

    def _csi(self, private, numbers, final):
        values = [int(part.split(b":")[0] or 0) for part in numbers.split(b";")] if numbers else []
        first = max(values[0] if values else 1, 1)
        if final == b"n" and values == [6]:
            return f"\x1b[{self.y + 1};{self.x + 1}R".encode()
        if final == b"c":
            return b"\x1b[?62;22c" if not private else b""
        if final == b"u" and private == b"?":
            return b"\x1b[?0u"
        if final == b"m" and not private:
            self._sgr(numbers)
        elif final in b"Hf":
            self.y = min(first, self.rows) - 1
            self.x = min(max(values[1] if len(values) > 1 else 1, 1), self.columns) - 1
        elif final == b"A":
            self.y = max(self.y - first, 0)
        elif final == b"B":
            self.y = min(self.y + first, self.rows - 1)
        elif final == b"C":
            self.x = min(self.x + first, self.columns - 1)
        elif final == b"D":
            self.x = max(self.x - first, 0)
        elif final == b"G":
            self.x = min(first, self.columns) - 1
        elif final == b"d":
            self.y = min(first, self.rows) - 1
        elif final == b"J":
            self._erase_display(values[0] if values else 0)
        elif final == b"K":
            self._erase_line(values[0] if values else 0)
        elif final in b"hl" and private == b"?" and 1049 in values:
            self.clear()
        return b""

    def _sgr(self, numbers):
        if numbers in (b"", b"0"):
            self.style = ""
        else:
            text = numbers.decode()
            self.style = text.removeprefix("0;") if text.startswith("0;") else (self.style + ";" + text)[-80:]

    def _erase_line(self, mode):
        begin, end = (self.x, self.columns) if mode == 0 else (0, self.x + 1) if mode == 1 else (0, self.columns)
        for column in range(begin, min(end, self.columns)):
            self.cells[self.y][column] = (" ", self.style)

    def _erase_display(self, mode):
        if mode in (2, 3):
            self.clear()
            return
        self._erase_line(mode)
        for row in range(self.y + 1, self.rows) if mode == 0 else range(self.y):
            self.cells[row] = [(" ", self.style)] * self.columns


class Program:
    """A program in a terminal of its own. `began` is the time just before it was started."""

    def __init__(self, command, columns=200, rows=60, environment=None):
        leader, follower = os.openpty()
        fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.screen = Screen(columns, rows)
        self.leader = leader
        self.read_at = 0.0
        environment = dict(os.environ, TERM="xterm-256color", COLORTERM="truecolor", **(environment or {}))

        def take_terminal():
            os.setsid()
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)

        self.began = time.monotonic()
        self.process = subprocess.Popen(command, stdin=follower, stdout=follower, stderr=follower, env=environment,
                                        preexec_fn=take_terminal, close_fds=True)
        os.close(follower)

    @property
    def pid(self):
        return self.process.pid

    def pump(self, seconds):
        """Reads what comes within `seconds` (once); false when nothing came."""
        if not select.select([self.leader], [], [], max(seconds, 0))[0]:
            return False
        try:
            data = os.read(self.leader, 1 << 20)
        except OSError:
            data = b""
        if not data:
            raise EOFError(f"the program ended, code {self.process.wait()}; its last screen:\n{self.screen.text()}")
        self.read_at = time.monotonic()
        answer = self.screen.feed(data)
        if answer:
            os.write(self.leader, answer)
        return True

    def send(self, keys):
        os.write(self.leader, keys.encode())

    def until(self, condition, seconds=30.0, what="the expected screen"):
        """Waits until `condition(screen)`; returns the time the bytes were read that made it true."""
        end = time.monotonic() + seconds
        while not condition(self.screen):
            if not self.pump(min(end - time.monotonic(), 1.0)) and time.monotonic() >= end:
                raise TimeoutError(f"{what} did not come in {seconds} s; the screen:\n{self.screen.text()}")
        return self.read_at

    def until_text(self, pattern, seconds=30.0):
        """Seconds from the start of the program until its screen has `pattern` (a regular expression)."""
        compiled = re.compile(pattern, re.M)
        return self.until(lambda screen: compiled.search(screen.text()), seconds, repr(pattern)) - self.began

    def settle(self, quiet=0.4, seconds=30.0):
        """Reads on until nothing comes for `quiet` seconds; false when it never becomes quiet."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if not self.pump(quiet):
                return True
        return False

    def latency(self, key, first=0, last=None, seconds=5.0):
        """Seconds from a key until rows first..last look different, or None when they don't change."""
        while self.pump(0):
            pass
        before = self.screen.picture(first, last)
        pressed = time.monotonic()
        self.send(key)
        try:
            return self.until(lambda screen: screen.picture(first, last) != before, seconds) - pressed
        except TimeoutError:
            return None

    def cpu_seconds(self):
        with open(f"/proc/{self.pid}/stat", encoding="ascii", errors="replace") as file:
            fields = file.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / CLOCK_TICKS

    def wake_ups(self):
        """How often its threads gave up the processor of their own accord: each is a wake-up."""
        return sum(int(line.split()[1]) for task in os.listdir(f"/proc/{self.pid}/task")
                   for line in open(f"/proc/{self.pid}/task/{task}/status", encoding="ascii", errors="replace")
                   if line.startswith("voluntary_ctxt_switches"))

    def memory(self, field="VmRSS"):
        """In bytes; `VmHWM` is the peak."""
        with open(f"/proc/{self.pid}/status", encoding="ascii", errors="replace") as file:
            return next((int(line.split()[1]) * 1024 for line in file if line.startswith(field)), 0)

    def close(self, keys="", seconds=5.0):
        """Asks it to end, with `keys` and then with a signal."""
        if keys and self.process.poll() is None:
            self.send(keys)
            end = time.monotonic() + seconds
            try:
                while time.monotonic() < end:
                    self.pump(0.1)
            except EOFError:
                pass
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        os.close(self.leader)
