import CLinux
public import LinuxIO

/// Why a source gives no pictures; each has words that say what to do.
public enum CaptureProblem: Error, Hashable, Sendable {
  /// No such device or file.
  case missing
  case notAllowed
  /// Another program has it.
  case busy
  /// A device that captures no video by memory-mapped streaming.
  case notACamera
  /// `offered` holds the driver's names.
  case unsupportedFormat(wanted: String, offered: [String])
  case unsupportedSize(width: Int, height: Int)
  /// Its signal is another now: what it was opened with no longer holds.
  case sourceChanged
  /// It was there and is gone.
  case unplugged
  /// It is there, and gave no frame for this many milliseconds.
  case stalled(milliseconds: Int)
  /// It sends pictures, and not one in many is usable.
  case onlyBadFrames
  /// The USB bus, or the bridge it is on, has no room for this stream.
  case noBandwidth
  /// Nothing is connected to the device's input.
  case noSignal
  /// A file that is no stream of pictures this program reads.
  case badFile(String)
  case driver(SystemError)

  /// Stable, for health lines.
  public var code: String {
    switch self {
    case .missing: "missing"
    case .notAllowed: "not-allowed"
    case .busy: "busy"
    case .notACamera: "not-a-camera"
    case .unsupportedFormat: "unsupported-format"
    case .unsupportedSize: "unsupported-size"
    case .sourceChanged: "source-changed"
    case .unplugged: "unplugged"
    case .stalled: "stalled"
    case .onlyBadFrames: "only-bad-frames"
    case .noBandwidth: "no-bandwidth"
    case .noSignal: "no-signal"
    case .badFile: "bad-file"
    case .driver: "driver"
    }
  }

  /// What is wrong with `source` and what to do.
  public func text(_ source: String) -> String {
    switch self {
    case .missing: "\(source) does not exist: connect the camera, or correct the path"
    case .notAllowed: "not allowed to open \(source): add this program's user to the group that owns it (video)"
    case .busy: "\(source) is used by another program: stop that one"
    case .notACamera: "\(source) is not a camera this program can stream from: choose another device"
    case .unsupportedFormat(let wanted, let offered):
      "\(source) does not offer \(wanted): choose one of \(offered.joined(separator: ", "))"
    case .unsupportedSize(let width, let height):
      "\(source) delivers \(width)x\(height), which is not supported: choose an even size from 16x16 to 4096x2304"
    case .sourceChanged: "\(source) gets another signal: it is opened again"
    case .unplugged: "\(source) was unplugged: connect it again"
    case .stalled(let milliseconds):
      "\(source) sent no picture for \(milliseconds / 1000) s: check its cable, or reset it"
    case .onlyBadFrames:
      "\(source) sends only damaged pictures: check its cable and hub, or choose a smaller size or rate"
    case .noBandwidth:
      "not enough USB bandwidth for \(source): choose a smaller size or rate or MJPEG, or use another USB port"
    case .noSignal: "nothing is connected to the input of \(source): check the cable"
    case .badFile(let reason): "\(source): \(reason)"
    case .driver(let error): "the driver of \(source) failed: \(error)"
    }
  }

  /// Of a request to an open device that was refused.
  init(_ call: String, errno: Int32) {
    switch errno {
    case ENODEV, ENXIO: self = .unplugged
    case EBUSY: self = .busy
    case ENOSPC: self = .noBandwidth
    // A source that cannot be locked on to is as good as none.
    case ENOLINK, ENOLCK: self = .noSignal
    // The stream is over, though the device is there.
    case EPIPE: self = .sourceChanged
    default: self = .driver(SystemError(call: call, errno: errno))
    }
  }

  /// Of a device or file that would not open.
  init(opening error: SystemError) {
    switch error.errno {
    case ENOENT, ENXIO, ENODEV, ENOTDIR: self = .missing
    case EACCES, EPERM: self = .notAllowed
    case EBUSY: self = .busy
    default: self = .driver(error)
    }
  }

  /// How long until another attempt makes sense, after `failures` in a row: half a second, then doubling.
  func retryDelay(failures: Int) -> Duration {
    // The device is fine; once is enough to wait for nothing.
    if self == .sourceChanged, failures <= 1 { return .zero }
    let limit: Duration =
      switch self {
      // May be over any moment, and looking is cheap.
      case .missing, .unplugged, .busy, .sourceChanged, .stalled, .noSignal, .onlyBadFrames: .seconds(5)
      // Somebody has to change something first.
      default: .seconds(30)
      }
    return min(limit, .milliseconds(500 << min(10, max(0, failures - 1))))
  }
}
