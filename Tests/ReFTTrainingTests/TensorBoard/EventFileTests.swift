// SPDX-License-Identifier: Apache-2.0
// The files for TensorBoard: their framing by our own reading, their contents by TensorBoard's.

import Foundation
import ReFTTensor
import ReFTTraining
import Testing
import _ReFTTestSupport

/// A record of a file, with what its two checks say.
private struct ReadRecord {
  var bytes: [UInt8]
  var isSound: Bool

  /// Takes a file apart; a rest that is no record is a record that is not sound.
  static func all(_ file: [UInt8]) -> [ReadRecord] {
    var records: [ReadRecord] = []
    var place = 0
    while place + 12 <= file.count {
      let head = file[place..<place + 8]
      let count = Int(number(head))
      let isHead = number(file[place + 8..<place + 12]) == UInt64(RecordFrame.masked(head))
      guard isHead, place + 16 + count <= file.count else { break }
      let body = Array(file[place + 12..<place + 12 + count])
      let check = number(file[place + 12 + count..<place + 16 + count])
      records.append(.init(bytes: body, isSound: check == UInt64(RecordFrame.masked(body))))
      place += 16 + count
    }
    if place < file.count { records.append(.init(bytes: [], isSound: false)) }
    return records
  }

  private static func number(_ bytes: ArraySlice<UInt8>) -> UInt64 {
    bytes.reversed().reduce(0) { $0 << 8 | UInt64($1) }
  }
}

@Suite("Files for TensorBoard")
struct EventFileTests {
  private static func files(_ folder: String) throws -> [String] {
    try FileManager.default.contentsOfDirectory(atPath: folder)
      .filter { $0.hasPrefix("events.out.tfevents.") }.sorted().map { folder + "/" + $0 }
  }

  @Test("check their records as RFC 3720 and TensorFlow do")
  func checks() {
    #expect(RecordFrame.crc32c([UInt8](repeating: 0, count: 32)) == 0x8A91_36AA)
    #expect(RecordFrame.crc32c([UInt8](repeating: 0xFF, count: 32)) == 0x62A8_AB43)
    #expect(RecordFrame.crc32c("123456789".utf8) == 0xE306_9283)
    // The length 24 of a record, as TensorFlow's own writer frames it.
    let frame = RecordFrame.frame([UInt8](repeating: 0, count: 24))
    #expect(Array(frame[8..<12]) == [0xA3, 0x7F, 0x4B, 0x22])
  }

  @Test("hold an event for each step, and a resumed run adds a file that takes back nothing done")
  func resumed() throws {
    try withTinyRun { run in
      #expect(throws: (any Error).self) { try run.train("out", endingAt: 4) }
      try run.train("out", mode: .resume)
      let files = try Self.files(run.folder + "/out")
      #expect(files.count == 2)
      let records = try files.map { path in
        ReadRecord.all(Array(try Data(contentsOf: URL(filePath: path))))
      }
      #expect(records.joined().count { !$0.isSound } == 0)
      // Version, start, and the steps 1 to 4 and 5 to 6.
      #expect(records.map(\.count) == [6, 4])
      let version = Array("brain.Event:2".utf8)
      for file in records { #expect(Array(file[0].bytes.suffix(version.count)) == version) }
    }
  }

  @Test("are not written where the configuration says so, and go with the run they belong to")
  func off() throws {
    try withTinyRun { run in
      try run.train("out")
      try run.train("out", ["train.tensorboard=false"], mode: .overwrite)
      #expect(try Self.files(run.folder + "/out").isEmpty)
    }
  }

  /// A python with TensorBoard; REFT_TENSORBOARD_PYTHON names one that is not on the path.
  private static let python: String? = {
    let named = ProcessInfo.processInfo.environment["REFT_TENSORBOARD_PYTHON"] ?? "python3"
    let process = Process()
    process.executableURL = URL(filePath: "/usr/bin/env")
    process.arguments = [named, "-c", "import tensorboard"]
    process.standardError = FileHandle.nullDevice
    guard (try? process.run()) != nil else { return nil }
    process.waitUntilExit()
    return process.terminationStatus == 0 ? named : nil
  }()

  private static let script = """
    import json, sys
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    events = EventAccumulator(sys.argv[1]).Reload()
    tags = events.Tags()["scalars"]
    print(json.dumps({t: [[e.step, e.value] for e in events.Scalars(t)] for t in tags}))
    """

  @Test(
    "are read by TensorBoard itself, each step once, whatever was interrupted",
    .enabled(if: python != nil, "no python3 with tensorboard here; see docs/environment.md")
  )
  func readByTensorBoard() throws {
    try withTinyRun { run in
      let more = ["data.validation=held.jsonl", "train.save_every=0"]
      #expect(throws: (any Error).self) { try run.train("out", more, endingAt: 4) }
      // As after a kill: step 4 is done again.
      try FileManager.default.removeItem(atPath: run.folder + "/out/checkpoints/step-00000004")
      try run.train("out", more, mode: .resume)
      let process = Process()
      let pipe = Pipe()
      process.executableURL = URL(filePath: "/usr/bin/env")
      process.arguments = [try #require(Self.python), "-c", Self.script, run.folder + "/out"]
      process.standardOutput = pipe
      process.standardError = FileHandle.nullDevice
      try process.run()
      let data = pipe.fileHandleForReading.readDataToEndOfFile()
      process.waitUntilExit()
      let read = try JSONDecoder().decode([String: [[Double]]].self, from: data)
      let records = try run.records("out")
      let loss = records.map { [Double($0.step), Double(Float($0.loss))] }
      #expect(read["train/loss"] == loss)
      #expect(read["train/gradient_norm"]?.count == 6)
      #expect(read["validation/loss"]?.map { $0[0] } == [3, 6])
      #expect(Set(read.keys).isSuperset(of: ["train/learning_rate", "train/tokens_per_second"]))
    }
  }
}
