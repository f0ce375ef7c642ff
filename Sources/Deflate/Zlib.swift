internal import CZlib

/// Why zlib refused.
public enum ZlibError: Error, Hashable, Sendable {
  /// Not a zlib stream, or damaged (`Z_DATA_ERROR`, `Z_NEED_DICT`).
  case damaged
  /// The stream ends before its end marker.
  case truncated
  /// The output would pass the limit given.
  case tooLong(limit: Int)
  /// zlib could not get memory.
  case outOfMemory
}

/// Whole-buffer zlib streams (RFC 1950) through the system's zlib.
public enum Zlib {
  /// Compresses at `level` 0 (stored) to 9 (smallest). Never fails short of memory running out,
  /// which traps: the output of a picture is bounded and small.
  public static func deflate(_ bytes: [UInt8], level: Int = 6) -> [UInt8] {
    precondition((0...9).contains(level), "zlib levels are 0 to 9")
    var length = compressBound(UInt(bytes.count))
    return [UInt8](unsafeUninitializedCapacity: Int(length)) { output, count in
      let code = compress2(output.baseAddress, &length, bytes, UInt(bytes.count), Int32(level))
      precondition(code == Z_OK, "zlib out of memory")
      count = Int(length)
    }
  }

  /// Decompresses one stream that fills `bytes` exactly, into at most `limit` bytes.
  public static func inflate(_ bytes: [UInt8], limit: Int) throws(ZlibError) -> [UInt8] {
    let (output, used) = try inflatePrefix(bytes, limit: limit)
    guard used == bytes.count else { throw .damaged }
    return output
  }

  /// Decompresses the stream at the start of `bytes`, and says how many bytes it took.
  public static func inflatePrefix(
    _ bytes: [UInt8], limit: Int
  ) throws(ZlibError) -> (output: [UInt8], used: Int) {
    guard bytes.count <= Int(UInt32.max), limit < Int(UInt32.max) else { throw .tooLong(limit: limit) }
    var stream = z_stream()
    guard inflateInit_(&stream, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size)) == Z_OK else { throw .outOfMemory }
    defer { inflateEnd(&stream) }
    var output: [UInt8] = []
    var code = Z_OK
    // Grown by doubling, not reserved up front: a short stream must not cost the limit.
    var capacity = min(limit + 1, max(4096, bytes.count * 4))
    var input = bytes
    input.withUnsafeMutableBufferPointer { source in
      stream.next_in = source.baseAddress
      stream.avail_in = UInt32(source.count)
      while true {
        let done = output.count
        output.append(contentsOf: repeatElement(0, count: capacity - done))
        output.withUnsafeMutableBufferPointer { target in
          stream.next_out = target.baseAddress! + done
          stream.avail_out = UInt32(target.count - done)
          code = CZlib.inflate(&stream, Z_NO_FLUSH)
        }
        output.removeLast(Int(stream.avail_out))
        guard code == Z_OK, stream.avail_out == 0, output.count <= limit else { return }
        capacity = min(limit + 1, capacity * 2)
      }
    }
    guard output.count <= limit else { throw .tooLong(limit: limit) }
    switch code {
    case Z_STREAM_END: return (output, bytes.count - Int(stream.avail_in))
    case Z_OK, Z_BUF_ERROR: throw .truncated
    case Z_MEM_ERROR: throw .outOfMemory
    default: throw .damaged
    }
  }
}
