import EdgeCore
import SecureTransport

/// The hash functions the daemon uses.
let hashes = Hashes.openSSL
