// SPDX-License-Identifier: Apache-2.0
// TensorBoard's Event message in the wire format of protocol buffers: the few fields that curves need.

/// One event of a TensorBoard file.
package struct TensorBoardEvent: Equatable {
  /// What an event tells.
  package enum Content: Equatable {
    /// The version of the format; the first event of every file.
    case fileVersion
    /// The run begins or goes on here: what earlier files say of this step and later ones is void.
    case start
    /// Values by tag.
    case scalars([Scalar])
  }

  /// A number with its name, such as `train/loss`.
  package struct Scalar: Equatable {
    package var tag: String
    package var value: Float

    package init(_ tag: String, _ value: Double) { (self.tag, self.value) = (tag, Float(value)) }
  }

  /// Seconds since 1970.
  package var wallTime: Double
  /// The step that the content belongs to.
  package var step: Int
  package var content: Content

  package init(wallTime: Double, step: Int, content: Content) {
    (self.wallTime, self.step, self.content) = (wallTime, step, content)
  }

  /// The message; field numbers are those of TensorBoard's event.proto and summary.proto.
  package var bytes: [UInt8] {
    var message = Wire()
    message.double(1, wallTime)
    message.integer(2, step)
    switch content {
    case .fileVersion: message.bytes(3, Array("brain.Event:2".utf8))
    case .start:
      var log = Wire()
      log.integer(1, 1)
      message.bytes(7, log.bytes)
    case .scalars(let scalars):
      var summary = Wire()
      for scalar in scalars {
        var value = Wire()
        value.bytes(1, Array(scalar.tag.utf8))
        value.float(2, scalar.value)
        summary.bytes(1, value.bytes)
      }
      message.bytes(5, summary.bytes)
    }
    return message.bytes
  }

  /// Fields of a message, in the order in which they are written.
  private struct Wire {
    private(set) var bytes: [UInt8] = []

    mutating func integer(_ field: Int, _ value: Int) {
      key(field, 0)
      variable(UInt64(bitPattern: Int64(value)))
    }

    mutating func double(_ field: Int, _ value: Double) {
      key(field, 1)
      bytes += RecordFrame.littleEndian(value.bitPattern)
    }

    mutating func float(_ field: Int, _ value: Float) {
      key(field, 5)
      bytes += RecordFrame.littleEndian(value.bitPattern)
    }

    mutating func bytes(_ field: Int, _ value: [UInt8]) {
      key(field, 2)
      variable(UInt64(value.count))
      bytes += value
    }

    private mutating func key(_ field: Int, _ type: Int) { variable(UInt64(field << 3 | type)) }

    /// Seven bits a byte, the lowest first; the top bit says that more follow.
    private mutating func variable(_ value: UInt64) {
      var rest = value
      while rest >= 0x80 {
        bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
        rest >>= 7
      }
      bytes.append(UInt8(rest))
    }
  }
}

extension StepRecord {
  /// The numbers of the step as TensorBoard shows them.
  var scalars: [TensorBoardEvent.Scalar] {
    var result: [TensorBoardEvent.Scalar] = [
      .init("train/loss", loss), .init("train/gradient_norm", gradNorm),
      .init("train/learning_rate", learningRate),
      .init("train/tokens_per_second", tokensPerSecond),
    ]
    for item in metrics?.items ?? [] {
      result.append(.init("train/\(item.metric.rawValue)", item.value))
    }
    if let validationLoss { result.append(.init("validation/loss", validationLoss)) }
    for item in validationMetrics?.items ?? [] {
      result.append(.init("validation/\(item.metric.rawValue)", item.value))
    }
    for (name, value) in (taskMetrics ?? [:]).sorted(by: { $0.key < $1.key }) {
      result.append(.init("tasks/\(name)", value))
    }
    return result
  }
}
