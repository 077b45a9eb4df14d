// SPDX-License-Identifier: Apache-2.0
// Files of text and JSON files: marks, encodings, changes while they are read, values of a type.

import Foundation
import ReFTTensor
import Testing
import _ReFTTestSupport

struct TextFileTests {
  private func write(_ bytes: [UInt8], in folder: String) throws -> String {
    let path = folder + "/file"
    try Data(bytes).write(to: URL(fileURLWithPath: path))
    return path
  }

  @Test("skips a byte order mark, and refuses UTF-16 and UTF-32 with and without one")
  func encodings() throws {
    try withTemporaryDirectory { folder in
      let marked = try write([0xEF, 0xBB, 0xBF, 0x61], in: folder)
      #expect(try TextFile.bytes(path: marked, limit: 10) == [0x61])
      let wide: [[UInt8]] = [
        [0xFF, 0xFE, 0x61, 0], [0xFE, 0xFF, 0, 0x61], [0x61, 0, 0x62, 0], [0, 0x61, 0, 0x62],
        [0, 0, 0xFE, 0xFF],
      ]
      for bytes in wide {
        let path = try write(bytes, in: folder)
        let error = #expect(throws: ReFTError.self) { try TextFile.bytes(path: path, limit: 10) }
        #expect(error?.code == .badData)
        #expect(
          error?.message
            == "\(path):1:1: the text is UTF-16 or UTF-32; save the file as UTF-8 text"
        )
      }
    }
  }

  @Test("refuses what is longer than allowed, no regular file, or not there")
  func refusals() throws {
    try withTemporaryDirectory { folder in
      let path = try write([UInt8](repeating: 0x61, count: 11), in: folder)
      let long = #expect(throws: ReFTError.self) { try TextFile.bytes(path: path, limit: 10) }
      #expect(
        long?.message.hasPrefix("'\(path)' has 11 bytes; a file of its kind has at most 10") == true
      )
      for (path, code) in [
        (folder, ReFTError.Code.badData), (folder + "/none", .inputMissing), ("", .inputMissing),
        ("/dev/null", .badData),
      ] {
        let error = #expect(throws: ReFTError.self) { try TextFile.bytes(path: path, limit: 10) }
        #expect(error?.code == code)
      }
    }
  }

  @Test("tells when a file becomes shorter or longer while it is read", arguments: [2, 30])
  func changes(size: Int) throws {
    try withTemporaryDirectory { folder in
      let path = try write([UInt8](repeating: 0x61, count: 10), in: folder)
      let stream = try FileStream(path: path)
      var bytes: [UInt8] = []
      #expect(try stream.read(4, to: &bytes) == 4)
      truncate(path, size)
      let error = #expect(throws: ReFTError.self) {
        while try stream.read(4, to: &bytes) > 0 {}
      }
      #expect(error?.code == .inputOutput)
      #expect(
        error?.message
          == "'\(path)' changed while it was read: 10 bytes when it was opened, \(max(4, size)) read; "
          + "wait until nothing writes to it, and try again"
      )
    }
  }

  private struct Sample: Decodable {
    var name: String
    var sizes: [Int]
  }

  @Test(
    "reads values of a type, and names the first that does not fit",
    arguments: [
      (#"{"name": "a", "sizes": [1, 2]}"#, ""),
      (#"{"name": 3, "sizes": []}"#, "1:10: 'name' must be a text, found 3; mend"),
      (
        "{\"name\": \"a\",\n \"sizes\": [1, \"x\"]}",
        "2:15: 'sizes.1' must be a whole number in range"
      ),
      (#"{"name": "a"}"#, "1:1: the document must have the key 'sizes', found an object; mend"),
      (#"{"name": "a", "name": "b", "sizes": []}"#, "1:15: not JSON: key \"name\" stands twice"),
      ("[1", "1:3: not JSON: expected ',' or ']', found the end of the text; mend the file"),
    ]
  )
  func decoded(text: String, says: String) throws {
    if says.isEmpty {
      let sample: Sample = try JSONFile.decode(Array(text.utf8), path: "f")
      #expect(sample.name == "a" && sample.sizes == [1, 2])
    } else {
      let error = #expect(throws: ReFTError.self) {
        let _: Sample = try JSONFile.decode(Array(text.utf8), path: "f")
      }
      #expect(error?.message.hasPrefix("f:" + says) == true, "\(error?.message ?? "")")
    }
  }

  @Test("shows the beginning of a long text")
  func shown() {
    #expect("abcdef".shown(3) == "abc…")
    #expect("größe 😀".shown(7) == "größe 😀")
  }
}
