// SPDX-License-Identifier: Apache-2.0
// Fetching from a hub, tried against a server on loopback.

import Foundation
import ReFTModel
import ReFTTensor
import Testing
import _ReFTTestSupport

@Suite("Fetching from a hub", .serialized)
struct HubTests {
  private static let root = "/org/tiny/resolve/main/"

  private func bytes(_ count: Int, seed: UInt64 = 1) -> [UInt8] {
    var random = SeededGenerator(seed: seed)
    return random.bytes(count)
  }

  private func hub(_ server: LoopbackServer, _ name: String = "org/tiny") throws -> HubRepository {
    try HubRepository(name, baseURL: server.address + "/", revision: "main")
  }

  private func files(in folder: String) throws -> [String] {
    try FileManager.default.contentsOfDirectory(atPath: folder).sorted()
  }

  @Test("a file goes on where it stopped, and is checked")
  func resumes() throws {
    try withTemporaryDirectory { folder in
      let content = bytes(300_000)
      let digest = SHA256Digest.hex(of: content)
      let server = try LoopbackServer([
        Self.root + "m.gguf": .init(content, digest: digest, cut: 100_000)
      ])
      let library = ModelLibrary(folder: folder)
      let first = #expect(throws: ReFTError.self) {
        try library.pull(hub(server), file: "m.gguf")
      }
      #expect(first?.code == .inputOutput)
      #expect(try files(in: folder) == [".m.gguf.part"])
      let pulled = try library.pull(hub(server), file: "m.gguf")
      #expect(pulled.isNew && pulled.sha256 == digest && pulled.byteCount == content.count)
      #expect(server.requests.last == "GET \(Self.root)m.gguf from 100000")
      #expect(try [UInt8](Data(contentsOf: URL(fileURLWithPath: pulled.path))) == content)
      #expect(try files(in: folder) == ["m.gguf"])
      let again = try library.pull(hub(server), file: "m.gguf")
      #expect(!again.isNew)
      #expect(server.requests.last == "HEAD \(Self.root)m.gguf")
    }
  }

  @Test("another digest than the hub's, or the user's, keeps nothing")
  func wrongDigest() throws {
    try withTemporaryDirectory { folder in
      let wrong = String(repeating: "0", count: 64)
      let server = try LoopbackServer([
        Self.root + "m.gguf": .init(bytes(1000), digest: wrong),
        Self.root + "n.gguf": .init(bytes(1000)),
      ])
      let library = ModelLibrary(folder: folder)
      for (file, sha256) in [("m.gguf", nil), ("n.gguf", wrong)] {
        let error = #expect(throws: ReFTError.self) {
          try library.pull(hub(server), file: file, sha256: sha256)
        }
        #expect(error?.code == .badData)
        #expect(error?.message.contains("expected \(wrong); nothing was kept") == true)
      }
      #expect(try files(in: folder).isEmpty)
    }
  }

  @Test("any part of a split model brings all of them")
  func split() throws {
    try withTemporaryDirectory { folder in
      let names = (1...3).map { "q/m-0000\($0)-of-00003.gguf" }
      var served: [String: LoopbackServer.File] = [:]
      for (index, name) in names.enumerated() {
        served[Self.root + name] = .init(bytes(100 + index, seed: UInt64(index)))
      }
      let server = try LoopbackServer(served)
      let pulled = try ModelLibrary(folder: folder).pull(hub(server), file: names[1])
      #expect(pulled.path == folder + "/m-00001-of-00003.gguf")
      #expect(pulled.byteCount == 303)
      #expect(try files(in: folder).count == 3)
      #expect(ModelLibrary(folder: folder).entries().map(\.name) == ["m"])
    }
  }

  @Test("a folder comes whole or not at all, its tensor files by the index")
  func folder() throws {
    try withTemporaryDirectory { folder in
      let source = Fixture.path("tiny/llama")
      func content(_ name: String) throws -> [UInt8] {
        [UInt8](try Data(contentsOf: URL(fileURLWithPath: source + "/" + name)))
      }
      let tensors = try content("model.safetensors")
      let part = "model-00001-of-00001.safetensors"
      let names = try Safetensors.read(path: source + "/model.safetensors").tensors.map(\.name)
      let map = Dictionary(uniqueKeysWithValues: names.map { ($0, part) })
      let index = try JSONEncoder().encode(["weight_map": map])
      let server = try LoopbackServer([
        Self.root + "config.json": .init(try content("config.json")),
        Self.root + "model.safetensors.index.json": .init([UInt8](index)),
        Self.root + part: .init(tensors, digest: SHA256Digest.hex(of: tensors), cut: 5000),
      ])
      let library = ModelLibrary(folder: folder)
      #expect(throws: ReFTError.self) { try library.pull(hub(server), file: nil) }
      #expect(library.entries().isEmpty)
      let pulled = try library.pull(hub(server), file: nil)
      #expect(pulled.path == folder + "/tiny" && pulled.isNew)
      #expect(server.requests.contains("GET \(Self.root)\(part) from 5000"))
      #expect(throws: Never.self) { try FrozenModel(path: pulled.path) }
      #expect(try files(in: folder) == ["tiny"])
      #expect(try !library.pull(hub(server), file: nil).isNew)
    }
  }

  @Test("what the hub lacks is named, and names that lead elsewhere are refused")
  func refused() throws {
    try withTemporaryDirectory { folder in
      let server = try LoopbackServer([:])
      let library = ModelLibrary(folder: folder)
      let missing = #expect(throws: ReFTError.self) {
        try library.pull(hub(server), file: "m.gguf")
      }
      #expect(missing?.code == .inputMissing)
      #expect(missing?.message.contains("no file 'm.gguf'") == true)
      let noFolder = #expect(throws: ReFTError.self) { try library.pull(hub(server), file: nil) }
      #expect(noFolder?.code == .inputMissing)
      for file in ["../m.gguf", "a//m.gguf", "m.bin", "-o.gguf", "m.gguf?x"] {
        let error = #expect(throws: ReFTError.self) { try library.pull(hub(server), file: file) }
        #expect(error?.code == .usage, "\(file)")
      }
      for name in ["org", "org/a/b", "org/../x", "/x", "-a/b", "org/a b"] {
        let error = #expect(throws: ReFTError.self) { try hub(server, name) }
        #expect(error?.code == .usage, "\(name)")
      }
    }
  }

  @Test("without a hub it says how to name one")
  func noHub() throws {
    let error = #expect(throws: ReFTError.self) {
      try HubRepository("org/x", baseURL: nil, revision: "main", environment: [:])
    }
    #expect(error?.code == .badConfiguration)
    #expect(error?.message.contains("--base-url") == true)
    #expect(error?.message.contains("REFT_HUB_URL") == true)
    let wrong = #expect(throws: ReFTError.self) {
      try HubRepository("org/x", baseURL: "ftp://h", revision: "main")
    }
    #expect(wrong?.code == .usage)
  }

  @Test("every family is in the table of what was run")
  func coverage() {
    #expect(FamilyCoverage.missing.isEmpty)
  }
}
