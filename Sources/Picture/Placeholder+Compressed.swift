extension Placeholder {
  /// A baseline JPEG (ITU-T T.81) of one component, in which each block of 8x8 samples has one level.
  static func jpeg(_ format: PictureFormat) -> [UInt8] {
    let (w, h) = (format.width, format.height)
    func bytes(_ value: Int) -> [UInt8] { [UInt8(value >> 8), UInt8(value & 255)] }
    var file: [UInt8] = [0xFF, 0xD8]
    func segment(_ marker: UInt8, _ body: [UInt8]) { file += [0xFF, marker] + bytes(body.count + 2) + body }
    segment(0xE0, Array("JFIF".utf8) + [0, 1, 1, 0, 0, 1, 0, 1, 0, 0])
    // All steps are 8: a coefficient of a flat block is then its level less 128.
    segment(0xDB, [0] + [UInt8](repeating: 8, count: 64))
    segment(0xC0, [8] + bytes(h) + bytes(w) + [1, 1, 0x11, 0])
    // Differences of no or of 7 bits, as 0 and 10; then nothing but the end of the block, as 0.
    segment(0xC4, [0x00, 1, 1] + [UInt8](repeating: 0, count: 14) + [0, 7])
    segment(0xC4, [0x10, 1] + [UInt8](repeating: 0, count: 15) + [0])
    segment(0xDA, [1, 1, 0x00, 0, 63, 0])
    var bits = BitString(stuffing: .jpeg)
    let (columns, rows) = ((w + 7) / 8, (h + 7) / 8)
    var level = 0
    for row in 0..<rows {
      let left = row * (columns - 1) / max(1, rows - 1)
      for column in 0..<columns {
        let isCross = column == left || column == columns - 1 - left
        let next = isCross ? 0 : -96
        if next == level {
          bits.append(0b00, 2)
        } else {
          // F.1.2.1.1: a negative difference is sent less one.
          bits.append(0b10, 2)
          bits.append(next > level ? 96 : ~96 & 0x7F, 7)
          bits.append(0, 1)
        }
        level = next
      }
    }
    return file + bits.finished(padding: 1) + [0xFF, 0xD9]
  }

  /// An access unit in the byte stream format (ITU-T H.264 Annex B) that needs no other: parameter sets, and one slice of
  /// blocks predicted from nothing, which is mid grey.
  static func h264(_ format: PictureFormat) -> [UInt8] {
    let (columns, rows) = ((format.width + 15) / 16, (format.height + 15) / 16)
    // 7.3.2.1: baseline profile, level 5.1.
    var sequence = BitString(stuffing: .h264)
    for byte in [66, 0xC0, 51] { sequence.append(byte, 8) }
    // Its number, 4 bits of frame number, output in the order of decoding, one reference, no gaps.
    for value in [0, 0, 2, 1] { sequence.golomb(value) }
    sequence.append(0, 1)
    sequence.golomb(columns - 1)
    sequence.golomb(rows - 1)
    // Frames only, 8x8 inference, cropped: left, right, top, bottom in steps of two samples; no further information.
    sequence.append(0b111, 3)
    for value in [0, (columns * 16 - format.width) / 2, 0, (rows * 16 - format.height) / 2] { sequence.golomb(value) }
    sequence.append(0b01, 2)
    // 7.3.2.2: everything plain.
    var picture = BitString(stuffing: .h264)
    picture.append(0b11_00_1_1_1_0_00_1_1_1_000, 16)
    picture.append(1, 1)
    // 7.3.3: the whole picture, all of it intra, frame number 0 of an IDR picture.
    var slice = BitString(stuffing: .h264)
    for value in [0, 7, 0] { slice.golomb(value) }
    slice.append(0, 4)
    slice.golomb(0)
    slice.append(0b00, 2)
    slice.golomb(0)
    // Each block: Intra_16x16 by the mean of its neighbours, no residual.
    for _ in 0..<columns * rows { slice.append(0b00100_1_1_1, 8) }
    slice.append(1, 1)
    let start: [UInt8] = [0, 0, 0, 1]
    return start + [0x67] + sequence.finished(padding: 0) + start + [0x68] + picture.finished(padding: 0) + start + [
      0x65
    ]
      + slice.finished(padding: 0)
  }
}

/// Bits, the highest of a byte first.
private struct BitString {
  /// What keeps the bytes from looking like a marker.
  enum Stuffing { case jpeg, h264 }

  private let stuffing: Stuffing
  private var bytes: [UInt8] = []
  private var current = 0
  private var count = 0
  private var zeros = 0

  init(stuffing: Stuffing) { self.stuffing = stuffing }

  mutating func append(_ value: Int, _ width: Int) {
    for shift in (0..<width).reversed() {
      current = current << 1 | value >> shift & 1
      count += 1
      if count == 8 { flush() }
    }
  }

  /// H.264 clause 9.1, ue(v).
  mutating func golomb(_ value: Int) {
    let width = Int.bitWidth - (value + 1).leadingZeroBitCount
    append(0, width - 1)
    append(value + 1, width)
  }

  func finished(padding bit: Int) -> [UInt8] {
    var whole = self
    while whole.count > 0 { whole.append(bit, 1) }
    return whole.bytes
  }

  private mutating func flush() {
    let byte = UInt8(current)
    switch stuffing {
    case .jpeg: bytes += byte == 0xFF ? [0xFF, 0] : [byte]
    case .h264:
      // 7.4.1: no two zero bytes before one of at most 3.
      if zeros >= 2, byte <= 3 {
        bytes.append(3)
        zeros = 0
      }
      bytes.append(byte)
      zeros = byte == 0 ? zeros + 1 : 0
    }
    current = 0
    count = 0
  }
}
