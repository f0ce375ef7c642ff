import EdgeCore
import Foundation
import LinuxIO
import Testing

@Suite("Files")
struct FileTests {
  @Test func `a whole file is read up to its limit, and refused beyond it`() throws {
    let directory = TemporaryDirectory()
    let path = directory.file("data")
    let data = pattern(200_000)
    try Data(data).write(to: URL(fileURLWithPath: path))
    #expect(try File.read(path, maxBytes: 200_000) == data)
    #expect(throws: FileError(path: path, kind: .tooLarge(maxBytes: 199_999))) {
      try File.read(path, maxBytes: 199_999)
    }
    #expect(try File.read("/proc/self/status", maxBytes: 1 << 20).isEmpty == false)
  }

  @Test func `what cannot be read says why`() throws {
    let directory = TemporaryDirectory()
    #expect(throws: FileError(path: "/nowhere/x", kind: .notFound)) { try File.read("/nowhere/x", maxBytes: 1) }
    #expect(throws: FileError(path: directory.path, kind: .notAFile)) { try File.read(directory.path, maxBytes: 1) }
    #expect("\(FileError(path: "/etc/x", kind: .notFound))" == "/etc/x: no such file or directory")
  }

  @Test func `an atomic write replaces the contents and sets the mode`() throws {
    let directory = TemporaryDirectory()
    let path = directory.file("state")
    try File.writeAtomically([1, 2, 3], to: path)
    #expect(try File.read(path, maxBytes: 10) == [1, 2, 3])
    try File.writeAtomically([4], to: path, mode: 0o640)
    #expect(try File.read(path, maxBytes: 10) == [4])
    #expect(try FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as? Int == 0o640)
    #expect(File.names(in: directory.path) == ["state"])
  }

  /// A file system of 64 KiB: needs the right to mount.
  @Test func `a full disk is told as such, and leaves the old contents`() throws {
    let directory = TemporaryDirectory()
    try #require(
      mount("tmpfs", directory.path, "tmpfs", 0, "size=64k") == 0,
      "this test mounts a small tmpfs and runs as root")
    defer { umount(directory.path) }
    let path = directory.file("state")
    try File.writeAtomically([1], to: path)
    #expect(throws: FileError(path: path, kind: .diskFull)) { try File.writeAtomically(pattern(1 << 20), to: path) }
    #expect(try File.read(path, maxBytes: 10) == [1])
    #expect(File.names(in: directory.path) == ["state"])
    let output = try OutputFile(directory.file("picture"))
    #expect(throws: FileError(path: output.path, kind: .diskFull)) { try output.write(pattern(1 << 20)) }
  }

  @Test func `missing parents are made, existing ones kept, and a file in the way is named`() throws {
    let directory = TemporaryDirectory()
    try File.makeDirectories(directory.file("a/b/c"), mode: 0o700)
    try File.makeDirectories(directory.file("a/b/c/"))
    #expect(File.isDirectory(directory.file("a/b/c")))
    try File.writeAtomically([1], to: directory.file("plain"))
    #expect(throws: FileError(path: directory.file("plain"), kind: .notAFile)) {
      try File.makeDirectories(directory.file("plain/x"))
    }
  }

  @Test func `an output file takes everything and a closed pipe is an error, not the end`() throws {
    let directory = TemporaryDirectory()
    let data = pattern(300_000)
    do {
      let output = try OutputFile(directory.file("out"))
      try output.write(data)
      try output.write([7])
    }
    #expect(try File.read(directory.file("out"), maxBytes: 1 << 20) == data + [7])
    #expect(throws: FileError.self) { try OutputFile(directory.file("missing/out")) }
    #expect(!File.exists(directory.file("missing")))
    try File.remove(directory.file("out"))
    try File.remove(directory.file("out"))
  }

  @Test func `the process knows itself`() throws {
    #expect(ProcessFacts.id == getpid())
    #expect(try #require(ProcessFacts.residentBytes) > 1 << 20)
    #expect(try #require(ProcessFacts.openDescriptors) > 2)
    #expect(ProcessFacts.system.hasPrefix("Linux "))
    #expect(ProcessFacts.environment("NO_SUCH_VARIABLE") == nil)
  }
}
