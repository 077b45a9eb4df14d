// SPDX-License-Identifier: Apache-2.0
// A LoRA and its parameters, which lie in the adapter's one store.

import ReFTModel
import ReFTTensor

/// A LoRA with its part of an adapter's parameters.
///
/// It reads the parameters' memory at every pass: one thread at a time writes there, as the store says.
public struct LoRA: Sendable {
  /// The matrices A and B of one projection of one block.
  struct Place: Sendable {
    var block: Int
    var projection: BlockProjection
    /// Numbers in a row that the projection reads, and makes.
    var widths: (inputs: Int, outputs: Int)
    /// For each number of a row that the projection makes, the row of B; nil: the same.
    ///
    /// B lies in the order of Hugging Face whatever the model's file has, so that an adapter fits both.
    var rowOrder: [Int32]?
    /// The indices of A and B in the store.
    var a: Int
    var b: Int
  }

  /// What it is.
  public let spec: LoRASpec
  let places: [Place]
  let parameters: ParameterStore

  /// The parameters of a LoRA, as they are named in files: `lora.layers.2.q_proj.A`.
  ///
  /// A starts as torch's linear layers do, uniform within 1 / √inputs; B at zero.
  static func infos(_ spec: LoRASpec, _ model: ModelConfiguration) -> [ParameterInfo] {
    spec.layers.flatMap { block in
      spec.targets.flatMap { target -> [ParameterInfo] in
        let inputs = model.inputWidth(of: target)
        let bound = 1 / Double(inputs).squareRoot()
        let owner = ParameterOwner.lora(block: block, projection: target.rawValue)
        return [
          ParameterInfo(
            name: "A",
            shape: [spec.rank, inputs],
            initialization: .uniform(lower: -bound, upper: bound)
          ),
          ParameterInfo(name: "B", shape: [model.outputWidth(of: target), spec.rank]),
        ].map(owner.owns)
      }
    }
  }

  /// The LoRA whose parameters a store holds; nil where it lacks any.
  init?(_ spec: LoRASpec, _ model: ModelConfiguration, in store: ParameterStore) {
    var places: [Place] = []
    let orders = spec.targets.map { model.rowOrder(of: $0) }
    for block in spec.layers {
      for (target, order) in zip(spec.targets, orders) {
        let prefix = ParameterOwner.lora(block: block, projection: target.rawValue).prefix
        guard let a = store.index(of: prefix + ".A"), let b = store.index(of: prefix + ".B") else {
          return nil
        }
        let widths = (model.inputWidth(of: target), model.outputWidth(of: target))
        places.append(
          Place(
            block: block,
            projection: target,
            widths: widths,
            rowOrder: order,
            a: a,
            b: b
          )
        )
      }
    }
    (self.spec, self.places, parameters) = (spec, places, store)
  }

  /// The owners of its parameters.
  var owners: [ParameterOwner] {
    places.map { .lora(block: $0.block, projection: $0.projection.rawValue) }
  }

  /// Which random numbers dropout draws in a step.
  struct Random {
    var key: UInt64
    var step: UInt64
  }

  /// Tells a LoRA's random numbers from those of plugins and heads.
  private static let stream: UInt64 = 0x6C6F_7261

  /// The updates of a batch.
  ///
  /// - Parameters:
  ///   - tokens: the tokens that it works on.
  ///   - strength: multiplies the whole.
  ///   - gradients: in the layout of the parameters; nil in inference.
  ///   - random: names what dropout leaves out; nil: nothing is left out.
  /// - Returns: one for each of its places.
  func updates(
    of tokens: UpdatedTokens,
    strength: Float,
    gradients: FloatBuffer?,
    random: Random?
  ) -> [LowRankUpdate] {
    places.enumerated().compactMap { index, place in
      let (a, b) = (parameters.tensor(place.a), parameters.tensor(place.b))
      guard let a = a.baseAddress, let b = b.baseAddress else { return nil }
      return LowRankUpdate(
        block: place.block,
        projection: place.projection,
        tokens: tokens,
        rank: spec.rank,
        widths: place.widths,
        scale: strength * Float(spec.scale),
        a: a,
        b: b,
        rowOrder: place.rowOrder,
        gradients: gradients.map { buffer in
          LowRankUpdate.Gradients(
            a: buffer.base + parameters.offsets[place.a],
            b: buffer.base + parameters.offsets[place.b]
          )
        },
        dropout: spec.dropout > 0 ? random.map { dropout(index, $0) } : nil
      )
    }
  }

  private func dropout(_ index: Int, _ random: Random) -> LowRankUpdate.Dropout {
    let step = CounterRandom(key: random.key, step: random.step)
    let own = CounterRandom(key: step.bits(offset: Self.stream), step: Self.stream)
    return LowRankUpdate.Dropout(rate: Float(spec.dropout), key: own.bits(offset: UInt64(index)))
  }
}
