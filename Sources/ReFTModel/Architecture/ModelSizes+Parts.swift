// SPDX-License-Identifier: Apache-2.0
// The parts of blocks that families share: attention, MLP, rotation, windows.

import ReFTTensor

extension ModelSizes {
  /// How a file holds queries, keys and values.
  enum Projections {
    /// Each in a tensor of its own.
    case separate
    /// One above the other in one tensor.
    case stacked
    /// The same, transposed; the output projection too.
    case transposed
    /// Those of each head together in one tensor.
    case byHead
  }

  /// The matrices of an attention over these heads, without norms.
  ///
  /// - Throws: `badData` naming the tensor.
  func attention(
    _ file: ModelReader,
    block: Int,
    _ projections: Projections = .separate,
    rotation: ModelPlan.Rotation?,
    mask: ModelPlan.Mask = .causal,
    scale: Float? = nil
  ) throws(ReFTError) -> ModelPlan.Attention {
    let rows = [heads, keyValueHeads, keyValueHeads].map { $0 * headSize }
    func part(_ name: String) -> String { "blk.\(block).attn_\(name)" }
    func matrix(_ index: Int) throws(ReFTError) -> ModelPlan.Matrix {
      let total = rows.reduce(0, +)
      let slice: ModelPlan.Slice
      switch projections {
      case .separate:
        return try file.matrix(part(["q", "k", "v"][index]), rows: rows[index], columns: hidden)
      case .stacked, .transposed:
        let first = rows[..<index].reduce(0, +)
        slice = ModelPlan.Slice(total: total, first: first, run: rows[index], step: total)
      case .byHead:
        let step = 3 * headSize
        slice = ModelPlan.Slice(total: total, first: index * headSize, run: headSize, step: step)
      }
      return try file.matrix(
        part("qkv"),
        rows: rows[index],
        columns: hidden,
        slice: slice,
        isTransposed: projections == .transposed
      )
    }
    return ModelPlan.Attention(
      heads: heads,
      keyValueHeads: keyValueHeads,
      headSize: headSize,
      query: try matrix(0),
      key: try matrix(1),
      value: try matrix(2),
      output: try file.matrix(
        part("output"),
        rows: hidden,
        columns: rows[0],
        isTransposed: projections == .transposed
      ),
      rotation: rotation,
      mask: mask,
      scale: scale ?? 1 / Float(headSize).squareRoot()
    )
  }

  /// How a file holds an MLP.
  enum MLPKind {
    /// A gate and what it multiplies, each in a tensor of its own.
    case gated
    /// The gate above the other in one tensor.
    case stacked
    /// No gate.
    case plain
    /// The same, its matrices transposed.
    case transposed
  }

  /// An MLP.
  ///
  /// - Throws: `badData` naming the tensor.
  func mlp(
    _ file: ModelReader,
    block: Int,
    _ activation: ModelPlan.Activation,
    _ kind: MLPKind = .gated
  ) throws(ReFTError) -> ModelPlan.MLP {
    func half(_ name: String, _ index: Int? = nil) throws(ReFTError) -> ModelPlan.Matrix {
      try file.matrix(
        "blk.\(block).ffn_" + name,
        rows: feedForward,
        columns: hidden,
        slice: index.map {
          ModelPlan.Slice(
            total: 2 * feedForward,
            first: $0 * feedForward,
            run: feedForward,
            step: 2 * feedForward
          )
        },
        isTransposed: kind == .transposed
      )
    }
    let (gate, up): (ModelPlan.Matrix?, ModelPlan.Matrix)
    switch kind {
    case .gated: (gate, up) = (try half("gate"), try half("up"))
    case .stacked: (gate, up) = (try half("up", 0), try half("up", 1))
    case .plain, .transposed: (gate, up) = (nil, try half("up"))
    }
    return ModelPlan.MLP(
      activation: activation,
      gate: gate,
      up: up,
      down: try file.matrix(
        "blk.\(block).ffn_down",
        rows: hidden,
        columns: feedForward,
        isTransposed: kind == .transposed
      )
    )
  }

  /// The function that the file names, or the family's own.
  ///
  /// - Throws: `badData` for a function that this version does not know.
  func activation(
    _ file: ModelReader,
    default own: ModelPlan.Activation
  ) throws(ReFTError) -> ModelPlan.Activation {
    guard let name = try file.text("activation") else { return own }
    switch name {
    case "silu", "swish": return .silu
    case "gelu": return .gelu
    case "gelu_new", "gelu_fast", "gelu_pytorch_tanh": return .geluTanh
    default: throw .unusedKey(file.keyName("activation"), "'\(name)'", file.path)
    }
  }

  /// How heads turn, by the keys of the rotation.
  ///
  /// - Parameters:
  ///   - file: where to read.
  ///   - pairs: which numbers turn together.
  ///   - base: where the file names none.
  ///   - width: how many numbers of a head turn, where the file does not say it in numbers.
  /// - Returns: the rotation of all blocks.
  /// - Throws: `badData` for a type that this version does not know, or missing numbers.
  func rotation(
    _ file: ModelReader,
    pairs: ModelPlan.Rotation.Pairs = .halves,
    base: Double = 10_000,
    width: Int? = nil
  ) throws(ReFTError) -> ModelPlan.Rotation {
    let width = try file.size("rope.dimension_count", in: 1...4096, default: width ?? headSize)
    // A factor without a type is a linear one, and an older key of GGUF names it by itself.
    let type = try file.text("rope.scaling.type") ?? "linear"
    guard width <= headSize, ["none", "default", "linear", "llama3"].contains(type)
    else {
      throw .unknownRotation(dimensions: width, headSize: headSize, scaling: type, file.path)
    }
    let older = try file.number("rope.scale_linear", default: 1)
    let factor = try file.number("rope.scaling.factor", default: older)
    var scaling = ModelPlan.Rotation.Scaling.none
    if type == "linear", factor != 1 { scaling = .linear(factor) }
    if type == "llama3" {
      scaling = .llama3(
        factor: factor,
        low: try file.number("rope.scaling.low"),
        high: try file.number("rope.scaling.high"),
        original: try file.number("rope.scaling.original")
      )
    }
    return ModelPlan.Rotation(
      width: width,
      pairs: pairs,
      base: try file.number("rope.freq_base", default: base),
      scaling: scaling
    )
  }

  /// What each block sees: a window or all keys, by the file's list or a rule of the family.
  ///
  /// - Throws: `badData` for a list that does not fit, or a window without its size.
  func masks(
    _ file: ModelReader,
    isWindowed rule: (_ index: Int) -> Bool
  ) throws(ReFTError) -> [ModelPlan.Mask] {
    var isWindowed = (0..<layers).map(rule)
    if let types = try file.texts("layer_types") {
      guard types.count == layers else {
        throw .layerTypes(types.count, layers: layers, file.path)
      }
      for type in types where !["sliding_attention", "full_attention"].contains(type) {
        throw .unusedKey("layer_types", "'\(type)'", file.path)
      }
      isWindowed = types.map { $0 == "sliding_attention" }
    }
    guard isWindowed.contains(true) else {
      _ = file.has("attention.sliding_window")
      return isWindowed.map { _ in .causal }
    }
    let window = try file.size("attention.sliding_window", in: 1...(1 << 26))
    return isWindowed.map { $0 ? .window(window) : .causal }
  }
}
