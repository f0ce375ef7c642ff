/// The loops the coder spends its time in: pointers and numbers in, numbers out.
///
/// Callers own the memory and have checked every length. The loops are plain `while` loops with
/// wrapping arithmetic, free of branches inside, which the compiler turns into vector instructions.
enum Kernel {
  typealias Bytes = UnsafePointer<UInt8>
  typealias MutableBytes = UnsafeMutablePointer<UInt8>
}
