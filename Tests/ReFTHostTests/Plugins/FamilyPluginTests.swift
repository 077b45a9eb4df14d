// SPDX-License-Identifier: Apache-2.0
// Edits written out by hand, beside what the loaded plugins give.

import ReFTHost
import ReFTTensor
import Testing
import _ReFTTestSupport

@Suite("Plugins compute what their equations say")
struct FamilyPluginTests {
  private static let (rows, width) = (4, 21)
  private typealias Row = [Double]

  /// Rows and parameters of a harness in double, [rows][width] and by name.
  private struct Numbers {
    var harness: InstanceHarness
    var x: [Float]
    var h: [Row]

    init(_ plugin: String, _ options: [String: OptionValue] = [:]) throws {
      harness = try InstanceHarness(plugin, dim: FamilyPluginTests.width, options: options)
      var generator = SeededGenerator(seed: 21)
      x = generator.normals(FamilyPluginTests.rows * FamilyPluginTests.width)
      h = Self.split(x)
    }

    static func split(_ values: [Float]) -> [Row] {
      stride(from: 0, to: values.count, by: FamilyPluginTests.width).map { start in
        values[start..<min(start + FamilyPluginTests.width, values.count)].map { Double($0) }
      }
    }

    /// A vector or, row by row, a matrix.
    func parameter(_ name: String) throws -> [Row] {
      let index = try #require(harness.store.index(of: name))
      let values = Array(harness.store.tensor(index))
      return harness.store.infos[index].shape.count == 1
        ? [values.map { Double($0) }] : Self.split(values)
    }

    func result() throws -> [Row] { Self.split(try harness.forward(x).y) }
  }

  private func dot(_ x: Row, _ y: Row) -> Double { zip(x, y).reduce(0) { $0 + $1.0 * $1.1 } }

  // h + Vᵀ e
  private func lift(_ h: Row, _ directions: [Row], _ e: Row) -> Row {
    zip(directions, e).reduce(h) { sum, pair in zip(sum, pair.0).map { $0 + pair.1 * $1 } }
  }

  private func compare(_ found: [Row], _ expected: [Row], _ name: String) {
    expectClose(
      found.flatMap { $0 }.map { Float($0) },
      expected.flatMap { $0 }.map { Float($0) },
      tolerance: 1e-5,
      relative: 1e-5,
      name
    )
  }

  @Test("red: s ⊙ h + b")
  func red() throws {
    let numbers = try Numbers("red")
    let (scale, bias) = (try numbers.parameter("scale")[0], try numbers.parameter("bias")[0])
    let expected = numbers.h.map { h in h.indices.map { scale[$0] * h[$0] + bias[$0] } }
    compare(try numbers.result(), expected, "red")
  }

  @Test("ablate: h − strength Vᵀ V h", arguments: [1.0, 0.25, 2])
  func ablate(_ strength: Double) throws {
    let numbers = try Numbers("ablate", ["rank": .int(3), "strength": .float(strength)])
    let directions = try numbers.parameter("directions")
    let expected = numbers.h.map { h in
      lift(h, directions, directions.map { -strength * dot($0, h) })
    }
    compare(try numbers.result(), expected, "ablate")
  }

  @Test("clamp: h + Vᵀ(c − V h); its values start as the option says")
  func clamp() throws {
    let options: [String: OptionValue] = ["rank": .int(2), "value": .float(-1.5)]
    let numbers = try Numbers("clamp", options)
    let directions = try numbers.parameter("directions")
    let values = try numbers.parameter("values")[0]
    let expected = numbers.h.map { h in
      lift(h, directions, zip(directions, values).map { $1 - dot($0, h) })
    }
    compare(try numbers.result(), expected, "clamp")
    let info = try #require(numbers.harness.store.infos.first { $0.name == "values" })
    #expect(info.initialization == .constant(-1.5))
  }

  @Test("affine: h + Vᵀ((s − 1) ⊙ V h + t)")
  func affine() throws {
    let numbers = try Numbers("affine", ["rank": .int(3)])
    let directions = try numbers.parameter("directions")
    let (scale, shift) = (try numbers.parameter("scale")[0], try numbers.parameter("shift")[0])
    let expected = numbers.h.map { h in
      lift(
        h,
        directions,
        directions.indices.map { (scale[$0] - 1) * dot(directions[$0], h) + shift[$0] }
      )
    }
    compare(try numbers.result(), expected, "affine")
  }

  @Test("norm-steering: h + α v, as long as h")
  func normSteering() throws {
    let numbers = try Numbers("norm-steering", ["alpha": .float(-2.5)])
    let vector = try numbers.parameter("vector")[0]
    let found = try numbers.result()
    for (h, y) in zip(numbers.h, found) {
      let moved = h.indices.map { h[$0] - 2.5 * vector[$0] }
      let ratio = (dot(h, h) / dot(moved, moved)).squareRoot()
      compare([y], [moved.map { $0 * ratio }], "norm-steering")
      #expect(abs(dot(y, y) / dot(h, h) - 1) < 1e-5)
    }
  }

  @Test("reft-r1: the largest top_k of relu(W h + b), along V", arguments: [0, 1, 2, 5])
  func readOut(_ count: Int) throws {
    let numbers = try Numbers("reft-r1", ["rank": .int(5), "top_k": .int(Int64(count))])
    let (source, bias) = (
      try numbers.parameter("source.weight"), try numbers.parameter("source.bias")[0]
    )
    let directions = try numbers.parameter("proj.weight")
    let expected = numbers.h.map { h in
      let read = zip(source, bias).map { max(0, dot($0, h) + $1) }
      let least = count == 0 ? 0 : read.sorted(by: >)[count - 1]
      return lift(h, directions, read.map { $0 >= least ? $0 : 0 })
    }
    compare(try numbers.result(), expected, "reft-r1")
  }

