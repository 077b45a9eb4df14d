// SPDX-License-Identifier: Apache-2.0
// What is logged in a worker: plain lines, which its host shows with the plugin's name.

import Foundation
import Logging

/// Prints notices, warnings and errors to standard error.
struct WorkerLog: LogHandler {
  var metadata: Logger.Metadata = [:]
  var logLevel: Logger.Level = .notice

  subscript(metadataKey key: String) -> Logger.MetadataValue? {
    get { metadata[key] }
    set { metadata[key] = newValue }
  }

  func log(event: LogEvent) {
    let label = event.level >= .error ? "error" : event.level == .warning ? "warning" : "note"
    let line = Array("\(label): \(event.message)\n".utf8)
    // Nobody is left to be told that this cannot be written.
    _ = line.withUnsafeBytes { write(2, $0.baseAddress, $0.count) }
  }
}
