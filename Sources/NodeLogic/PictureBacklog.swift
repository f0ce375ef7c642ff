public import EdgeCore

/// The last key frame of an encoder and the pictures made since, for a viewer that comes before the next key frame may
/// be made.
///
/// Bounded: what is too much to be sent at once is not kept, and that viewer waits for the next key frame.
public struct PictureBacklog<Picture: Sendable>: Sendable {
  /// Bytes of the pictures since the key frame. A tenth of a second of a large camera; a second of 8 Mbit/s.
  public static var standardBytes: Int { 1 << 20 }

  public let maximumBytes: Int
  /// Each builds on the one before, the first on none; none when there is nothing to go on from.
  public private(set) var pictures: [Picture] = []
  /// When the first of them was made.
  private var began = Instant.zero
  private var bytes = 0

  public init(maximumBytes: Int = Self.standardBytes) { self.maximumBytes = maximumBytes }

  /// To be told of every picture of the encoder, in order.
  public mutating func add(_ picture: Picture, isKey: Bool, bytes: Int, at now: Instant) {
    if isKey {
      pictures = [picture]
      began = now
      self.bytes = 0
    } else if !pictures.isEmpty {
      self.bytes += bytes
      if self.bytes > maximumBytes { removeAll() } else { pictures.append(picture) }
    }
  }

  /// For an encoder that makes a key frame when asked to: after `age` a new one is to be had, smaller than all of this.
  public mutating func expire(after age: Duration, at now: Instant) {
    if !pictures.isEmpty, now - began >= age { removeAll() }
  }

  public mutating func removeAll() {
    pictures = []
    bytes = 0
  }
}
