// SPDX-License-Identifier: Apache-2.0
// Broken and hostile safetensors files: each is refused with a sentence that names the fault.

import Foundation
import ReFTTensor
import Testing
import _ReFTTestSupport

struct HostileSafetensorsTests {
  struct Case: Sendable, CustomTestStringConvertible {
    let header: String
    var dataCount = 8
    let says: String
    var testDescription: String { says }
  }

  static let x = #""x":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}"#

  static let cases: [Case] = [
    Case(header: "", says: "has its end at byte 0, not '{' at the start of the header"),
    Case(header: "[]", says: "has '[' at byte 0, not '{'"),
    Case(header: "not json", says: "has 'n' at byte 0, not '{'"),
    Case(header: "{", says: "has its end at byte 1, not '\"' at the start of a key of the header"),
    Case(header: "{\(x)", says: "not '}' at the end of the header"),
    Case(header: "{\(x),}", says: "not '\"' at the start of a key of the header"),
    Case(header: "{\(x)}{}", says: "the header goes on after its object, at byte 54"),
    Case(header: "{\(x)} \u{0}", says: "the header goes on after its object"),
    Case(header: "{\(x),\(x)}", says: "the key 'x' occurs twice in the header"),
    Case(
      header: #"{"x":{"dtype":"F32","dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#,
      says: "the key 'dtype' occurs twice in tensor 'x'"
    ),
    Case(
      header: #"{"__metadata__":{"a":"1","a":"2"},\#(x)}"#,
      says: "the key 'a' occurs twice in '__metadata__'"
    ),
    Case(
      header: #"{"__metadata__":{"a":1},\#(x)}"#,
      says: "not '\"' at the start of the value of 'a'"
    ),
    Case(
      header: #"{"__metadata__":{},"__metadata__":{},\#(x)}"#,
      says: "occurs twice in the header"
    ),
    Case(
      header: #"{"x":{"dtype":"F31","shape":[2],"data_offsets":[0,8]}}"#,
      says: "tensor 'x' has the dtype 'F31', not one of F64, F32"
    ),
    Case(
      header: #"{"x":{"dtype":"F32","shape":[2]}}"#,
      says: "tensor 'x' lacks its dtype, its shape or"
    ),
    Case(
      header: #"{"x":{"dtype":"F32","shape":[2],"data_offsets":[8]}}"#,
      says: "lacks its dtype, its shape or its two data_offsets"
    ),
    Case(
      header: #"{"x":{"dtype":"F32","shape":[2],"data_offsets":[0,8],"more":1}}"#,
      says: "tensor 'x' has the field 'more', not dtype, shape or data_offsets"
    ),
    Case(
      header: #"{"x":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}}"#,
      says: "tensor 'x' of shape [3] and type F32 does not fit its data_offsets [0, 8]"
    ),
    Case(
      header: #"{"x":{"dtype":"F32","shape":[2],"data_offsets":[8,0]}}"#,
      says: "does not fit its data_offsets [8, 0]"
    ),
    Case(
      header: #"{"x":{"dtype":"F32","shape":[-2],"data_offsets":[0,8]}}"#,
      says: "the shape of 'x' has '-' at byte 29 of the header, not a whole number without sign"
    ),
    Case(
      header: #"{"x":{"dtype":"F32","shape":[2.0],"data_offsets":[0,8]}}"#,
      says: "not ']' at the end of the shape of 'x'"
    ),
    Case(
      header: #"{"x":{"dtype":"F32","shape":[02],"data_offsets":[0,8]}}"#,
      says: "not a whole number without sign"
    ),
    Case(
      header: #"{"x":{"dtype":"F32","shape":[99999999999999999999],"data_offsets":[0,8]}}"#,
      says: "the shape of 'x' has a number beyond 64 bits at byte 29"
    ),
    Case(
      header:
        #"{"x":{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,8]}}"#,
      says: "the size of tensor 'x' overflows"
    ),
    Case(
      header:
        #"{"x":{"dtype":"F32","shape":[4611686018427387906],"data_offsets":[0,8]}}"#,
      says: "does not fit its data_offsets"
    ),
    Case(
      header: #"{"x":{"dtype":"F32","shape":[[2]],"data_offsets":[0,8]}}"#,
      says: "the shape of 'x' has '[' at byte 29"
    ),
    Case(
      header: #"{\#(x),"y":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}}"#,
      dataCount: 12,
      says: "the data of tensor 'y' starts at 4, not at 8 where the tensor before it ends"
    ),
    Case(
      header: #"{\#(x),"y":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#,
      says: "the data of tensor 'y' starts at 0, not at 8"
    ),
    Case(
      header: #"{\#(x),"y":{"dtype":"F32","shape":[1],"data_offsets":[12,16]}}"#,
      dataCount: 16,
      says: "the data of tensor 'y' starts at 12, not at 8"
    ),
    Case(
      header: "{\(x)}",
      dataCount: 7,
      says: "the data of tensor 'x' ends at 8, and the file has 7"
    ),
    Case(header: "{\(x)}", dataCount: 9, says: "has 9 bytes of data, and its tensors take 8"),
    Case(
      header: #"{"x":{"dtype":"F32","shape":[2],"data_offsets":[0,9223372036854775807]}}"#,
      says: "does not fit its data_offsets"
    ),
    Case(header: #"{"x"#, says: "the header ends inside a key of the header"),
    Case(header: #"{"\x":{}}"#, says: "has the unknown escape \\x"),
    Case(header: #"{"\u12":{}}"#, says: "has an escape \\u without four hexadecimal digits"),
    Case(header: #"{"\ud800":{}}"#, says: "holds half of a surrogate pair"),
    Case(header: #"{"\ud800\u0041":{}}"#, says: "holds half of a surrogate pair"),
    Case(header: "{\"a\nb\":{}}", says: "holds the control character 10 as it is"),
    Case(
      header: String(repeating: "{\"a\":", count: 100_000),
      says: "tensor 'a' has the field 'a', not dtype"
    ),
  ]

  @Test("refuses a broken header and says why", arguments: cases)
  func refuses(hostile: Case) throws {
    var bytes: [UInt8] = []
    bytes.append(counted: Array(hostile.header.utf8))
    try refuse(bytes + [UInt8](repeating: 0, count: hostile.dataCount), says: hostile.says)
  }

  @Test("refuses lengths that are not those of the file")
  func lengths() throws {
    try refuse([], says: "has 0 bytes, not at least 8")
    try refuse([1, 2, 3], says: "has 3 bytes, not at least 8")
    try refuse(
      [UInt8](repeating: 0xff, count: 8) + Array("{}".utf8),
      says: "announces a header of 18446744073709551615 bytes, more than the 2 possible"
    )
    try refuse([3, 0, 0, 0, 0, 0, 0, 0] + Array("{}".utf8), says: "more than the 2 possible")
    try refuse(
      [5, 0, 0, 0, 0, 0, 0, 0, 0x7b, 0x22, 0xff, 0xfe, 0x22],
      says: "a key of the header at byte 2 of the header is not UTF-8 text"
    )
  }

  @Test("a file with random bytes changed is read or refused, and nothing worse")
  func mutated() throws {
    var random = SeededGenerator(seed: 5)
    try withTemporaryDirectory { folder in
      let path = folder + "/file"
      try Safetensors.write(SafetensorsTests.tensors, metadata: ["a": "b"], to: path)
      let whole = [UInt8](try Data(contentsOf: URL(fileURLWithPath: path)))
      for _ in 0..<500 {
        var bytes = whole
        bytes[Int(random.next() % UInt64(bytes.count))] = UInt8(truncatingIfNeeded: random.next())
        if random.next() % 4 == 0 { bytes.removeLast(Int(random.next() % 30)) }
        try Data(bytes).write(to: URL(fileURLWithPath: path))
        do {
          let file = try Safetensors.read(path: path)
          for tensor in file.tensors {
            #expect(tensor.elementCount == tensor.shape.reduce(1, *))
            _ = tensor.bytes.last
          }
        } catch let error as ReFTError {
          #expect(error.code == .badData)
        }
      }
    }
  }

  private func refuse(
    _ bytes: [UInt8],
    says: String,
    sourceLocation: SourceLocation = #_sourceLocation
  ) throws {
    try withTemporaryDirectory { folder in
      let path = folder + "/hostile.safetensors"
      try Data(bytes).write(to: URL(fileURLWithPath: path))
      let error = #expect(throws: ReFTError.self, sourceLocation: sourceLocation) {
        try Safetensors.read(path: path)
      }
      #expect(error?.code == .badData, sourceLocation: sourceLocation)
      #expect(
        error?.message.contains(says) == true,
        "\(error?.message.prefix(300) ?? "no error")",
        sourceLocation: sourceLocation
      )
    }
  }
}
