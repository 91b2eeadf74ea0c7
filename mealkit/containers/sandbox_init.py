"""The first process in a sandbox: builds its view of the file system, gives up all rights, execs.

It is a script that imports only the standard library, and is run by path inside new namespaces
with the host's Python. It stops at the first step that fails. It imports everything before the
host's files become inaccessible.

The order matters: the new root becomes / while the host's root is still mounted on top of it, where
absolute paths do not reach it. So targets are absolute and cannot follow a link out of the new
root. Sources are relative to the host's root, which is the working directory until it is detached.
"""

import ctypes
import fcntl
import json
import os
import platform
import resource
import signal
import socket
import stat
import struct
import sys
from pathlib import Path
from typing import Any

SETUP_FAILED = 125

MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC = 1, 2, 4, 8
MS_REMOUNT, MS_BIND, MS_REC = 1 << 5, 1 << 12, 1 << 14
MNT_DETACH = 2
CLONE_NEWUSER = 0x10000000
PR_SET_PDEATHSIG, PR_SET_SECCOMP, PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS = 1, 22, 24, 38
SECCOMP_MODE_FILTER = 2
KEYCTL_JOIN_SESSION_KEYRING = 1
SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 1
LISTENER = 3  # the descriptor of the first socket according to sd_listen_fds(3)
_FREE = 64  # above the descriptors that a process has at its start
# The others are the numbers of all newer architectures.
PIVOT_ROOT, _KEYCTL = {"x86_64": (155, 250)}.get(platform.machine(), (41, 219))

# A remount must repeat the flags that an unprivileged user may not remove: (statvfs, mount).
_KEPT_FLAGS = ((2, 2), (4, 4), (8, 8), (1024, 1024), (2048, 2048), (4096, 1 << 21))

_DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
_DEVICE_LINKS = {"fd": "", "stdin": "/0", "stdout": "/1", "stderr": "/2"}
# Container engines hide these, too: they show the host's kernel, not the sandbox's.
_PROC_READ_ONLY = ("sys", "irq", "bus", "fs", "sysrq-trigger")
_PROC_HIDDEN = (
    *("kcore", "keys", "key-users", "latency_stats", "timer_list", "timer_stats", "sched_debug"),
    "interrupts",
)
_PROC_EMPTIED = ("acpi", "asound", "scsi")

libc = ctypes.CDLL(None, use_errno=True)


def main(folder: Path, sockets: list[int]) -> None:
    """Set up the sandbox in ``folder/plan.json`` and become its entrypoint.

    A step that fails is written to the pipe ``folder/setup``. If the pipe closes without a message,
    the entrypoint runs. The first of ``sockets`` is the one that callers connect to.
    """
    # Two steps: a socket may have the number that another one gets.
    moved = [fcntl.fcntl(number, fcntl.F_DUPFD, _FREE) for number in sockets]
    for number in sockets:
        os.close(number)
    for place, number in enumerate(moved, LISTENER):
        os.dup2(number, place)
        os.close(number)
    plan = json.loads((folder / "plan.json").read_bytes())
    # Fails if no process reads: without its parent process, the sandbox must not start.
    setup = os.open(folder / "setup", os.O_WRONLY | os.O_NONBLOCK)
    try:
        _write_identity(folder)
        _enter_root(plan["root"])
        _mount_kernel_views(own_users=plan["own_users"], emulated=plan["emulated"])
        _mount_devices(plan["devices"])
        _mount_writable(plan)
        _mount_inputs(plan["mounts"])
        _detach_host()
        if plan["own_network"]:
            _turn_loopback_on()
        _become(plan, LISTENER + len(sockets))
    except OSError as error:
        what = f"{error.filename}: {error.strerror}" if error.filename else str(error.strerror)
        os.write(setup, what.encode())
        os._exit(SETUP_FAILED)


def _write_identity(folder: Path) -> None:
    """Write this process's pid and start time as the host sees them (its /proc is mounted)."""
    fields = Path("/proc/self/stat").read_text().split(" ", 1)
    identity = {"pid": int(fields[0]), "start_ticks": int(fields[1].rpartition(")")[2].split()[19])}
    partial = folder / ".init.json"
    partial.write_text(json.dumps(identity))
    partial.replace(folder / "init.json")


def _enter_root(root: str) -> None:
    mount(root, root, flags=MS_BIND | MS_REC)
    make_read_only(root)
    host = os.open("/", os.O_PATH | os.O_DIRECTORY)
    os.chdir(root)
    call(f"pivot to {root}", libc.syscall(PIVOT_ROOT, b".", b"."))
    os.fchdir(host)
    os.close(host)


