import CInit

/// For tests of the image: starts a program, then writes to files of the machine at set times, which is
/// how a camera is unplugged where there is no hand to do it.
///
///     poke SECONDS FILE TEXT [SECONDS FILE TEXT ...] -- PROGRAM ARGUMENTS...
///
/// Ends with the program, and with its exit status.
@main
struct Poke {
  static func main() {
    let words = arguments().dropFirst()
    guard let dashes = words.firstIndex(of: "--"), dashes + 1 < words.endIndex else { _exit(64) }
    let child = start(Array(words[(dashes + 1)...]))
    guard child > 0 else { _exit(69) }
    let steps = Array(words[..<dashes])
    var at = 0
    while at + 2 < steps.count {
      sleep(UInt32(steps[at]) ?? 0)
      let file = init_open(steps[at + 1], O_WRONLY)
      var text = Array(steps[at + 2].utf8)
      let written = text.withUnsafeMutableBytes { write(file, $0.baseAddress, $0.count) }
      print("poke: \(steps[at + 2]) to \(steps[at + 1]): \(written > 0 ? "done" : "failed")")
      close(file)
      at += 3
    }
    var status: Int32 = 0
    waitpid(child, &status, 0)
    _exit(init_exited(status) != 0 ? init_exit_status(status) : 128 + init_signal(status))
  }

  private static func arguments() -> [String] {
    let file = init_open("/proc/self/cmdline", O_RDONLY)
    var bytes = [UInt8](repeating: 0, count: 8192)
    let count = bytes.withUnsafeMutableBytes { read(file, $0.baseAddress, $0.count) }
    close(file)
    return bytes[..<max(0, count)].split(separator: 0).map { String(decoding: $0, as: UTF8.self) }
  }

  private static func start(_ program: [String]) -> pid_t {
    var words: [UnsafeMutablePointer<CChar>?] = program.map { strdup($0) }
    words.append(nil)
    var child: pid_t = 0
    return posix_spawn(&child, program[0], nil, nil, words, [nil]) == 0 ? child : 0
  }
}
