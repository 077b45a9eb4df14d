// SPDX-License-Identifier: Apache-2.0
// Kernels on rows against plain Swift, at widths that are read in runs of eight and at one that is not.

import ReFTCUDA
import Testing
import _ReFTTestSupport

struct RowKernelTests {
  private static let widths = [24, 7]
  private static let picked: [Int32] = [8, 0, 3, 2, 5]
  private var n: Int { Self.picked.count }

  @Test("embeds tokens, positions and types", arguments: Activations.allCases, widths)
  func embeds(_ activations: Activations, _ d: Int) throws {
    let kernels = try EmulatedKernels(.rows, activations)
    var random = SeededGenerator(seed: 1)
    let table = CardNumbers(random.normals(11 * d), activations)
    let places = CardNumbers(random.normals(20 * d), activations)
    let types = CardNumbers(random.normals(2 * d))
    let (ids, positions, kinds) = ([3, 10, 0, 3, 7], [4, 0, 9, 1, 1], [1, 0, 0, 1, 1])
    let out = CardNumbers([Float](repeating: .nan, count: n * d))
    try kernels.run(
      "embed",
      .int(n),
      .int(d),
      .numbers(CardNumbers(values: ids.map(Int32.init))),
      .numbers(CardNumbers(values: positions.map(Int32.init))),
      .numbers(CardNumbers(values: kinds.map(Int32.init))),
      .numbers(table),
      .float(1.5),
      .numbers(places),
      .int(2),
      .numbers(types),
      .numbers(out)
    )
    let (t, p, k) = (table.floats, places.floats, types.floats)
    let expected = (0..<n * d).map { at in
      let (row, j) = (at / d, at % d)
      return 1.5 * t[ids[row] * d + j] + p[(2 + positions[row]) * d + j] + k[kinds[row] * d + j]
    }
    expectClose(out.floats, expected, tolerance: 1e-6, relative: 1e-6)
    try kernels.run(
      "embed",
      .int(n),
      .int(d),
      .numbers(CardNumbers(values: ids.map(Int32.init))),
      .numbers(nil),
      .numbers(nil),
      .numbers(table),
      .float(1),
      .numbers(nil),
      .int(0),
      .numbers(nil),
      .numbers(out)
    )
    #expect(out.floats == (0..<n * d).map { t[ids[$0 / d] * d + $0 % d] })
  }

  @Test("gathers rows and scatters them back", arguments: Activations.allCases, widths)
  func gathersScatters(_ activations: Activations, _ width: Int) throws {
    let kernels = try EmulatedKernels(.rows, activations)
    var random = SeededGenerator(seed: 2)
    let (stride, rows) = (3 * width, CardNumbers(values: Self.picked))
    for (suffix, format) in [("float", Activations.float32), ("act", activations)] {
      let x = CardNumbers(random.normals(9 * stride), format)
      let before = x.floats
      let out = CardNumbers([Float](repeating: .nan, count: n * width))
      try kernels.run(
        "gather_\(suffix)",
        .int(n),
        .int(width),
        .numbers(rows),
        .numbers(x),
        .int(stride),
        .int(width),
        .numbers(out)
      )
      let places = (0..<n * width).map {
        Int(Self.picked[$0 / width]) * stride + width + $0 % width
      }
      #expect(out.floats == places.map { before[$0] })
      var new = random.normals(n * width)
      let fault = CardNumbers(integers: [0])
      try kernels.run(
        "scatter_\(suffix)",
        .int(n),
        .int(width),
        .numbers(rows),
        .numbers(CardNumbers(new)),
        .numbers(out),
        .float(0.25),
        .numbers(x),
        .int(stride),
        .int(width),
        .numbers(fault)
      )
      #expect(fault.integers == [0])
      var expected = before
      for (at, place) in places.enumerated() {
        expected[place] = before[place] + 0.25 * (new[at] - before[place])
      }
      expectClose(x.floats, expected, tolerance: 1e-6, relative: format.rounding)
      new[width] = .infinity
      try kernels.run(
        "scatter_\(suffix)",
        .int(n),
        .int(width),
        .numbers(rows),
        .numbers(CardNumbers(new)),
        .numbers(nil),
        .float(0.25),
        .numbers(x),
        .int(stride),
        .int(width),
        .numbers(fault)
      )
      #expect(fault.integers == [1])
      let there = places.map { x.floats[$0] }
      #expect(there[width] == .infinity)
      expectClose(
        there.filter(\.isFinite),
        new.filter(\.isFinite),
        tolerance: 0,
        relative: format.rounding
      )
    }
  }

