// SPDX-License-Identifier: Apache-2.0
// Every option of every command, as the parser describes them: none may be given twice where one value
// counts, and what messages name exists.

import Foundation
import ReFTTensor
import Testing
import _ReFTTestSupport

/// A command of the built tool, as it describes itself.
private struct Command: Sendable {
  var path: [String]
  var options: [(name: String, isRepeating: Bool, takesValue: Bool)] = []

  /// All commands, from the tool's own description.
  static let all: [Command] = {
    guard let tool = try? Tool.reft(["--experimental-dump-help"]),
      let root = try? JSONFile.node(Array(tool.output), path: "help"), let command = root["command"]
    else { return [] }
    return read(command, under: [])
  }()

  private static func read(_ node: JSONNode, under path: [String]) -> [Command] {
    var command = Command(path: path)
    for argument in node.list("arguments") where argument["kind"]?.word != "positional" {
      for name in argument.list("names") where name["kind"]?.word == "long" {
        command.options.append(
          (
            name: name["name"]?.word ?? "",
            isRepeating: argument["isRepeating"]?.value == .bool(true),
            takesValue: argument["kind"]?.word == "option"
          )
        )
      }
    }
    let parts = node.list("subcommands").flatMap { part -> [Command] in
      guard let name = part["commandName"]?.word, name != "help" else { return [] }
      return read(part, under: path + [name])
    }
    return [command] + parts
  }
}

extension JSONNode {
  fileprivate func list(_ key: String) -> [JSONNode] {
    if case .list(let items)? = self[key]?.content { return items }
    return []
  }
}

@Suite("Options")
struct OptionTests {
  @Test("of one value are refused when they are given twice, in every command")
  func givenTwice() throws {
    var count = 0
    for command in Command.all {
      for option in command.options where option.takesValue && !option.isRepeating {
        let name = "--" + option.name
        let tool = try Tool.reft(command.path + [name, "1", name + "=2"])
        let line = (["reft"] + command.path + ["--help"]).joined(separator: " ")
        #expect(tool.status == 64)
        #expect(
          tool.errors
            == "error: \(name) is given 2 times and takes one value; give it once; see '\(line)'\n"
        )
        count += 1
      }
    }
    #expect(count >= 30)
  }

  @Test("that draw are said to change nothing where the most likely token is always taken")
  func ignored() throws {
    try withTemporaryDirectory { folder in
      let bench = Workbench(folder: folder)
      try bench.writeRun()
      let words = [
        "generate", "--model", bench.path("tiny.gguf"), "--prompt", "one", "--max-tokens", "2",
        "--json",
      ]
      let plain = try Tool.reft(words)
      let told = try Tool.reft(words + ["--top-k", "5", "--min-p", "0.5"])
      #expect(plain.status == 0 && told.status == 0 && !plain.errors.contains("warning"))
      #expect(told.errors.contains("--top-k 5, --min-p 0.5 change nothing\n"), "\(told.errors)")
      let drawn = try Tool.reft(words + ["--top-k", "5", "--temperature", "1"])
      #expect(drawn.status == 0 && !drawn.errors.contains("change"))
    }
  }

  @Test("that may be repeated, and flags, are taken more than once")
  func repeated() throws {
    try withTemporaryDirectory { folder in
      let bench = Workbench(folder: folder)
      try bench.writeRun()
      let tool = try Tool.reft([
        "generate", "--model", bench.path("tiny.gguf"), "--prompt", "one", "--max-tokens", "2",
        "--stop", "a", "--stop", "b", "--json", "--json",
      ])
      #expect(tool.status == 0, "\(tool.errors)")
    }
  }

  // MARK: Messages

  /// The texts of the sources: quoted parts of lines that are no comments.
  private static func texts() throws -> [(place: String, text: String)] {
    let root = URL(fileURLWithPath: Fixture.folder).deletingLastPathComponent()
      .deletingLastPathComponent().appendingPathComponent("Sources")
    let files =
      FileManager.default.enumerator(atPath: root.path)?.compactMap { $0 as? String } ?? []
    var result: [(String, String)] = []
    // One file is generated, and one calls other programs.
    let others = ["EmbeddedFiles.swift", "ModelLibrary+Pull.swift"]
    for file in files.sorted()
    where file.hasSuffix(".swift") && !others.contains(where: file.hasSuffix) {
      let text = try String(contentsOf: root.appendingPathComponent(file), encoding: .utf8)
      for (number, line) in text.split(separator: "\n", omittingEmptySubsequences: false)
        .enumerated()
      {
        let line = line.drop { $0 == " " }
        guard !line.hasPrefix("//"), line.contains("\"") || line.contains("`") else { continue }
        result.append(("\(file):\(number + 1)", String(line)))
      }
    }
    return result
  }

  /// Options of other programs that messages name, and those of the parser itself.
  private static let foreign: Set = [
    "help", "version", "generate-completion-script", "release", "crate-type", "verbose", "merge",
    // curl's.
    "connect-timeout", "continue-at", "fail", "head", "header", "location", "progress-bar", "retry",
    "show-error", "silent", "write-out",
    // NVRTC's.
    "device-as-default-execution-space", "gpu-architecture", "std",
  ]

  @Test("and commands that messages name exist")
  func named() throws {
    let commands = Command.all
    let known = Set(commands.flatMap { $0.options.map(\.name) }).union(Self.foreign)
    var found = 0
    for (place, text) in try Self.texts() {
      for match in text.matches(of: /(?:^|[\s"'`(\[])--([a-z][a-z0-9-]+)/) {
        found += 1
        #expect(known.contains(String(match.1)), "\(place) names --\(match.1): \(text)")
      }
      for match in text.matches(of: /[`']reft ([a-z]+)(?: ([a-z]+))?/) {
        found += 1
        let path = [String(match.1)] + (match.2.map { [String($0)] } ?? [])
        let exists = commands.contains {
          $0.path == path || ($0.path == [path[0]] && !hasParts(path[0], commands))
        }
        #expect(exists, "\(place) names 'reft \(path.joined(separator: " "))'")
      }
    }
    #expect(found >= 60)
  }

  private func hasParts(_ name: String, _ commands: [Command]) -> Bool {
    commands.contains { $0.path.count == 2 && $0.path[0] == name }
  }

  @Test("and keys of the configuration that messages name stand in its manual")
  func keys() throws {
    let manual = try String(
      contentsOfFile: Fixture.folder + "/../../docs/configuration.md",
      encoding: .utf8
    )
    var found = 0
    for (place, text) in try Self.texts() {
      for match in text.matches(of: /'((?:data|train)\.[a-z_]+)/) {
        found += 1
        #expect(manual.contains("`\(match.1)`"), "\(place) names '\(match.1)'")
      }
    }
    #expect(found >= 10)
  }
}
