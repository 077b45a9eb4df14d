// SPDX-License-Identifier: Apache-2.0
// What the libraries log, as lines on stderr that look like the command's own.

import Logging

/// Prints notices, warnings and errors; finer levels are for debuggers.
struct PlainLog: LogHandler {
  var metadata: Logger.Metadata = [:]
  var logLevel: Logger.Level = .notice

  subscript(metadataKey key: String) -> Logger.MetadataValue? {
    get { metadata[key] }
    set { metadata[key] = newValue }
  }

  func log(event: LogEvent) {
    let label = event.level >= .error ? "error" : event.level == .warning ? "warning" : "note"
    Output.note("\(label): \(event.message)")
  }
}
