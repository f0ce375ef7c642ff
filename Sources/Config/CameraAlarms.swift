public import Alarms
internal import EdgeCore

/// What a camera's owner is told of: the `alarms` section of a camera.
public struct CameraAlarms: Hashable, Sendable {
  /// `nil`: motion is no alarm.
  public var motion: MotionDetector.Settings?
  /// That the camera gives no pictures.
  public var lost: Bool
  /// That its lens is covered.
  public var tamper: Bool
  /// At most one message in this time.
  public var interval: Duration
  /// Accounts that are told; when there are none, all that may watch the camera.
  public var receivers: [String]

  public init(
    motion: MotionDetector.Settings? = nil, lost: Bool = true, tamper: Bool = true, interval: Duration = .seconds(30),
    receivers: [String] = []
  ) {
    self.motion = motion
    self.lost = lost
    self.tamper = tamper
    self.interval = interval
    self.receivers = receivers
  }

  static let keys = ["motion", "lost", "tamper", "interval", "to"]
  private static let motionKeys = ["sensitivity", "hold", "zones", "ignore"]
  private static let maximumZones = 16
  private static let maximumReceivers = 32

  init(_ section: Section) {
    self.init(
      motion: Self.motion(section), lost: section.bool("lost") ?? true, tamper: section.bool("tamper") ?? true,
      interval: .seconds(section.integer("interval", 1...86_400) ?? 30),
      receivers: section.values("to", atMost: Self.maximumReceivers, AccountConfiguration.nameExpectation) {
        Names.isValidAccount($0) ? $0 : nil
      })
  }

  private static func motion(_ section: Section) -> MotionDetector.Settings? {
    guard let node = section.node("motion") else { return nil }
    if case .scalar = node.content {
      return section.bool("motion") == true ? MotionDetector.Settings() : nil
    }
    let inner = section.section("motion", keys: motionKeys)
    var settings = MotionDetector.Settings()
    settings.sensitivity = inner.integer("sensitivity", 1...100) ?? settings.sensitivity
    if let hold = inner.integer("hold", 1...3600) { settings.hold = .seconds(hold) }
    let what = "a zone such as \"0,50 100,100\": corners x,y in percent of the picture"
    settings.zones = inner.values("zones", atMost: maximumZones, what) { Zone($0) }
    settings.ignored = inner.values("ignore", atMost: maximumZones, what) { Zone($0) }
    return settings
  }
}
