@c(LLVMFuzzerTestOneInput)
public func fuzzOne(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
  checkRelay([UInt8](UnsafeRawBufferPointer(start: start, count: count)))
  return 0
}
