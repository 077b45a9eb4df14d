// SPDX-License-Identifier: Apache-2.0
// At which widths instances are made: the usual ones, and those of tensors that the author gave.

import CReFTPlugin

extension Bench {
  /// Widths to look at, small and odd ones among them.
  static let widths = [1, 3, 7, 24, 64, 577]

  /// Widths of which an ordinary instance has the first that is served.
  ///
  /// Narrow ones come first, in which differences are seen; the last is one that ABI-201 asks for.
  private static let ordinaryWidths = [24, 64, 128, 577, 576, 1024, 2048]

  /// The given options that an intervention has, in the types of its schema.
  ///
  /// - Throws: `WrongOption` for a value that the schema does not allow.
  func givenSettings(_ plugin: Intervention) throws -> [OptionSetting] {
    guard !given.isEmpty else { return [] }
    let schemas = try plugin.options()
    var settings: [OptionSetting] = []
    for option in given {
      guard let schema = schemas.first(where: { $0.name == option.name }) else { continue }
      settings.append(try option.setting(schema, of: plugin.id))
    }
    return settings
  }

  /// The widths that given tensors can be of: their last dimensions, then their others.
  func namedWidths(_ settings: [OptionSetting]) -> [Int] {
    let shapes: [[Int]] = settings.compactMap { setting in
      guard case .input(let input) = setting.value, input.bytes == nil else { return nil }
      return input.shape
    }
    var widths: [Int] = []
    for dim in shapes.compactMap(\.last) + shapes.flatMap({ $0.dropLast() })
    where (1..<1 << 16).contains(dim) && !widths.contains(dim) {
      widths.append(dim)
    }
    return widths
  }

  /// A width that the plugin serves, small enough for differences to be seen: a usual one, else one
  /// that a given tensor names.
  func usualWidth(_ plugin: Intervention) throws -> (dim: Int, options: [OptionSetting]) {
    for dim in triedWidths(try givenSettings(plugin)) {
      if let options = try acceptedOptions(plugin, dim: dim) { return (dim, options) }
    }
    throw NotApplicable("\(plugin.id) cannot be created at any width that was tried; see ABI-201.")
  }

  /// Those of some widths that the plugin serves, and with which options; where it serves none of them,
  /// its usual width.
  func served(
    _ plugin: Intervention,
    among widths: [Int]
  ) throws -> [(dim: Int, options: [OptionSetting])] {
    var list: [(dim: Int, options: [OptionSetting])] = []
    for dim in widths {
      if let options = try acceptedOptions(plugin, dim: dim) { list.append((dim, options)) }
    }
    return list.isEmpty ? [try usualWidth(plugin)] : list
  }

  /// Options that make the plugin serve a narrow row, such as rank 1 at width 1; nil when none do.
  ///
  /// What the author gave stays as it is.
  func acceptedOptions(_ plugin: Intervention, dim: Int) throws -> [OptionSetting]? {
    let base = try needs(plugin, dim: dim)
    let fixed = given.map(\.name)
    var tries = [base]
    for option in try plugin.options()
    where option.type == REFT_OPTION_INT && !fixed.contains(option.name) {
      let low = option.hasRange ? Int64(max(1, option.minimum)) : 1
      tries.append(base.filter { $0.name != option.name } + [OptionSetting(option.name, .int(low))])
    }
    for options in tries where try accepts(plugin, dim: dim, options) { return options }
    guard plugin.sourceExcess > 0, plugin.has(REFT_CAP_NEEDS_SOURCE) else { return nil }
    // It may want what the layer reads to be as wide as its rows.
    let excess = plugin.sourceExcess
    plugin.sourceExcess = 0
    for options in tries where try accepts(plugin, dim: dim, options) { return options }
    plugin.sourceExcess = excess
    return nil
  }

  /// Makes sure that the given options are some that the plugin takes, and takes together.
  ///
  /// - Throws: `WrongOption` naming the option, what is known and what is expected.
  func requireGiven() throws {
    let plugins = try interventions()
    var known: [String] = []
    for plugin in plugins {
      doing("option_info of \(plugin.id)")
      known += try plugin.options().map(\.name)
    }
    for option in given where !known.contains(option.name) {
      throw WrongOption.unknown(option, plugins: plugins.map(\.id), known: known)
    }
    for plugin in plugins {
      let settings = try givenSettings(plugin)
      guard !settings.isEmpty else { continue }
      do { _ = try usualWidth(plugin) } catch is NotApplicable {
        throw try refusal(of: plugin, settings)
      }
    }
  }

  private func triedWidths(_ settings: [OptionSetting]) -> [Int] {
    let ordinary = Self.ordinaryWidths
    return ordinary + namedWidths(settings).filter { !ordinary.contains($0) }
  }

  /// What is wrong with options that the schema allows and no instance is made with.
  private func refusal(
    of plugin: Intervention,
    _ settings: [OptionSetting]
  ) throws -> WrongOption {
    let dim = namedWidths(settings).first ?? 64
    let made = try Creation(
      plugin,
      dim: dim,
      dtype: REFT_F32,
      options: try needs(plugin, dim: dim),
      host: host(),
      layer: 3
    )
    if let instance = made.instance { plugin.destroy(instance) }
    return .refused(
      given.filter { option in settings.contains { $0.name == option.name } },
      plugin: plugin.id,
      widths: triedWidths(settings),
      reason: made.sentence.map { "at \(dim) it says '\($0)'" } ?? "it gives no reason"
    )
  }

  private func accepts(
    _ plugin: Intervention,
    dim: Int,
    _ options: [OptionSetting]
  ) throws -> Bool {
    doing("create of \(plugin.id) at width \(dim)")
    let creation = try Creation(
      plugin,
      dim: dim,
      dtype: REFT_F32,
      options: options,
      host: host(),
      layer: 3
    )
    guard let instance = creation.instance else { return false }
    plugin.destroy(instance)
    return true
  }
}
