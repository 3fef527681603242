"""A place of its own for one run of the lab, that the kernel takes away whole.

`isolated(main, ...)` runs main() in a child with its own PID, mount, network and IPC namespace:

- every process the lab starts dies with the child, however the child ends;
- mounts (snapshots, shm, named network namespaces) are seen by nobody else and go with them;
- /run is an empty tmpfs, so sockets have short paths and two labs never meet;
- the file system is read-only but for the folders named as writable;
- the child's network namespace is the lab's switch; nothing appears in the machine's own.

Only cgroups outlive namespaces: the parent removes this run's, and those of dead runs.
"""

import ctypes
import os
import pathlib
import select
import signal
import sys
import traceback

RUN_VARIABLE = "EAGLE_LAB_RUN"

_CLONE_NEWNS = 0x00020000
_CLONE_NEWUTS = 0x04000000
_CLONE_NEWIPC = 0x08000000
_CLONE_NEWPID = 0x20000000
_CLONE_NEWNET = 0x40000000
_MS_RDONLY, _MS_NOSUID, _MS_NODEV, _MS_NOEXEC = 1, 2, 4, 8
_MS_REMOUNT, _MS_BIND, _MS_REC, _MS_PRIVATE = 32, 4096, 16384, 1 << 18
_MNT_DETACH = 2
_PR_SET_PDEATHSIG = 1
_CGROUP_ROOT = pathlib.Path("/sys/fs/cgroup")
_PREFIX = "eagle-lab-"

_libc = ctypes.CDLL(None, use_errno=True)


class Interrupted(BaseException):
    """The run was told to end (SIGTERM, SIGINT, SIGHUP)."""


def run_id():
    """Name of this run: folders of cgroups carry it."""
    return os.environ[RUN_VARIABLE]


def isolated(main, writable):
    """Runs main() isolated and returns its exit code; 1 after an exception or when it left things.

    Must be called before any thread is started. `writable` are folders that are made when missing.
    """
    if os.geteuid() != 0:
        print("The lab makes network namespaces and mounts: run it as root.", file=sys.stderr)
        return 1
    for folder in writable:
        os.makedirs(folder, exist_ok=True)
    _remove_cgroups_of_dead_runs()
    name = f"{_PREFIX}{os.getpid()}-{_start_time(os.getpid())}"
    mounts_before = _mounts()
    sys.stdout.flush()
    sys.stderr.flush()

    # Its write end closes when this process dies, and only then.
    alive_read, alive_write = os.pipe()
    if _libc.unshare(_CLONE_NEWPID) != 0:
        print("The lab may not make namespaces here (in a container without privileges?): "
              f"{os.strerror(ctypes.get_errno())}.", file=sys.stderr)
        return 1
    init = os.fork()
    if init == 0:
        os.close(alive_write)
        _run_init(main, writable, name, alive_read)
    os.close(alive_read)

    namespace = os.readlink(f"/proc/{init}/ns/pid")
    told = 0

    def forward(_number, _frame):
        nonlocal told
        told += 1
        os.kill(init, signal.SIGTERM if told == 1 else signal.SIGKILL)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, forward)
    _, status = os.waitpid(init, 0)
    os.close(alive_write)
    code = os.waitstatus_to_exitcode(status)
    code = 128 - code if code < 0 else code

    _remove_cgroups(name)
    leaks = _leaks(name, namespace, writable, mounts_before)
    for leak in leaks:
        print(f"The lab left something behind: {leak}", file=sys.stderr)
    return code or (1 if leaks else 0)


def processes():
    """PIDs in this namespace other than its init and the caller; dead ones that nobody reaped do
    not count."""
    own = {1, os.getpid()}
    found = {}
    for entry in os.listdir("/proc"):
        if not entry.isdigit() or int(entry) in own:
            continue
        try:
            text = pathlib.Path(f"/proc/{entry}/stat").read_text()
            command = pathlib.Path(f"/proc/{entry}/cmdline").read_bytes()
        except OSError:
            continue
        if text.rpartition(")")[2].split()[0] not in "ZX":
            found[int(entry)] = command.replace(b"\0", b" ").decode(errors="replace").strip()
    return found


def processes_in(namespace):
    """PIDs of the processes in a PID namespace, named as readlink(/proc/<pid>/ns/pid) tells it."""
    found = []
    for entry in filter(str.isdigit, os.listdir("/proc")):
        try:
            if os.readlink(f"/proc/{entry}/ns/pid") == namespace:
                found.append(int(entry))
        except OSError:
            continue
    return found


