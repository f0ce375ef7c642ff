internal import EdgeCore

/// A part of a camera's picture, in percent of its width and height, whatever the picture's size.
public struct Zone: Hashable, Sendable {
  public struct Point: Hashable, Sendable {
    /// 0 (left) to 100 (right).
    public var x: Int
    /// 0 (top) to 100 (bottom).
    public var y: Int

    public init(x: Int, y: Int) {
      self.x = x
      self.y = y
    }
  }

  /// The corners of a polygon, three at least.
  public let points: [Point]

  /// Corners of one zone.
  public static let maximumPoints = 32

  /// `x,y x,y`: the opposite corners of a rectangle; with more points, the corners of a polygon in their order.
  public init?(_ text: String) {
    var points: [Point] = []
    for word in Array(text.utf8).split(separator: 0x20) {
      let parts = word.split(separator: UInt8(ascii: ","), omittingEmptySubsequences: false)
      guard parts.count == 2, points.count < Self.maximumPoints, let x = ASCII.decimal(parts[0], max: 100),
        let y = ASCII.decimal(parts[1], max: 100)
      else { return nil }
      points.append(Point(x: Int(x), y: Int(y)))
    }
    if points.count == 2 {
      let (a, b) = (points[0], points[1])
      guard a.x != b.x, a.y != b.y else { return nil }
      points = [a, Point(x: b.x, y: a.y), b, Point(x: a.x, y: b.y)]
    }
    guard points.count >= 3 else { return nil }
    self.points = points
  }

  /// Whether a point is inside, in hundredths of a percent: by the number of edges to the right of it.
  func contains(x: Int, y: Int) -> Bool {
    var isInside = false
    var last = points[points.count - 1]
    for point in points {
      let (ay, by) = (last.y * 100, point.y * 100)
      if (ay > y) != (by > y) {
        let (ax, bx) = (last.x * 100, point.x * 100)
        // Where the edge is at this height; the division is exact enough for a hundredth.
        if x < ax + (bx - ax) * (y - ay) / (by - ay) { isInside.toggle() }
      }
      last = point
    }
    return isInside
  }

  /// For a grid of blocks, row by row, which have their middle in one of `zones` (any, when there are none) and in
  /// none of `ignored`.
  static func mask(columns: Int, rows: Int, zones: [Zone], ignored: [Zone]) -> [Bool] {
    var mask = [Bool](repeating: false, count: columns * rows)
    for row in 0..<rows {
      let y = (row * 2 + 1) * 5000 / rows
      for column in 0..<columns {
        let x = (column * 2 + 1) * 5000 / columns
        mask[row * columns + column] =
          (zones.isEmpty || zones.contains { $0.contains(x: x, y: y) }) && !ignored.contains { $0.contains(x: x, y: y) }
      }
    }
    return mask
  }
}