def _mount_kernel_views(*, own_users: bool, emulated: bool) -> None:
    mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC)
    if own_users:  # _become creates the last one, so that no process can gain rights in another
        Path("/proc/sys/user/max_user_namespaces").write_text("1")
    for name in _PROC_READ_ONLY:
        path = f"/proc/{name}"
        if Path(path).exists():
            mount(path, path, flags=MS_BIND | MS_REC)
            make_read_only(path)
    for name in _PROC_HIDDEN:
        if Path(f"/proc/{name}").exists():
            mount("dev/null", f"/proc/{name}", flags=MS_BIND)
    for name in _PROC_EMPTIED:
        if Path(f"/proc/{name}").exists():
            _mount_tmpfs(f"/proc/{name}", "mode=555", MS_NOEXEC)
            make_read_only(f"/proc/{name}")
    _mount_sys(emulated=emulated)


def _mount_sys(*, emulated: bool) -> None:
    """Show the machine's processors and memory nodes, which libraries count.

    Libraries for another architecture crash on what is there (cpuinfo in onnxruntime).
    """
    _mount_tmpfs("/sys", "mode=755", MS_NOEXEC)
    if not emulated:
        Path("/sys/devices/system").mkdir(parents=True)
        mount("sys/devices/system", "/sys/devices/system", flags=MS_BIND)
        make_read_only("/sys/devices/system")
    make_read_only("/sys")


def _mount_devices(extra: list[str]) -> None:
    _mount_tmpfs("/dev", "mode=755", MS_NOEXEC, devices=True)
    for path in [f"/dev/{name}" for name in _DEVICES] + extra:
        if not Path(path.lstrip("/")).exists():  # seen from the host's root
            continue
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).touch()
        mount(path.lstrip("/"), path, flags=MS_BIND)
    for name, part in _DEVICE_LINKS.items():
        Path("/dev", name).symlink_to(f"/proc/self/fd{part}")
    Path("/dev/shm").mkdir()  # noqa: S108 - the sandbox's own
    _mount_tmpfs("/dev/shm", "mode=1777", MS_NOEXEC)  # noqa: S108
    make_read_only("/dev", devices=True)


def _mount_writable(plan: dict[str, Any]) -> None:
    _mount_tmpfs("/tmp", "mode=1777", MS_NOEXEC)  # noqa: S108 - the sandbox's own
    # With its own user namespace, the sandbox's user is the root of this namespace.
    owner = 0 if plan["own_users"] else plan["user_id"]
    _mount_tmpfs(plan["writable"], f"mode=700,uid={owner},gid={owner}", 0)
    if plan["records"]:
        target = Path(plan["records_at"])
        target.mkdir()
        mount(plan["records"].lstrip("/"), str(target), flags=MS_BIND)
        _restrict(str(target), MS_NOEXEC)


def _mount_inputs(mounts: list[tuple[str, str]]) -> None:
    covers: list[str] = []
    for source, target in mounts:
        relative = source.lstrip("/")
        if not os.path.lexists(target):
            _make_mount_point(target, covers, folder=stat.S_ISDIR(os.stat(relative).st_mode))  # noqa: PTH116
        mount(relative, target, flags=MS_BIND)
        make_read_only(target)
    for cover in covers:
        make_read_only(cover)


def _make_mount_point(target: str, covers: list[str], *, folder: bool) -> None:
    """Create a mount point in a read-only root, on a small separate file system."""
    existing = next(path for path in Path(target).parents if path.exists()).resolve()
    if not any(existing.is_relative_to(cover) for cover in covers):
        if existing == Path("/"):
            raise FileNotFoundError(2, "the root has no folder for the mount point", target)
        _cover(str(existing))
        covers.append(str(existing))
    path = Path(target)
    path.parent.mkdir(parents=True, exist_ok=True)
    if folder:
        path.mkdir()
    else:
        path.touch()


def _cover(folder: str) -> None:
    """Mount a writable file system over a folder, with all its entries still visible."""
    host = os.open(".", os.O_PATH | os.O_DIRECTORY)
    hidden = os.open(folder, os.O_PATH | os.O_DIRECTORY)
    with os.scandir(folder) as listing:
        entries = [(entry.name, entry.is_symlink(), entry.is_dir()) for entry in listing]
    _mount_tmpfs(folder, "mode=755", 0)
    os.fchdir(hidden)
    for name, is_link, is_folder in entries:
        path = Path(folder, name)
        if is_link:
            path.symlink_to(os.readlink(name))  # noqa: PTH115 - as it is written
            continue
        if is_folder:
            path.mkdir()
        else:
            path.touch()
        mount(name, str(path), flags=MS_BIND | MS_REC)
    os.fchdir(host)
    os.close(hidden)
    os.close(host)


