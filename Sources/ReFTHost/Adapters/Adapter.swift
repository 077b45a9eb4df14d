// SPDX-License-Identifier: Apache-2.0
// What training makes: interventions, where they work, a LoRA and a head beside them, and their
// parameters.

import Foundation
import ReFTModel
public import ReFTTensor
package import ReFTText
import Synchronization

/// A set of interventions, a LoRA, a head, or several of these, with one store of parameters, for one
/// frozen model.
///
/// Several edit sessions may use one adapter at a time, as long as nobody writes its parameters
/// meanwhile.
public final class Adapter: Sendable {
  /// The interventions, in the order in which they apply at a common site.
  public let specs: [InterventionSpec]
  /// What updates matrices of the model; nil where nothing does.
  public let lora: LoRA?
  /// What classifies texts, or gives them a number; nil where there is none.
  public let head: Head?
  /// The parameters of all of them.
  public let parameters: ParameterStore
  /// The model that it was made for.
  public let baseModel: BaseModelReference
  /// Which build of each intervention's plugin made the parameters.
  public let provenance: [PluginProvenance]
  /// What loading found worth a word, in sentences.
  public let warnings: [String]
  /// One for each intervention, layer and group, in the order of the parameters.
  package let units: [AdapterUnit]
  /// Tells the text of tokens, for positions that look for one.
  package let tokenizer: Tokenizer?

  private struct Notes {
    var template: String?
    var training: [String: JSONValue] = [:]
  }
  private let notes: Mutex<Notes>

  init(
    specs: [InterventionSpec],
    parameters: ParameterStore,
    base: BaseModelReference,
    provenance: [PluginProvenance],
    units: [AdapterUnit],
    lora: LoRA? = nil,
    head: Head? = nil,
    tokenizer: Tokenizer?,
    template: String? = nil,
    training: [String: JSONValue] = [:],
    warnings: [String] = []
  ) {
    self.specs = specs
    self.parameters = parameters
    baseModel = base
    self.provenance = provenance
    self.units = units
    self.lora = lora
    self.head = head
    self.tokenizer = tokenizer
    self.warnings = warnings
    notes = Mutex(Notes(template: template, training: training))
  }

  /// The template that turns instructions into prompts; nil: none.
  public var template: String? {
    get { notes.withLock { $0.template } }
    set { notes.withLock { $0.template = newValue } }
  }

  /// What the training wants to tell, as it stands in `adapter_config.json`.
  public var trainingInfo: [String: JSONValue] {
    get { notes.withLock { $0.training } }
    set { notes.withLock { $0.training = newValue } }
  }

  /// The lowest block that is edited or updated, or the number of blocks where none is; everything below
  /// it computes what the frozen model does.
  public var lowestBlock: Int {
    let edited = units.map(\.site.block) + (lora?.spec.layers ?? [])
    return edited.min() ?? baseModel.layers
  }

  /// How many blocks from the bottom compute what the frozen model does, edits of the output of the
  /// last of them aside.
  public var frozenDepth: Int {
    let lowest = lowestBlock
    guard lowest < baseModel.layers, lora?.spec.layers.first != lowest else { return lowest }
    let isOutput = units.allSatisfy {
      $0.site.block > lowest || $0.site.component == .blockOutput && !$0.needsSource
    }
    return isOutput ? lowest + 1 : lowest
  }

  /// What the gradients of this adapter leave out, in sentences; none where they are whole.
  ///
  /// A plugin may read what its layer reads without saying how the loss depends on it: an edit below is
  /// then told of its influence through the edited rows alone.
  public var gradientNotes: [String] {
    let updated = lora?.spec.layers.first ?? baseModel.layers
    let readers = units.filter { $0.needsSource && !$0.givesSourceGradient }.filter { unit in
      updated <= unit.site.block
        || units.contains { $0.site.block < unit.site.block && !$0.parameters.isEmpty }
    }
    return Set(readers.map(\.plugin.name)).sorted().map { name in
      "plugin '\(name)' reads the input of its layer without saying how the loss depends on it "
        + "(REFT_CAP_SOURCE_GRADIENT of ABI 1.1): gradients of edits in blocks below it leave out what they "
        + "change through that input"
    }
  }

  /// The cost of each plugin so far, by name.
  public var usage: [String: PluginUsage] {
    var result: [String: PluginUsage] = [:]
    for unit in units { result[unit.plugin.name, default: PluginUsage()].add(unit.instance.usage) }
    return result
  }

  /// The part that each plugin took, by name, of the `seconds` in which all calls so far were made.
  public func pluginShares(seconds: Double) -> [String: Double] {
    usage.mapValues { usage in
      Double(usage.forwardNanoseconds + usage.backwardNanoseconds) * 1e-9
        / max(seconds, .leastNormalMagnitude)
    }
  }

  /// Whether the parameters, as `create` starts them, leave every row as it is: all plugins promise that.
  public var startsAsNoEdit: Bool {
    parameters.parameterCount > 0 && lora == nil && head == nil
      && units.allSatisfy { $0.plugin.capabilities.contains(.identityAtStart) }
  }

  /// Whether a plugin takes rows of a run over a source prompt.
  public var needsCounterpart: Bool { units.contains(where: \.needsCounterpart) }

  /// Makes sure that a prompt and a source prompt fit each other, where a plugin asks for one.
  ///
  /// - Parameters:
  ///   - prompt: the tokens of the prompt.
  ///   - source: those of the source prompt; nil: there is none.
  /// - Throws: `usage` without one, and where a rule has other numbers of locations in both.
  public func checkCounterpart(_ prompt: ArraySlice<Int32>, source: [Int32]?) throws(ReFTError) {
    for unit in units where unit.needsCounterpart {
      guard let source, !source.isEmpty else { throw .noCounterpart(unit.plugin.name) }
      let rule = specs[unit.intervention].positions
      func count(_ ids: ArraySlice<Int32>) throws(ReFTError) -> Int {
        try rule.rows(promptLength: ids.count, tokens: ids, tokenizer: tokenizer).count
      }
      let (found, there) = (try count(prompt), try count(source[...]))
      guard found == there else {
        throw .counterpartMismatch(unit.plugin.name, rule: rule, found: found, source: there)
      }
    }
  }

  /// Whether a plugin adds to a loss of its own, with a weight above 0.
  public var hasAuxiliaryLoss: Bool { units.contains { $0.auxiliaryWeight > 0 } }

  /// Makes sure that every plugin has a derivative.
  ///
  /// - Throws: `.usage`, naming the plugin that serves inference only.
  public func checkTrainable() throws(ReFTError) {
    for unit in units where unit.plugin.capabilities.contains(.noBackward) {
      throw .pluginCannotTrain(unit.plugin.name)
    }
  }
}
