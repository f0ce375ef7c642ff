import Deflate
import EdgeCore
import FrameCodec
import LinuxIO
import Picture
import Synchronization

/// How pictures are written.
public enum PictureFileFormat: Hashable, Sendable {
  /// YUV4MPEG2: players and encoders read it.
  case y4m
  /// The camera's own bytes, one picture after the other.
  case raw
  /// One file a picture.
  case png
  /// JPEG pictures one after the other, as the camera made them.
  case mjpeg
  /// The camera's own H.264 byte stream.
  case h264
  /// What a player understands: y4m, or the camera's own MJPEG or H.264.
  case playable
}

/// Writes pictures to a file or standard output on a thread of its own, so that a slow disk or a
/// paused player never holds up the connection.
final class PictureSink {
  /// A picture could not be written: what to tell, and the end of the work.
  var onFailure: ((String) -> Void)?
  /// Everything handed in has been written, after ``finish()``.
  var onFinished: (() -> Void)?

  private enum Work: Sendable {
    case picture([UInt8], PictureFormat)
    case finish
  }

  private enum Report: Sendable {
    case failed(String)
    case finished
  }

  /// Bytes of the pictures that wait.
  private final class Waiting: Sendable {
    let bytes = Atomic<Int>(0)
  }

  private let queue: WorkQueue<Work>
  private let waiting: Waiting
  private let mailbox: Mailbox<Report>
  private let thread: LinuxIO.Thread
  private let inlet: Inlet

  private final class Inlet {
    var receive: ((Report) -> Void)?
  }

  /// Waiting to be written; more is dropped whole, and counted by the owner. A viewer that joins may get a second's
  /// pictures at once; eight of a large camera are as many bytes.
  private static let capacity = 256
  private static let mostBytes = 48 << 20

  init(
    reactor: Reactor, path: String, format: PictureFileFormat, isSingle: Bool, framesPerSecond: Int
  ) throws(SystemError) {
    let queue = WorkQueue<Work>(capacity: Self.capacity)
    let waiting = Waiting()
    let inlet = Inlet()
    let mailbox = try Mailbox<Report>(reactor: reactor, capacity: 4) { inlet.receive?($0) }
    let writer = PictureFileWriter(path: path, format: format, isSingle: isSingle, framesPerSecond: framesPerSecond)
    self.queue = queue
    self.waiting = waiting
    self.inlet = inlet
    self.mailbox = mailbox
    thread = try LinuxIO.Thread(name: "output") {
      while let work = queue.pop() {
        switch work {
        case .picture(let bytes, let format):
          defer { waiting.bytes.wrappingSubtract(bytes.count, ordering: .relaxed) }
          if let failure = writer.write(bytes, format) {
            mailbox.post(.failed(failure))
            return
          }
        case .finish:
          mailbox.post(.finished)
          return
        }
      }
    }
    inlet.receive = { [unowned(unsafe) self] report in
      switch report {
      case .failed(let text): onFailure?(text)
      case .finished: onFinished?()
      }
    }
  }

  /// `false` when the writer is too far behind and the picture is dropped.
  func write(_ picture: [UInt8], _ format: PictureFormat) -> Bool {
    let before = waiting.bytes.load(ordering: .relaxed)
    guard before == 0 || before + picture.count <= Self.mostBytes, queue.push(.picture(picture, format)) else {
      return false
    }
    waiting.bytes.wrappingAdd(picture.count, ordering: .relaxed)
    return true
  }

  /// Ends after what is queued.
  func finish() {
    if !queue.push(.finish) { onFinished?() }
  }

  func close() {
    inlet.receive = nil
    onFailure = nil
    onFinished = nil
    queue.close()
    mailbox.close()
  }
}

/// The writing itself: the output thread's alone.
final class PictureFileWriter: @unchecked Sendable {
  private let path: String
  private let format: PictureFileFormat
  private let isSingle: Bool
  private let framesPerSecond: Int
  private var file: OutputFile?
  private var y4m: Y4MWriter?
  private var written = 0

  init(path: String, format: PictureFileFormat, isSingle: Bool, framesPerSecond: Int) {
    self.path = path
    self.format = format
    self.isSingle = isSingle
    self.framesPerSecond = framesPerSecond
  }

  /// `nil`, or why it could not be done.
  func write(_ picture: [UInt8], _ pictureFormat: PictureFormat) -> String? {
    do throws(FileError) {
      switch format {
      case .raw: try open().write(picture)
      case .y4m: return try writeY4M(picture, pictureFormat)
      case .png: return try writePNG(picture, pictureFormat)
      case .mjpeg: return try writeAsMade(picture, pictureFormat, .mjpeg)
      case .h264: return try writeAsMade(picture, pictureFormat, .h264)
      case .playable:
        if pictureFormat.pixelFormat.isCompressed {
          try open().write(picture)
        } else {
          return try writeY4M(picture, pictureFormat)
        }
      }
      return nil
    } catch {
      return "\(error)"
    }
  }

  private func writeAsMade(
    _ picture: [UInt8], _ format: PictureFormat, _ wanted: PixelFormat
  ) throws(FileError) -> String? {
    guard format.pixelFormat == wanted else {
      return "the camera sends \(format.pixelFormat.name), not \(wanted.name): use --format y4m or png"
    }
    try open().write(picture)
    return nil
  }

  private func open() throws(FileError) -> OutputFile {
    if let file { return file }
    let made = try OutputFile(path)
    file = made
    return made
  }

  private func writeY4M(_ picture: [UInt8], _ pictureFormat: PictureFormat) throws(FileError) -> String? {
    if let y4m, y4m.format != pictureFormat {
      return "the camera changed to \(pictureFormat), which a y4m stream cannot follow: start again, or use "
        + "--format raw"
    }
    if y4m == nil {
      guard let writer = Y4MWriter(format: pictureFormat) else {
        return cannot("y4m", pictureFormat)
      }
      y4m = writer
      try open().write(writer.header(rateNumerator: framesPerSecond, rateDenominator: 1))
    }
    guard let frame = y4m?.frame(picture) else { return "a picture has not the length of its format" }
    try open().write(frame)
    return nil
  }

  private func cannot(_ kind: String, _ format: PictureFormat) -> String {
    let way =
      switch format.pixelFormat {
      case .mjpeg: isSingle ? "name a .jpg file" : "use --format mjpeg"
      case .h264: "use --format h264"
      default: "use --format raw"
      }
    return "the camera sends \(format.pixelFormat.name), which \(kind) cannot hold: \(way)"
  }

  private func writePNG(_ picture: [UInt8], _ pictureFormat: PictureFormat) throws(FileError) -> String? {
    guard let file = PNGWriter(deflate: { Zlib.deflate($0, level: 6) }).file(picture, pictureFormat) else {
      return cannot("PNG", pictureFormat)
    }
    written += 1
    if path == "-" {
      try open().write(file)
    } else {
      try File.writeAtomically(file, to: isSingle ? path : numbered(written), mode: 0o644)
    }
    return nil
  }

  /// `gate.png` becomes `gate-000001.png`.
  private func numbered(_ number: Int) -> String {
    let digits = String(number)
    let padded = String(repeating: "0", count: max(0, 6 - digits.utf8.count)) + digits
    let bytes = Array(path.utf8)
    guard let dot = bytes.lastIndex(of: UInt8(ascii: ".")), !bytes[dot...].contains(UInt8(ascii: "/")) else {
      return path + "-" + padded
    }
    let (stem, ending) = (bytes[..<dot], bytes[dot...])
    return String(decoding: stem, as: UTF8.self) + "-" + padded + String(decoding: ending, as: UTF8.self)
  }
}
