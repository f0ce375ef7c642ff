import CLinux

/// What this process and its machine are.
public enum ProcessFacts {
  public static var id: Int32 { getpid() }

  public static var userID: UInt32 { geteuid() }

  /// Processors this process may run on, at least one.
  public static var processors: Int {
    withUnsafeTemporaryAllocation(of: UInt64.self, capacity: 128) { mask in
      mask.initialize(repeating: 0)
      // 0 or, of the bare system call, the bytes written.
      guard edge_sched_getaffinity(0, 1024, mask.baseAddress!) >= 0 else { return 1 }
      return max(1, mask.reduce(0) { $0 + $1.nonzeroBitCount })
    }
  }

  /// Lets this process open as many descriptors as the system permits it; services are started with fewer
  /// (RLIMIT_NOFILE: the soft limit becomes the hard one). Returns the limit there is now.
  @discardableResult
  public static func raiseDescriptorLimit() -> UInt64 {
    var limit = rlimit()
    guard edge_get_descriptor_limit(&limit) == 0 else { return 0 }
    let before = limit.rlim_cur
    guard limit.rlim_cur < limit.rlim_max else { return UInt64(before) }
    limit.rlim_cur = limit.rlim_max
    return UInt64(edge_set_descriptor_limit(&limit) == 0 ? limit.rlim_cur : before)
  }

  /// Bytes of physical memory in use; `nil` without /proc.
  public static var residentBytes: Int? {
    guard let text = try? File.read("/proc/self/statm", maxBytes: 256) else { return nil }
    // proc(5): total, resident, ... in pages.
    let fields = text.split(separator: UInt8(ascii: " "))
    guard fields.count >= 2, let pages = Int(String(decoding: fields[1], as: UTF8.self)) else { return nil }
    return pages * sysconf(Int32(_SC_PAGESIZE))
  }

  /// Gives memory that was freed back to the system, which the C library does by itself only from the end of the heap.
  public static func releaseFreeMemory() { malloc_trim(0) }

  /// Open descriptors of this process; `nil` without /proc.
  public static var openDescriptors: Int? { File.names(in: "/proc/self/fd").map { $0.count - 1 } }

  /// `Linux 6.1.0 x86_64`.
  public static var system: String {
    var name = utsname()
    guard uname(&name) == 0 else { return "Linux" }
    return withUnsafeBytes(of: &name) { bytes in
      let width = bytes.count / 6
      func field(_ index: Int) -> String {
        String(decoding: bytes[index * width..<(index + 1) * width].prefix { $0 != 0 }, as: UTF8.self)
      }
      return "\(field(0)) \(field(2)) \(field(4))"
    }
  }

  /// The processor runs x86-64-v3 code: AVX2, BMI2 and what comes with them.
  public static var processorIsX86V3: Bool { edge_cpu_is_x86_64_v3() != 0 }

  /// The machine's own name, without a domain.
  public static var hostName: String {
    withUnsafeTemporaryAllocation(of: CChar.self, capacity: 256) { buffer in
      guard gethostname(buffer.baseAddress!, 255) == 0 else { return "localhost" }
      buffer[255] = 0
      return String(cString: buffer.baseAddress!)
    }
  }

  /// `nil` when it is not set.
  public static func environment(_ name: String) -> String? { getenv(name).map { String(cString: $0) } }
}
