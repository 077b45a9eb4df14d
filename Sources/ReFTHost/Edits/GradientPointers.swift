// SPDX-License-Identifier: Apache-2.0
// Where the gradient of each parameter of an adapter goes.

import ReFTTensor

/// One pointer per parameter tensor, into a buffer in the layout of the adapter's parameters.
final class GradientPointers {
  let base: UnsafePointer<UnsafeMutableRawPointer?>
  /// The gradients of all parameters, in the layout of the adapter's store.
  let buffer: FloatBuffer

  /// - Throws: `.usage` unless the sequences carry one adapter, which can be trained and has the
  ///   layout of the buffer.
  init(_ buffer: FloatBuffer, adapters: [Adapter]) throws(ReFTError) {
    guard adapters.count <= 1 else { throw .severalAdaptersInTraining(adapters.count) }
    let store = adapters.first?.parameters ?? ParameterStore([])
    guard adapters.isEmpty || buffer.count == store.deviceValues.count else {
      throw .gradientLayout(found: buffer.count, expected: store.deviceValues.count)
    }
    try adapters.first?.checkTrainable()
    self.buffer = buffer
    let count = store.infos.count
    let memory = UnsafeMutablePointer<UnsafeMutableRawPointer?>.allocate(capacity: max(1, count))
    for index in 0..<count {
      (memory + index).initialize(to: UnsafeMutableRawPointer(buffer.base + store.offsets[index]))
    }
    base = UnsafePointer(memory)
  }

  /// The tables of units some of whose parameters are inputs, which have no gradient.
  private var tables: [ObjectIdentifier: UnsafeMutablePointer<UnsafeMutableRawPointer?>] = [:]

  /// One pointer per parameter of a unit's instance; nil for inputs.
  func pointers(of unit: AdapterUnit) -> UnsafePointer<UnsafeMutableRawPointer?> {
    guard unit.hasInputParameters else { return base + unit.parameters.lowerBound }
    if let known = tables[ObjectIdentifier(unit)] { return UnsafePointer(known) }
    let table = UnsafeMutablePointer<UnsafeMutableRawPointer?>.allocate(
      capacity: unit.parameterCount
    )
    for (place, index) in unit.storeIndices.enumerated() {
      (table + place).initialize(to: index.flatMap { base[$0] })
    }
    tables[ObjectIdentifier(unit)] = table
    return UnsafePointer(table)
  }

  deinit {
    UnsafeMutablePointer(mutating: base).deallocate()
    for table in tables.values { table.deallocate() }
  }
}
