/// What a picture looks like from afar: the mean brightness of a few cells, in which a sensor's noise has no part.
public struct Look: Hashable, Sendable {
  public static let columns = 16
  public static let rows = 12
  /// Row by row, 0 to 255.
  public let cells: [UInt8]

  /// - Parameter cells: ``columns`` times ``rows``.
  public init(cells: [UInt8]) {
    precondition(cells.count == Self.columns * Self.rows, "a look has \(Self.columns) by \(Self.rows) cells")
    self.cells = cells
  }

  /// Samples one plane of 8-bit brightness, at most 8 by 8 samples of each cell.
  ///
  /// - Parameters:
  ///   - offset: of the first sample.
  ///   - step: bytes from a sample to the next.
  ///   - rowBytes: bytes from a row to the next.
  public init?(_ picture: RawSpan, width: Int, height: Int, offset: Int, step: Int, rowBytes: Int) {
    guard width >= Self.columns, height >= Self.rows, step > 0, offset >= 0,
      offset + (height - 1) * rowBytes + (width - 1) * step < picture.byteCount
    else { return nil }
    var cells = [UInt8](repeating: 0, count: Self.columns * Self.rows)
    for row in 0..<Self.rows {
      let top = row * height / Self.rows
      let bottom = (row + 1) * height / Self.rows
      for column in 0..<Self.columns {
        let left = column * width / Self.columns
        let right = (column + 1) * width / Self.columns
        var sum = 0
        var count = 0
        for y in stride(from: top, to: bottom, by: max(1, (bottom - top) / 8)) {
          for x in stride(from: left, to: right, by: max(1, (right - left) / 8)) {
            sum += unsafe Int(picture.unsafeLoad(fromByteOffset: offset + y * rowBytes + x * step, as: UInt8.self))
            count += 1
          }
        }
        cells[row * Self.columns + column] = UInt8(truncatingIfNeeded: sum / count)
      }
    }
    self.cells = cells
  }

  /// How much there is to see: the differences of neighbouring cells, summed up. A covered lens has next to none.
  var contrast: Int {
    var sum = 0
    for row in 0..<Self.rows {
      for column in 0..<Self.columns {
        let at = row * Self.columns + column
        if column > 0 { sum += abs(Int(cells[at]) - Int(cells[at - 1])) }
        if row > 0 { sum += abs(Int(cells[at]) - Int(cells[at - Self.columns])) }
      }
    }
    return sum
  }

  /// Whether the light changed from `before`: much of the picture went the same way, which no body that moves does.
  public func isLitOtherwise(than before: Look) -> Bool {
    var brighter = 0
    var darker = 0
    for (old, new) in zip(before.cells, cells) {
      if Int(new) - Int(old) >= 2 { brighter += 1 }
      if Int(old) - Int(new) >= 2 { darker += 1 }
    }
    let changed = brighter + darker
    return changed * 5 >= cells.count * 2 && max(brighter, darker) * 10 >= changed * 9
  }
}
