// SPDX-License-Identifier: Apache-2.0
// What is told of the two parts of a split file.

import Foundation
import ReFTTensor
import ReFTTraining
import Testing
import _ReFTTestSupport

@Suite("A split file")
struct SplitTests {
  @Test("has an account of each part, and tells once what became of the whole")
  func accounts() throws {
    try withTemporaryDirectory { folder in
      // Eight rows of three tokens, one that loses its end, and one that is left out.
      var rows = (0..<8).map { #"{"prompt":"\#($0)","completion":"x"}"# }
      rows.append(#"{"prompt":"8","completion":"a long answer"}"#)
      rows.append(#"{"prompt":"a long prompt","completion":"x"}"#)
      let path = folder + "/rows.jsonl"
      try rows.joined(separator: "\n").write(toFile: path, atomically: true, encoding: .utf8)
      var options = DataSet.Options()
      options.maxLength = 6
      let data = try DataSet(path: path, options: options, coder: ByteCoder(), chatTemplate: nil)
      let (train, validation) = try data.split(fraction: 0.4, seed: 3)
      #expect(train.account.rows == 6 && validation.account.rows == 4)
      #expect(train.account.skipped == 1 && validation.account.skipped == 0)
      #expect(train.account.cut + validation.account.cut == data.account.cut)
      #expect(train.account.tokens + validation.account.tokens == data.account.tokens)
      let longest = [train, validation].map { $0.examples.count { $0.ids.count == 6 } }
      #expect(validation.account.cut == longest[1])
      #expect(train.warnings == data.warnings && validation.warnings.isEmpty)
      #expect(data.warnings.count == 1)
    }
  }
}
