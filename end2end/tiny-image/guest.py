"""A QEMU guest booted from an image, as the checks see it: serial line, agent, monitor.

Used by `check` only. Nothing here reaches the network: QEMU's user-mode network runs restricted, with one
port forwarded from 127.0.0.1 to the guest's SSH server.
"""

import base64
import itertools
import json
import re
import shutil
import socket
import subprocess
import threading
import time
from pathlib import Path

# Ends what hangs, in seconds. Nothing is measured by it: on a computer that is also compiling, everything takes longer.
PATIENCE = 300.0

OVMF_CODE = Path("/usr/share/OVMF/OVMF_CODE_4M.fd")
OVMF_VARS = Path("/usr/share/OVMF/OVMF_VARS_4M.fd")


class Timeout(Exception):
    """Something that had to happen did not happen in time."""


def run(*argv, check=True, **options):
    """Run a program to its end and return it with its output as text."""
    done = subprocess.run([str(word) for word in argv], capture_output=True, text=True, **options)
    if check and done.returncode != 0:
        raise RuntimeError(f"{argv[0]} failed with {done.returncode}: {done.stderr.strip()[-2000:]}")
    return done


def until(what, condition):
    """Ask again until the condition gives something true, and return that."""
    deadline = time.monotonic() + PATIENCE
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise Timeout(f"not within {PATIENCE:.0f} s: {what}")
        threading.Event().wait(0.1)


def connect(path, process):
    """Open one of QEMU's sockets, which appear shortly after its start."""
    deadline = time.monotonic() + PATIENCE
    while True:
        link = socket.socket(socket.AF_UNIX)
        try:
            link.connect(str(path))
            return link
        except (FileNotFoundError, ConnectionRefusedError):
            link.close()
            if process.poll() is not None:
                raise RuntimeError(f"QEMU ended with {process.returncode}: {process.stderr.read()}") from None
            if time.monotonic() > deadline:
                raise
            threading.Event().wait(0.02)


class Serial:
    """The serial line: everything read so far, and waiting for more."""

    def __init__(self, link):
        self.link = link
        self.text = ""
        self.mark = 0
        self.news = threading.Condition()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        while chunk := self.link.recv(4096):
            with self.news:
                self.text += chunk.decode("utf-8", "replace")
                self.news.notify_all()

    def expect(self, pattern):
        """Wait until the pattern occurs after the last thing expected."""
        deadline = time.monotonic() + PATIENCE
        with self.news:
            while not (found := re.compile(pattern).search(self.text, self.mark)):
                left = deadline - time.monotonic()
                if left <= 0:
                    raise Timeout(f"no {pattern!r} on the serial line; it ends with {self.text[-600:]!r}")
                self.news.wait(left)
            self.mark = found.end()
            return found

    def send(self, line):
        self.link.sendall(line.encode() + b"\r")


