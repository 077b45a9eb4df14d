// SPDX-License-Identifier: Apache-2.0
// The plugins on the search path: what `reft plugin list` prints, as text and as JSON.

import ReFTHost
import ReFTTensor

/// The plugins that were found, and what was refused.
struct PluginListPage: Encodable {
  struct Row: Encodable {
    var name: String
    var id: String
    var version: String
    var abi: String
    var path: String
    var hash: String
    var capabilities: [String]
    /// Whether another file with the same id comes first.
    var shadowed: Bool
    /// The word by which configurations find it; null where none does.
    var found_by: OrNull<String>
    var trust: String
    var check: String
    var check_warnings: [String]
    var isolation: String
    /// Why it does not run in this process, where nobody asked for that.
    var why_isolated: OrNull<String>
    fileprivate var words: (name: String, check: String, isUntrusted: Bool)

    private enum CodingKeys: String, CodingKey {
      case name, id, version, abi, path, hash, capabilities, shadowed, found_by, trust, check
      case check_warnings, isolation, why_isolated
    }
  }
  struct Refusal: Encodable {
    var path: String
    var message: String
  }

  private var plugins: [Row] = []
  private var refused: [Refusal] = []

  init(_ catalog: PluginCatalog, _ store: TrustStore) throws {
    for entry in catalog.list() {
      switch entry {
      case .plugin(let plugin, let reach): plugins.append(try Row(plugin, reach, store))
      case .refused(let path, let error):
        refused.append(Refusal(path: path, message: error.message))
      }
    }
  }

  /// Prints a table for each folder, within 100 columns.
  func show() {
    var folder = ""
    for row in plugins where row.folder != folder {
      folder = row.folder
      if row.path != plugins.first?.path { Output.line() }
      Output.line(Self.cut(folder, 100))
      Output.table(
        [["  NAME", "VERSION", "TRUST", "LAST CHECK", "RUNS", "FILE"]]
          + plugins.filter { $0.folder == folder }.map(\.cells)
      )
    }
    let untrusted = plugins.filter(\.words.isUntrusted).map(\.name)
    if !untrusted.isEmpty {
      let names = untrusted.prefix(4).joined(separator: ", ")
      let more = untrusted.count > 4 ? " and \(untrusted.count - 4) more" : ""
      Output.line("\nisolated because you do not trust them: \(Self.cut(names + more, 60))")
      Output.line("`reft plugin trust NAME` lets one run inside the program")
    }
    for refusal in refused { Output.note("refused: \(refusal.message)") }
  }

  /// The text with its middle left out, where it is longer than that.
  fileprivate static func cut(_ text: String, _ width: Int) -> String {
    guard text.count > width else { return text }
    let head = (width - 1) / 2
    return text.prefix(head) + "…" + text.suffix(width - 1 - head)
  }
}

extension PluginListPage.Row {
  fileprivate init(
    _ plugin: Plugin,
    _ reach: PluginCatalog.Reach,
    _ store: TrustStore
  ) throws {
    let outcome = try store.lastCheck(hash: plugin.hash)
    var seen: [String] = []
    var short = outcome.description
    switch outcome {
    case .none: break
    case .passed(let level, let warnings):
      seen = warnings
      short = "level \(level)" + (seen.isEmpty ? "" : ", \(seen.count) warn.")
    case .failed(let rules):
      short = "failed \(rules.first ?? "")" + (rules.count > 1 ? " +\(rules.count - 1)" : "")
    }
    let word: String? =
      switch reach {
      case .name: plugin.name
      case .id: plugin.id
      case .nothing: nil
      }
    self.init(
      name: plugin.name,
      id: plugin.id,
      version: plugin.version,
      abi: plugin.abi,
      path: plugin.path,
      hash: plugin.hash,
      capabilities: plugin.capabilities.names,
      shadowed: reach == .nothing,
      found_by: OrNull(word),
      trust: try store.trust(hash: plugin.hash, path: plugin.path).description,
      check: outcome.description,
      check_warnings: seen,
      isolation: plugin.isolation.rawValue,
      why_isolated: OrNull(plugin.isUntrusted ? "you do not trust it" : nil),
      words: (word ?? plugin.name, short, plugin.isUntrusted)
    )
  }

  fileprivate var folder: String {
    path.split(separator: "/").dropLast().reduce("") { $0 + "/" + $1 }
  }

  /// What stands in the table, each cell of bounded width.
  fileprivate var cells: [String] {
    let runs = shadowed ? "hidden" : isolation == "none" ? "in process" : "isolated"
    let file = path.split(separator: "/").last.map(String.init) ?? path
    let widths = [22, 9, 9, 16, 10, 22]
    return zip(["  " + words.name, version, trust, words.check, runs, file], widths)
      .map { PluginListPage.cut($0, $1) }
  }
}
