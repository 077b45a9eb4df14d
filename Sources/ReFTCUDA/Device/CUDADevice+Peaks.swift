// SPDX-License-Identifier: Apache-2.0
// What a card can do at most, measured now: the yardstick of `reft bench --device cuda`.

package import ReFTTensor

extension CUDADevice {
  /// The measured limits of a card.
  package struct Peaks: Sendable {
    /// Bytes per second that a copy on the card reads and writes, both counted.
    package var bytesPerSecond: Double
    /// Operations per second of a bfloat16 product with float32 sums.
    package var bfloat16Flops: Double
    /// Operations per second of a float32 product.
    package var float32Flops: Double
  }

  /// Measures the limits, best of several runs; takes about half a second on a large card.
  ///
  /// - Parameters:
  ///   - copyByteCount: bytes of one copy, more than the card's cache.
  ///   - width: rows and columns of the matrices of the products.
  /// - Returns: the limits.
  /// - Throws: `inputOutput` when the card has no memory for it, or fails.
  package func measurePeaks(
    copyByteCount: Int = 1 << 30,
    width: Int = 8192
  ) throws(ReFTError) -> Peaks {
    Peaks(
      bytesPerSecond: try measureCopy(copyByteCount),
      bfloat16Flops: try measureProduct(width, .bfloat16),
      float32Flops: try measureProduct(max(width / 2, 1), .float32)
    )
  }

  private func measureCopy(_ byteCount: Int) throws(ReFTError) -> Double {
    let source = try allocate(byteCount, for: "measuring copies")
    let target = try allocate(byteCount, for: "measuring copies")
    try zero(source.pointer, byteCount)
    let seconds = try fastest { () throws(ReFTError) in
      try copy(source.pointer, to: target.pointer, byteCount)
    }
    return 2 * Double(byteCount) / seconds
  }

  private func measureProduct(_ width: Int, _ format: NumberFormat) throws(ReFTError) -> Double {
    let count = width * width
    let factors = try allocate(2 * count * format.byteCount, for: "measuring products")
    let result = try allocate(count * format.byteCount, for: "measuring products")
    try fill(factors, 2 * count, format)
    let product = GEMM(
      rows: width,
      n: width,
      k: width,
      x: factors.pointer,
      weight: factors.pointer.advanced(byBytes: count * format.byteCount),
      y: result.pointer,
      input: format,
      output: format
    )
    let seconds = try fastest { () throws(ReFTError) in try gemm(product) }
    return 2 * Double(width) * Double(width) * Double(width) / seconds
  }

  /// Random numbers: zeros cost a card less power, and let it run faster than it does at work.
  private func fill(
    _ memory: DeviceMemory,
    _ count: Int,
    _ format: NumberFormat
  ) throws(ReFTError) {
    var state: UInt64 = 0x9e37_79b9_7f4a_7c15
    let length = min(count, 1 << 20)
    let values = [Float](unsafeUninitializedCapacity: length) { buffer, filled in
      for index in 0..<length {
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        buffer.initializeElement(at: index, to: Float(Int64(bitPattern: state) >> 40) / 0x1p23)
      }
      filled = length
    }
    let halves = values.map { UInt16($0.bitPattern >> 16) }
    var done = 0
    while done < count {
      let piece = min(length, count - done)
      let place = memory.pointer.advanced(byBytes: done * format.byteCount)
      try values.withRaw(as: format, halves) { bytes throws(ReFTError) in
        try copyIn(bytes, piece * format.byteCount, to: place)
      }
      done += piece
    }
    try synchronise()
  }

  /// Seconds of the best of five runs, after one that is not measured.
  private func fastest(_ body: () throws(ReFTError) -> Void) throws(ReFTError) -> Double {
    try body()
    var best = Double.infinity
    for _ in 0..<5 {
      let first = try event()
      try body()
      best = min(best, try elapsed(from: first, to: try event()))
    }
    return max(best, 1e-9)
  }
}

extension [Float] {
  /// The bytes of the numbers, or of their upper halves.
  fileprivate func withRaw(
    as format: NumberFormat,
    _ halves: [UInt16],
    _ body: (UnsafeRawPointer) throws(ReFTError) -> Void
  ) throws(ReFTError) {
    if format == .float32 {
      try withUnsafeBufferPointer { buffer throws(ReFTError) in
        if let base = buffer.baseAddress { try body(UnsafeRawPointer(base)) }
      }
    } else {
      try halves.withUnsafeBufferPointer { buffer throws(ReFTError) in
        if let base = buffer.baseAddress { try body(UnsafeRawPointer(base)) }
      }
    }
  }
}
