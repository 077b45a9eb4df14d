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
    Case(
      header: "",
      says: "the header is no JSON at byte 0: the text ends where a value should stand"
    ),
    Case(header: "[]", says: "the header is a list at 1:1 of the header, not an object"),
    Case(header: "not json", says: "is no JSON at byte 0: expected a JSON value, found 'n'"),
    Case(
      header: "{",
      says: "at byte 1: expected a key in double quotes, found the end of the text"
    ),
    Case(header: "{\(x)", says: "expected ',' or '}', found the end of the text"),
    Case(header: "{\(x),}", says: "expected a key in double quotes, found '}'"),
    Case(header: "{\(x)}{}", says: "at byte 54: found '{' after the end of the value"),
    Case(header: "{\(x)} \u{0}", says: "found byte 0x0 after the end of the value"),
    Case(header: "{\(x),\(x)}", says: "key \"x\" stands twice in one object, first at 1:2"),
    Case(
      header: #"{"x":{"dtype":"F32","dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#,
      says: "key \"dtype\" stands twice in one object, first at 1:7"
    ),
    Case(
      header: #"{"__metadata__":{"a":"1","a":"2"},\#(x)}"#,
      says: "key \"a\" stands twice in one object, first at 1:18"
    ),
    Case(
      header: #"{"__metadata__":{"a":1},\#(x)}"#,
      says: "the value of 'a' in '__metadata__' is 1 at 1:22 of the header, not a text"
    ),
    Case(
      header: #"{"__metadata__":{},"__metadata__":{},\#(x)}"#,
      says: "key \"__metadata__\" stands twice in one object, first at 1:2"
    ),
    Case(
      header: #"{"x":{"dtype":"F31","shape":[2],"data_offsets":[0,8]}}"#,
      says: "the dtype of 'x' is 'F31' at 1:15 of the header, not one of F64, F32"
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
      says:
        "item 0 of the shape of 'x' is -2 at 1:30 of the header, not a whole number without sign"
    ),
    Case(
      header: #"{"x":{"dtype":"F32","shape":[2.0],"data_offsets":[0,8]}}"#,
      says: "item 0 of the shape of 'x' is 2.0 at 1:30"
    ),
    Case(
      header: #"{"x":{"dtype":"F32","shape":[02],"data_offsets":[0,8]}}"#,
      says: "at byte 29: '02' is no JSON number"
    ),
    Case(
      header: #"{"x":{"dtype":"F32","shape":[99999999999999999999],"data_offsets":[0,8]}}"#,
      says: "item 0 of the shape of 'x' is 1e+20 at 1:30 of the header, not a whole number"
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
      says: "item 0 of the shape of 'x' is a list at 1:30"
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
    Case(header: #"{"x"#, says: "at byte 3: a text without its closing quote"),
    Case(header: #"{"\x":{}}"#, says: "expected an escape such as \\n after '\\', found 'x'"),
    Case(header: #"{"\u12":{}}"#, says: "expected four hexadecimal digits after \\u"),
    Case(header: #"{"\ud800":{}}"#, says: "\\ud800 is half of a surrogate pair"),
    Case(header: #"{"\ud800\u0041":{}}"#, says: "\\ud800 is half of a surrogate pair"),
    Case(header: "{\"a\nb\":{}}", says: "an unescaped control character 0xa in a text"),
    Case(
      header: String(repeating: "{\"a\":", count: 100_000),
      says: "lists and objects nested deeper than 64"
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
      says: "the header is no JSON at byte 2: bytes that are not UTF-8"
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
