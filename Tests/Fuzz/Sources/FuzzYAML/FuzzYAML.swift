import Config

/// A configuration may be any bytes; none may trap, and every refusal says something printable.
@c(LLVMFuzzerTestOneInput)
public func fuzzOne(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
  let bytes = [UInt8](UnsafeRawBufferPointer(start: start, count: count))
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
  return 0
}

private func check(_ error: ConfigError) {
  precondition((1...ConfigError.maximumProblems).contains(error.problems.count))
  for problem in error.problems {
    precondition(problem.line >= 1)
    for byte in problem.message.utf8 { precondition((0x20..<0x7F).contains(byte)) }
  }
}
