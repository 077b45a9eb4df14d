// SPDX-License-Identifier: Apache-2.0
// How parameters are filled at the start. Tensor number i of an adapter has the random stream
// (seed, i), so its start does not depend on the sizes of the others.

import Foundation
import ReFTTensor

/// Fills the parameters of one unit or of another owner.
enum ParameterStart {
  static func fill(
    _ store: ParameterStore,
    of unit: AdapterUnit,
    seed: UInt64
  ) throws(ReFTError) {
    for index in unit.parameters {
      fill(store, index, seed: seed) { other in
        // What it is a copy of may be an input, which is not in the store.
        UnsafeBufferPointer(
          start: unit.pointers[other]?.assumingMemoryBound(to: Float.self),
          count: unit.instance.parameters[other].count
        )
      }
    }
    guard unit.parameters.contains(where: { store.infos[$0].initialization == .custom }) else {
      return
    }
    let pointers = (0..<unit.parameterCount).compactMap { index in
      unit.pointers[index].map { UnsafeMutableRawPointer(mutating: $0) }
    }
    let stream = CounterRandom(key: seed, step: UInt64(unit.parameters.lowerBound))
    try unit.instance.initialize(pointers, seed: stream.bits(offset: 0))
  }

  /// Fills the parameters of an owner that is no plugin.
  static func fill(_ store: ParameterStore, of owner: ParameterOwner, seed: UInt64) {
    let indices = store.indices(of: owner)
    for index in indices {
      fill(store, index, seed: seed) { UnsafeBufferPointer(store.tensor(indices[0] + $0)) }
    }
  }

  private static func fill(
    _ store: ParameterStore,
    _ index: Int,
    seed: UInt64,
    earlier: (Int) -> UnsafeBufferPointer<Float>
  ) {
    let values = store.tensor(index)
    let info = store.infos[index]
    let random = CounterRandom(key: seed, step: UInt64(index))
    switch info.initialization {
    case .zeros, .custom, .input: values.update(repeating: 0)
    case .constant(let value): values.update(repeating: Float(value))
    case .uniform(let lower, let upper):
      for place in values.indices {
        let share = Double(random.uniform(offset: UInt64(place)))
        values[place] = Float(lower + (upper - lower) * share)
      }
    case .normal(let mean, let deviation):
      for place in values.indices {
        values[place] = Float(mean + deviation * Double(random.normal(offset: UInt64(place))))
      }
    case .orthogonal:
      random.fillNormal(values)
      let matrix = SmallMatrix(values, rows: info.shape[0], columns: info.shape[1])
      Orthonormal.makeShorterSideOrthonormal(matrix)
    case .copy(let other):
      _ = values.update(fromContentsOf: earlier(other))
    }
  }
}
