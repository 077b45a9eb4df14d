// SPDX-License-Identifier: Apache-2.0
// From the rows of a batch to the edits of its sites: one chain for each adapter, then what they are
// together.

import ReFTModel
import ReFTTensor

extension EditSession {
  /// What all edits of a session have in common.
  static func context(
    of mode: Mode,
    _ plan: RowPlan,
    _ auxiliary: AuxiliaryLoss?
  ) throws(ReFTError) -> SiteEdit.Context {
    var context = SiteEdit.Context()
    if case .training(let buffer, let randomKey, let randomStep, let progress) = mode {
      context = SiteEdit.Context(
        randomKey: randomKey,
        step: randomStep,
        progress: progress,
        gradients: try GradientPointers(buffer, adapters: plan.adapters)
      )
    }
    context.auxiliary = auxiliary
    return context
  }

  /// The edits of each adapter of each stack, by site.
  static func chains(
    of plan: RowPlan,
    _ sequences: [SequenceEdit],
    _ context: SiteEdit.Context,
    _ memory: EditMemory,
    _ collector: RowCollector?
  ) throws(ReFTError) -> [[Site: [EditChain]]] {
    var chains = [[Site: [EditChain]]](repeating: [:], count: plan.stacks.count)
    for (number, stack) in plan.stacks.enumerated() {
      for (place, part) in stack.parts.enumerated() {
        var own: [Site: EditChain] = [:]
        for unit in part.adapter.units {
          for (key, rows) in plan.sets(stack: number, place: place, unit: unit) {
            let empty = EditChain(strength: part.strength, name: part.name, edits: [])
            let edit = try SiteEdit(
              unit: unit,
              rows: rows,
              context,
              memory: memory,
              state: key.sequence >= 0 ? sequences[key.sequence].state : nil,
              collector: collector
            )
            edit.strength = key.weight
            own[unit.site, default: empty].edits.append(edit)
          }
        }
        for (site, chain) in own { chains[number][site, default: []].append(chain) }
      }
    }
    return chains
  }

  /// What the adapters of each stack are together.
  static func composed(
    _ chains: [[Site: [EditChain]]],
    of plan: RowPlan
  ) throws(ReFTError) -> [Site: [any RowEdit]] {
    var edits: [Site: [any RowEdit]] = [:]
    for (stack, list) in zip(plan.stacks, chains) {
      for (site, chains) in list {
        edits[site, default: []] += try stack.rule.edits(of: chains, at: site)
      }
    }
    return edits
  }

  /// The same edits, which tell a trace what they change.
  static func traced(
    _ edits: [Site: [any RowEdit]],
    _ all: [SiteEdit],
    _ sequences: [SequenceEdit],
    _ trace: EditTrace
  ) -> [Site: [any RowEdit]] {
    let numbers = sequences.enumerated().map { Int($1.key ?? Int64($1.example ?? Int32($0))) }
    let rows = Dictionary(grouping: all, by: \.unit.site).mapValues { $0.map(\.rows) }
    var result = edits
    for (site, list) in edits {
      result[site] = [
        TracedEdits(list, rows[site] ?? [], at: site, numbers: numbers, trace: trace)
      ]
    }
    return result
  }

  /// The edits of each block, by component.
  static func byBlock(
    _ edits: [Site: [any RowEdit]]
  ) -> [[(component: Component, edits: [any RowEdit])]] {
    var result = [[(component: Component, edits: [any RowEdit])]](
      repeating: [],
      count: (edits.keys.map(\.block).max() ?? -1) + 1
    )
    for (site, list) in edits { result[site.block].append((site.component, list)) }
    return result
  }
}
