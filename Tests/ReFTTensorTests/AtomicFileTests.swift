// SPDX-License-Identifier: Apache-2.0
// Replacing files: the old one or the new one, and never anything else.

import Foundation
import ReFTTensor
import Testing
import _ReFTTestSupport

struct AtomicFileTests {
  @Test("follows links, writes into pipes and devices, and refuses a link to nothing")
  func links() throws {
    try withTemporaryDirectory { folder in
      let files = FileManager.default
      try files.createDirectory(atPath: folder + "/there", withIntermediateDirectories: true)
      try AtomicFile.write("old", to: folder + "/there/file")
      try files.createSymbolicLink(atPath: folder + "/link", withDestinationPath: "there/file")
      try AtomicFile.write("new", to: folder + "/link")
      #expect(try String(contentsOfFile: folder + "/there/file", encoding: .utf8) == "new")
      #expect(try files.destinationOfSymbolicLink(atPath: folder + "/link") == "there/file")
      try files.createSymbolicLink(atPath: folder + "/dangling", withDestinationPath: "none")
      let error = #expect(throws: ReFTError.self) {
        try AtomicFile.write("new", to: folder + "/dangling")
      }
      #expect(
        error?.message == "'\(folder)/dangling' is a link to something that does not exist; remove "
          + "it, or give the path of a file."
      )
      #expect(!files.fileExists(atPath: folder + "/none"))
      try files.createSymbolicLink(atPath: folder + "/null", withDestinationPath: "/dev/null")
      for path in ["/dev/null", folder + "/null"] { try AtomicFile.write("new", to: path) }
      var status = stat()
      #expect(stat("/dev/null", &status) == 0 && status.st_mode & S_IFMT == S_IFCHR)
    }
  }

  @Test("writes a new file and replaces an old one, keeping its permissions")
  func replaces() throws {
    try withTemporaryDirectory { folder in
      let path = folder + "/file"
      try AtomicFile.write("one", to: path)
      #expect(try String(contentsOfFile: path, encoding: .utf8) == "one")
      #expect(chmod(path, 0o640) == 0)
      try AtomicFile.write([UInt8]("second".utf8), to: path)
      #expect(try String(contentsOfFile: path, encoding: .utf8) == "second")
      let mode = try FileManager.default.attributesOfItem(atPath: path)[.posixPermissions]
      #expect(mode as? Int == 0o640)
      try AtomicFile.write(Data(), to: path)
      #expect(try Data(contentsOf: URL(fileURLWithPath: path)).isEmpty)
      #expect(try names(in: folder) == ["file"])
    }
  }

  @Test("a failure half-way leaves the old file and no other")
  func failure() throws {
    try withTemporaryDirectory { folder in
      let path = folder + "/file"
      try AtomicFile.write("old", to: path)
      let error = #expect(throws: ReFTError.self) {
        try AtomicFile.write(to: path) { writer throws(ReFTError) in
          try writer.write([UInt8]("half of the n".utf8))
          throw ReFTError(.interrupted, "stopped")
        }
      }
      #expect(error?.message == "stopped")
      #expect(try String(contentsOfFile: path, encoding: .utf8) == "old")
      #expect(try names(in: folder) == ["file"])
    }
  }

  @Test("a process killed half-way leaves the old file")
  func killed() async throws {
    try await withTemporaryDirectory { folder in
      let path = folder + "/file"
      try AtomicFile.write("old", to: path)
      await #expect(processExitsWith: .signal(SIGKILL)) { [path = path as String] in
        try AtomicFile.write(to: path) { writer throws(ReFTError) in
          try writer.write([UInt8]("half of the n".utf8))
          kill(getpid(), SIGKILL)
        }
      }
      #expect(try String(contentsOfFile: path, encoding: .utf8) == "old")
    }
  }

  @Test("a refusal of the system is an error with its reason")
  func refusal() throws {
    let error = #expect(throws: ReFTError.self) {
      try AtomicFile.write("x", to: "/proc/reft-test")
    }
    #expect(error?.code == .inputOutput)
    #expect(error?.message.hasPrefix("Could not write '/proc/reft-test': ") == true)
    #expect(error?.cause is SystemError)
  }

  @Test("paths that cannot be files are errors")
  func badPaths() throws {
    try withTemporaryDirectory { folder in
      for path in ["", folder + "/", folder + "/no/such/folder/file", "a\0b", folder] {
        let error = #expect(throws: ReFTError.self) { try AtomicFile.write("x", to: path) }
        #expect(error?.code == .inputOutput, "\(path)")
      }
      let left = try names(in: folder)
      #expect(left.isEmpty)
    }
  }

  @Test("many writers at once each leave a whole file")
  func concurrent() async throws {
    try await withTemporaryDirectory { folder in
      await withTaskGroup(of: Void.self) { group in
        for number in 0..<8 {
          group.addTask {
            let text = String(repeating: "\(number)", count: 10_000)
            #expect(throws: Never.self) { try AtomicFile.write(text, to: folder + "/file") }
          }
        }
      }
      let text = try String(contentsOfFile: folder + "/file", encoding: .utf8)
      #expect(text.count == 10_000 && Set(text).count == 1)
      #expect(try names(in: folder) == ["file"])
    }
  }

  private func names(in folder: String) throws -> [String] {
    try FileManager.default.contentsOfDirectory(atPath: folder).sorted()
  }
}

struct SHA256DigestTests {
  @Test(
    "gives the digests of FIPS 180-2",
    arguments: [
      ("", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
      ("abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
    ]
  )
  func known(text: String, digest: String) throws {
    #expect(SHA256Digest.hex(of: text.utf8) == digest)
    var running = SHA256Digest()
    for scalar in text.unicodeScalars { running.update(String(scalar)) }
    #expect(running.finish() == digest)
    try withTemporaryDirectory { folder in
      try AtomicFile.write(text, to: folder + "/file")
      #expect(try SHA256Digest.hex(ofFile: folder + "/file") == digest)
    }
  }
}
