// SPDX-License-Identifier: Apache-2.0
// A plugin that passed the checks of its loader.

public import ReFTTensor

/// Everything that is known about a plugin before an instance of it exists.
public struct PluginDescription: Sendable, Hashable {
  /// Reverse domain, such as `org.reft.loreft`.
  public let id: String
  /// The last part of the id: how configurations name the plugin.
  public let name: String
  /// The plugin's own version.
  public var version: String
  /// One line, with the formula.
  public var summary: String
  /// The SPDX name of its license.
  public var license: String
  /// The ABI that it was built against, such as `1.0`.
  public let abi: String
  /// The minor version of the ABI that the plugin speaks; manifests speak this host's.
  public let abiMinor: Int
  /// The file it comes from.
  public var path: String
  /// `sha256:…` of the loaded bytes.
  public var hash: String
  /// What it promises.
  public var capabilities: PluginCapabilities
  /// The options that it understands.
  public var options: [PluginOption]
  /// What the loader had to put right, in sentences.
  public var warnings: [String]

  /// Describes a plugin.
  public init(
    id: String,
    version: String,
    summary: String,
    license: String,
    abi: String,
    path: String,
    hash: String,
    capabilities: PluginCapabilities,
    options: [PluginOption],
    warnings: [String] = []
  ) {
    // Every call of a plugin asks for these two: they are worked out once.
    name = id.split(separator: ".").last.map(String.init) ?? id
    abiMinor = abi.hasPrefix("1.") ? Int(abi.dropFirst(2)) ?? 0 : Self.hostMinor
    self.id = id
    self.version = version
    self.summary = summary
    self.license = license
    self.abi = abi
    self.path = path
    self.hash = hash
    self.capabilities = capabilities
    self.options = options
    self.warnings = warnings
  }

  /// The minor version of the ABI that this host speaks.
  static let hostMinor = 1

  /// Whether a text can be an id: a reverse domain of ASCII letters, digits, '-' and '_'.
  static func isID(_ id: String) -> Bool {
    id.utf8.count <= 128 && id.contains(".")
      && id.split(separator: ".", omittingEmptySubsequences: false).allSatisfy { part in
        ParameterInfo.isName(String(part))
      }
  }
}

/// Where an instance of a plugin will work.
public struct PluginSite: Sendable, Hashable {
  /// Floats in a row.
  public var dim: Int
  /// The block, 0-based.
  public var layer: Int
  /// The hidden tensor's name.
  public var component: String
  /// Floats in a row of what the layer that makes the rows reads; 0 for plugins that do not look at it.
  public var sourceDim: Int
  /// How many locations the position rule lists; 0 where it has no list.
  public var locations: Int

  /// Names a place.
  public init(dim: Int, layer: Int, component: String, sourceDim: Int = 0, locations: Int = 0) {
    self.dim = dim
    self.layer = layer
    self.component = component
    self.sourceDim = sourceDim
    self.locations = locations
  }

  /// Floats in a row of `source` in calls; where nobody stated it, the rows are as wide as x.
  var sourceWidth: Int { sourceDim > 0 ? sourceDim : dim }
}

/// A plugin that is ready to make instances.
public final class Plugin: Sendable {
  /// What is known about it.
  public let description: PluginDescription
  /// Where its instances run.
  public let isolation: Isolation
  /// Whether it is isolated because nobody trusts it, and not because somebody wants it so.
  public let isUntrusted: Bool
  private let maker:
    @Sendable (PluginSite, [String: OptionValue], [String: PluginInput]) throws(ReFTError) ->
      any PluginInstance

  /// Joins a description with the way to make instances; loaders call this.
  package init(
    _ description: PluginDescription,
    isolation: Isolation,
    isUntrusted: Bool = false,
    maker:
      @escaping @Sendable (PluginSite, [String: OptionValue], [String: PluginInput])
      throws(ReFTError) -> any PluginInstance
  ) {
    self.description = description
    self.isolation = isolation
    self.isUntrusted = isUntrusted
    self.maker = maker
  }

  /// The same plugin, isolated because nobody trusts it.
  var untrusted: Plugin {
    Plugin(description, isolation: isolation, isUntrusted: true, maker: maker)
  }

  /// Whether its library knows ABI 1.1: that of 1.0, and a manifest, get what 1.0 has.
  var isFirstVersion: Bool { !abi.hasPrefix("1.") || abi == "1.0" }

  /// How configurations name the plugin.
  public var name: String { description.name }
  /// Reverse domain, such as `org.reft.loreft`.
  public var id: String { description.id }
  /// The plugin's own version.
  public var version: String { description.version }
  /// The ABI that it was built against.
  public var abi: String { description.abi }
  /// The file it comes from.
  public var path: String { description.path }
  /// `sha256:…` of the loaded bytes.
  public var hash: String { description.hash }
  /// What it promises.
  public var capabilities: PluginCapabilities { description.capabilities }
  /// The options that it understands.
  public var options: [PluginOption] { description.options }

  /// Makes an instance for rows of one width.
  ///
  /// - Parameters:
  ///   - site: the width, and where the instance will work.
  ///   - options: the user's values; each is checked against the plugin's schema.
  ///   - inputs: what options name, by option, where it was opened already.
  /// - Returns: the instance, for which no memory was planned yet.
  /// - Throws: `.badConfiguration` for an option that does not exist or does not fit;
  ///   `.misbehaved` when the plugin breaks its contract.
  public func makeInstance(
    at site: PluginSite,
    options: [String: OptionValue],
    inputs: [String: PluginInput] = [:]
  ) throws(ReFTError) -> any PluginInstance {
    let resolved = try resolvedOptions(options)
    return try maker(site, resolved, try openInputs(resolved, given: inputs))
  }
}
