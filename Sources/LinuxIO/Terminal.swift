import CLinux
import EdgeCore

/// The terminal this program talks to, if any.
public enum Terminal {
  public struct Size: Hashable, Sendable {
    public var columns: Int
    public var rows: Int
    /// In pixels; 0 where the terminal does not say.
    public var width: Int
    public var height: Int
  }

  public static var outputIsTerminal: Bool { isatty(STDOUT_FILENO) == 1 }

  /// `nil` when standard output is no terminal.
  public static var size: Size? {
    var size = winsize()
    guard edge_ioctl(STDOUT_FILENO, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0, size.ws_row > 0 else { return nil }
    return Size(
      columns: Int(size.ws_col), rows: Int(size.ws_row), width: Int(size.ws_xpixel), height: Int(size.ws_ypixel))
  }

  /// Whether the terminal says it draws Sixel graphics: 4 among its primary device attributes (DA1). Waits for the
  /// answer for a third of a second at most.
  public static var drawsSixel: Bool {
    guard isatty(STDIN_FILENO) == 1, isatty(STDOUT_FILENO) == 1 else { return false }
    var before = termios()
    guard tcgetattr(STDIN_FILENO, &before) == 0 else { return false }
    var quiet = before
    quiet.c_lflag &= ~UInt32(ICANON | ECHO)
    guard tcsetattr(STDIN_FILENO, TCSANOW, &quiet) == 0 else { return false }
    defer { tcsetattr(STDIN_FILENO, TCSANOW, &before) }
    Program.writeOutput("\u{1B}[c")
    var answer: [UInt8] = []
    let deadline = MonotonicClock.now + .milliseconds(330)
    while answer.count < 128, answer.last != UInt8(ascii: "c") {
      let left = (deadline - MonotonicClock.now).wholeMilliseconds
      var polled = pollfd(fd: STDIN_FILENO, events: Int16(POLLIN), revents: 0)
      guard left > 0, poll(&polled, 1, Int32(left)) > 0 else { return false }
      var byte: UInt8 = 0
      guard read(STDIN_FILENO, &byte, 1) == 1 else { return false }
      answer.append(byte)
    }
    let parts = answer.dropLast().split { $0 == UInt8(ascii: ";") || $0 == UInt8(ascii: "?") }
    return parts.dropFirst().contains { $0.elementsEqual("4".utf8) }
  }

  /// Makes a named pipe only this user may open.
  public static func makePipe(_ path: String) throws(SystemError) { try systemCall("mkfifo") { mkfifo(path, 0o600) } }
}
