public import EdgeCore

/// Finds motion in how much the blocks of a picture differ from the picture before.
///
/// Every block has learnt how much it differs when nothing moves: from the sensor's noise, a flickering screen, leaves
/// in the wind. One is active when it differs by clearly more. Motion is several active blocks side by side in two of
/// three pictures; what changes the whole picture at once is light, or the camera itself.
public struct MotionDetector: Sendable {
  public struct Settings: Hashable, Sendable {
    /// 1 (only large, clear things) to 100 (the slightest).
    public var sensitivity = 50
    /// Motion ends when nothing moved for so long.
    public var hold: Duration = .seconds(10)
    /// Only what moves in one of these counts; everywhere, when there are none.
    public var zones: [Zone] = []
    /// What moves in one of these does not count.
    public var ignored: [Zone] = []

    public init() {}
  }

  public enum Event: Hashable, Sendable {
    /// - first: when the first of the pictures that showed it was taken.
    /// - share: of the watched blocks that moved, in thousandths.
    case began(first: Instant, share: Int)
    case ended
  }

  public let settings: Settings
  private var columns = 0
  private var rows = 0
  private var mask: [Bool] = []
  private var watched = 0
  /// What each block is used to, and how far from that it mostly is, in 1/64 of the noise.
  private var usual: [Float] = []
  private var spread: [Float] = []
  private var active: [Bool] = []
  /// Pictures seen since learning began.
  private var pictures = 0
  private var settling = 0
  /// The last pictures that moved, and how long ago, in pictures.
  private var sightings: [(age: Int, at: Instant)] = []
  private var lastMotion: Instant?
  private var globalSince: Instant?

  /// Pictures that only teach what is usual.
  private static let lesson = 10
  /// Pictures to pass over after the light changed.
  private static let settlingTime = 5
  /// What changes the whole picture for longer than this is no light.
  private static let longestLight: Duration = .seconds(5)

  public init(_ settings: Settings = Settings()) { self.settings = settings }

  public var isMoving: Bool { lastMotion != nil }

  /// Times the noise that a block must have beyond its usual.
  private var margin: Float { 0.4 + Float(100 - settings.sensitivity) * 0.02 }
  /// Sum of a block's differences below which nothing is motion, however quiet the camera.
  private var leastEnergy: Float { 192 + Float(100 - settings.sensitivity) * 8 }
  private var leastBlocks: Int { 2 + (100 - settings.sensitivity) / 25 }

  /// The pictures before are of another kind: they are compared with nothing, and what is usual is learnt anew.
  public mutating func restart() {
    pictures = 0
    usual = []
    sightings = []
    globalSince = nil
  }

  /// The light changed: the next pictures show that and nothing else.
  public mutating func lightChanged() {
    settling = Self.settlingTime
    sightings = []
  }

  /// One picture.
  ///
  /// - Parameters:
  ///   - energies: row by row, the sum of the differences of each block.
  ///   - noise: the energy of a block in which nothing moves; not 0.
  public mutating func see(columns: Int, rows: Int, energies: [UInt16], noise: UInt16, at now: Instant) -> Event? {
    guard columns > 0, rows > 0, energies.count == columns * rows, noise > 0 else { return nil }
    if columns != self.columns || rows != self.rows {
      self.columns = columns
      self.rows = rows
      mask = Zone.mask(columns: columns, rows: rows, zones: settings.zones, ignored: settings.ignored)
      watched = mask.reduce(0) { $0 + ($1 ? 1 : 0) }
      restart()
    }
    if usual.isEmpty {
      usual = [Float](repeating: 64, count: energies.count)
      spread = [Float](repeating: 2, count: energies.count)
      active = [Bool](repeating: false, count: energies.count)
    }
    let all = compare(energies, noise)
    pictures += 1
    for index in sightings.indices { sightings[index].age += 1 }
    sightings.removeAll { $0.age > 2 }
    if all * 5 > energies.count * 3 {
      // Most of it at once: light, or a camera that is moved. What does not end is motion after all.
      if globalSince == nil { globalSince = now }
      if let since = globalSince, now - since < Self.longestLight {
        lightChanged()
        return ending(now)
      }
    } else {
      globalSince = nil
    }
    guard pictures > Self.lesson else { return nil }
    guard settling == 0 else {
      settling -= 1
      return ending(now)
    }
    let moved = largestGroups()
    guard moved >= leastBlocks else { return ending(now) }
    sightings.append((0, now))
    if lastMotion != nil {
      lastMotion = now
      return nil
    }
    guard sightings.count >= 2 else { return nil }
    lastMotion = now
    return .began(first: sightings[0].at, share: moved * 1000 / max(1, watched))
  }

  private mutating func ending(_ now: Instant) -> Event? {
    guard let last = lastMotion, now - last >= settings.hold else { return nil }
    lastMotion = nil
    sightings = []
    return .ended
  }

  /// Marks the active blocks and learns from all; returns how many are active, watched or not.
  private mutating func compare(_ energies: [UInt16], _ noise: UInt16) -> Int {
    let scale = 64 / Float(noise)
    let beyond = margin * 64
    // Quick at first, then over a dozen seconds.
    let pace: Float = 1 / Float(min(128, pictures + 2))
    var count = 0
    for index in energies.indices {
      let energy = Float(energies[index])
      let level = energy * scale
      let distance = level - usual[index]
      let isActive = energy > leastEnergy && distance > beyond + 4 * spread[index]
      active[index] = isActive
      if isActive { count += 1 }
      // What stays becomes usual, but in minutes.
      let rate = isActive && pictures > Self.lesson ? pace / 16 : pace
      usual[index] += distance * rate
      spread[index] += (abs(distance) - spread[index]) * rate
    }
    return count
  }

  /// Active watched blocks that have another one beside, above, below or across a corner.
  private func largestGroups() -> Int {
    var count = 0
    for row in 0..<rows {
      for column in 0..<columns where isActive(column, row) {
        var hasNeighbour = false
        for y in row - 1...row + 1 {
          for x in column - 1...column + 1 where (x != column || y != row) && isActive(x, y) { hasNeighbour = true }
        }
        if hasNeighbour { count += 1 }
      }
    }
    return count
  }

  private func isActive(_ column: Int, _ row: Int) -> Bool {
    guard column >= 0, column < columns, row >= 0, row < rows else { return false }
    let at = row * columns + column
    return active[at] && mask[at]
  }
}
