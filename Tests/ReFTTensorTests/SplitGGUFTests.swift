// SPDX-License-Identifier: Apache-2.0
// Models in several GGUF files: any part opens all of them, and what is wrong is named.

import Foundation
import ReFTTensor
import Testing
import _ReFTTestSupport

@Suite("Split models")
struct SplitGGUFTests {
  /// The parts of a model with two tensors in the first part, none in the second, one in the third.
  private static func parts(count: Int = 3) -> [GGUFWriter] {
    let tensors = [["a", "b"], [], ["c"]]
    return (0..<count).map { index in
      var writer = GGUFWriter()
      if index == 0 { writer.set("general.name", .string("whole")) }
      writer.set("split.no", .uint32(UInt32(index)))
      writer.set("split.count", .uint32(UInt32(count)))
      writer.set("split.tensors.count", .int32(3))
      for name in tensors[index] {
        let value = Float(name.utf8.first ?? 0)
        writer.add(name, .f32, dimensions: [8, 2], values: [Float](repeating: value, count: 16))
      }
      return writer
    }
  }

  private static func name(_ number: Int, of count: Int = 3) -> String {
    "/model-0000\(number)-of-0000\(count).gguf"
  }

  @discardableResult
  private func write(_ parts: [GGUFWriter], in folder: String) throws -> [String] {
    try parts.enumerated().map { index, part in
      let path = folder + Self.name(index + 1, of: parts.count)
      try part.write(to: path)
      return path
    }
  }

  @Test("any part opens the whole model, with one fingerprint")
  func anyPart() throws {
    try withTemporaryDirectory { folder in
      let paths = try write(Self.parts(), in: folder)
      let files = try paths.map { try GGUFFile(path: $0) }
      for (file, path) in zip(files, paths) {
        #expect(file.path == path)
        #expect(file.string("general.name") == "whole")
        #expect(file.tensors.map(\.name) == ["a", "b", "c"])
        #expect(file.tensor("c")?.floats() == [Float](repeating: 99, count: 16))
        #expect(file.files.map(\.path) == paths)
        #expect(file.fingerprint == files[0].fingerprint)
      }
      var changed = Self.parts()
      changed[2] = changed[1]
      changed[2].replace("split.no", .uint32(2))
      changed[2].add("c", .f32, dimensions: [8, 2], values: [Float](repeating: 1, count: 16))
      try write(changed, in: folder)
      #expect(try GGUFFile(path: paths[0]).fingerprint != files[0].fingerprint)
    }
  }

  @Test("a part that is not there is named")
  func missing() throws {
    try withTemporaryDirectory { folder in
      let paths = try write(Self.parts(), in: folder)
      try FileManager.default.removeItem(atPath: paths[1])
      let error = #expect(throws: ReFTError.self) { try GGUFFile(path: paths[2]) }
      #expect(error?.code == .inputMissing)
      #expect(
        error?.message
          == "Part 2 of 3 of a split model, '\(paths[1])', does not exist; fetch it, and put it "
          + "beside the others."
      )
    }
  }

  struct Case: Sendable, CustomTestStringConvertible {
    var testDescription: String
    var says: String
    var change: @Sendable (inout [GGUFWriter]) -> Void
  }

  static let wrong: [Case] = [
    Case(testDescription: "a part of another number", says: "part 1 of 3, expected part 2 of 3") {
      $0[1].replace("split.no", .uint32(0))
    },
    Case(testDescription: "a part of another set", says: "part 2 of 4, expected part 2 of 3") {
      $0[1].replace("split.count", .uint32(4))
    },
    Case(testDescription: "a whole model among them", says: "one part of 1, expected part 3 of 3") {
      $0[2].remove("split.count")
      $0[2].remove("split.no")
    },
    Case(testDescription: "a tensor twice", says: "holds the tensor 'a', which another part") {
      $0[2].add("a", .f32, dimensions: [1], values: [0])
    },
    Case(testDescription: "a tensor too few", says: "hold 2 tensors, expected the 3") {
      $0[2].removeTensor("c")
    },
    Case(testDescription: "a first part that says another count", says: "expected a name that ends")
    {
      $0[0].replace("split.count", .uint32(2))
    },
  ]

  @Test("parts that do not belong together are refused", arguments: wrong)
  func refused(item: Case) throws {
    try withTemporaryDirectory { folder in
      var parts = Self.parts()
      item.change(&parts)
      let paths = try write(parts, in: folder)
      let error = #expect(throws: ReFTError.self) { try GGUFFile(path: paths[0]) }
      #expect(error?.code == .badData)
      #expect(error?.message.contains(item.says) == true, "\(error?.message ?? "")")
    }
  }

  @Test("a part under another name is refused with the name that is expected")
  func renamed() throws {
    try withTemporaryDirectory { folder in
      try Self.parts()[1].write(to: folder + "/other.gguf")
      let error = #expect(throws: ReFTError.self) { try GGUFFile(path: folder + "/other.gguf") }
      #expect(error?.message.contains("is part 2 of 3 of a split model") == true)
      #expect(error?.message.contains("NAME-00001-of-00003.gguf") == true)
    }
  }

  @Test("names of parts are taken apart, and others are not")
  func names() {
    let name = SplitName(path: "/x/y-00002-of-00013.gguf")
    #expect(name?.stem == "/x/y" && name?.number == 2 && name?.count == 13)
    #expect(name?.path(of: 11) == "/x/y-00011-of-00013.gguf")
    for other in [
      "y.gguf", "-00001-of-00002.gguf", "y-00003-of-00002.gguf", "y-00000-of-00002.gguf",
      "y-0001-of-0002.gguf", "y-00001-of-0000a.gguf", "y-00001-of-00002.bin", "é",
    ] {
      #expect(SplitName(path: other) == nil, "\(other)")
    }
  }
}
