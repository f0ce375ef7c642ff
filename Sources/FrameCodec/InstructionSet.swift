/// Which of the machine instructions beyond the architecture's common ones may be used.
///
/// Streams and pictures are the same with all of them; only the time they take differs. This target
/// cannot ask the processor, so its user does (`LinuxIO.Processor`).
public enum InstructionSet: Hashable, Sendable {
  /// What every processor of the architecture has: SSE2 on x86_64, NEON on arm64.
  case common
  /// x86-64-v3: AVX2, BMI2 and what comes with them. The same as ``common`` on other architectures.
  case x86v3
}
