// SPDX-License-Identifier: Apache-2.0
// The `data` part of a configuration, read.

import Foundation
import ReFTTensor
import ReFTText

extension DataOptions {
  /// Reads the `data` part; paths are relative to `folder`.
  ///
  /// - Throws: `badConfiguration` with the place, for what is unknown or impossible.
  init(_ reader: consuming ConfigurationReader, folder: URL) throws(ReFTError) {
    var reader = reader
    let train = try reader.string("train")
    guard let train else {
      throw .missingKey("data.train", at: reader.origin, purpose: "name the file with the rows")
    }
    self.init(train: absolute(train, in: folder))
    format = try reader.choice("format")
    if let node = reader.node("validation") {
      if node.numberValue != nil {
        validation = .fraction(
          try node.number(
            key: "data.validation",
            expected: "a file, or a fraction above 0 and below 1"
          ) { $0 > 0 && $0 < 1 }
        )
      } else {
        validation = .file(absolute(try node.string(key: "data.validation"), in: folder))
      }
    }
    if let node = reader.node("template") {
      do {
        template = try Template(node.string(key: "data.template"))
      } catch {
        throw .configuration(node.origin, "'data.template': \(error.message)")
      }
    }
    maxLength = try reader.integer("max_length", in: 2...1_048_576) ?? maxLength
    overlong = try reader.choice("overlong") ?? overlong
    appendsEndOfSequence = try reader.flag("end_of_sequence") ?? appendsEndOfSequence
    limit = try reader.integer("limit", in: 1...1_000_000_000)
    validationLimit = try reader.integer("validation_limit", in: 1...1_000_000_000)
    shuffles = try reader.flag("shuffle") ?? shuffles
    try reader.finish()
  }
}
