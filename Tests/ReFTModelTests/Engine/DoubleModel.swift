// SPDX-License-Identifier: Apache-2.0
// The llama architecture a second time, as plain as can be and in double precision: what the engine
// is compared with. It knows nothing of batches, caches, tails or shared prefixes.

import Foundation
import ReFTModel
import ReFTTensor

struct DoubleModel {
  /// W [rows, columns].
  private struct Matrix {
    let columns: Int
    let values: [Float]

    func times(_ x: [Double]) -> [Double] {
      values.withUnsafeBufferPointer { values in
        stride(from: 0, to: values.count, by: columns).map { start in
          var sum = 0.0
          for index in 0..<columns { sum += Double(values[start + index]) * x[index] }
          return sum
        }
      }
    }
  }

  let shape: ModelConfiguration
  private let epsilon: Double
  private let ropeBase: Double
  /// Divides positions.
  private let ropeScale: Double
  private let tensors: [String: Matrix]

  init(path: String, ropeScale: Double = 1) throws {
    self.ropeScale = ropeScale
    let file = try GGUFFile(path: path)
    shape = try ModelConfiguration(file)
    epsilon = file.double("llama.attention.layer_norm_rms_epsilon") ?? 0
    ropeBase = file.double("llama.rope.freq_base") ?? 10_000
    var tensors: [String: Matrix] = [:]
    for tensor in file.tensors {
      tensors[tensor.name] = Matrix(columns: tensor.dimensions[0], values: tensor.floats())
    }
    self.tensors = tensors
  }

  private func matrix(_ name: String) -> Matrix {
    tensors[name + ".weight"] ?? Matrix(columns: 1, values: [])
  }

  private func normalise(_ x: [Double], _ name: String) -> [Double] {
    let mean = x.reduce(0) { $0 + $1 * $1 } / Double(x.count)
    let scale = 1 / (mean + epsilon).squareRoot()
    return zip(x, matrix(name).values).map { $0 * scale * Double($1) }
  }

  private func rotate(_ x: [Double], position: Int) -> [Double] {
    var out = x
    for pair in 0..<x.count / 2 {
      let exponent = -2 * Double(pair % (shape.headSize / 2)) / Double(shape.headSize)
      let angle = Double(position) / ropeScale * pow(ropeBase, exponent)
      let (a, b) = (x[2 * pair], x[2 * pair + 1])
      out[2 * pair] = a * cos(angle) - b * sin(angle)
      out[2 * pair + 1] = a * sin(angle) + b * cos(angle)
    }
    return out
  }

  /// The weighted values of all heads for the last of the rows that keys and values cover.
  private func attend(_ query: [Double], keys: [[Double]], values: [[Double]]) -> [Double] {
    let size = shape.headSize
    let group = shape.heads / shape.keyValueHeads
    var out: [Double] = []
    for head in 0..<shape.heads {
      let own = head * size
      let other = head / group * size
      let scores = keys.map { key in
        (0..<size).reduce(0) { $0 + query[own + $1] * key[other + $1] } / Double(size).squareRoot()
      }
      let largest = scores.max() ?? 0
      let powers = scores.map { exp($0 - largest) }
      let sum = powers.reduce(0, +)
      out += (0..<size).map { index in
        zip(powers, values).reduce(0) { $0 + $1.0 / sum * $1.1[other + index] }
      }
    }
    return out
  }

  /// All hidden states of one sequence, and the logits of each of its tokens.
  func run(_ ids: [Int32]) -> (hidden: [Site: [[Double]]], logits: [[Double]]) {
    var hidden: [Site: [[Double]]] = [:]
    let embedding = matrix("token_embd")
    let d = shape.hiddenSize
    var stream = ids.map { id in
      embedding.values[Int(id) * d..<(Int(id) + 1) * d].map { Double($0) }
    }
    for block in 0..<shape.layers {
      let name = "blk.\(block)."
      func record(_ component: Component, _ rows: [[Double]]) -> [[Double]] {
        hidden[Site(block: block, component: component)] = rows
        return rows
      }
      stream = record(.blockInput, stream)
      let normed = record(.attentionInput, stream.map { normalise($0, name + "attn_norm") })
      let queries = record(.queryOutput, normed.map { matrix(name + "attn_q").times($0) })
      let keys = record(.keyOutput, normed.map { matrix(name + "attn_k").times($0) })
      let values = record(.valueOutput, normed.map { matrix(name + "attn_v").times($0) })
      let turnedKeys = keys.enumerated().map { rotate($0.element, position: $0.offset) }
      let mixed = record(
        .attentionValueOutput,
        queries.enumerated().map { position, query in
          attend(
            rotate(query, position: position),
            keys: Array(turnedKeys[...position]),
            values: Array(values[...position])
          )
        }
      )
      let attention = record(
        .attentionOutput,
        mixed.map { matrix(name + "attn_output").times($0) }
      )
      let middle = zip(stream, attention).map { zip($0, $1).map(+) }
      let mlpInput = record(.mlpInput, middle.map { normalise($0, name + "ffn_norm") })
      let activation = record(
        .mlpActivation,
        mlpInput.map { matrix(name + "ffn_gate").times($0).map { $0 / (1 + exp(-$0)) } }
      )
      let gated = zip(activation, mlpInput).map {
        zip($0, matrix(name + "ffn_up").times($1)).map(*)
      }
      let mlp = record(.mlpOutput, gated.map { matrix(name + "ffn_down").times($0) })
      stream = record(.blockOutput, zip(middle, mlp).map { zip($0, $1).map(+) })
    }
    let head = tensors["output.weight"] == nil ? embedding : matrix("output")
    return (hidden, stream.map { head.times(normalise($0, "output_norm")) })
  }

  /// −log softmax(logits)[label].
  static func loss(_ logits: [Double], label: Int32) -> Double {
    let largest = logits.max() ?? 0
    return log(logits.reduce(0) { $0 + exp($1 - largest) }) + largest - logits[Int(label)]
  }
}
