// SPDX-License-Identifier: Apache-2.0
// What `reft plugin new` makes: folders that build and test themselves without this repository.

import Foundation
import ReFTTemplates
import ReFTTensor
import Testing
import _ReFTTestSupport

struct PluginTemplateTests {
  @Test(
    "a new plugin builds, tests itself and exports the entry alone",
    arguments: PluginTemplate.allCases
  )
  func builds(template: PluginTemplate) throws {
    let folder = FileManager.default.temporaryDirectory
      .appendingPathComponent("reft-template-\(UUID().uuidString)")
    defer { try? FileManager.default.removeItem(at: folder) }
    let files = try template.create(name: "my-edit", in: folder.path)
    #expect(files.contains("reft_plugin.h") && files.contains("Makefile"))
    var ways = ["CC=cc"]
    if template == .cpp { ways = ["CXX=g++", "CXX=clang++"] }
    if template == .rust { ways = ["RUSTC=rustc"] }
    for way in ways {
      let compiler = way.split(separator: "=").last.map(String.init) ?? ""
      guard try run([compiler, "--version"], in: folder).status == 0 else {
        print("skipped: the template in \(template.rawValue) is not built: no \(compiler) here")
        continue
      }
      let make = try run(["make", "-B", "test", way], in: folder)
      #expect(make.status == 0, "\(make.output)")
      #expect(!make.output.contains("warning:"), "\(make.output)")
      #expect(make.output.contains("the formula holds on 2 rows"))
      let symbols = try run(["nm", "-D", "--defined-only", "my-edit.so"], in: folder)
      let names = symbols.output.split(separator: "\n").compactMap {
        $0.split(separator: " ").last.map(String.init)
      }
      // Some linkers also export these three section marks; they are nobody's choice.
      let marks = ["__bss_start", "_edata", "_end"]
      #expect(names.filter { !marks.contains($0) } == ["reft_plugin_entry_v1"])
    }
  }

  @Test("a new plugin holds the ABI's header and the whole kit as they are")
  func sources() throws {
    let folder = FileManager.default.temporaryDirectory
      .appendingPathComponent("reft-template-\(UUID().uuidString)")
    defer { try? FileManager.default.removeItem(at: folder) }
    try PluginTemplate.swift.create(name: "a", in: folder.path)
    let sources = URL(fileURLWithPath: Fixture.folder).deletingLastPathComponent()
      .deletingLastPathComponent().appendingPathComponent("Sources")
    let kit = sources.appendingPathComponent("ReFTPluginKit")
    var pairs = ["reft_plugin.h", "reft_cuda.h"].map { ($0, "CReFTPlugin/include/\($0)") }
    for name in try FileManager.default.contentsOfDirectory(atPath: kit.path) {
      pairs.append(("kit/\(name)", "ReFTPluginKit/\(name)"))
    }
    #expect(pairs.count > 4)
    for (made, source) in pairs {
      let one = try Data(contentsOf: folder.appendingPathComponent(made))
      #expect(try one == Data(contentsOf: sources.appendingPathComponent(source)), "\(made)")
    }
  }

  @Test("an unknown language is told, with those that there are")
  func unknownLanguage() {
    let error = #expect(throws: ReFTError.self) { try PluginTemplate(language: "fortran") }
    #expect(error?.code == .usage)
    #expect(
      error?.message
        == "there is no plugin template in 'fortran'; --language must be one of c, cpp, rust, swift"
    )
  }

  @Test("make check without reft says where to name it")
  func missingProgram() throws {
    let folder = FileManager.default.temporaryDirectory
      .appendingPathComponent("reft-template-\(UUID().uuidString)")
    defer { try? FileManager.default.removeItem(at: folder) }
    try PluginTemplate.c.create(name: "a", in: folder.path)
    let make = try run(["make", "check", "REFT=no-such-program"], in: folder)
    #expect(make.status == 2)
    #expect(
      make.output.contains(
        "error: 'no-such-program' is not a command here; put reft on the PATH or say where it is"
      )
    )
  }

  @Test("the C template has fewer than 60 lines, comments and blank ones among them")
  func length() throws {
    let folder = FileManager.default.temporaryDirectory
      .appendingPathComponent("reft-template-\(UUID().uuidString)")
    defer { try? FileManager.default.removeItem(at: folder) }
    try PluginTemplate.c.create(name: "a", in: folder.path)
    let source = try String(contentsOf: folder.appendingPathComponent("a.c"), encoding: .utf8)
    #expect(source.count { $0 == "\n" } < 60)
  }

  @Test(
    "names that cannot be a file, a type and a key are refused",
    arguments: ["", "My-Edit", "1st", "a--b", "a-", "a/b", "ä", String(repeating: "a", count: 65)]
  )
  func badNames(name: String) {
    let error = #expect(throws: ReFTError.self) {
      try PluginTemplate.c.create(name: name, in: "/nonexistent/folder")
    }
    #expect(error?.code == .usage)
  }

  @Test("a folder that holds something is left alone")
  func occupied() throws {
    let folder = FileManager.default.temporaryDirectory
      .appendingPathComponent("reft-template-\(UUID().uuidString)")
    defer { try? FileManager.default.removeItem(at: folder) }
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    try Data("precious".utf8).write(to: folder.appendingPathComponent("Makefile"))
    let error = #expect(throws: ReFTError.self) {
      try PluginTemplate.c.create(name: "a", in: folder.path)
    }
    #expect(error?.message.contains("it holds 'Makefile'") == true)
  }

  private func run(_ arguments: [String], in folder: URL) throws -> (status: Int32, output: String)
  {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments = arguments
    process.currentDirectoryURL = folder
    let pipe = Pipe()
    process.standardOutput = pipe
    process.standardError = pipe
    try process.run()
    let data = pipe.fileHandleForReading.readDataToEndOfFile()
    process.waitUntilExit()
    return (process.terminationStatus, String(decoding: data, as: UTF8.self))
  }
}
