// SPDX-License-Identifier: Apache-2.0
// A wrong input, the exit status and the exact line that it must yield. The tables are in
// WrongInput+….swift, one per kind of input.

import Foundation
import Testing
import _ReFTTestSupport

/// One call that must fail in one way.
struct WrongInput: Sendable, CustomTestStringConvertible {
  /// What is wrong, in words.
  var id: String
  /// The exit status.
  var status: Int32
  /// What stands after `error: ` on stderr; `$T` is the call's own folder.
  var message: String
  /// The arguments of `reft`; `$T` is the call's own folder.
  var call: [String]
  /// Puts the wrong input into the folder.
  var prepare: @Sendable (Workbench) throws -> Void = { _ in }

  var testDescription: String { id }
}

/// The folder of one call, with what most calls need.
struct Workbench: Sendable {
  let folder: String

  /// A file of the folder.
  func path(_ name: String) -> String { folder + "/" + name }

  func write(_ text: String, to name: String) throws { try write(Array(text.utf8), to: name) }

  func write(_ bytes: [UInt8], to name: String) throws {
    let path = path(name)
    let parent = (path as NSString).deletingLastPathComponent
    try FileManager.default.createDirectory(atPath: parent, withIntermediateDirectories: true)
    try Data(bytes).write(to: URL(fileURLWithPath: path))
  }

  func read(_ name: String) throws -> [UInt8] {
    Array(try Data(contentsOf: URL(fileURLWithPath: path(name))))
  }
}

@Suite("Wrong input")
struct WrongInputTests {
  static let cases: [WrongInput] =
    WrongInput.modelFiles + WrongInput.adapters + WrongInput.configurations + WrongInput.dataFiles
    + WrongInput.plugins + WrongInput.calls

  @Test("yields its exit status and one line that names the fault and the remedy", arguments: cases)
  func failsAsPinned(_ wrong: WrongInput) throws {
    try withTemporaryDirectory { folder in
      let bench = Workbench(folder: folder)
      try wrong.prepare(bench)
      let call = wrong.call.map { $0.replacing("$T", with: folder) }
      let tool = try Tool.reft(
        call,
        environment: ["REFT_HOME": folder + "/home"],
        folder: folder
      )
      let errors = tool.errors.replacing(folder, with: "$T").replacing(Tool.products, with: "$B")
      #expect(tool.status == wrong.status)
      // A plugin that is no acquaintance is announced in a line of its own.
      let lines = errors.split(separator: "\n").filter { !$0.hasPrefix("note: ") }
      #expect(lines == ["error: \(wrong.message)"])
      #expect(tool.output.isEmpty)
    }
  }
}
