import EdgeCore

/// The messages of RFC 5769 §2 and RFC 8489 appendix B.1, byte for byte.
enum Vectors {
  static let shortTermPassword = Array("VOkJxbRl1RmTxUk/WvJxBt".utf8)
  static let longTermKeyText = "\u{30DE}\u{30C8}\u{30EA}\u{30C3}\u{30AF}\u{30B9}:example.org:TheMatrIX"

  /// §2.1. Its USERNAME is padded with spaces.
  static let request = hex(
    """
    000100582112a442b7e7a701bc34d686fa87dfae802200105354554e207465737420636c69656e74
    002400046e0001ff80290008932ff9b151263b36000600096576746a3a68367659202020
    000800149aeaa70cbfd8cb56781ef2b5b2d3f249c1b571a280280004e57a3bcf
    """)
  /// §2.2. Its SOFTWARE is padded with a space.
  static let responseV4 = hex(
    """
    0101003c2112a442b7e7a701bc34d686fa87dfae8022000b7465737420766563746f7220
    002000080001a147e112a643000800142b91f599fd9e90c38c7489f92af9ba53f06be7d780280004c07d4c96
    """)
  /// §2.3.
  static let responseV6 = hex(
    """
    010100482112a442b7e7a701bc34d686fa87dfae8022000b7465737420766563746f7220
    002000140002a1470113a9faa5d3f179bc25f4b5bed2b9d900080014a382954e4be67bf11784c97c8292c275bfe3ed41
    80280004c8fb0b4c
    """)
  /// §2.4.
  static let longTermRequest = hex(
    """
    000100602112a44278ad3433c6ad72c029da412e00060012e3839ee38388e383aae38383e382afe382b90000
    0015001c662f2f3439396b39353464364f4c33346f4c39465354767936347341
    0014000b6578616d706c652e6f72670000080014f67024656dd64a3e02b8e0712e85c9a28ca89666
    """)
  /// RFC 8489 B.1.
  static let sha256Request = hex(
    """
    0001009c2112a44278ad3433c6ad72c029da412e001e00204a3cf38fef6992bda952c67804 17da0f24819415569e60b205c46e41407f1704
    001500296f62 4d61744a6f7332414141 43662f2f3439396b39353464364f4c33346f4c3946 5354767936347341000000
    0014000b6578616d706c652e6f726700001c0020e4686c8f0edeb59013e07090010a93efccbccc544c0a45d9f830aa6d6f735a01
    """)

  static let all = [request, responseV4, responseV6, longTermRequest, sha256Request]

  static func hex(_ text: String) -> [UInt8] {
    guard let bytes = Hex.decode(text.filter { $0.isHexDigit }) else { preconditionFailure("not hex") }
    return bytes
  }
}
