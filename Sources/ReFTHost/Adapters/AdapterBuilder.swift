// SPDX-License-Identifier: Apache-2.0
// From interventions to units with memory: what creating and loading an adapter have in common.

import ReFTModel
import ReFTTensor

/// Checks interventions against a model, finds their plugins and lays their parameters out.
struct AdapterBuilder {
  let base: BaseModel
  let catalog: PluginCatalog

  struct Result {
    var specs: [InterventionSpec] = []
    var plugins: [Plugin] = []
    var units: [AdapterUnit] = []
    var lora: LoRA?
    var head: Head?
    var store = ParameterStore([])
  }

  /// Builds units.
  ///
  /// - Parameters:
  ///   - specs: the interventions.
  ///   - lora: what updates matrices beside them.
  ///   - head: what is trained beside them.
  ///   - ids: the ids of the plugins that made an adapter, where it states them.
  ///   - path: that adapter's folder.
  /// - Returns: units with memory, zero so far.
  /// - Throws: as creating and loading an adapter do.
  func build(
    _ specs: [InterventionSpec],
    lora: LoRASpec? = nil,
    head: HeadSpec? = nil,
    ids: [String?] = [],
    of path: String = ""
  ) throws(ReFTError) -> Result {
    guard !specs.isEmpty || lora != nil || head != nil else { throw .noInterventions() }
    var lora = lora
    try lora?.check(base.configuration)
    lora?.heads = LoRASpec.Heads(base.configuration)
    var result = Result()
    var drafts: [AdapterUnit.Draft] = []
    for (index, spec) in specs.enumerated() {
      try check(spec, index: index)
      let id = ids.indices.contains(index) ? ids[index] : nil
      let plugin = try find(spec, id: id, adapter: path)
      var resolved = spec
      resolved.options = try plugin.resolvedOptions(spec.options)
      result.specs.append(resolved)
      result.plugins.append(plugin)
      drafts += try makeUnits(resolved, index: index, plugin: plugin)
    }
    let width = base.configuration.hiddenSize
    let headInfos = head.map { Head.infos($0, width: width) } ?? []
    let loraInfos = lora.map { LoRA.infos($0, base.configuration) } ?? []
    let (infos, ranges) = try Self.shared(drafts)
    result.store = try Self.layOut(infos + loraInfos + headInfos)
    result.lora = lora.flatMap { LoRA($0, base.configuration, in: result.store) }
    result.head = head.flatMap { Head($0, width: width, in: result.store) }
    for (draft, range) in zip(drafts, ranges) {
      result.units.append(AdapterUnit(draft, parameters: range, store: result.store))
    }
    return result
  }

  /// The parameters of units, each set once, and where each unit's are among them.
  private static func shared(
    _ drafts: [AdapterUnit.Draft]
  ) throws(ReFTError) -> (infos: [ParameterInfo], ranges: [Range<Int>]) {
    var infos: [ParameterInfo] = []
    var known: [ParameterOwner: Range<Int>] = [:]
    var ranges: [Range<Int>] = []
    for draft in drafts {
      let own = draft.infos
      if let range = known[draft.owner] {
        guard Array(infos[range]) == own else {
          throw .tiedParametersDiffer(
            draft.intervention,
            plugin: draft.plugin.name,
            site: draft.site
          )
        }
        ranges.append(range)
        continue
      }
      let range = infos.count..<infos.count + own.count
      known[draft.owner] = range
      ranges.append(range)
      infos += own
    }
    return (infos, ranges)
  }

  /// The plugin of an intervention; where an adapter states an id, the one with that id alone.
  private func find(
    _ spec: InterventionSpec,
    id: String?,
    adapter: String
  ) throws(ReFTError) -> Plugin {
    guard let id else { return try catalog.find(spec.plugin, isolation: spec.isolation) }
    guard spec.plugin == id || id.hasSuffix(".\(spec.plugin)") else {
      throw .adapterContradictsItself(adapter, plugin: spec.plugin, id: id)
    }
    do throws(ReFTError) {
      return try catalog.find(id, isolation: spec.isolation)
    } catch {
      guard let other = try? catalog.find(spec.plugin, isolation: spec.isolation) else {
        throw error
      }
      throw .adapterOfOtherPlugin(adapter, made: id, found: other)
    }
  }

