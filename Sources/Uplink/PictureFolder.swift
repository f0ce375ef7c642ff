import EdgeCore
public import LinuxIO

/// A folder of pictures that takes up a bounded part of the disk: the oldest make room.
public final class PictureFolder {
  public static let maximumBytes = 64 << 20

  public let path: String
  private let limit: Int
  /// Oldest first.
  private var pictures: [(name: String, bytes: Int)] = []
  private var bytes = 0

  /// Makes the folder when there is none. Names begin with the time, so that their order is that of their age.
  public init(_ path: String, limit: Int = PictureFolder.maximumBytes) throws(FileError) {
    self.path = path
    self.limit = limit
    try File.makeDirectories(path, mode: 0o700)
    for name in File.names(in: path) ?? [] {
      let size = File.size(path + "/" + name) ?? 0
      pictures.append((name, size))
      bytes += size
    }
  }

  /// Keeps a picture; returns its path. A file that is there already is not written over.
  ///
  /// - Parameter name: letters, digits, '-', '_' and '.'.
  public func keep(_ picture: [UInt8], name: String, suffix: String) throws(FileError) -> String {
    while bytes + picture.count > limit, !pictures.isEmpty {
      let oldest = pictures.removeFirst()
      bytes -= oldest.bytes
      try File.remove(path + "/" + oldest.name)
    }
    var full = name + suffix
    var number = 2
    while File.exists(path + "/" + full), number < 10 {
      full = name + "-\(number)" + suffix
      number += 1
    }
    guard !File.exists(path + "/" + full) else { throw FileError(path: path + "/" + full, kind: .notAllowed) }
    try File.writeAtomically(picture, to: path + "/" + full, mode: 0o600)
    pictures.append((full, picture.count))
    bytes += picture.count
    return path + "/" + full
  }
}
