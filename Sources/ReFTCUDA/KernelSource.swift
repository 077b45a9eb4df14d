// SPDX-License-Identifier: Apache-2.0
// The texts of the kernels, which lie in `Kernels/`; the build embeds them in the program.

/// A text of CUDA kernels, complete in itself: compilers find no further file.
package struct KernelSource: Hashable, Sendable {
  /// What messages call it.
  package let name: String
  /// The text, headers in place.
  package let text: String

  /// Kernels from elsewhere, such as those that a plugin offers.
  package init(name: String, text: String) {
    (self.name, self.text) = (name, text)
  }

  /// One of our own, with its headers.
  private init(own name: String, _ bytes: [UInt8]) {
    var included: Set<Substring> = []
    let text = Self.resolved(String(decoding: bytes, as: UTF8.self)[...], &included)
    self.init(name: name, text: text)
  }

  /// Embeddings, gathering, scattering, copies, sums of rows.
  package static let rows = KernelSource(own: "rows", PackageResources.rows_cu)

  /// Norms of rows and of heads.
  package static let norm = KernelSource(own: "norm", PackageResources.norm_cu)
  /// The rotation of queries and keys.
  package static let rotary = KernelSource(own: "rotary", PackageResources.rotary_cu)
  /// Activation functions and gates.
  package static let gate = KernelSource(own: "gate", PackageResources.gate_cu)
  /// Attention of many queries; wants `REFT_HEAD`.
  package static let attention = KernelSource(own: "attention", PackageResources.attention_cu)
  /// Its way back; wants `REFT_HEAD`.
  package static let attentionBackward = KernelSource(
    own: "attention_backward",
    PackageResources.attention_backward_cu
  )

  /// Cross entropy, the finish of logits, the largest of them.
  package static let loss = KernelSource(own: "loss", PackageResources.loss_cu)
  /// Keys and values into caches.
  package static let cache = KernelSource(own: "cache", PackageResources.cache_cu)
  /// Attention of one token over its cache; wants `REFT_HEAD`.
  package static let decode = KernelSource(own: "decode", PackageResources.decode_cu)
  /// Products in float32 with up to eight rows; wants `REFT_N`, how many.
  package static let matvec = KernelSource(own: "matvec", PackageResources.matvec_cu)
  /// Products in bfloat16 with up to eight rows, with what comes before and after them.
  package static let product = KernelSource(own: "product", PackageResources.product_cu)
  /// From a file's blocks to the order in which those products read them.
  package static let pack = KernelSource(own: "pack", PackageResources.pack_cu)
  /// Dropout of low-rank updates.
  package static let lora = KernelSource(own: "lora", PackageResources.lora_cu)
  /// From a file's blocks to activations.
  package static let expand = KernelSource(own: "expand", PackageResources.expand_cu)

  /// All of ours.
  package static let all: [KernelSource] = [
    rows, norm, rotary, gate, attention, attentionBackward, loss, cache, decode, matvec,
    product, pack, lora, expand,
  ]

  /// Our headers by name.
  private static let headers: [Substring: [UInt8]] = [
    "numbers.cuh": PackageResources.numbers_cuh,
    "tensor.cuh": PackageResources.tensor_cuh,
    "attention.cuh": PackageResources.attention_cuh,
    "attention_float.cuh": PackageResources.attention_float_cuh,
    "attention_backward_float.cuh": PackageResources.attention_backward_float_cuh,
    "matvec.cuh": PackageResources.matvec_cuh,
    "blocks.cuh": PackageResources.blocks_cuh,
    "operand.cuh": PackageResources.operand_cuh,
    "packed.cuh": PackageResources.packed_cuh,
    "launch.cuh": PackageResources.launch_cuh,
    "activation.cuh": PackageResources.activation_cuh,
  ]

  /// A text with each of our headers where it is first included.
  ///
  /// An unknown one stays as it is written, and the compiler names it.
  private static func resolved(_ text: Substring, _ included: inout Set<Substring>) -> String {
    let lines = text.split(separator: "\n", omittingEmptySubsequences: false).map { line in
      let parts = line.split(separator: "\"", omittingEmptySubsequences: false)
      guard parts.count == 3, parts[0] == "#include ", let header = headers[parts[1]] else {
        return String(line)
      }
      guard included.insert(parts[1]).inserted else { return "" }
      return resolved(String(decoding: header, as: UTF8.self)[...], &included)
    }
    return lines.joined(separator: "\n")
  }
}
