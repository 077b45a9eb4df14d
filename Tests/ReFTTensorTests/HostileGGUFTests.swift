// SPDX-License-Identifier: Apache-2.0
// Broken and hostile GGUF files: each is refused with a sentence that names the fault.

import Foundation
import ReFTTensor
import Testing
import _ReFTTestSupport

struct HostileGGUFTests {
  struct Case: Sendable, CustomTestStringConvertible {
    let id: String
    let bytes: @Sendable () -> [UInt8]
    /// What the message must say.
    let says: String
    var testDescription: String { id }

    init(_ id: String, says: String, bytes: @escaping @Sendable () -> [UInt8]) {
      self.id = id
      self.bytes = bytes
      self.says = says
    }

    /// A case made by changing a file with one value and one tensor.
    init(_ id: String, says: String, change: @escaping @Sendable (inout GGUFWriter) -> Void) {
      self.init(id, says: says) {
        var writer = GGUFWriter()
        writer.set("general.architecture", .string("llama"))
        writer.add("good", .f32, dimensions: [8], values: [Float](repeating: 1, count: 8))
        change(&writer)
        return writer.bytes()
      }
    }
  }

  static let headers: [Case] = [
    Case("empty file", says: "starts with the bytes [], not with 'GGUF'", bytes: { [] }),
    Case("other format", says: "starts with the bytes [50 4b 3 4]") {
      [0x50, 0x4b, 3, 4] + [UInt8](repeating: 0, count: 60)
    },
    Case("only the magic", says: "ends at byte 4, inside the version at byte 4") {
      Array("GGUF".utf8)
    },
    Case("version 1", says: "has version 1, not 2 or 3") { $0.version = 1 },
    Case("version of the future", says: "has version 4, not 2 or 3") { $0.version = 4 },
    Case("big-endian", says: "is written in big-endian byte order") {
      $0.version = UInt32(3).byteSwapped
    },
    Case(
      "endless metadata",
      says: "the number of metadata values at byte 16 is 18446744073709551615"
    ) { $0.claimedValueCount = .max },
    Case("endless tensors", says: "the number of tensors at byte 8 is 9223372036854775808") {
      $0.claimedTensorCount = 1 << 63
    },
    Case("one value too many", says: "metadata key 2 at byte 86 has 0 bytes") {
      $0.claimedValueCount = 3
    },
  ]

  static let metadata: [Case] = [
    Case("key that is not UTF-8", says: "metadata key 1 at byte 77 is not UTF-8 text") {
      $0.set([0xff, 0xfe, 0x61], .uint8(1))
    },
    Case("empty key", says: "metadata key 1 at byte 69 has 0 bytes, not 1 to 65535") {
      $0.set("", .uint8(1))
    },
    Case("key twice", says: "the metadata key 'general.architecture' occurs twice") {
      $0.set("general.architecture", .string("gpt2"))
    },
    Case("unknown value type", says: "the type of 'k' at byte 78 is 99, not 0 to 12") {
      $0.set("k", .raw(type: 99, bytes: [0]))
    },
    Case("truth value 2", says: "the truth value of 'k' is 2, not 0 or 1") {
      $0.set("k", .raw(type: 7, bytes: [2]))
    },
    Case("text longer than the file", says: "the length of the text of 'k'") {
      var bytes: [UInt8] = []
      bytes.append(integer: UInt64.max)
      $0.set("k", .raw(type: 8, bytes: bytes))
    },
    Case("text that is not UTF-8", says: "the text of 'k' at byte") {
      var bytes: [UInt8] = []
      bytes.append(counted: [0xc3, 0x28])
      $0.set("k", .raw(type: 8, bytes: bytes))
    },
    Case("list longer than the file", says: "the length of the list 'k'") {
      $0.set("k", .raw(type: 9, bytes: Self.list(of: 12, count: 1 << 61)))
    },
    Case("list of texts longer than the file", says: "the length of the list 'k'") {
      $0.set("k", .raw(type: 9, bytes: Self.list(of: 8, count: 1 << 40)))
    },
    Case("list of lists of lists …", says: "the list 'k' nests lists more than 4 deep") {
      let nested = (0..<10_000).flatMap { _ in Self.list(of: 9, count: 1) }
      $0.set("k", .raw(type: 9, bytes: nested))
    },
    Case("list with a truth value 7", says: "truth value 1 of the list 'k' is 7, not 0 or 1") {
      $0.set("k", .raw(type: 9, bytes: Self.list(of: 7, count: 2) + [1, 7]))
    },
    Case("list of an unknown type", says: "the type of 'k'") {
      $0.set("k", .raw(type: 9, bytes: Self.list(of: 13, count: 1)))
    },
    Case("alignment 0", says: "not a power of two from 8 to 1048576") {
      $0.set("general.alignment", .uint32(0))
    },
    Case("alignment 24", says: "not a power of two from 8 to 1048576") {
      $0.set("general.alignment", .uint32(24))
    },
    Case("alignment as text", says: "not a power of two from 8 to 1048576") {
      $0.set("general.alignment", .string("32"))
    },
  ]