  @Test(
    "loreft on a subspace edits and trains its directions alone",
    arguments: [
      ("0-1,4", [0, 1, 4]), ("2", [2]), ("0,2-3", [0, 2, 3]), ("0-4", [0, 1, 2, 3, 4]),
    ]
  )
  func subspace(_ text: String, _ chosen: [Int]) throws {
    let numbers = try Numbers("loreft", ["rank": .int(5), "subspace": .string(text)])
    let (rotate, source) = (
      try numbers.parameter("rotate.weight"), try numbers.parameter("source.weight")
    )
    let bias = try numbers.parameter("source.bias")[0]
    let expected = numbers.h.map { h in
      lift(
        h,
        chosen.map { rotate[$0] },
        chosen.map {
          dot(source[$0], h) + bias[$0] - dot(rotate[$0], h)
        }
      )
    }
    compare(try numbers.result(), expected, "subspace")

    let gradients = numbers.harness.store.makeGradients()
    let saved = try numbers.harness.forward(numbers.x).saved
    _ = try numbers.harness.backward(numbers.x, numbers.x, saved: saved, gradients: gradients)
    for index in numbers.harness.store.infos.indices {
      let slice = Array(numbers.harness.store.slice(of: gradients, index))
      let size = slice.count / 5
      for row in 0..<5 {
        let isMoved = slice[row * size..<(row + 1) * size].contains { $0 != 0 }
        #expect(isMoved == chosen.contains(row), "direction \(row)")
      }
    }
  }

  @Test("loreft edits and trains each row in the subspace that it names, else in all")
  func subspaces() throws {
    let sets: [Int32: [Int]] = [-1: [0, 1, 2, 3, 4], 0: [0, 1], 1: [2, 4]]
    let named: [Int32] = [1, -1, 0, 1]
    let numbers = try Numbers("loreft", ["rank": .int(5), "subspaces": .string("0-1;2,4")])
    numbers.harness.subspaces = named
    let (rotate, source) = (
      try numbers.parameter("rotate.weight"), try numbers.parameter("source.weight")
    )
    let bias = try numbers.parameter("source.bias")[0]
    let expected = try zip(numbers.h, named).map { h, subspace in
      let chosen = try #require(sets[subspace])
      return lift(
        h,
        chosen.map { rotate[$0] },
        chosen.map { dot(source[$0], h) + bias[$0] - dot(rotate[$0], h) }
      )
    }
    compare(try numbers.result(), expected, "subspaces")

    // Rows that all name one subspace are those of an edit that has no other, bit for bit.
    for (number, text) in [(Int32(0), "0-1"), (1, "2,4")] {
      let alone = try Numbers("loreft", ["rank": .int(5), "subspace": .string(text)])
      numbers.harness.subspaces = [number]
      expectIdentical(
        try numbers.harness.forward(numbers.x).y,
        try alone.harness.forward(numbers.x).y,
        text
      )
      let (several, one) = (
        numbers.harness.store.makeGradients(), alone.harness.store.makeGradients()
      )
      for (harness, gradients) in [(numbers.harness, several), (alone.harness, one)] {
        let saved = try harness.forward(numbers.x).saved
        _ = try harness.backward(numbers.x, numbers.x, saved: saved, gradients: gradients)
      }
      expectIdentical(Array(several.values), Array(one.values), "gradients of \(text)")
    }
  }

  @Test("a subspace that is not listed is an error of the call, which says so")
  func unlistedSubspace() throws {
    let numbers = try Numbers("loreft", ["rank": .int(4), "subspaces": .string("0-1;2-3")])
    numbers.harness.subspaces = [0, 2]
    let error = #expect(throws: ReFTError.self) { _ = try numbers.result() }
    #expect(error?.message.contains("'subspaces' does not list") == true)
    #expect(numbers.harness.instance.dependsOnSequence)
  }

  @Test(
    "subspaces that name no directions of R are refused",
    arguments: ["0-1;", ";0", "0-1;;2", "0;5", "0;1,1", "0;b"]
  )
  func badSubspaces(_ text: String) throws {
    #expect(throws: ReFTError.self) {
      _ = try Numbers("loreft", ["rank": .int(5), "subspaces": .string(text)])
    }
    #expect(throws: ReFTError.self) {
      _ = try Numbers("loreft", ["subspace": .string("0"), "subspaces": .string("0;1")])
    }
  }

  @Test(
    "a subspace that names no directions of R is refused",
    arguments: [
      "5", "0-5", "2,1", "1,1", "3-2", "0-", "-1", "a", "0,", ",0", "0;1", "0 1", "9999999",
    ]
  )
  func badSubspace(_ text: String) throws {
    #expect(throws: ReFTError.self) {
      _ = try Numbers("loreft", ["rank": .int(5), "subspace": .string(text)])
    }
  }

  @Test(
    "what `train` leaves out is not trained",
    arguments: [
      ("ablate", "none", []), ("ablate", "all", ["directions"]), ("clamp", "values", ["values"]),
      ("affine", "directions", ["directions"]), ("affine", "values", ["shift", "scale"]),
      ("clamp", "none", []), ("red", "scale", ["scale"]), ("red", "bias", ["bias"]),
      ("red", "both", ["scale", "bias"]),
    ] as [(String, String, [String])]
  )
  func trained(_ plugin: String, _ choice: String, _ names: [String]) throws {
    let numbers = try Numbers(plugin, ["train": .string(choice)])
    #expect(numbers.harness.store.infos.filter(\.isTrainable).map(\.name) == names)
  }
}
