// SPDX-License-Identifier: Apache-2.0
// Encoded weights of test models.

public import ReFTTensor

/// Encodes float32 values in the formats of GGUF files.
public enum Quantizer {
  /// The formats that can be encoded.
  public static let types = TensorType.allCases.filter(\.canEncode)

  /// The encoded blocks of values.
  ///
  /// - Precondition: the type is one of `types`, and the count a multiple of its block size.
  public static func encode(_ values: [Float], as type: TensorType) -> [UInt8] {
    type.encode(values)
  }
}
