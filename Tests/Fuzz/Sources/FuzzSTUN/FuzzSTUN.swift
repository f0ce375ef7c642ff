@c(LLVMFuzzerTestOneInput)
public func fuzzOne(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
  checkDatagram(UnsafeRawBufferPointer(start: start, count: count).bytes)
  return 0
}