  static let tensors: [Case] = [
    Case("tensor twice", says: "two tensors are named 'good'") {
      $0.add("good", .f32, dimensions: [8], values: [Float](repeating: 1, count: 8))
    },
    Case("no dimensions", says: "tensor 'bad' has 0 dimensions, not 1 to 4") {
      $0.add("bad", type: 0, dimensions: [], data: [])
    },
    Case("five dimensions", says: "tensor 'bad' has 5 dimensions, not 1 to 4") {
      $0.add("bad", type: 0, dimensions: [1, 1, 1, 1, 1], data: [0, 0, 0, 0])
    },
    Case("dimension 0", says: "tensor 'bad' has a dimension of size 0") {
      $0.add("bad", type: 0, dimensions: [8, 0], data: [])
    },
    Case("dimension beyond 63 bits", says: "has a dimension of size 18446744073709551615") {
      $0.add("bad", type: 0, dimensions: [.max], data: [])
    },
    Case("product that overflows", says: "more elements than the file has bits") {
      $0.add("bad", type: 0, dimensions: [1 << 32, 1 << 32], data: [])
    },
    Case("product that overflows to little", says: "more elements than the file has bits") {
      $0.add("bad", type: 0, dimensions: [1 << 62, 4, 4], data: [])
    },
    Case("more data than the file has", says: "tensor 'bad' needs 4000 bytes from offset 32") {
      $0.add("bad", type: 0, dimensions: [1000], data: [])
    },
    Case("unknown number format", says: "tensor 'bad' has the number format 16") {
      $0.add("bad", type: 16, dimensions: [256], data: [UInt8](repeating: 0, count: 66))
    },
    Case("rows that are not whole blocks", says: "rows of 33 elements, not a multiple of the 32 of")
    {
      $0.add("bad", type: 8, dimensions: [33, 32], data: [UInt8](repeating: 0, count: 1122))
    },
    Case("offset beyond the file", says: "starts at offset 9223372036854775808 of the data") {
      $0.add("bad", type: 0, dimensions: [1], data: [], offset: 1 << 63)
    },
    Case("offset just beyond the data", says: "tensor 'bad' needs 4 bytes from offset 32") {
      $0.add("bad", type: 0, dimensions: [1], data: [], offset: 32)
    },
    Case("offset between alignments", says: "not a multiple of the alignment 32") {
      $0.add("bad", type: 0, dimensions: [1], data: [0, 0, 0, 0], offset: 4)
    },
    Case("same place", says: "the tensors 'good' and 'bad' overlap at offset 0") {
      $0.add("bad", type: 0, dimensions: [8], data: [UInt8](repeating: 0, count: 32), offset: 0)
    },
    Case("partly the same place", says: "'long' and 'in it' overlap at offset 64") {
      $0.add("long", type: 0, dimensions: [16], data: [UInt8](repeating: 0, count: 64), offset: 32)
      $0.add("in it", type: 0, dimensions: [8], data: [UInt8](repeating: 0, count: 32), offset: 64)
    },
    Case("empty name", says: "the name of tensor 1") {
      $0.add("", type: 0, dimensions: [1], data: [0, 0, 0, 0])
    },
  ]

