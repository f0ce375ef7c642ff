"""Where the C headers and static libraries of an architecture are.

This machine's own are used as they are. For a foreign one the Debian packages that own the same
libraries here are downloaded and unpacked (never installed) into Firmware/sysroot/ARCH.
"""

import dataclasses
import hashlib
import os
import pathlib
import platform
import shutil
import subprocess

HERE = pathlib.Path(__file__).resolve().parent
DEBIAN = {"x86_64": ("amd64", "x86_64-linux-gnu"), "arm64": ("arm64", "aarch64-linux-gnu")}
NATIVE = {"x86_64": "x86_64", "aarch64": "arm64"}.get(platform.machine())

# The C library, the kernel's headers, and the compiler's start files and support library.
BASE = ["libc6-dev", "linux-libc-dev", "libgcc-12-dev", "libcrypt-dev"]


class Failure(Exception):
    """The libraries cannot be had; the text says what to do."""


@dataclasses.dataclass
class Root:
    """What compiler and linker need to know. `stamp` changes when the packages do."""

    include_folders: list
    library_folder: pathlib.Path
    link_flags: list
    stamp: str

    def without_unwind_tables(self, libraries, folder):
        """Copies the static archives without `.eh_frame`, and returns the folder they are in.

        Nothing in the firmware unwinds a stack (there are no C++ exceptions, and no thread is
        cancelled or leaves by pthread_exit), and the tables are a tenth of the program.
        """
        record = folder / "stamp"
        text = self.stamp + " ".join(libraries)
        if record.exists() and record.read_text() == text:
            return folder
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        for library in libraries:
            name = f"lib{library}.a"
            output("llvm-objcopy", "--remove-section=.eh_frame", "--remove-section=.rela.eh_frame",
                   str(self.library_folder / name), str(folder / name))
        record.write_text(text)
        return folder


def output(*arguments, cwd=None):
    done = subprocess.run(arguments, cwd=cwd, capture_output=True, text=True)
    if done.returncode != 0:
        raise Failure(f"{' '.join(map(str, arguments))}\nexited with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout


def owner(library):
    """The installed package that holds this machine's static archive of `library`."""
    triple = DEBIAN[NATIVE][1]
    archive = f"/usr/lib/{triple}/lib{library}.a"
    if not os.path.exists(archive):
        raise Failure(f"{archive} is missing. `make packages` installs what is needed.")
    return output("dpkg", "-S", archive).split(":")[0]


def ensure(arch, libraries):
    debian, triple = DEBIAN[arch]
    packages = [*BASE, *sorted({owner(library) for library in libraries})]
    if arch == NATIVE:
        versions = output("dpkg-query", "-W", "-f", "${Package} ${Version}\\n", *packages)
        return Root(include_folders=[], library_folder=pathlib.Path(f"/usr/lib/{triple}"), link_flags=[], stamp=versions)
    root = HERE / "sysroot" / arch
    stamp = unpack(root, [f"{package}:{debian}" for package in packages])
    include = root / "usr" / "include"
    return Root(
        include_folders=[include / triple, include],
        library_folder=root / "usr" / "lib" / triple,
        link_flags=[f"--sysroot={root}", f"-B{root}/usr/lib/{triple}", f"-L{root}/usr/lib/{triple}"],
        stamp=stamp)


def unpack(root, packages):
    """Downloads and unpacks what is not there yet; returns a text naming the unpacked set."""
    wanted = hashlib.sha256("\n".join(packages).encode()).hexdigest()
    record = root / "unpacked"
    if record.exists() and record.read_text().split("\n")[0] == wanted:
        return record.read_text()
    debian = packages[0].split(":")[1]
    if debian not in output("dpkg", "--print-foreign-architectures").split():
        raise Failure(f"this machine's apt does not know {debian}. `make packages` adds it.")
    shutil.rmtree(root, ignore_errors=True)
    downloads = root / "packages"
    downloads.mkdir(parents=True)
    output("apt-get", "-o", "APT::Sandbox::User=root", "download", *packages, cwd=downloads)
    names = sorted(downloads.glob("*.deb"))
    for name in names:
        output("dpkg-deb", "-x", name, root)
    shutil.rmtree(downloads)
    record.write_text("\n".join([wanted, *[name.name for name in names], ""]))
    return record.read_text()
