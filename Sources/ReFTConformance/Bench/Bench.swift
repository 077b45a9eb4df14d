// SPDX-License-Identifier: Apache-2.0
// What a rule works with: the file, the loaded library, a host table, random numbers, and ways to
// make instances of each intervention. At which widths they are made stands in `Bench+Widths.swift`.

import CReFTPlugin
import Glibc
import ReFTHost
import Synchronization

/// The workbench of one rule.
final class Bench {
  let specimen: Specimen
  /// Whether the library is loaded by its path, which debuggers like, and not as a sealed copy.
  private let loadsFile: Bool
  let seed: UInt64
  let ruleID: String
  /// What the author set for all rules.
  let given: [GivenOption]
  private var needed: [String: [OptionSetting]] = [:]
  /// Which combination of inputs an intervention took last, in this rule or in one before it.
  private(set) var servedInputs: [String: Int]
  private let reporter: Reporter
  /// What is going on; rules end instances from several threads.
  private let present = Mutex("")
  private(set) var warnings: [String] = []
  private(set) var foundPlugins: [String] = []
  var random: BenchRandom

  init(
    _ specimen: Specimen,
    loadsFile: Bool = false,
    seed: UInt64,
    ruleID: String,
    given: [GivenOption] = [],
    servedInputs: [String: Int] = [:],
    reporter: Reporter
  ) {
    (self.given, self.servedInputs) = (given, servedInputs)
    self.specimen = specimen
    self.loadsFile = loadsFile
    self.seed = seed
    self.ruleID = ruleID
    self.reporter = reporter
    random = BenchRandom(seed: seed ^ UInt64(ruleID.utf8.reduce(0) { $0 &* 31 &+ Int($1) }))
  }

  /// Says what is going on, for the message of a crash or a time-out.
  func doing(_ text: String) {
    present.withLock { $0 = text }
    reporter.send("@", text)
  }

  /// Says so during a piece of work, and afterwards again what was going on before.
  ///
  /// Where that names `word` already, it stands: a rule may know more.
  func doing(_ text: String, unless word: String, _ work: () -> Void) {
    let before = present.withLock { $0 }
    guard !before.contains(word) else { return work() }
    doing(text)
    work()
    doing(before)
  }

  /// Notes something that the author should know, without failing the rule.
  func warn(_ text: String) {
    if !warnings.contains(text) { warnings.append(text) }
  }

  /// The tables of the file, when it is a shared library.
  func image() throws -> ELFImage {
    guard !specimen.isManifest else {
      throw NotApplicable("A manifest; the host looks at the library that it names.")
    }
    return try specimen.image()
  }

  /// Counters of what the plugin calls, when it is a shared library.
  func watch() throws -> CallWatch {
    guard !specimen.isManifest else {
      throw NotApplicable("A manifest; what bare functions call is not seen.")
    }
    return try CallWatch(try library(), specimen)
  }

  private var opened: LoadedLibrary?
  private var sharedHost: HostServices?

  /// The library, loaded as the host loads it.
  func library() throws -> LoadedLibrary {
    if let opened { return opened }
    doing("dlopen")
    let library = try LoadedLibrary(specimen, loadsFile: loadsFile)
    opened = library
    return library
  }

  /// The interventions of the library.
  func interventions() throws -> [Intervention] {
    let library = try library()
    doing("reft_plugin_entry_v1")
    let list = try library.interventions()
    for plugin in list { plugin.bench = self }
    foundPlugins = list.map(\.id)
    return list
  }

  /// The host table that instances receive unless a rule gives another.
  func host() throws -> HostServices {
    if let sharedHost { return sharedHost }
    let host = try HostServices()
    sharedHost = host
    return host
  }

  /// Makes an instance, or says that the plugin refuses this width and these options.
  func subject(
    _ plugin: Intervention,
    dim: Int,
    options: [OptionSetting] = [],
    maxRows: Int = 64,
    layer: Int = 3,
    host: HostServices? = nil,
    randomised: Bool = true,
    locations: Int = RowPlaces.locationCount,
    future: Bool = false
  ) throws -> Subject {
    doing("create of \(plugin.id) at width \(dim)\(options.isEmpty ? "" : " with \(options)")")
    let subject = try Subject(
      plugin,
      dim: dim,
      options: options,
      maxRows: maxRows,
      layer: layer,
      host: host ?? self.host(),
      bench: self,
      locations: locations,
      future: future
    )
    try subject.initialise(seed: seed)
    if randomised { subject.randomise() }
    return subject
  }

  /// What every instance of this width is made with: options that the author set, and inputs of a shape
  /// that the plugin takes where it makes no instance without.
  func needs(_ plugin: Intervention, dim: Int) throws -> [OptionSetting] {
    let key = "\(plugin.id) \(dim)"
    if let known = needed[key] { return known }
    let options = try plugin.options()
    let set = try givenSettings(plugin)
    let open = options.filter { option in
      option.type == REFT_OPTION_TENSOR && !set.contains { $0.name == option.name }
    }
    let found = try searchInputs(plugin, dim: dim, base: set, names: open.map(\.name)) ?? set
    needed[key] = found
    return found
  }

  /// The first inputs with which an instance is made, as few as possible; nil where none are.
  private func searchInputs(
    _ plugin: Intervention,
    dim: Int,
    base: [OptionSetting],
    names: [String]
  ) throws -> [OptionSetting]? {
    guard !names.isEmpty, dim > 0, dim < 1 << 16 else { return nil }
    let inputs = BenchInput.shapes(dim: dim).map { BenchInput(shape: $0) }
    var total = 1
    for _ in names where total < 1 << 13 { total *= inputs.count + 1 }
    // What served at another width, or in another rule, is likely to serve here.
    let likely = servedInputs[plugin.id].map { [$0] } ?? []
    for number in likely.filter((0..<total).contains) + Array(0..<min(total, 1 << 13)) {
      var (rest, settings) = (number, base)
      for name in names.reversed() {
        let choice = rest % (inputs.count + 1)
        rest /= inputs.count + 1
        if choice > 0 { settings.append(OptionSetting(name, .input(inputs[choice - 1]))) }
      }
      doing("create of \(plugin.id) at width \(dim) with \(settings)")
      let made = try Creation(
        plugin,
        dim: dim,
        dtype: REFT_F32,
        options: settings,
        host: host(),
        layer: 3
      )
      guard let instance = made.instance else { continue }
      plugin.destroy(instance)
      servedInputs[plugin.id] = number
      return settings
    }
    return nil
  }

  /// Runs a body on an ordinary instance of each intervention.
  func eachUsual(
    maxRows: Int = 64,
    randomised: Bool = true,
    _ body: (Subject) throws -> Void
  ) throws {
    for plugin in try interventions() {
      let (dim, options) = try usualWidth(plugin)
      let subject = try subject(
        plugin,
        dim: dim,
        options: options,
        maxRows: maxRows,
        randomised: randomised
      )
      try body(subject)
    }
  }

  /// Runs a body on each intervention that promises a capability; skips when none does.
  func eachClaiming(
    _ capability: UInt64,
    _ name: String,
    _ body: (Intervention) throws -> Void
  ) throws {
    let claiming = try interventions().filter { $0.has(capability) }
    guard !claiming.isEmpty else { throw NotApplicable("Does not claim \(name).") }
    for plugin in claiming { try body(plugin) }
  }
}
