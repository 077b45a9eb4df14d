// SPDX-License-Identifier: Apache-2.0
// Which build of a plugin made an adapter.

/// Id, version, ABI and file hash of the plugin that an intervention was trained with.
public struct PluginProvenance: Sendable, Hashable {
  /// Reverse domain, such as `org.reft.loreft`; nil where a file does not say.
  public var id: String?
  /// The plugin's version.
  public var version: String?
  /// The ABI that it was built against.
  public var abi: String?
  /// `sha256:…` of its file.
  public var hash: String?

  /// States what is known.
  public init(
    id: String? = nil,
    version: String? = nil,
    abi: String? = nil,
    hash: String? = nil
  ) {
    self.id = id
    self.version = version
    self.abi = abi
    self.hash = hash
  }

  /// The provenance of what a plugin makes.
  public init(_ plugin: Plugin) {
    self.init(id: plugin.id, version: plugin.version, abi: plugin.abi, hash: plugin.hash)
  }

  /// What differs in the plugin of that id that is here now, in one sentence each; what is absent is
  /// fine.
  func differences(from plugin: Plugin) -> [String] {
    let here = PluginProvenance(plugin)
    var result: [String] = []
    for (what, then, now) in [("version", version, here.version), ("ABI", abi, here.abi)] {
      if let then, let now, then != now {
        result.append(
          "the adapter was made with \(what) \(then) of plugin '\(plugin.name)'; here it is \(now)"
        )
      }
    }
    if result.isEmpty, let then = hash, then != here.hash {
      result.append(
        "the adapter was made with another build of plugin '\(plugin.name)' \(plugin.version): "
          + "\(then.prefix(19))… then, \(plugin.hash.prefix(19))… here"
      )
    }
    return result
  }
}
