// SPDX-License-Identifier: Apache-2.0
// Attention over the rows of a pass, forward and back.

import ReFTModel
import ReFTTensor

/// Where the tensors of an attention lie on its way back.
struct AttentionPointers {
  /// Queries, keys and values, [T, stride], and their gradients, of the same shape.
  var rows: DevicePointer
  var stride: Int
  var spans: DevicePointer
  var spanCount: Int
  /// The weighted values and their gradient, [T, outStride].
  var out: DevicePointer
  var dOut: DevicePointer
  var outStride: Int
  var logSumExp: DevicePointer
  /// Σ out · dOut of each row and head, [T, heads].
  var dots: DevicePointer
  var gradients: DevicePointer
}

/// What a mask is to the kernels.
struct MaskArguments {
  var window = 0
  var isFull = 0

  init(_ mask: ModelPlan.Mask) {
    switch mask {
    case .causal: break
    case .window(let size): window = size
    case .full: isFull = 1
    }
  }
}

/// What the kernels of many queries are told of an attention.
struct AttentionArguments: KernelArgument {
  var plan: ModelPlan.Attention

  func append(to arguments: inout KernelArguments) {
    for count in [plan.heads, plan.keyValueHeads, plan.headSize] { count.append(to: &arguments) }
    for factor in [plan.scale, plan.softCap ?? 0] { factor.append(to: &arguments) }
    let mask = MaskArguments(plan.mask)
    for number in [mask.window, mask.isFull] { number.append(to: &arguments) }
  }
}

extension ModelPlan.Attention {
  fileprivate var arguments: AttentionArguments { AttentionArguments(plan: self) }
}

extension Operations {
  private func kernel(
    _ name: String,
    _ source: KernelSource,
    head: Int
  ) throws(ReFTError) -> Kernel {
    try kernel(name, source, defines: ["REFT_HEAD": head], variant: "/\(head)")
  }

  /// out [T, heads · head size] = the weighted values of each query.
  func attention(
    _ plan: ModelPlan.Attention,
    queries: DevicePointer,
    stride: Int,
    spans: DevicePointer,
    tiles: DevicePointer,
    tileCount: Int,
    to out: DevicePointer,
    logSumExp: DevicePointer?
  ) throws(ReFTError) {
    let head = KernelShapes.paddedHead(plan.headSize)
    try launch(
      try kernel("attention_forward", .attention, head: head),
      grid: (tileCount, plan.heads, 1),
      block: KernelShapes.attentionThreads,
      sharedBytes: KernelShapes.attentionForwardBytes(
        head: head,
        isBFloat16: format == .bfloat16
      ),
      queries,
      stride,
      spans,
      tiles,
      plan.arguments,
      out,
      plan.heads * plan.headSize,
      logSumExp
    )
  }

  /// The gradients of queries, keys and values.
  func attentionBackward(
    _ plan: ModelPlan.Attention,
    _ places: AttentionPointers,
    rowCount: Int,
    queryTiles: (list: DevicePointer, count: Int),
    keyTiles: (list: DevicePointer, count: Int)
  ) throws(ReFTError) {
    let head = KernelShapes.paddedHead(plan.headSize)
    try launch(
      try kernel("attention_dots", .attentionBackward, head: head),
      grid: ((rowCount * plan.heads + 15) / 16, 1, 1),
      block: KernelShapes.attentionThreads,
      rowCount,
      plan.heads,
      plan.headSize,
      places.out,
      places.outStride,
      places.dOut,
      places.outStride,
      places.dots
    )
    try queryGradients(plan, places, queryTiles.list, queryTiles.count)
    try keyGradients(plan, places, keyTiles.list, keyTiles.count)
  }

  private func queryGradients(
    _ plan: ModelPlan.Attention,
    _ places: AttentionPointers,
    _ tiles: DevicePointer,
    _ tileCount: Int
  ) throws(ReFTError) {
    let head = KernelShapes.paddedHead(plan.headSize)
    try launch(
      try kernel("attention_backward_queries", .attentionBackward, head: head),
      grid: (tileCount, plan.heads, 1),
      block: KernelShapes.attentionThreads,
      sharedBytes: backwardBytes(head),
      places.rows,
      places.stride,
      places.spans,
      tiles,
      plan.arguments,
      places.dOut,
      places.outStride,
      places.logSumExp,
      places.dots,
      places.gradients,
      places.stride
    )
  }

  private func keyGradients(
    _ plan: ModelPlan.Attention,
    _ places: AttentionPointers,
    _ tiles: DevicePointer,
    _ tileCount: Int
  ) throws(ReFTError) {
    let head = KernelShapes.paddedHead(plan.headSize)
    let keys = places.gradients.advanced(byBytes: plan.heads * plan.headSize * actSize)
    try launch(
      try kernel("attention_backward_keys", .attentionBackward, head: head),
      grid: (tileCount, plan.keyValueHeads, 1),
      block: KernelShapes.attentionThreads,
      sharedBytes: backwardBytes(head),
      places.rows,
      places.stride,
      places.spans,
      places.spanCount,
      tiles,
      plan.arguments,
      places.dOut,
      places.outStride,
      places.logSumExp,
      places.dots,
      keys,
      keys.advanced(byBytes: plan.keyValueHeads * plan.headSize * actSize),
      places.stride
    )
  }

  private func backwardBytes(_ head: Int) -> Int {
    KernelShapes.attentionBackwardBytes(head: head, isBFloat16: format == .bfloat16)
  }

  /// Stores the keys and values of one decoded token of each sequence, and attends over the caches.
  ///
  /// - Throws: what the card reports.
  func attentionDecode(
    _ plan: ModelPlan.Attention,
    sequences: Int,
    _ call: DecodeCall
  ) throws(ReFTError) {
    let isGrouped = plan.heads > plan.keyValueHeads
    var call = call
    try device.launch(
      try kernel(
        isGrouped ? "attention_decode_groups" : "attention_decode",
        .decode,
        head: KernelShapes.paddedHead(plan.headSize)
      ),
      grid: (Int(call.splits), plan.keyValueHeads, sequences),
      block: KernelShapes.attentionThreads,
      structure: &call,
      overlaps: true
    )
  }
}

/// `decode_call` of decode.cu, field by field.
struct DecodeCall {
  var rows: UInt64
  var stride: Int32
  var heads: Int32
  var keyValueHeads: Int32
  var headSize: Int32
  var scale: Float
  var cap: Float
  var window: Int32
  var splits: Int32
  var keys: UInt64
  var values: UInt64
  var positions: UInt64
  var angles: UInt64
  var width: Int32
  var halves: Int32
  var parts: UInt64
  var done: UInt64
  var out: UInt64
}