  @Test("refuses a broken file and says why", arguments: headers + metadata + tensors)
  func refuses(hostile: Case) throws {
    try withTemporaryDirectory { folder in
      let path = folder + "/hostile.gguf"
      try Data(hostile.bytes()).write(to: URL(fileURLWithPath: path))
      let error = #expect(throws: ReFTError.self) { try GGUFFile(path: path) }
      #expect(error?.code == .badData)
      #expect(error?.message.contains(hostile.says) == true, "\(error?.message ?? "no error")")
      #expect(error?.message.hasPrefix("GGUF file '\(path)': ") == true)
    }
  }

  @Test("a file cut off anywhere is refused, and never read beyond its end")
  func truncated() throws {
    let whole = TinyModel().writer().bytes()
    let dense = Array(0..<200)
    let sparse = stride(from: 200, to: whole.count, by: whole.count / 150)
    try withTemporaryDirectory { folder in
      let path = folder + "/cut.gguf"
      for length in dense + Array(sparse) + [whole.count - 1] {
        try Data(whole[..<length]).write(to: URL(fileURLWithPath: path))
        let error = #expect(throws: ReFTError.self) { try GGUFFile(path: path) }
        #expect(error?.code == .badData, "cut to \(length)")
      }
      try Data(whole).write(to: URL(fileURLWithPath: path))
      #expect(throws: Never.self) { try GGUFFile(path: path) }
    }
  }

  @Test("a file with random bytes changed is read or refused, and nothing worse")
  func mutated() throws {
    var writer = GGUFWriter()
    writer.set("general.architecture", .string("llama"))
    writer.set("texts", .strings(["a", "b"]))
    writer.set("floats", .float32s([1, 2]))
    writer.add("a", .q4_1, dimensions: [32, 2], values: [Float](repeating: 1, count: 64))
    writer.add("b", .f16, dimensions: [8], values: [Float](repeating: 1, count: 8))
    let whole = writer.bytes()
    var random = SeededGenerator(seed: 3)
    try withTemporaryDirectory { folder in
      let path = folder + "/mutated.gguf"
      for _ in 0..<500 {
        var bytes = whole
        for _ in 0...random.next() % 3 {
          bytes[Int(random.next() % UInt64(bytes.count))] = UInt8(truncatingIfNeeded: random.next())
        }
        try Data(bytes).write(to: URL(fileURLWithPath: path))
        do {
          let file = try GGUFFile(path: path)
          _ = file.fingerprint
          for tensor in file.tensors { #expect(tensor.floats().count == tensor.elementCount) }
        } catch let error as ReFTError {
          #expect(error.code == .badData)
        }
      }
    }
  }

  @Test("paths that are no regular file have their own errors")
  func paths() throws {
    try withTemporaryDirectory { folder in
      let missing = #expect(throws: ReFTError.self) { try GGUFFile(path: folder + "/none.gguf") }
      #expect(missing?.code == .inputMissing)
      #expect(missing?.message == "File '\(folder)/none.gguf' does not exist; check the path.")
      let directory = #expect(throws: ReFTError.self) { try GGUFFile(path: folder) }
      #expect(directory?.code == .badData)
      let pipe = folder + "/pipe"
      #expect(mkfifo(pipe, 0o600) == 0)
      let fifo = #expect(throws: ReFTError.self) { try GGUFFile(path: pipe) }
      #expect(fifo?.message.contains("is not a regular file") == true)
      let empty = #expect(throws: ReFTError.self) { try GGUFFile(path: "") }
      #expect(empty?.code == .inputMissing)
    }
  }

  private static func list(of type: UInt32, count: UInt64) -> [UInt8] {
    var bytes: [UInt8] = []
    bytes.append(integer: type)
    bytes.append(integer: count)
    return bytes
  }
}