def mounts_below(folder):
    """Mount points strictly below a folder, the innermost first."""
    prefix = os.path.realpath(folder) + "/"
    points = [line.split()[4] for line in _mounts()]
    return sorted((p for p in points if p.startswith(prefix)), key=len, reverse=True)


def bind(source, target):
    """Shows `source` at `target`."""
    _mount(str(source), str(target), None, _MS_BIND)


def unmount(target):
    """Takes a mount away, also when it is in use."""
    _check(_libc.umount2(str(target).encode(), _MNT_DETACH), f"umount {target}")


def _check(result, what):
    if result != 0:
        error = ctypes.get_errno()
        raise OSError(error, f"{what}: {os.strerror(error)}")


def _mount(source, target, kind, flags, data=None):
    encode = lambda text: None if text is None else text.encode()
    _check(_libc.mount(encode(source), encode(target), encode(kind), ctypes.c_ulong(flags),
                       encode(data)), f"mount {target}")


def _run_init(main, writable, name, parent_alive):
    """PID 1 of the run: sets the place up, starts main(), reaps, ends with main's code."""
    try:
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if select.select([parent_alive], [], [], 0)[0]:
            os._exit(1)  # The parent died before prctl took hold.
        os.close(parent_alive)
        os.environ[RUN_VARIABLE] = name
        sys.dont_write_bytecode = True
        _check(_libc.unshare(_CLONE_NEWNS | _CLONE_NEWNET | _CLONE_NEWIPC | _CLONE_NEWUTS),
               "unshare")
        _set_up_mounts(writable)
        main_pid = os.fork()
        if main_pid == 0:
            _run_main(main)
    except BaseException:
        traceback.print_exc()
        os._exit(1)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda _number, _frame: os.kill(main_pid, signal.SIGTERM))
    while True:
        pid, status = os.waitpid(-1, 0)
        if pid == main_pid:
            code = os.waitstatus_to_exitcode(status)
            os._exit(128 - code if code < 0 else code)


def _run_main(main):
    # A session of its own: the terminal's Ctrl-C reaches the parent only, which passes it on once.
    os.setsid()

    def stop(_number, _frame):
        # Once: a second signal must not break the cleaning up.
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        raise Interrupted()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop)
    code = 1
    try:
        code = main() or 0
    except Interrupted:
        print("interrupted", file=sys.stderr)
        code = 130
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _set_up_mounts(writable):
    _mount(None, "/", None, _MS_REC | _MS_PRIVATE)
    _mount("proc", "/proc", "proc", _MS_NOSUID | _MS_NODEV | _MS_NOEXEC)
    _mount("tmpfs", "/run", "tmpfs", _MS_NOSUID | _MS_NODEV, "mode=755")
    for folder in writable:
        bind(folder, folder)
    try:
        _mount(None, "/", None, _MS_REMOUNT | _MS_BIND | _MS_RDONLY)
    except OSError as error:
        print(f"The machine's files stay writable in the lab: {error}", file=sys.stderr)


def _start_time(pid):
    """Tells a process from a later one with the same PID; "" when there is none."""
    try:
        text = pathlib.Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return ""
    return text.rpartition(")")[2].split()[19]


def _cgroups(pattern):
    return list(_CGROUP_ROOT.glob(pattern)) + list(_CGROUP_ROOT.glob(f"*/{pattern}"))


def _remove_cgroups(name):
    for top in _cgroups(name):
        for folder, _, _ in os.walk(top, topdown=False):
            try:
                os.rmdir(folder)
            except OSError:
                pass


def _remove_cgroups_of_dead_runs():
    for name in {path.name for path in _cgroups(f"{_PREFIX}*")}:
        pid, _, start = name.removeprefix(_PREFIX).partition("-")
        if not pid.isdigit() or _start_time(pid) != start:
            _remove_cgroups(name)


def _mounts():
    return pathlib.Path("/proc/self/mountinfo").read_text().splitlines()


def _leaks(name, namespace, writable, mounts_before):
    leaks = [f"process {pid}" for pid in processes_in(namespace)]
    new_mounts = set(_mounts()) - set(mounts_before)
    leaks += [f"mount {line}" for line in new_mounts if any(str(w) in line for w in writable)]
    return leaks + [f"cgroup {path}" for path in _cgroups(name)]
