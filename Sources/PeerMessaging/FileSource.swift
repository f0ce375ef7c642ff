import EdgeCore
public import FileTransfer
public import LinuxIO
import SecureTransport

/// A file to be sent, or bytes made for the occasion such as a listing.
public final class FileSource {
  public let name: String
  public let type: String
  public let size: UInt64
  public let sha256: [UInt8]
  /// Unix seconds.
  public let modified: Int64

  private enum Content {
    case file(RandomAccessFile, Folder.Facts)
    case bytes([UInt8])
  }

  private let content: Content

  public init(name: String, type: String, file: RandomAccessFile, facts: Folder.Facts, sha256: [UInt8]) {
    self.name = name
    self.type = type
    size = facts.size
    modified = facts.modified
    self.sha256 = sha256
    content = .file(file, facts)
  }

  public init(name: String, type: String, bytes: [UInt8], modified: Int64) {
    self.name = name
    self.type = type
    size = UInt64(bytes.count)
    self.modified = modified
    let digest = SHA256Digest()
    digest.update(bytes)
    sha256 = digest.finish()
    content = .bytes(bytes)
  }

  /// Exactly `count` bytes; `nil` when the file is no longer what it was.
  public func read(at offset: UInt64, count: Int) -> [UInt8]? {
    switch content {
    case .bytes(let bytes): return Array(bytes[Int(offset)..<Int(offset) + count])
    case .file(let file, let facts):
      guard let bytes = try? file.read(at: offset, count: count), bytes.count == count else { return nil }
      // Looked at with the last piece too: a file written to meanwhile would not have the hash that was promised.
      if offset + UInt64(count) == size, file.facts?.identity != facts.identity { return nil }
      return bytes
    }
  }

  public var selector: FileSelector { FileSelector(name: name, type: type, size: size, sha256: sha256) }

  /// By the ending of its name (RFC 2046 §4.5.1 for all others).
  public static func type(of name: String) -> String {
    let ending = ASCII.lowercased(
      String(decoding: Array(name.utf8).split(separator: UInt8(ascii: ".")).last ?? [], as: UTF8.self))
    switch ending {
    case "png": return "image/png"
    case "jpg", "jpeg": return "image/jpeg"
    case "mjpeg", "mjpg": return "video/x-motion-jpeg"
    case "mp4": return "video/mp4"
    case "mkv": return "video/x-matroska"
    case "h264": return "video/h264"
    case "txt", "log": return "text/plain"
    case "json": return "application/json"
    default: return "application/octet-stream"
    }
  }
}

/// Reads a whole file and computes its SHA-256, on a thread of its own.
public final class FileHasher {
  private var mailbox: Mailbox<Result<[UInt8], FileError>>?
  private let flag = Flag()

  private final class Flag: @unchecked Sendable {
    private let lock = Lock()
    private var isSet = false

    func set() { lock.withLock { isSet = true } }
    var value: Bool { lock.withLock { isSet } }
  }

  /// `completion` is called once, unless ``cancel()`` comes before. `nil` when there is no thread to be had.
  public init?(
    reactor: Reactor, _ file: RandomAccessFile, _ completion: @escaping (Result<[UInt8], FileError>) -> Void
  ) {
    guard
      let made = try? Mailbox<Result<[UInt8], FileError>>(
        reactor: reactor, capacity: 1,
        onMessage: { [unowned(unsafe) self] result in
          cancel()
          completion(result)
        })
    else { return nil }
    mailbox = made
    let flag = flag
    let thread = try? Thread(name: "hash") {
      let digest = SHA256Digest()
      var offset: UInt64 = 0
      do throws(FileError) {
        while !flag.value {
          let bytes = try file.read(at: offset, count: 256 << 10)
          if bytes.isEmpty { break }
          digest.update(bytes)
          offset += UInt64(bytes.count)
        }
        made.post(.success(digest.finish()))
      } catch {
        made.post(.failure(error))
      }
    }
    guard thread != nil else {
      made.close()
      return nil
    }
  }

  public func cancel() {
    flag.set()
    mailbox?.close()
    mailbox = nil
  }

  deinit { cancel() }
}
