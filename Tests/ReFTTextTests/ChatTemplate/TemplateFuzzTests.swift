// SPDX-License-Identifier: Apache-2.0
// The short form of `reft-fuzz template`.

import Testing
import _ReFTFuzz

@Suite struct TemplateFuzzTests {
  @Test("templates out of a grammar end in text or in an error, soon")
  func grammar() throws {
    let report = try FuzzRun(TemplateFuzz.self, seed: 11).run(0..<300)
    #expect(report.cases == 300)
    #expect(report.accepted > 5, "the grammar should make templates that render")
  }
}
