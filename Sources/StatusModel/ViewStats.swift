/// What one `edge view` saw: the content of `--stats FILE`.
public struct ViewStats: Hashable, Sendable {
  public var serial: String
  public var path: NodeStatus.Path?
  public var remote: String?
  /// From the start of the program to the first complete picture.
  public var firstFrame: Duration?
  /// Pictures received, complete and with the right checksum.
  public var frames: Int64
  /// Pictures the node numbered and this viewer did not get, whole or at all.
  public var framesLost: Int64
  /// As they came over the path.
  public var bytes: Int64
  /// As the camera made them.
  public var rawBytes: Int64
  /// Pictures per second over the whole time, times 1000.
  public var framesPerSecondThousandths: Int64?
  public var roundTrip: Duration?
  /// Request and answer pairs one after another, from the first packet to the first picture.
  public var roundTripsToFirstFrame: Int?
  /// Pictures whose checksum was wrong; they count as lost too.
  public var checksumErrors: Int64
  /// From the first picture to the last.
  public var duration: Duration?
  public var format: String?
  public var size: String?
  /// This end's address as the node sees it.
  public var local: String?
  /// From the start of the program: the node's answer was there, a pair of addresses worked, the session was open.
  public var answered: Duration?
  public var pathFound: Duration?
  public var opened: Duration?
  /// The longest time between two pictures.
  public var longestGap: Duration?
  /// New paths found in the middle of the session.
  public var pathChanges: Int64 = 0

  /// Why the camera gives no pictures now, in the node's words.
  public var cameraTrouble: String?

  public var latency = LatencyTrace()

  public init(serial: String) {
    self.serial = serial
    frames = 0
    framesLost = 0
    bytes = 0
    rawBytes = 0
    checksumErrors = 0
  }

  /// Fields are added, never renamed or reordered.
  public var json: JSONValue {
    .object([
      .init("serial", .string(serial)),
      .init("path", .optional(path?.rawValue)),
      .init("remote", .optional(remote)),
      .init("first_frame_ms", firstFrame.map { .integer($0.statusMilliseconds) } ?? .null),
      .init("frames", .integer(frames)),
      .init("frames_lost", .integer(framesLost)),
      .init("bytes", .integer(bytes)),
      .init("raw_bytes", .integer(rawBytes)),
      .init("fps", framesPerSecondThousandths.map { .thousandths($0) } ?? .null),
      .init("rtt_ms", roundTrip.map { .milliseconds($0) } ?? .null),
      .init("round_trips_to_first_frame", roundTripsToFirstFrame.map { .integer($0) } ?? .null),
      .init("checksum_errors", .integer(checksumErrors)),
      .init("duration_ms", duration.map { .integer($0.statusMilliseconds) } ?? .null),
      .init("format", .optional(format)),
      .init("size", .optional(size)),
      .init("local", .optional(local)),
      .init("answer_ms", answered.map { .milliseconds($0) } ?? .null),
      .init("path_ms", pathFound.map { .milliseconds($0) } ?? .null),
      .init("open_ms", opened.map { .milliseconds($0) } ?? .null),
      .init("longest_gap_ms", longestGap.map { .integer($0.statusMilliseconds) } ?? .null),
      .init("path_changes", .integer(pathChanges)),
      .init("latency", latency.json),
      .init("camera_trouble", .optional(cameraTrouble)),
    ])
  }

  /// The closing line on stderr.
  public var text: String {
    var text = "\(Plain.text(serial)): \(frames) frames, \(framesLost) lost, \(Plain.byteCount(bytes))"
    if rawBytes > 0, bytes > 0 {
      let tenths = rawBytes > Int64.max / 10 ? rawBytes / bytes * 10 : rawBytes * 10 / bytes
      text += " (\(Plain.byteCount(rawBytes)) of picture, x\(tenths / 10).\(tenths % 10))"
    }
    if let framesPerSecondThousandths {
      text += ", \(framesPerSecondThousandths / 1000).\(framesPerSecondThousandths % 1000 / 100) fps"
    }
    text += ", " + NodeStatus.Session.route(path, remote)
    if let roundTrip { text += ", round trip \(Plain.milliseconds(roundTrip))" }
    if !latency.text.utf8.isEmpty { text += "; " + latency.text }
    if checksumErrors > 0 { text += ", \(checksumErrors) with a wrong checksum" }
    return text
  }
}
