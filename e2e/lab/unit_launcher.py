#!/usr/bin/env python3
"""Becomes a service as systemd would start it, by the letter of its unit file, where systemd itself
is not there to do it. Stands in for the following, and for nothing else:

- socket activation: the listening descriptor is number 3 (LISTEN_FDS, LISTEN_PID);
- ProtectSystem=strict, ReadWritePaths=, StateDirectory=, RuntimeDirectory=, PrivateTmp=,
  ProtectHome=: the mounts;
- CapabilityBoundingSet=, NoNewPrivileges=;
- SystemCallFilter=, SystemCallErrorNumber=EPERM, on x86-64.

Left out: DevicePolicy= (a cgroup's), RestrictNamespaces=, RestrictAddressFamilies=,
MemoryDenyWriteExecute=, and the Protect...= settings for parts of the kernel.

    unit_launcher.py [--listen FD] [--unit FILE --path /unit/path=/lab/path ...] -- PROGRAM ARG...
"""

import argparse
import ctypes
import errno
import os
import pathlib
import platform
import re
import struct
import subprocess
import sys

_libc = ctypes.CDLL(None, use_errno=True)

_CLONE_NEWNS = 0x00020000
_MS_BIND, _MS_REC, _MS_SLAVE = 4096, 16384, 1 << 19
_SYS_MOUNT_SETATTR = 442
_AT_FDCWD, _AT_RECURSIVE, _MOUNT_ATTR_RDONLY = -100, 0x8000, 1
_PR_CAPBSET_DROP, _PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP = 24, 38, 22
_CAPABILITIES = (
    "chown dac_override dac_read_search fowner fsetid kill setgid setuid setpcap linux_immutable "
    "net_bind_service net_broadcast net_admin net_raw ipc_lock ipc_owner sys_module sys_rawio "
    "sys_chroot sys_ptrace sys_pacct sys_admin sys_boot sys_nice sys_resource sys_time "
    "sys_tty_config mknod lease audit_write audit_control setfcap mac_override mac_admin syslog "
    "wake_alarm block_suspend audit_read perfmon bpf checkpoint_restore").split()
_UNISTD = pathlib.Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h")


def read_unit(path):
    """Settings of a unit file: name to the list of its values."""
    settings = {}
    for line in pathlib.Path(path).read_text().splitlines():
        name, assigned, value = line.partition("=")
        if assigned and not line.startswith(("#", ";")):
            settings.setdefault(name.strip(), []).append(value.strip())
    return settings


def words(settings, name):
    return " ".join(settings.get(name, [])).split()


def check(result, what):
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def mount(source, target, kind, flags):
    encode = lambda text: text.encode() if text else None
    check(_libc.mount(encode(source), encode(target), encode(kind), ctypes.c_ulong(flags), None),
          f"mount {target}")


def set_read_only(path, read_only):
    """Of a mount and everything that is mounted below it."""
    attributes = struct.pack("QQQQ", *((_MOUNT_ATTR_RDONLY, 0) if read_only
                                       else (0, _MOUNT_ATTR_RDONLY)), 0, 0)
    check(_libc.syscall(_SYS_MOUNT_SETATTR, _AT_FDCWD, str(path).encode(), _AT_RECURSIVE,
                        attributes, len(attributes)), f"mount_setattr {path}")


def enter_mounts(settings, paths):
    if settings.get("ProtectSystem") != ["strict"]:
        raise SystemExit("only ProtectSystem=strict is known here")
    writable = [paths[path] for path in words(settings, "ReadWritePaths")]
    writable += [paths["/var/lib/" + name] for name in words(settings, "StateDirectory")]
    writable += [paths["/run/" + name] for name in words(settings, "RuntimeDirectory")]
    check(_libc.unshare(_CLONE_NEWNS), "unshare")
    mount(None, "/", None, _MS_REC | _MS_SLAVE)
    for path in writable:
        mount(path, path, None, _MS_BIND | _MS_REC)
    set_read_only("/", True)
    for path in [*writable, "/dev", "/proc"]:
        set_read_only(path, False)
    if settings.get("PrivateTmp") == ["yes"]:
        mount("tmpfs", "/tmp", "tmpfs", 0)
        os.environ.pop("TMPDIR", None)
    if settings.get("ProtectHome") == ["yes"]:
        mount("tmpfs", "/root", "tmpfs", 0)
        set_read_only("/root", True)


def drop_capabilities(settings):
    kept = {name.removeprefix("CAP_").lower() for name in words(settings, "CapabilityBoundingSet")}
    unknown = kept - set(_CAPABILITIES)
    if unknown:
        raise SystemExit(f"unknown capabilities: {unknown}")
    for number, name in enumerate(_CAPABILITIES):
        if name not in kept and _libc.prctl(_PR_CAPBSET_DROP, number, 0, 0, 0) < 0:
            # A kernel that does not know it does not give it either.
            if ctypes.get_errno() != errno.EINVAL:
                check(-1, f"drop {name}")


def system_call_sets():
    """systemd's sets of system calls: name to its members."""
    text = subprocess.run(["systemd-analyze", "syscall-filter", "--no-pager"], check=True,
                          capture_output=True, text=True).stdout
    sets, name = {}, None
    for line in text.splitlines():
        if re.match(r"@[\w-]+$", line):
            name = line
            sets[name] = []
        elif not line.startswith(" "):
            name = None
        elif name and not line.strip().startswith("#"):
            sets[name].append(line.strip())
    return sets


def allowed_calls(settings):
    sets = system_call_sets()
    waiting, calls = ["@default", *words(settings, "SystemCallFilter")], set()
    while waiting:
        item = waiting.pop()
        if item.startswith("@"):
            waiting += sets[item]
        else:
            calls.add(item)
    return calls


def filter_calls(settings):
    if platform.machine() != "x86_64" or not _UNISTD.exists():
        print("LEFT OUT: SystemCallFilter= (not x86-64, or no kernel headers)", file=sys.stderr)
        return
    numbers = dict(re.findall(r"#define __NR_(\w+) (\d+)", _UNISTD.read_text()))
    allow, refuse = 0x7FFF0000, 0x00050000 | errno.EPERM
    instruction = lambda code, jump_true, jump_false, value: struct.pack(
        "HBBI", code, jump_true, jump_false, value)
    program = [instruction(0x20, 0, 0, 0)]
    for call in sorted(allowed_calls(settings)):
        if call in numbers:
            program += [instruction(0x15, 0, 1, int(numbers[call])), instruction(0x06, 0, 0, allow)]
    program.append(instruction(0x06, 0, 0, refuse))
    code = ctypes.create_string_buffer(b"".join(program))
    header = struct.pack("HxxxxxxP", len(program), ctypes.addressof(code))
    check(_libc.prctl(_PR_SET_SECCOMP, 2, ctypes.c_char_p(header), 0, 0), "seccomp")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--listen", type=int)
    parser.add_argument("--unit")
    parser.add_argument("--path", action="append", default=[])
    parser.add_argument("argv", nargs="+")
    options = parser.parse_args()

    if options.listen is not None:
        os.dup2(options.listen, 3)
        if options.listen != 3:
            os.close(options.listen)
        os.environ.update(LISTEN_FDS="1", LISTEN_PID=str(os.getpid()))
    if options.unit:
        settings = read_unit(options.unit)
        enter_mounts(settings, dict(path.split("=", 1) for path in options.path))
        drop_capabilities(settings)
        if settings.get("NoNewPrivileges") == ["yes"]:
            check(_libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no_new_privs")
        filter_calls(settings)
    os.execv(options.argv[0], options.argv)


if __name__ == "__main__":
    main()
