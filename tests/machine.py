"""A virtual machine on this root with Debian's kernel: what the lab cannot be, a systemd with limits by cgroup v2.

`python -m tests.machine COMMAND…` boots it, runs the command in /opt/supervise, gives its output and ends with its
code. It is emulated, so that it needs no KVM, and a boot takes a minute and a half: for recordings by hand, not for
tests. Needs root, overlayfs and the Debian packages of PACKAGES.
"""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.lab import CHECKOUT, HOME, MASKED

PACKAGES = ("qemu-system-x86", "linux-image-amd64", "initramfs-tools")
TIMEOUT = 900.0
UNIT = """\
[Unit]
After=multi-user.target
[Service]
Type=oneshot
WorkingDirectory={home}
ExecStart=/bin/sh -c '{command} >/result/stdout 2>/result/stderr; echo $$? >/result/code; sync'
ExecStopPost=/bin/systemctl poweroff --no-block
"""


def run(argv: list[str], base: Path) -> int:
    kernel = max(Path("/lib/modules").iterdir()).name
    root = base / "merged"
    lay_out(base, shlex.join(argv))
    shutil.copytree("/etc/initramfs-tools", base / "initramfs")
    with (base / "initramfs/modules").open("a") as modules:
        modules.write("9p\n9pnet_virtio\nvirtio_pci\n")
    call("mkinitramfs", "-d", base / "initramfs", "-o", base / "initrd", kernel)
    share = f"local,path={root},mount_tag=root,security_model=passthrough,multidevs=remap"
    mounted = "trans=virtio,version=9p2000.L,msize=524288,cache=loose"
    options = f"root=root rootfstype=9p rootflags={mounted} rw console=ttyS0 quiet"
    machine = ["-accel", "tcg,thread=multi", "-cpu", "max", "-m", "2048", "-smp", "2", "-nic", "none", "-virtfs", share]
    system = ["-kernel", f"/boot/vmlinuz-{kernel}", "-initrd", str(base / "initrd"), "-append", options]
    with (base / "console").open("wb") as log:
        qemu = ["qemu-system-x86_64", "-nographic", "-no-reboot", *machine, *system]
        subprocess.run(qemu, stdin=subprocess.DEVNULL, stdout=log, stderr=log, timeout=TIMEOUT, check=True)
    result = base / "upper/result"
    if not (result / "code").exists():
        raise SystemExit(
            f"machine: it never ran the command:\n{(base / 'console').read_text(errors='replace')[-3000:]}"
        )
    sys.stdout.write((result / "stdout").read_text())
    sys.stderr.write((result / "stderr").read_text())
    return int((result / "code").read_text())


def lay_out(base: Path, command: str) -> None:
    upper = base / "upper"
    units = upper / "etc/systemd/system"
    for folder in (units / "default.target.wants", upper / "result", base / "work", base / "merged"):
        folder.mkdir(parents=True)
    for unit in MASKED:
        (units / unit).symlink_to("/dev/null")
    (units / "command.service").write_text(UNIT.format(home=HOME, command=command.replace("'", "'\\''")))
    (units / "default.target.wants/command.service").symlink_to("../command.service")
    (upper / "etc/fstab").write_text("")
    shutil.copytree(CHECKOUT, upper / str(HOME).lstrip("/"), symlinks=True)
    layers = f"lowerdir=/,upperdir={upper},workdir={base / 'work'}"
    call("mount", "-t", "overlay", "overlay", "-o", layers, base / "merged")


def call(*argv: str | Path) -> None:
    subprocess.run(argv, check=True, stdout=subprocess.DEVNULL)


def main() -> int:
    missing = [name for name in PACKAGES if not Path(f"/var/lib/dpkg/info/{name}.list").exists()]
    if missing:
        print(f"machine: first run apt-get install --no-install-recommends {' '.join(missing)}", file=sys.stderr)
        return 1
    base = Path(tempfile.mkdtemp(prefix="supervise-machine-", dir="/var/tmp"))
    call("mount", "-t", "tmpfs", "-o", "size=4g", "tmpfs", base)
    try:
        return run(sys.argv[1:], base)
    finally:
        subprocess.run(["umount", "-q", "-l", base / "merged"], check=False)
        subprocess.run(["umount", "-q", "-l", base], check=False)
        base.rmdir()


if __name__ == "__main__":
    raise SystemExit(main())
