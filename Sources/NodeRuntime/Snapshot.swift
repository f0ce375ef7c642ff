import Deflate
import EdgeCore
import LinuxIO
import NodeLogic
import Picture

/// One picture of a camera as a file for people.
struct Snapshot: Sendable {
  var bytes: [UInt8]
  /// PNG, or JPEG as the camera made it.
  var isJPEG: Bool
  /// Pixels.
  var width: Int
  var height: Int
  /// Unix time.
  var capturedMicroseconds: UInt64

  var contentType: String { isJPEG ? "image/jpeg" : "image/png" }
}

/// Makes a file of a camera's next picture on a thread of its own: neither the camera nor the reactor waits for it.
enum SnapshotTaker {
  /// A picture as it came.
  struct Raw: Sendable {
    var picture: [UInt8]
    var format: PictureFormat
    var capturedMicroseconds: UInt64
  }

  private struct Outcome: Sendable {
    var snapshot: Snapshot?
  }

  /// Keeps what is needed until the file came.
  private final class Inlet {
    var mailbox: Mailbox<Outcome>?
    var timer: Reactor.TimerToken?
  }

  /// Where the camera's thread is to put the picture.
  ///
  /// `done` is called once, on the reactor: with nothing when no picture came in time, or none that a file can be made
  /// of (H.264).
  static func start(
    reactor: Reactor, maxWidth: Int, within limit: Duration, done: @escaping (Snapshot?) -> Void
  ) throws(SystemError) -> WorkQueue<Raw> {
    let queue = WorkQueue<Raw>(capacity: 1)
    let inlet = Inlet()
    let mailbox = try Mailbox<Outcome>(reactor: reactor, capacity: 1) { outcome in
      if let timer = inlet.timer { reactor.cancel(timer) }
      // It is what is calling us.
      reactor.enqueue(.bulk) {
        inlet.mailbox?.close()
        inlet.mailbox = nil
      }
      done(outcome.snapshot)
    }
    do throws(SystemError) {
      _ = try LinuxIO.Thread(name: "snapshot") {
        let raw = queue.pop()
        queue.close()
        mailbox.post(Outcome(snapshot: raw.flatMap { file($0, maxWidth: maxWidth) }))
      }
    } catch {
      mailbox.close()
      throw error
    }
    inlet.mailbox = mailbox
    inlet.timer = reactor.schedule(after: limit) {
      inlet.timer = nil
      queue.close()
    }
    return queue
  }

  private static func file(_ raw: Raw, maxWidth: Int) -> Snapshot? {
    var (picture, format) = (raw.picture, raw.format)
    let isJPEG = format.pixelFormat == .mjpeg
    if !isJPEG {
      while format.width > maxWidth, let half = PictureHalving.halved(picture.span.bytes, format) {
        (picture, format) = (half.picture, half.format)
      }
      guard let file = PNGWriter(deflate: { Zlib.deflate($0, level: 6) }).file(picture, format) else { return nil }
      picture = file
    }
    return Snapshot(
      bytes: picture, isJPEG: isJPEG, width: format.width, height: format.height,
      capturedMicroseconds: raw.capturedMicroseconds)
  }
}
