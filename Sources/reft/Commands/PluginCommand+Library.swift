// SPDX-License-Identifier: Apache-2.0
// `reft plugin install`, `remove` and `trust`: the user's own plugins, and the user's word on them.

import ArgumentParser
import Foundation
import ReFTConformance
import ReFTHost
import ReFTTensor

extension PluginCommand {
  struct Install: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Check a plugin and copy it to where it is found by name.",
      discussion: """
        The plugin is checked at level 3 and then copied to your folder of plugins, \
        ~/.local/share/reft/plugins or $REFT_HOME/plugins. With --trust it may run inside the program \
        from then on: give it for what you built yourself. Without it, the plugin runs in a process of \
        its own.

        EXAMPLES
          reft plugin install build/my-edit.so --trust
          reft plugin install ~/Downloads/their-edit.so
        """
    )

    @Argument(help: "The plugin's shared library or manifest.")
    var file: String
    @Flag(help: "Trust it: it may run inside the program.")
    var trust = false
    @Flag(help: "Replace a file of the same name that is another plugin.")
    var force = false
    @OptionGroup var common: CommonOptions

    func run() throws {
      let package = try PluginPackage(path: URL(fileURLWithPath: file).standardizedFileURL.path)
      let report = try CheckRun.run(ConformanceSuite(file: package.path), isQuiet: true)
      guard report.hash == package.hash else { throw ReFTError.installedChanged(package.path) }
      CheckRun.record(report)
      guard report.passed else { throw ReFTError.installedBroken(package.path, report) }
      let catalog = PluginCatalog()
      let place = try PluginInstallation(catalog: catalog)
      let target = try place.install(package, ids: report.plugins, replacesOthers: force)
      let store = TrustStore()
      let name = report.plugins.first ?? (target as NSString).lastPathComponent
      if trust { try store.setTrusted(true, hash: package.hash, name: name, path: target) }
      let found = try store.trust(hash: package.hash, path: target)
      tellWhatHidesIt(target, ids: report.plugins)
      tellWhatItHides(target, ids: report.plugins)
      if common.json {
        return try Output.json(
          LibraryDocument(path: target, hash: package.hash, trust: found.description)
        )
      }
      Output.line("installed \(target): \(report.plugins.joined(separator: ", "))")
      Output.line("checked: \(report.summary)")
      Output.line(
        found.allowsInProcess
          ? "trusted: it runs inside reft"
          : "not trusted: it runs in a process of its own; if you know who made it, `reft plugin trust "
            + "\(target)` lets it in"
      )
    }

    /// Says when the installed file is not the one that its name finds.
    private func tellWhatHidesIt(_ target: String, ids: [String]) {
      let catalog = PluginCatalog()
      for id in ids {
        let name = id.split(separator: ".").last.map(String.init) ?? id
        for word in [name, id] {
          guard let found = try? catalog.find(word), found.id != id else { continue }
          Output.note(
            "warning: '\(word)' finds \(found.id) ('\(found.path)') first; write the id \(id)"
          )
        }
        guard let found = try? catalog.find(id), !PluginPlaces.isSame(found.path, target) else {
          continue
        }
        Output.note("warning: '\(found.path)' has the id \(id) too and is found first")
      }
    }

    /// Says which plugins the installed file comes before, and how each is still meant.
    private func tellWhatItHides(_ target: String, ids: [String]) {
      let catalog = PluginCatalog()
      for case .plugin(let other, let reach) in catalog.list() where reach != .name {
        guard !PluginPlaces.isSame(other.path, target) else { continue }
        let word = reach == .nothing ? other.id : other.name
        guard let found = try? catalog.find(word), ids.contains(found.id),
          PluginPlaces.isSame(found.path, target)
        else { continue }
        Output.note(
          reach == .nothing
            ? "warning: '\(target)' comes before '\(other.path)', which has the id \(other.id) too; "
              + "`reft plugin remove \((target as NSString).lastPathComponent)` brings that one back"
            : "warning: '\(word)' finds \(found.id) ('\(target)') from now on, and no longer "
              + "\(other.id) ('\(other.path)'); write the id \(other.id) for that one"
        )
      }
    }
  }

  struct Remove: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Remove a plugin from your own folder.",
      discussion: """
        Nothing outside of ~/.local/share/reft/plugins, or $REFT_HOME/plugins, is removed. Adapters \
        that were made with the plugin stay as they are and need it again to run; those below the \
        folders of --runs are named.

        EXAMPLES
          reft plugin remove my-edit
          reft plugin remove my-edit --runs ~/experiments
        """
    )

    @Argument(help: "The plugin's name, its id, or the name of its file.")
    var name: String
    @Option(
      parsing: .singleValue,
      help: ArgumentHelp(
        "A folder to look for adapters in; may be repeated; without it, ./runs.",
        valueName: "folder"
      )
    )
    var runs: [String] = []
    @OptionGroup var common: CommonOptions

    private struct Document: Encodable {
      var path: String
      var hash: OrNull<String>
      var trust: String
      var files: [String]
      var adapters: [String]
    }

    func run() throws {
      let catalog = PluginCatalog()
      let place = try PluginInstallation(catalog: catalog)
      let file = try place.file(meant: name)
      let hash = try? TrustStore.hash(ofPlugin: file)
      let trust = try hash.map { try TrustStore().trust(hash: $0, path: file).description }
      let ids = ((try? catalog.plugins(inFile: file)) ?? []).map(\.id)
      let places = runs.isEmpty ? ["runs"] : runs
      let adapters = AdapterUses.adapters(naming: ids, below: places)
      let gone = try place.remove((file as NSString).lastPathComponent)
      if common.json {
        return try Output.json(
          Document(
            path: file,
            hash: OrNull(hash),
            trust: trust ?? "unknown",
            files: gone,
            adapters: adapters
          )
        )
      }
      for path in gone { Output.line("removed \(path)") }
      if !ids.isEmpty {
        let where_ = places.joined(separator: ", ")
        Output.line(
          adapters.isEmpty
            ? "no adapter below \(where_) was made with it"
            : "made with it, and of no use without: \(adapters.joined(separator: ", "))"
        )
      }
    }
  }

  struct Trust: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Let a plugin run inside the program: your word alone does.",
      discussion: """
        Trust belongs to the bytes of the file: another build is unknown again. A plugin inside the \
        program can do whatever you can. What 'reft plugin check' finds is worth reading first, but a \
        plugin that means harm can behave while it is watched.

        EXAMPLES
          reft plugin trust ./my-edit.so
          reft plugin trust my-edit --revoke
        """
    )

    @Argument(help: "The plugin's shared library or manifest, or its name.")
    var file: String
    @Flag(help: "Trust it no longer.")
    var revoke = false
    @OptionGroup var places: PluginPlaces
    @OptionGroup var common: CommonOptions

    func run() throws {
      let path = try places.file(file)
      let hash = try TrustStore.hash(ofPlugin: path)
      let name = (path as NSString).lastPathComponent
      let store = TrustStore()
      try store.setTrusted(!revoke, hash: hash, name: name, path: path)
      let trust = try store.trust(hash: hash, path: path).description
      if common.json {
        return try Output.json(LibraryDocument(path: path, hash: hash, trust: trust))
      }
      Output.line("\(path) is \(revoke ? "no longer trusted" : "trusted") (\(hash))")
      if case .failed = try store.lastCheck(hash: hash), !revoke {
        Output.note("warning: its last check: \(try store.lastCheck(hash: hash).description)")
      }
    }
  }
}

/// What commands print about a file of the user's plugins.
private struct LibraryDocument: Encodable {
  var path: String
  var hash: String
  var trust: String
}

extension ReFTError {
  fileprivate static func installedChanged(_ path: String) -> ReFTError {
    ReFTError(
      .badData,
      "'\(path)' changed while it was being checked, so it is not installed; install it again"
    )
  }

  fileprivate static func installedBroken(_ path: String, _ report: Report) -> ReFTError {
    let broken = report.rules.filter(\.status.isFault)
    let first = broken.first.map { "\($0.id): \($0.message)" } ?? "no rule could be run"
    return ReFTError(
      .pluginRefused,
      "'\(path)' breaks \(broken.count) rule\(broken.count == 1 ? "" : "s") and is not installed; \(first) "
        + "`reft plugin check \(path)` tells all"
    )
  }
}