  private func check(_ spec: InterventionSpec, index: Int) throws(ReFTError) {
    let layers = base.configuration.layers
    guard !spec.layers.isEmpty else { throw .noLayers(intervention: index) }
    var seen: Set<Int> = []
    for layer in spec.layers {
      guard (0..<layers).contains(layer) else {
        throw .layerOutOfRange(layer, intervention: index, layers: layers)
      }
      guard seen.insert(layer).inserted else {
        throw .layerTwice(layer, intervention: index)
      }
    }
    if spec.positions.parts.isEmpty, !spec.positions.editsDecodedTokens {
      throw .editsNothing(intervention: index)
    }
    if spec.sharing == .none, spec.positions.locationCount == 0 {
      throw .noLocations(intervention: index, rule: spec.positions)
    }
    try checkHeads(spec, index: index)
  }

  /// How many heads a component has; nil where it has none.
  private func headCount(of component: Component) -> Int? {
    switch component {
    case .queryOutput, .attentionValueOutput: base.configuration.heads
    case .keyOutput, .valueOutput: base.configuration.keyValueHeads
    default: nil
    }
  }

  private func checkHeads(_ spec: InterventionSpec, index: Int) throws(ReFTError) {
    guard let heads = spec.heads else {
      if spec.tie.contains(.heads) { throw .tieWithoutHeads(intervention: index) }
      return
    }
    guard let count = headCount(of: spec.component) else {
      throw .componentWithoutHeads(
        intervention: index,
        component: spec.component,
        others: Component.allCases.filter { headCount(of: $0) != nil }
      )
    }
    guard !heads.isEmpty, Set(heads).count == heads.count,
      heads.allSatisfy((0..<count).contains)
    else {
      throw .badHeads(heads, intervention: index, component: spec.component, count: count)
    }
  }

  private func makeUnits(
    _ spec: InterventionSpec,
    index: Int,
    plugin: Plugin
  ) throws(ReFTError) -> [AdapterUnit.Draft] {
    var drafts: [AdapterUnit.Draft] = []
    let width = base.configuration.width(of: spec.component)
    let dim = spec.heads == nil ? width : base.configuration.headSize
    if plugin.capabilities.contains(.needsSource) {
      try checkSource(spec, index: index, plugin: plugin)
    }
    for layer in spec.layers {
      let place = PluginSite(
        dim: dim,
        layer: layer,
        component: spec.component.rawValue,
        sourceDim: plugin.capabilities.contains(.needsSource)
          ? base.configuration.sourceWidth(of: spec.component) ?? 0 : 0,
        locations: spec.positions.locationCount
      )
      for head in spec.heads?.map(Optional.some) ?? [nil] {
        for part in spec.parts {
          drafts.append(
            AdapterUnit.Draft(
              intervention: index,
              site: Site(block: layer, component: spec.component),
              part: part,
              head: head,
              tie: spec.tie,
              dim: dim,
              plugin: plugin,
              instance: try plugin.makeInstance(at: place, options: spec.options)
            )
          )
        }
      }
    }
    return drafts
  }

  /// A plugin of ABI 1.0 sizes what the layer reads as its rows: there is one width for both.
  private func checkSource(
    _ spec: InterventionSpec,
    index: Int,
    plugin: Plugin
  ) throws(ReFTError) {
    guard spec.heads == nil else { throw .sourceOfHeads(intervention: index, plugin: plugin.name) }
    let shape = base.configuration
    let width = shape.sourceWidth(of: spec.component)
    guard width != shape.width(of: spec.component) else { return }
    let served = Component.allCases.filter { shape.sourceWidth(of: $0) == shape.width(of: $0) }
    throw .noSource(
      intervention: index,
      plugin: plugin.name,
      component: spec.component,
      width: shape.width(of: spec.component),
      sourceWidth: width,
      served: served
    )
  }

  /// Memory for all parameters; the sum is checked here, each one was when it was read.
  private static func layOut(_ infos: [ParameterInfo]) throws(ReFTError) -> ParameterStore {
    // Parameters, gradients and two moments of four bytes each: no more than main memory holds.
    let limit = min(1 << 33, Machine.memoryByteCount / 16)
    var total = 0
    for info in infos {
      total += info.count
      guard total <= limit else { throw .tooManyParameters(limit: limit) }
    }
    try MemoryRoom.check(
      byteCount: 16 * total,
      for: MemoryPurpose("\(total) parameters", remedy: "edit fewer layers, or lower ranks")
    )
    return ParameterStore(infos)
  }
}
