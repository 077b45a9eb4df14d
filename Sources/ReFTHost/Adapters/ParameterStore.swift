// SPDX-License-Identifier: Apache-2.0
// All parameters of an adapter in one run of memory; gradients and moments have the same layout.

import ReFTModel
public import ReFTTensor
import Synchronization

/// The parameters of an adapter, one after the other, each at a 64-byte boundary.
///
/// The gaps behind tensors are zero, in values and in gradients alike, so that sums over the whole
/// run need no care. Each has at least `gap` values: a plugin that writes past a gradient shows there.
/// One thread at a time writes; who it is, is the rule of the adapter's user.
public final class ParameterStore: Sendable {
  /// Name, shape and rules of each tensor.
  public let infos: [ParameterInfo]
  /// Index of the first value of each tensor in `values`; a multiple of 16.
  public let offsets: [Int]
  private let memory: FloatBuffer
  private let indices: [String: Int]
  private let handedOut = Atomic(0)

  /// Lays tensors out, filled with zeros.
  ///
  /// - Precondition: the names differ, and the sizes come to less than 2^40 values.
  public init(_ infos: [ParameterInfo]) {
    var offsets: [Int] = []
    var indices: [String: Int] = [:]
    var end = 0
    for (index, info) in infos.enumerated() {
      offsets.append(end)
      end += Self.span(info.count)
      precondition(indices.updateValue(index, forKey: info.name) == nil)
    }
    self.infos = infos
    self.offsets = offsets
    self.indices = indices
    memory = FloatBuffer(count: end)
  }

  /// The fewest values behind a tensor that belong to none.
  static let gap = 16

  /// From the first value of a tensor to that of the next one, in values.
  package static func span(_ count: Int) -> Int { ((count + 15) & ~15) + gap }

  /// The values of all tensors.
  ///
  /// Who writes asks for them, or for a `tensor`, each time anew: copies on other devices are renewed then.
  public var values: FloatBuffer {
    handedOut.add(1, ordering: .relaxed)
    return memory
  }

  /// The number of values of the tensors, without the gaps.
  public var parameterCount: Int { infos.reduce(0) { $0 + $1.count } }

  /// The number of values that the optimiser changes.
  public var trainableCount: Int { infos.reduce(0) { $0 + ($1.isTrainable ? $1.count : 0) } }

  /// Zeros in the same layout, for gradients or moments.
  public func makeGradients() -> FloatBuffer { FloatBuffer(count: memory.count) }

  /// The index of the tensor with a name.
  public func index(of name: String) -> Int? { indices[name] }

  /// The indices of the tensors that belong to an owner.
  public func indices(of owner: ParameterOwner) -> [Int] {
    infos.indices.filter { infos[$0].owner == owner }
  }

  /// The values of one tensor; valid for the life of the store.
  public func tensor(_ index: Int) -> UnsafeMutableBufferPointer<Float> {
    slice(of: values, index)
  }

  /// The part of a buffer in this layout that belongs to one tensor.
  public func slice(of buffer: FloatBuffer, _ index: Int) -> UnsafeMutableBufferPointer<Float> {
    UnsafeMutableBufferPointer(start: buffer.base + offsets[index], count: infos[index].count)
  }
}

extension ParameterStore: DeviceParameters {
  /// All values, for who reads them.
  package var deviceValues: UnsafeBufferPointer<Float> {
    UnsafeBufferPointer(start: memory.base, count: memory.count)
  }

  /// How often values were handed out to who may write them.
  package var revision: Int { handedOut.load(ordering: .relaxed) }
}
