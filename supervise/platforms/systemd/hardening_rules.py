"""The table of sandbox directives: what each protects, what it costs, at which level, and where it works. Pure.

`standard` must run an unmodified program that writes beside itself, headless browsers and container tools included.
`strict` shows a read-only machine without homes, and scores ≤ 2.0 in `systemd-analyze security`.

Measured on systemd 252; `tests/e2e/test_hardening.py` proves the effects in the running process. What is not here:

- ProtectKernelTunables=, ProtectKernelLogs= and ProtectProc= in `standard`: they mount over parts of /proc, and then
  the kernel refuses a new /proc in a user namespace: bubblewrap and rootless podman fail.
- ProtectClock= in `standard`: up to 252 its DeviceAllow= shuts out every other device (systemd issue 18142).
- PrivateTmp= in `standard`: programs meet at sockets below /tmp (ipc:///tmp/feed), and would wait for ever.
- MemoryDenyWriteExecute= (JIT compilers), ProcSubset= (no /proc/meminfo), `~@resources` and `~@privileged` (CPU
  affinity, chown) in `strict`: 0.1 points each at most, and programs break.
- RemoveIPC=: it takes away the shared memory of the same user's other agents.
- PrivateUsers= in the system scope: what belongs to others belongs to nobody, and ssh refuses its configuration.
"""

from __future__ import annotations

from dataclasses import dataclass

from supervise.model import Hardening

STANDARD, STRICT = Hardening.STANDARD, Hardening.STRICT

NO_EFFECT = "without effect in the user scope"
NO_START = "the start fails in the user scope (226/NAMESPACE)"
NEEDS_PRIVATE_USERS = "without effect in the user scope, unless all that belongs to others is made to belong to nobody"


@dataclass(frozen=True, slots=True)
class Rule:
    """One directive of the table.

    `privileged`: an ordinary user's manager can do it only with PrivateUsers=. Without, 252 ignores mounts in silence,
    and PrivateDevices= and CapabilityBoundingSet= end the start with 218/CAPABILITIES.
    `missing`: why the user scope never has it. `user_only`: nobody but the user scope needs it.
    `since`: the first version that knows it.
    """

    name: str
    value: str
    why: str
    costs: str = ""
    levels: tuple[Hardening, ...] = (STANDARD, STRICT)
    privileged: bool = False
    missing: str = ""
    user_only: bool = False
    since: int = 0


RULES = (
    Rule("NoNewPrivileges", "yes", "nothing it starts gains rights", "sudo, su and other setuid programs"),
    Rule(
        "PrivateUsers",
        "yes",
        "without it the user scope ignores most of what follows",
        "telling other users apart: their files belong to nobody (ssh refuses its configuration)",
        (STRICT,),
        user_only=True,
    ),
    # --- Files
    Rule(
        "ProtectSystem",
        "full",
        "the system's own files are read-only",
        "writing below /usr, /boot and /etc, but in its own folder",
        (STANDARD,),
        privileged=True,
    ),
    Rule(
        "ProtectSystem",
        "strict",
        "all files are read-only",
        "writing anywhere but writable_paths",
        (STRICT,),
        privileged=True,
    ),
    # ProtectControlGroups= and the like give /run a mount of its own, and ProtectSystem=strict then leaves it writable.
    Rule("ReadOnlyPaths", "/run", "… below /run too", "PID files and sockets below /run", (STRICT,), privileged=True),
    Rule(
        "ProtectHome",
        "tmpfs",
        "homes look empty: no SSH keys, no tokens, no session bus",
        "settings and caches in the home (~/.config, ~/.cache)",
        (STRICT,),
        privileged=True,
    ),
    # 252 mounts these writable in spite of its manual: what was written there would be lost without an error.
    # (ReadOnlyPaths=/home instead would take the place of ProtectHome= and show the homes again.)
    # This one alone hides the homes as well; ProtectHome= is what `systemd-analyze security` looks for.
    Rule("TemporaryFileSystem", "/home:ro /root:ro /run/user:ro", "… and stay empty", "", (STRICT,), privileged=True),
    Rule(
        "PrivateTmp",
        "yes",
        "its own /tmp and /var/tmp",
        "meeting others in /tmp; finding its files there after a restart",
        (STRICT,),
        privileged=True,
    ),
    # --- Kernel and devices
    Rule(
        "PrivateDevices",
        "yes",
        "no devices but null, random and the like",
        "GPUs, serial ports, USB",
        (STRICT,),
        privileged=True,
    ),
    Rule("ProtectKernelModules", "yes", "no kernel modules are loaded or read", "", privileged=True),
    Rule(
        "ProtectKernelTunables",
        "yes",
        "sysctl is read-only",
        "containers inside it (podman, bubblewrap)",
        (STRICT,),
        privileged=True,
    ),
    Rule("ProtectKernelLogs", "yes", "the kernel's log stays unread", "dmesg", (STRICT,), missing=NO_START, since=244),
    Rule(
        "ProtectControlGroups", "yes", "cgroups are read-only", "containers with cgroups of their own", privileged=True
    ),
    Rule("ProtectClock", "yes", "the clock stays unset", "ntp_gettime()", (STRICT,), privileged=True, since=245),
    Rule("ProtectHostname", "yes", "the host keeps its name", "", (STRICT,), privileged=True, since=242),
    Rule(
        "ProtectProc",
        "invisible",
        "other users' processes stay unseen",
        "watching other users' processes (ps, psutil)",
        (STRICT,),
        missing=NO_EFFECT,
        since=247,
    ),
    # --- System calls
    Rule(
        "RestrictSUIDSGID", "yes", "it leaves no setuid program behind", "setgid folders (git init --shared)", since=242
    ),
    Rule("RestrictRealtime", "yes", "it cannot take a CPU for itself", "real-time threads (audio)"),
    Rule("LockPersonality", "yes", "no odd execution domains", "setarch; gdb without address randomisation"),
    Rule("SystemCallArchitectures", "native", "no second way into the kernel", "32-bit programs"),
    Rule(
        "RestrictAddressFamilies",
        "AF_UNIX AF_INET AF_INET6 AF_NETLINK",
        "no sockets but local, IP and netlink ones",
        "Bluetooth, CAN, vsock, raw packets",
        (STANDARD,),
    ),
    Rule(
        "RestrictAddressFamilies",
        "AF_UNIX AF_INET AF_INET6",  # without AF_UNIX its READY=1 never arrives
        "no sockets but local and IP ones",
        "listing network interfaces (netlink); Bluetooth, CAN, vsock, raw packets",
        (STRICT,),
    ),
    Rule(
        "RestrictNamespaces",
        "yes",
        "no namespaces, the usual first step out of a sandbox",
        "containers inside it; Chromium without --no-sandbox",
        (STRICT,),
    ),
    Rule(
        "SystemCallFilter",
        "@system-service",
        "no system calls but those that services make",
        "mount, ptrace, bpf, reboot, swap …",
        (STRICT,),
    ),
    Rule("SystemCallErrorNumber", "EPERM", "… a refused one is an error, not the end", "", (STRICT,)),
    Rule(
        "CapabilityBoundingSet",
        "",
        "no part of root's rights",
        "ports below 1024; as root: other users' files",
        (STRICT,),
        privileged=True,
    ),
)
