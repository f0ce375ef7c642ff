internal import CLinux

/// A small file only its owner may read.
enum PrivateFile {
  static let maximumBytes = 65_536

  /// `nil` when there is no such file.
  static func read(_ path: String) throws(SecureTransportError) -> [UInt8]? {
    guard let file = fopen(path, "re") else {
      let code = edge_errno()
      guard code != ENOENT else { return nil }
      throw .file(path: path, doing: "read", errno: code)
    }
    defer { fclose(file) }
    // A backup tool or a careless copy may have opened it up: close it again, and never mind if that fails.
    _ = fchmod(fileno(file), 0o600)
    let bytes = [UInt8](unsafeUninitializedCapacity: maximumBytes) { buffer, count in
      count = fread(buffer.baseAddress, 1, maximumBytes, file)
    }
    guard ferror(file) == 0 else { throw .file(path: path, doing: "read", errno: edge_errno()) }
    return bytes
  }

  /// Writes the whole file with mode 0600 or leaves what was there: power may fail at any point.
  static func write(_ bytes: [UInt8], to path: String, in directory: String) throws(SecureTransportError) {
    try makeDirectory(directory)
    var template = Array("\(path).XXXXXX".utf8CString)
    // mkstemp makes the file with mode 0600 whatever the umask.
    let descriptor = template.withUnsafeMutableBufferPointer { mkstemp($0.baseAddress!) }
    guard descriptor >= 0 else { throw .file(path: path, doing: "make", errno: edge_errno()) }
    var written = 0
    var code: Int32 = 0
    while written < bytes.count, code == 0 {
      let count = bytes.withUnsafeBytes { CLinux.write(descriptor, $0.baseAddress! + written, $0.count - written) }
      if count > 0 { written += count } else if edge_errno() != EINTR { code = count < 0 ? edge_errno() : EIO }
    }
    if code == 0, fsync(descriptor) != 0 { code = edge_errno() }
    if close(descriptor) != 0, code == 0 { code = edge_errno() }
    if code == 0, rename(template, path) != 0 { code = edge_errno() }
    guard code == 0 else {
      unlink(template)
      throw .file(path: path, doing: "write", errno: code)
    }
    // Without this the new name may be lost with the power although the file's bytes are safe.
    if let handle = fopen(directory, "re") {
      fsync(fileno(handle))
      fclose(handle)
    }
  }

  /// Makes the directory, and those above it, with mode 0700.
  private static func makeDirectory(_ path: String) throws(SecureTransportError) {
    let bytes = Array(path.utf8)
    for end in bytes.indices.dropFirst() where bytes[end] == UInt8(ascii: "/") {
      mkdir(String(decoding: bytes[..<end], as: UTF8.self), 0o700)
    }
    guard mkdir(path, 0o700) != 0 else { return }
    let code = edge_errno()
    guard code == EEXIST else { throw .file(path: path, doing: "make the directory", errno: code) }
  }
}