class Agent:
    """QEMU's guest agent: one JSON object per line, either way."""

    def __init__(self, link):
        self.link = link
        self.stream = link.makefile("r", encoding="utf-8", errors="replace")
        self.ids = itertools.count(int(time.time()))

    def sync(self):
        """Wait for the agent to listen. Answers to earlier attempts are thrown away."""
        self.link.settimeout(PATIENCE)
        number = next(self.ids)
        self._send({"execute": "guest-sync", "arguments": {"id": number}})
        while self._receive().get("return") != number:
            pass

    def call(self, command, **arguments):
        self.link.settimeout(PATIENCE)
        self._send({"execute": command, "arguments": arguments})
        answer = self._receive()
        if "error" in answer:
            raise RuntimeError(f"{command}: {answer['error']['desc']}")
        return answer["return"]

    def tell(self, command, **arguments):
        """For commands that give no answer, such as guest-shutdown."""
        self._send({"execute": command, "arguments": arguments})

    def execute(self, *argv, data=b""):
        """Run a program in the guest; returns (exit status, its output and errors)."""
        options = {"input-data": base64.b64encode(data).decode()} if data else {}
        pid = self.call("guest-exec", path=argv[0], arg=list(argv[1:]), **{"capture-output": True}, **options)["pid"]

        def ended():
            status = self.call("guest-exec-status", pid=pid)
            return status if status["exited"] else None

        status = until(f"the end of {argv} in the guest", ended)
        text = "".join(base64.b64decode(status.get(key, "")).decode() for key in ("out-data", "err-data"))
        return status.get("exitcode", -1), text

    def shell(self, script):
        """Run a shell script in the guest; it must succeed."""
        code, text = self.execute("/bin/sh", "-c", script)
        if code != 0:
            raise RuntimeError(f"{script!r} in the guest failed with {code}: {text}")
        return text

    def read(self, path):
        handle = self.call("guest-file-open", path=path, mode="r")
        try:
            return base64.b64decode(self.call("guest-file-read", handle=handle)["buf-b64"]).decode()
        finally:
            self.call("guest-file-close", handle=handle)

    def write(self, path, text):
        handle = self.call("guest-file-open", path=path, mode="w")
        self.call("guest-file-write", handle=handle, **{"buf-b64": base64.b64encode(text.encode()).decode()})
        self.call("guest-file-close", handle=handle)

    def addresses(self):
        """All IPv4 addresses but the loopback's."""
        return {
            address["ip-address"]
            for interface in self.call("guest-network-get-interfaces")
            for address in interface.get("ip-addresses", [])
            if address["ip-address-type"] == "ipv4" and interface["name"] != "lo"
        }

    def _send(self, message):
        self.link.sendall(json.dumps(message).encode() + b"\n")

    def _receive(self):
        line = self.stream.readline()
        if not line:
            raise RuntimeError("the guest agent's socket was closed")
        return json.loads(line.lstrip("\ufffd\xff"))


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Guest:
    """A running machine. `disks` are qcow2 files, boot disk first; `folder` takes its sockets and firmware
    variables, so that using it again is starting the same machine again."""

    def __init__(self, folder, disks):
        folder.mkdir(exist_ok=True)
        nvram = folder / "nvram.fd"
        if not nvram.exists():
            shutil.copy(OVMF_VARS, nvram)
        self.name, self.port = folder.name, free_port()
        argv = ["qemu-system-x86_64", "-machine", "q35", "-accel", "tcg", "-cpu", "max", "-smp", "1", "-m", "256", "-nodefaults"]
        argv += ["-display", "none", "-no-user-config"]
        argv += ["-drive", f"if=pflash,format=raw,readonly=on,file={OVMF_CODE}"]
        argv += ["-drive", f"if=pflash,format=raw,file={nvram}"]
        for disk in disks:
            argv += ["-drive", f"if=virtio,format=qcow2,file={disk},cache=unsafe"]
        argv += ["-netdev", f"user,id=net,restrict=on,hostfwd=tcp:127.0.0.1:{self.port}-:22"]
        argv += ["-device", "virtio-net-pci,netdev=net", "-device", "virtio-rng-pci", "-device", "virtio-serial"]
        for name, device in (("serial", "isa-serial"), ("agent", "virtserialport"), ("monitor", None)):
            (folder / name).unlink(missing_ok=True)
            argv += ["-chardev", f"socket,id={name},path={folder / name},server=on,wait=off"]
            if device:
                port = ",name=org.qemu.guest_agent.0" if name == "agent" else ""
                argv += ["-device", f"{device},chardev={name}{port}"]
        argv += ["-mon", "chardev=monitor,mode=control"]
        self.process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        self.started = time.monotonic()
        try:
            self.serial = Serial(connect(folder / "serial", self.process))
            self.agent = Agent(connect(folder / "agent", self.process))
            self.monitor = connect(folder / "monitor", self.process)
            self.monitor.sendall(b'{"execute":"qmp_capabilities"}\n')
        except BaseException:
            # No `with` block closes it.
            self.__exit__(None, None, None)
            raise

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.process.stderr.close()

    def power_button(self):
        self.monitor.sendall(b'{"execute":"system_powerdown"}\n')

    def wait_off(self):
        """Wait for QEMU to end, which it does when the guest turns itself off; returns its exit status."""
        try:
            return self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            raise Timeout(f"still running after {PATIENCE:.0f} s; the serial line ends with {self.serial.text[-600:]!r}") from None

    def booted(self, hostname):
        """Wait for login prompt, agent and boot-complete; returns the seconds since QEMU's start."""
        self.serial.expect(rf"{hostname} login: ")
        self.agent.sync()
        until("boot-complete", lambda: self.agent.execute("/bin/test", "-s", "/run/snowglobe/boot-complete")[0] == 0)
        return time.monotonic() - self.started

    def ssh(self, key, user, command, seconds=PATIENCE):
        """Run a command over SSH; returns the finished ssh. The host key is recorded beside the key."""
        options = [
            f"UserKnownHostsFile={key.parent / 'known_hosts'}",
            "StrictHostKeyChecking=accept-new",
            f"HostKeyAlias={self.name}",
            "IdentitiesOnly=yes",
            "BatchMode=yes",
            f"ConnectTimeout={seconds:.0f}",
        ]
        words = [word for option in options for word in ("-o", option)]
        target = ["-F", "none", "-i", key, "-p", self.port, f"{user}@127.0.0.1"]
        return run("ssh", *words, *target, command, check=False, timeout=PATIENCE * 2)
