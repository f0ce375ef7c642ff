import EdgeCore
import LinuxIO
import Picture

/// Shows pictures in the terminal on a thread of its own: what it is too slow for is left out.
final class TerminalPlayer {
  private struct Work: Sendable {
    var picture: [UInt8]
    var format: PictureFormat
    var status: String
  }

  private let queue: WorkQueue<Work>
  private let thread: LinuxIO.Thread

  init(usesSixel: Bool) throws(SystemError) {
    let queue = WorkQueue<Work>(capacity: 2)
    self.queue = queue
    let screen = Screen(usesSixel: usesSixel)
    thread = try LinuxIO.Thread(name: "player") {
      screen.open()
      while let work = queue.pop() {
        screen.draw(work.picture, work.format, work.status)
      }
      screen.close()
    }
  }

  func show(_ picture: [UInt8], _ format: PictureFormat, status: String) {
    _ = queue.push(Work(picture: picture, format: format, status: status))
  }

  /// Gives the terminal back.
  func close() {
    queue.close()
    thread.join()
  }
}

/// What is drawn on: the output thread's alone.
private final class Screen: @unchecked Sendable {
  private let usesSixel: Bool

  init(usesSixel: Bool) { self.usesSixel = usesSixel }

  /// Another screen, without a cursor: what was there comes back at the end.
  func open() { Program.writeOutput("\u{1B}[?1049h\u{1B}[?25l\u{1B}[2J") }

  func close() { Program.writeOutput("\u{1B}[0m\u{1B}[?25h\u{1B}[?1049l") }

  func draw(_ picture: [UInt8], _ format: PictureFormat, _ status: String) {
    guard let size = Terminal.size else { return }
    // The last row tells the figures.
    let rows = max(1, size.rows - 1)
    let text: [UInt8]?
    if usesSixel {
      // Where the terminal does not tell pixels, a cell of 8x16 is on the safe side.
      let width = size.width > 0 ? size.width : size.columns * 8
      let height = size.height > 0 ? size.height / size.rows * rows : rows * 16
      text = TerminalPicture.sixel(picture, format, width: min(width, 1280), height: min(height, 960))
    } else {
      text = TerminalPicture.halfBlocks(picture, format, columns: size.columns, rows: rows)
    }
    let status =
      format.pixelFormat.isCompressed
      ? "\(status) - \(format.pixelFormat.name) is not drawn here: use --serve, --output or a display" : status
    let line = String(decoding: Array(status.utf8.prefix(size.columns - 1)), as: UTF8.self)
    let bytes = (text ?? Array("\u{1B}[H".utf8)) + Array("\u{1B}[\(size.rows);1H\u{1B}[0m\(line)\u{1B}[K".utf8)
    Program.writeOutput(String(decoding: bytes, as: UTF8.self))
  }
}
