@c(LLVMFuzzerTestOneInput)
public func fuzzOne(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
  checkMSRP([UInt8](UnsafeBufferPointer(start: start, count: count)))
  return 0
}
