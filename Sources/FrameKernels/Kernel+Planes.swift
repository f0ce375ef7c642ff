/// Between the camera's sample order and planes, one row at a time.
extension Kernel {
  /// Copies every `step`th byte.
  public static func gather(_ from: Bytes, step: Int, to: MutableBytes, count: Int) {
    switch step {
    case 1:
      var index = 0
      while index < count {
        unsafe to[index] = from[index]
        index &+= 1
      }
    case 2:
      var index = 0
      while index < count {
        unsafe to[index] = from[index &* 2]
        index &+= 1
      }
    case 4:
      var index = 0
      while index < count {
        unsafe to[index] = from[index &* 4]
        index &+= 1
      }
    default:
      var index = 0
      while index < count {
        unsafe to[index] = from[index &* step]
        index &+= 1
      }
    }
  }

  /// The inverse of ``gather(_:step:to:count:)``.
  public static func scatter(_ from: Bytes, to: MutableBytes, step: Int, count: Int) {
    var index = 0
    if step == 1 {
      while index < count {
        unsafe to[index] = from[index]
        index &+= 1
      }
      return
    }
    while index < count {
      unsafe to[index &* step] = from[index]
      index &+= 1
    }
  }

  /// Four bytes of packed 4:2:2 are two luma samples and one of each chroma plane. `lumaShift` is
  /// 0 where luma comes first, 8 where chroma does.
  public static func splitPacked(
    _ from: Bytes, y: MutableBytes, u: MutableBytes, v: MutableBytes, pairs: Int, lumaFirst: Bool
  ) {
    let halves = unsafe UnsafeRawPointer(from)
    let lumaShift: UInt16 = lumaFirst ? 0 : 8
    var index = 0
    while index < pairs &* 2 {
      let word = unsafe UInt16(littleEndian: halves.loadUnaligned(fromByteOffset: index &* 2, as: UInt16.self))
      unsafe y[index] = UInt8(truncatingIfNeeded: word &>> lumaShift)
      index &+= 1
    }
    let uShift: UInt32 = lumaFirst ? 8 : 0
    let vShift: UInt32 = uShift &+ 16
    index = 0
    while index < pairs {
      let word = unsafe UInt32(littleEndian: halves.loadUnaligned(fromByteOffset: index &* 4, as: UInt32.self))
      unsafe u[index] = UInt8(truncatingIfNeeded: word &>> uShift)
      unsafe v[index] = UInt8(truncatingIfNeeded: word &>> vShift)
      index &+= 1
    }
  }

  /// The inverse of ``splitPacked(_:y:u:v:pairs:lumaFirst:)``.
  public static func joinPacked(to: MutableBytes, y: Bytes, u: Bytes, v: Bytes, pairs: Int, lumaFirst: Bool) {
    let words = UnsafeMutableRawPointer(to)
    let luma = unsafe UnsafeRawPointer(y)
    let lumaShift: UInt32 = lumaFirst ? 0 : 8
    let chromaShift: UInt32 = 8 &- lumaShift
    var index = 0
    while index < pairs {
      let two = unsafe UInt32(UInt16(littleEndian: luma.loadUnaligned(fromByteOffset: index &* 2, as: UInt16.self)))
      let spread = (two & 0xFF) | (two & 0xFF00) &<< 8
      let chroma = unsafe UInt32(u[index]) | UInt32(v[index]) &<< 16
      let word = spread &<< lumaShift | chroma &<< chromaShift
      unsafe words.storeBytes(of: word.littleEndian, toByteOffset: index &* 4, as: UInt32.self)
      index &+= 1
    }
  }

  /// Copies packed blocks, which are in the order of `map`, to where those of their class are collected.
  ///
  /// - Parameters:
  ///   - joined: for every class the one it becomes, of the same size.
  ///   - cursors: for every class where its next block goes in `to`; moved on.
  ///   - newMap: receives the map with the classes they became.
  public static func sortBlocks(
    _ map: Bytes, _ blocks: Int, _ packed: Bytes, joined: borrowing [32 of UInt8], cursors: inout [32 of Int],
    newMap: MutableBytes, to: MutableBytes
  ) {
    var from = unsafe packed
    var block = 0
    while block < blocks {
      let value = unsafe map[block]
      let slot = Int(value & 31)
      let kind = unsafe joined[unchecked: slot]
      unsafe newMap[block] = value & BlockMode.mask | kind
      let bytes = BlockClass.packedBytes(kind)
      let target = unsafe to + cursors[unchecked: Int(kind & 31)]
      var line = 0
      while line < bytes {
        unsafe store(row(from + line), target + line)
        line &+= 32
      }
      unsafe from += bytes
      unsafe cursors[unchecked: Int(kind & 31)] &+= bytes
      block &+= 1
    }
  }

  /// `plane = plane - green + 128`: what a colour plane of RGB is stored as.
  public static func subtract(_ green: Bytes, from plane: MutableBytes, count: Int) {
    var index = 0
    while index < count {
      unsafe plane[index] = plane[index] &- green[index] &+ 128
      index &+= 1
    }
  }

  /// The inverse of ``subtract(_:from:count:)``.
  public static func add(_ green: Bytes, to plane: MutableBytes, count: Int) {
    var index = 0
    while index < count {
      unsafe plane[index] = plane[index] &+ green[index] &+ 128
      index &+= 1
    }
  }
}
