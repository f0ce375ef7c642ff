import Config

/// A configuration may be any bytes; none may trap, and every refusal says something printable.
func checkConfiguration(_ bytes: [UInt8]) {
  do throws(ConfigError) {
    _ = try NodeConfiguration(yaml: bytes, file: "f")
  } catch {
    check(error)
  }
  do throws(ConfigError) {
    _ = try RendezvousConfiguration(yaml: bytes, file: "f")
  } catch {
    check(error)
  }
  _ = try? ViewerConfiguration(yaml: bytes, file: "f")
  _ = try? PasswordFile.password(in: bytes, file: "f")
}

private func check(_ error: ConfigError) {
  precondition((1...ConfigError.maximumProblems).contains(error.problems.count))
  for problem in error.problems {
    precondition(problem.line >= 1)
    for byte in problem.message.utf8 { precondition((0x20..<0x7F).contains(byte)) }
  }
}
