import EdgeCore
public import StatusModel

/// What node and viewer tell each other on the `control` data channel.
///
/// One message is one line of UTF-8: a verb, then `name=value` words; `text=` takes the rest
/// of the line. Unknown verbs and words are ignored, so that either side may be newer.
///
///     viewer -> node   key-frame                               cannot decode, start afresh
///     viewer -> node   want quality=auto size=640x480 fps=15   may be said again at any time
///     viewer -> node   report frames=120 lost=2 delay-ms=35 decode-us=900,1500   once a second
///     viewer -> node   controls                                list the camera's settings
///     viewer -> node   set name=brightness value=12
///     node -> viewer   camera state=stalled text=no picture for 2 s
///     node -> viewer   latency capture-us=200,900 encode-us=800,1200 queue-us=50,400
///     node -> viewer   nat mapping=endpoint-independent filtering=address-and-port-dependent
///     node -> viewer   control name=brightness kind=integer min=0 max=255 step=1 default=128 value=12 text=Brightness
///     node -> viewer   controls-end text=                      why there are none, when it failed
public enum ControlMessage: Hashable, Sendable {
  case keyFrame
  case want(StreamWish)
  case report(Report)
  case camera(state: String, text: String)
  /// The node's stages.
  case latency(LatencyTrace)
  /// What kind of NAT the node is behind (RFC 4787 §4.1, §5); mapping `no-udp` where no UDP comes back.
  case nat(mapping: String, filtering: String)
  case listControls
  case setControl(name: String, value: Int64)
  case control(CameraControl)
  /// All controls were told, or the one that was set; or why not.
  case controlsEnd(failure: String?)

  /// What a viewer measured since the session began.
  public struct Report: Hashable, Sendable {
    /// Pictures decoded with the right checksum.
    public var frames: UInt64
    /// Pictures that were sent but could not be shown.
    public var lost: UInt64
    /// From capture to decoded, in milliseconds, of the last picture. Meaningful only between
    /// synchronised clocks.
    public var delayMilliseconds: Int64
    /// The viewer's stages.
    public var network: StageLatency?
    public var decode: StageLatency?
    /// All of them, the node's too.
    public var total: StageLatency?

    public init(
      frames: UInt64, lost: UInt64, delayMilliseconds: Int64, network: StageLatency? = nil,
      decode: StageLatency? = nil, total: StageLatency? = nil
    ) {
      self.total = total
      self.frames = frames
      self.lost = lost
      self.delayMilliseconds = delayMilliseconds
      self.network = network
      self.decode = decode
    }
  }

  /// Longest line accepted, in bytes.
  public static let maximumBytes = 1024

  public var bytes: [UInt8] { Array(line.utf8.prefix(Self.maximumBytes)) }

  private var line: String {
    switch self {
    case .keyFrame: "key-frame"
    case .want(let wish): wish.text
    case .report(let report):
      "report frames=\(report.frames) lost=\(report.lost) delay-ms=\(report.delayMilliseconds)"
        + (report.network.map { " network-us=" + $0.word } ?? "")
        + (report.decode.map { " decode-us=" + $0.word } ?? "") + (report.total.map { " total-us=" + $0.word } ?? "")
    case .camera(let state, let text): "camera state=\(state) text=\(text)"
    case .latency(let trace):
      "latency" + (trace.capture.map { " capture-us=" + $0.word } ?? "")
        + (trace.encode.map { " encode-us=" + $0.word } ?? "") + (trace.queue.map { " queue-us=" + $0.word } ?? "")
    case .nat(let mapping, let filtering): "nat mapping=\(mapping) filtering=\(filtering)"
    case .listControls: "controls"
    case .setControl(let name, let value): "set name=\(name) value=\(value)"
    case .control(let control): control.line
    case .controlsEnd(let failure): "controls-end text=" + (failure ?? "")
    }
  }

  /// `nil` for anything this version does not know.
  public init?(_ bytes: [UInt8]) {
    guard bytes.count <= Self.maximumBytes, !bytes.contains(where: { $0 < 0x20 || $0 == 0x7F }) else { return nil }
    let space = UInt8(ascii: " ")
    let verb = bytes.prefix { $0 != space }
    let words = ControlWords(bytes[verb.endIndex...])
    switch String(decoding: verb, as: UTF8.self) {
    case "key-frame":
      self = .keyFrame
    case "want":
      guard let wish = StreamWish(words) else { return nil }
      self = .want(wish)
    case "report":
      guard let frames = words.number("frames"), let lost = words.number("lost") else { return nil }
      self = .report(
        Report(
          frames: frames, lost: lost, delayMilliseconds: words.integer("delay-ms") ?? 0,
          network: words.latency("network-us"), decode: words.latency("decode-us"), total: words.latency("total-us")))
    case "camera":
      guard let state = words.text("state") else { return nil }
      self = .camera(state: state, text: words.rest)
    case "latency":
      self = .latency(
        LatencyTrace(
          capture: words.latency("capture-us"), encode: words.latency("encode-us"), queue: words.latency("queue-us")))
    case "nat":
      guard let mapping = words.text("mapping"), let filtering = words.text("filtering") else { return nil }
      self = .nat(mapping: mapping, filtering: filtering)
    case "controls":
      self = .listControls
    case "set":
      guard let name = words.text("name"), let value = words.integer("value") else { return nil }
      self = .setControl(name: name, value: value)
    case "control":
      guard let control = CameraControl(words) else { return nil }
      self = .control(control)
    case "controls-end":
      self = .controlsEnd(failure: words.rest.utf8.isEmpty ? nil : words.rest)
    default:
      return nil
    }
  }
}
