"""A virtual camera box: Debian's kernel, an image that holds init, `edge` and the kernel modules, QEMU.

The image has no shell and no other program. `vivid` is the kernel's own virtual camera.
"""

import dataclasses
import gzip
import lzma
import pathlib
import re
import shutil
import stat
import subprocess

import sysroot

HERE = pathlib.Path(__file__).resolve().parent
CACHE = HERE.parent / ".build-firmware"

# One capture device, /dev/video0, with its webcam input.
VIVID = "n_devs=1 node_types=0x1 num_inputs=1 input_types=0x0"
MODULES = {"virtio_pci": "", "virtio_net": "", "virtio_rng": "", "vivid": VIVID}

QEMU = {
    "x86_64": ["qemu-system-x86_64", "-machine", "q35,accel=tcg", "-cpu", "Nehalem"],
    "arm64": ["qemu-system-aarch64", "-machine", "virt,accel=tcg", "-cpu", "cortex-a57"],
}
CONSOLE = {"x86_64": "ttyS0", "arm64": "ttyAMA0"}


@dataclasses.dataclass
class Kernel:
    """A kernel image, and its modules in the order they are loaded."""

    image: pathlib.Path
    modules: list


def package(arch):
    """The real image package the `linux-image-ARCH` one depends on today."""
    debian = sysroot.DEBIAN[arch][0]
    text = sysroot.output("apt-cache", "depends", f"linux-image-{debian}:{debian}")
    found = re.search(r"Depends: (linux-image-[\w.-]+)", text)
    if not found:
        raise sysroot.Failure(f"apt does not know which kernel linux-image-{debian}:{debian} is:\n{text}"
                              "`make packages` lets apt read its lists.")
    return f"{found[1]}:{debian}"


def kernel(arch):
    """Debian's kernel for the architecture, downloaded and unpacked once (never installed)."""
    folder = CACHE / "kernels" / arch
    if not (folder / "order").exists():
        shutil.rmtree(folder, ignore_errors=True)
        whole = folder / "whole"
        whole.mkdir(parents=True)
        sysroot.output("apt-get", "-o", "APT::Sandbox::User=root", "download", package(arch), cwd=folder)
        (downloaded,) = folder.glob("*.deb")
        sysroot.output("dpkg-deb", "-x", downloaded, whole)
        (image,) = whole.glob("boot/vmlinuz-*")
        (folder / "kernel").write_bytes(unpacked(image.read_bytes()))
        order = []
        available = {path.name.removesuffix(".ko").replace("-", "_"): path for path in whole.rglob("*.ko")}
        for name in MODULES:
            add_module(name, available, order)
        for name in order:
            shutil.copy(available[name], folder / f"{name}.ko")
        shutil.rmtree(whole)
        downloaded.unlink()
        (folder / "order").write_text("\n".join(order))
    order = (folder / "order").read_text().split("\n")
    return Kernel(image=folder / "kernel", modules=[folder / f"{name}.ko" for name in order])


def unpacked(image):
    """The kernel inside a self-extracting x86 image: an emulated processor would take 4 s to unpack it."""
    at = image.find(b"\xfd7zXZ\0")
    if image[0x202:0x206] == b"HdrS" and at > 0:
        whole = lzma.LZMADecompressor().decompress(image[at:])
        if whole[:4] == b"\x7fELF":
            return whole
    return image


def add_module(name, available, order):
    """Appends a module after those it depends on, as its own header names them."""
    if name in order:
        return
    if name not in available:
        raise sysroot.Failure(f"the kernel package has no module {name}")
    found = re.search(rb"\0depends=([^\0]*)\0", available[name].read_bytes())
    for dependency in (found[1].decode() if found else "").split(","):
        if dependency:
            add_module(dependency.replace("-", "_"), available, order)
    order.append(name)


class Archive:
    """A cpio archive of the `newc` form, which is what the kernel unpacks as its first file system."""

    def __init__(self):
        self.parts = []
        self.names = set()

    def add(self, name, mode, data=b"", device=(0, 0)):
        parent = str(pathlib.PurePosixPath(name).parent)
        if parent != "." and parent not in self.names:
            self.folder(parent)
        self.names.add(name)
        fields = [len(self.names), mode, 0, 0, 1, 0, len(data), 0, 0, *device, len(name) + 1, 0]
        header = b"070701" + b"".join(b"%08X" % field for field in fields) + name.encode() + b"\0"
        self.parts += [header, bytes(-len(header) % 4), data, bytes(-len(data) % 4)]

    def folder(self, name):
        self.add(name, stat.S_IFDIR | 0o755)

    def file(self, name, data, mode=0o644):
        self.add(name, stat.S_IFREG | mode, data)

    def bytes(self):
        self.add("TRAILER!!!", 0)
        return gzip.compress(b"".join(self.parts), compresslevel=1)


@dataclasses.dataclass
class Guest:
    """What is in one image. `program` is the argument vector init keeps running."""

    arch: str
    program: list
    # Name in the image -> content; what is under /bin may be run.
    files: dict = dataclasses.field(default_factory=dict)
    address: str = "10.0.2.15/24"
    gateway: str = "10.0.2.2"
    once: bool = False
    vivid: str = VIVID
    extra: list = dataclasses.field(default_factory=list)

    def image(self, path, edge=None):
        """Writes the compressed image to `path`."""
        archive = Archive()
        archive.add("dev/console", stat.S_IFCHR | 0o600, device=(5, 1))
        archive.file("init", (HERE / "out" / f"init-{self.arch}").read_bytes(), 0o755)
        archive.file("bin/edge", (edge or HERE / "out" / f"edge-{self.arch}").read_bytes(), 0o755)
        lines = []
        for module in kernel(self.arch).modules:
            archive.file(f"modules/{module.name}", module.read_bytes())
            parameters = self.vivid if module.stem == "vivid" else MODULES.get(module.stem, "")
            lines.append(f"load /modules/{module.name} {parameters}".rstrip())
        lines += ["folder /run/edge", "folder /var/lib/edge", "host edge-guest", f"address eth0 {self.address}"]
        lines += [f"route {self.gateway}"] if self.gateway else []
        lines += [*self.extra, f"{'once' if self.once else 'run'} {' '.join(self.program)}", ""]
        archive.file("etc/init.conf", "\n".join(lines).encode())
        for name, data in self.files.items():
            archive.file(name.lstrip("/"), data if isinstance(data, bytes) else data.encode(),
                         0o755 if name.startswith("/bin/") else 0o644)
        path.write_bytes(archive.bytes())
        return path

    def command(self, image, network=None):
        """QEMU's argument vector. The serial console is its standard input and output."""
        network = network or ["-netdev", "user,id=net0,ipv6=off"]
        return [
            *QEMU[self.arch], "-m", "256", "-smp", "1", "-display", "none", "-monitor", "none", "-serial", "stdio",
            "-no-reboot", "-nodefaults", "-kernel", str(kernel(self.arch).image), "-initrd", str(image),
            "-append", f"console={CONSOLE[self.arch]} quiet panic=-1 random.trust_cpu=on",
            *network, "-device", "virtio-net-pci,netdev=net0,romfile=", "-device", "virtio-rng-pci"]


def prepare(arch):
    """Everything a guest needs except `edge` itself."""
    kernel(arch)
    for product in ("init", "poke"):
        subprocess.run([str(HERE / "build"), "--arch", arch, "--package", str(HERE / "Init"), "--product", product,
                        "--output-folder", str(HERE / "out")], check=True)
