import CInit

/// For tests of the image: starts a program, then does what it is told on the console, which is how a camera is unplugged
/// where there is no hand to do it.
///
///     poke PROGRAM ARGUMENTS...
///
///     write FILE TEXT          one line on the console; answered with "poke: FILE: done" or ": failed"
///     show FILE                prints it
///     run PROGRAM ARGUMENTS... runs it beside the first, to its end; answered with "poke: PROGRAM: exit status N"
///
/// Ends with the program, and with its exit status.
@main
struct Poke {
  static func main() {
    let child = start(Array(arguments().dropFirst()))
    guard child > 0 else { _exit(69) }
    var line: [UInt8] = []
    var status: Int32 = 0
    while waitpid(child, &status, WNOHANG) == 0 {
      var waiting = pollfd(fd: 0, events: Int16(POLLIN), revents: 0)
      var byte: UInt8 = 0
      guard poll(&waiting, 1, 200) > 0 else { continue }
      guard read(0, &byte, 1) == 1 else {
        waitpid(child, &status, 0)
        break
      }
      guard byte == 0x0A || byte == 0x0D else {
        line.append(byte)
        continue
      }
      obey(line.split(separator: 0x20).map { String(decoding: $0, as: UTF8.self) })
      line = []
    }
    _exit(init_exited(status) != 0 ? init_exit_status(status) : 128 + init_signal(status))
  }

  private static func obey(_ words: [String]) {
    guard words.count >= 2 else { return }
    if words[0] == "show" {
      var bytes = [UInt8](repeating: 0, count: 65536)
      let file = init_open(words[1], O_RDONLY)
      let count = bytes.withUnsafeMutableBytes { read(file, $0.baseAddress, $0.count) }
      close(file)
      if count > 0 { bytes.withUnsafeMutableBytes { _ = write(1, $0.baseAddress, count) } }
      print("\npoke: \(words[1]): \(count > 0 ? "done" : "failed")")
    } else if words[0] == "run" {
      var status: Int32 = 0
      let child = start(Array(words.dropFirst()))
      if child > 0 { waitpid(child, &status, 0) }
      print("poke: \(words[1]): exit status \(child > 0 ? init_exit_status(status) : -1)")
    } else {
      let file = init_open(words[1], O_WRONLY)
      var text: [UInt8] = []
      for word in words.dropFirst(2) { text += (text.isEmpty ? [] : [0x20]) + Array(word.utf8) }
      let written = text.withUnsafeMutableBytes { write(file, $0.baseAddress, $0.count) }
      print("poke: \(words[1]): \(written > 0 ? "done" : "failed")")
      close(file)
    }
  }

  private static func arguments() -> [String] {
    let file = init_open("/proc/self/cmdline", O_RDONLY)
    var bytes = [UInt8](repeating: 0, count: 8192)
    let count = bytes.withUnsafeMutableBytes { read(file, $0.baseAddress, $0.count) }
    close(file)
    return bytes[..<max(0, count)].split(separator: 0).map { String(decoding: $0, as: UTF8.self) }
  }

  private static func start(_ program: [String]) -> pid_t {
    guard let path = program.first else { return 0 }
    var words: [UnsafeMutablePointer<CChar>?] = program.map { strdup($0) }
    words.append(nil)
    defer { for word in words { free(word) } }
    var child: pid_t = 0
    return posix_spawn(&child, path, nil, nil, words, [nil]) == 0 ? child : 0
  }
}
