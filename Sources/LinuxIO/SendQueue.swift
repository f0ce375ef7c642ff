/// Bytes a stream has not handed to the kernel yet, first in first out.
struct SendQueue {
  private var chunks: [[UInt8]] = []
  private var head = 0
  /// Bytes of the first chunk already sent.
  private var offset = 0
  private(set) var count = 0

  /// Small writes are joined up to this size, so that each system call carries something.
  private static let joinedBytes = 16 * 1024

  mutating func append(_ bytes: RawSpan) {
    guard bytes.byteCount > 0 else { return }
    count += bytes.byteCount
    bytes.withUnsafeBytes { source in
      let last = chunks.count - 1
      if last > head, chunks[last].count + source.count <= Self.joinedBytes {
        chunks[last].append(contentsOf: source)
      } else {
        chunks.append([UInt8](source))
      }
    }
  }

  /// Hands the front bytes to `body`, which returns how many of them it took.
  mutating func consume<E: Error>(_ body: (UnsafeRawBufferPointer) throws(E) -> Int) throws(E) {
    guard head < chunks.count else { return }
    let chunk = chunks[head]
    let taken = try chunk.span.bytes.withUnsafeBytes { (bytes: UnsafeRawBufferPointer) throws(E) -> Int in
      try body(UnsafeRawBufferPointer(rebasing: bytes[offset...]))
    }
    offset += taken
    count -= taken
    guard offset == chunk.count else { return }
    chunks[head] = []
    offset = 0
    head += 1
    if head == chunks.count {
      chunks.removeAll()
      head = 0
    } else if head >= 64 {
      chunks.removeFirst(head)
      head = 0
    }
  }

  mutating func removeAll() { self = SendQueue() }
}