def _detach_host() -> None:
    call("detach the host's files", libc.umount2(b".", MNT_DETACH))
    os.chdir("/")


def _turn_loopback_on() -> None:
    """Enable the loopback interface, the only one in the sandbox's network."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        name = struct.pack("16sh14x", b"lo", 0)
        (flags,) = struct.unpack("16xh14x", fcntl.ioctl(any_socket, SIOCGIFFLAGS, name))
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", flags | IFF_UP))


def _become(plan: dict[str, Any], first_own: int) -> None:
    """Give up all rights permanently, and run the entrypoint as the sandbox's process 1.

    It gets no descriptor from ``first_own`` on.
    """
    # Leaves the parent's session keyring. If the kernel has none, or a surrounding container
    # refuses the call, no keyring is accessible anyway.
    libc.syscall(_KEYCTL, KEYCTL_JOIN_SESSION_KEYRING, None)
    name = plan["hostname"].encode()
    call("set the host name", libc.sethostname(name, len(name)))
    user = plan["user_id"]
    if plan["own_users"]:
        call("make a user namespace", libc.unshare(CLONE_NEWUSER))
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{user} 0 1")
        Path("/proc/self/gid_map").write_text(f"{user} 0 1")
        drop_bounding_set()
    else:
        drop_bounding_set()
        os.setgroups([])
        os.setresgid(user, user, user)
        os.setresuid(user, user, user)
    call("refuse new rights", libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
    # A change of user resets it; without it, a sandbox would outlive its keeper.
    call("tie to the keeper", libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NPROC, (plan["processes"], plan["processes"]))
    for number in (
        signal.SIGPIPE,
        signal.SIGXFSZ,
    ):  # Python ignores these signals, and exec would inherit that
        signal.signal(number, signal.SIG_DFL)
    for opened in os.listdir("/proc/self/fd"):  # noqa: PTH208
        if int(opened) >= first_own:
            libc.fcntl(int(opened), 2, 1)  # F_SETFD, FD_CLOEXEC; one of them lists this folder
    os.umask(0o022)
    os.chdir(plan["working_directory"])
    _filter_calls(bytes.fromhex(plan["filter"]))
    os.execvpe(plan["entrypoint"][0], plan["entrypoint"], plan["environment"])  # noqa: S606


def _filter_calls(program: bytes) -> None:
    """Install the filter of system calls; without a program, this processor has none."""
    if not program:
        return
    held = ctypes.create_string_buffer(program, len(program))
    form = struct.pack("HP", len(program) // 8, ctypes.addressof(held))
    done = libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, form, 0, 0)
    call("filter system calls", done)


def drop_bounding_set() -> None:
    """Prevent programs started from now on from gaining capabilities."""
    for capability in range(64):
        if libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) != 0:
            return  # the kernel has no further capabilities


def _mount_tmpfs(target: str, options: str, flags: int, *, devices: bool = False) -> None:
    flags |= MS_NOSUID if devices else MS_NOSUID | MS_NODEV
    mount("tmpfs", target, "tmpfs", flags, options)


def make_read_only(target: str, *, devices: bool = False) -> None:
    """Make a mount read-only, without set-uid programs, and without devices unless requested."""
    _restrict(target, MS_RDONLY, devices=devices)


def _restrict(target: str, flags: int, *, devices: bool = False) -> None:
    found = os.statvfs(target).f_flag
    kept = sum(mount_flag for flag, mount_flag in _KEPT_FLAGS if found & flag)
    flags |= MS_REMOUNT | MS_BIND | kept | MS_NOSUID
    mount("none", target, flags=flags if devices else flags | MS_NODEV)


def mount(source: str, target: str, kind: str = "none", flags: int = 0, options: str = "") -> None:
    """Mount a file system, or a folder of one at another place.

    Raises:
        OSError: with the source and target of the mount.
    """
    result = libc.mount(
        os.fsencode(source),
        os.fsencode(target),
        kind.encode(),
        ctypes.c_ulong(flags),
        options.encode(),
    )
    call(f"mount {source} at {target}", result)


def call(doing: str, result: int) -> None:
    """Raise the error of a call into the C library, with its purpose."""
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), doing)


if __name__ == "__main__":
    main(Path(sys.argv[1]), [int(number) for number in sys.argv[2:]])