  @Test("copies between formats and from columns", arguments: Activations.allCases, widths)
  func copies(_ activations: Activations, _ width: Int) throws {
    let kernels = try EmulatedKernels(.rows, activations)
    var random = SeededGenerator(seed: 3)
    let x = CardNumbers(random.normals(9 * width))
    let y = CardNumbers([Float](repeating: .nan, count: n * width), activations)
    try kernels.run(
      "cast_rows",
      .int(n),
      .int(width),
      .numbers(CardNumbers(values: Self.picked)),
      .numbers(x),
      .numbers(y)
    )
    let picked = (0..<n * width).map { x.floats[Int(Self.picked[$0 / width]) * width + $0 % width] }
    let rounded = activations == .float32 ? picked : picked.map(\.rounded16)
    #expect(y.floats == rounded)
    let wide = CardNumbers(random.normals(n * 3 * width), activations)
    let columns = (0..<n * width).map { wide.floats[$0 / width * 3 * width + width + $0 % width] }
    let out = CardNumbers([Float](repeating: .nan, count: n * width))
    try kernels.run(
      "widen_rows",
      .int(n),
      .int(width),
      .numbers(wide),
      .int(3 * width),
      .int(width),
      .numbers(out)
    )
    #expect(out.floats == columns)
    try kernels.run(
      "copy_columns",
      .int(n),
      .int(width),
      .numbers(wide),
      .int(3 * width),
      .int(width),
      .numbers(y)
    )
    #expect(y.floats == columns)
  }

  @Test("adds rows, gradients and biases", arguments: Activations.allCases, widths)
  func adds(_ activations: Activations, _ d: Int) throws {
    let kernels = try EmulatedKernels(.rows, activations)
    var random = SeededGenerator(seed: 4)
    let (dy, x) = (
      CardNumbers(random.normals(n * d), activations), CardNumbers(random.normals(n * d))
    )
    let (sum, copy) = (CardNumbers(random.normals(n * d)), CardNumbers(x.floats, activations))
    var expected = zip(sum.floats, x.floats).map { $0 + $1 }
    try kernels.run("add_rows_float", .int(n), .int(d), .numbers(x), .numbers(sum))
    #expect(sum.floats == expected)
    expected = zip(expected, dy.floats).map { $0 + $1 }
    try kernels.run("add_act", .int(n), .int(d), .numbers(dy), .numbers(sum), .numbers(copy))
    #expect(sum.floats == expected)
    #expect(copy.floats == (activations == .float32 ? expected : expected.map(\.rounded16)))
    try kernels.run("add_act", .int(n), .int(d), .numbers(dy), .numbers(sum), .numbers(nil))
    #expect(sum.floats == zip(expected, dy.floats).map { $0 + $1 })
    let bias = CardNumbers(random.normals(d))
    for (name, rows) in [("add_bias_act", copy), ("add_bias_float", sum)] {
      let before = rows.floats
      try kernels.run(name, .int(n), .int(d), .numbers(bias), .numbers(rows))
      let expected = before.enumerated().map { $1 + bias.floats[$0 % d] }
      expectClose(rows.floats, expected, tolerance: 0, relative: rows.format.rounding)
    }
  }
}
