"""Programs that run on a host of the lab, with a log file each."""

import os
import pathlib
import re
import signal
import subprocess
import time
import urllib.error
import urllib.request

READY_SECONDS = 20
STOP_SECONDS = 10


class LabError(Exception):
    """Something in the lab did not do what it should; the message says where to look."""


def wait_until(condition, what, seconds=READY_SECONDS, interval=0.02):
    """Waits for condition() to be true and returns its value; LabError after the deadline."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() >= deadline:
            raise LabError(f"waited {seconds} s in vain for {what}")
        time.sleep(interval)


def http_get(url, seconds=5):
    """The body of a 200 answer, else None."""
    try:
        with urllib.request.urlopen(url, timeout=seconds) as reply:
            return reply.read()
    except (urllib.error.URLError, OSError):
        return None


class Process:
    """One program: started, stopped, killed and started again. Its process group is its own."""

    def __init__(self, name, argv, log, host=None, env=None, pass_fds=()):
        self.name = name
        self._argv = host.command(argv) if host else list(map(str, argv))
        self._env = {**os.environ, **(env or {})}
        self._pass_fds = pass_fds
        self.log = pathlib.Path(log)
        self._child = None
        self._killed = False

    @property
    def pid(self):
        return self._child.pid if self._child else None

    @property
    def expected(self):
        """Whether it should be running: started, and not killed since."""
        return self._child is not None and not self._killed

    def start(self):
        if self.alive():
            raise LabError(f"{self.name} runs already")
        self._killed = False
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with open(self.log, "ab") as log:
            self._child = subprocess.Popen(self._argv, stdin=subprocess.DEVNULL, stdout=log,
                                           stderr=log, env=self._env, start_new_session=True,
                                           pass_fds=self._pass_fds)
        return self

    def alive(self):
        return self._child is not None and self._child.poll() is None

    def wait_ready(self, ready, what="readiness"):
        """Waits for ready() to be true; tells the end of the log when the program dies before."""

        def check():
            if not self.alive():
                raise LabError(f"{self.name} ended with code {self._child.returncode} before "
                               f"{what}; {self.log} ends with:\n{self.log_tail()}")
            return ready()

        try:
            wait_until(check, f"{what} of {self.name}")
        except LabError as error:
            raise LabError(f"{error}\n{self.log_tail()}") from None
        return self

    def wait_ready_url(self, url):
        """Waits for a 200 from url."""
        return self.wait_ready(lambda: http_get(url) is not None, url)

    def stop(self, seconds=STOP_SECONDS):
        """SIGTERM, and SIGKILL to the whole group when that does not end it in time. Returns what
        is wrong with the program's end: "" when it had not been started, was ended by kill(), or
        ended itself with 0 now."""
        if self._child is None or self._killed:
            return ""
        problem = ""
        if not self.alive():
            problem = f"{self.name} had died with code {self._child.returncode}"
        else:
            self._child.terminate()
            try:
                code = self._child.wait(seconds)
                problem = f"{self.name} ended with code {code} when told to stop" if code else ""
            except subprocess.TimeoutExpired:
                problem = f"{self.name} did not stop within {seconds} s"
        self.kill()
        return f"{problem}; {self.log} ends with:\n{self.log_tail()}" if problem else ""

    def kill(self):
        """kill -9."""
        self._killed = True
        self._signal_group(signal.SIGKILL)
        self._child.wait()

    def crash(self):
        """kill -9 of the program alone: what it had started lives on, if it can."""
        self._killed = True
        self._child.kill()
        self._child.wait()

    def rss_bytes(self):
        """Memory that it holds now."""
        text = pathlib.Path(f"/proc/{self.pid}/status").read_text()
        return 1024 * int(re.search(r"VmRSS:\s+(\d+)", text)[1])

    def open_files(self):
        """What its descriptors refer to, as readlink(2) tells it."""
        found = []
        for entry in pathlib.Path(f"/proc/{self.pid}/fd").iterdir():
            try:
                found.append(os.readlink(entry))
            except OSError:
                continue  # Closed meanwhile.
        return found

    def freeze(self):
        """The program hangs: alive, and silent."""
        self._child.send_signal(signal.SIGSTOP)

    def thaw(self):
        self._child.send_signal(signal.SIGCONT)

    def wait(self, seconds):
        """Its exit code; LabError when it is still running after that many seconds."""
        try:
            return self._child.wait(seconds)
        except subprocess.TimeoutExpired:
            raise LabError(f"{self.name}: no end after {seconds} s; {self.log} ends with:\n"
                           f"{self.log_tail()}") from None

    def poll(self):
        """Its exit code, None while it runs."""
        return self._child.poll()

    def log_tail(self, lines=15):
        try:
            return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])
        except OSError:
            return "(no log)"

    def _signal_group(self, number):
        try:
            os.killpg(self._child.pid, number)
        except ProcessLookupError:
            pass
