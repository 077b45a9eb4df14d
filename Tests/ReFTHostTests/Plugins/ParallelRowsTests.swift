// SPDX-License-Identifier: Apache-2.0
// What our C plugins compute does not depend on the threads that their rows are spread over.

import CReFTPlugin
import Foundation
import ReFTHost
import ReFTTensor
import Synchronization
import Testing
import _ReFTTestSupport

@Suite("C plugins on several threads")
struct ParallelRowsTests {
  private static let cases: [(library: String, id: String, options: [String: Double])] = [
    ("LoReFT", "loreft", ["rank": 8]),
    ("LoReFT", "loreft", ["rank": 7, "dropout": 0.25]),
    ("LowRankFamily", "noreft", ["rank": 8, "dropout": 0.25]),
    ("LowRankFamily", "consreft", ["rank": 8]),
    ("LowRankFamily", "lobireft", ["rank": 8]),
    ("LowRankFamily", "reft-r1", ["rank": 9, "top_k": 3]),
    ("ProjectionFamily", "ablate", ["rank": 8]),
    ("ProjectionFamily", "clamp", ["rank": 8]),
    ("ProjectionFamily", "affine", ["rank": 8]),
    ("RED", "red", [:]),
  ]

  @Test("many rows: the bits of a host without threads", arguments: 0..<cases.count)
  func manyRows(_ number: Int) throws {
    let (library, id, options) = Self.cases[number]
    let (rows, width) = options.isEmpty ? (301, 2053) : (61, 2053)
    let alone = try PlainHost(threads: nil)
      .differentiate(library, "org.reft.\(id)", options, rows: rows, width: width)
    for threads in [1, 2, 5] {
      let host = PlainHost(threads: threads)
      let found = try host.differentiate(
        library,
        "org.reft.\(id)",
        options,
        rows: rows,
        width: width
      )
      #expect(host.pieces.withLock { $0 } > 3, "\(id): the rows were not split")
      for (name, values) in alone.numbers {
        let other = try #require(found.numbers[name])
        let differing = zip(values, other).count { $0.bitPattern != $1.bitPattern }
        #expect(differing == 0, "\(id), \(threads) threads: \(name)")
      }
    }
  }

  @Test("few rows: one piece, in the memory of a host without threads", arguments: 0..<cases.count)
  func fewRows(_ number: Int) throws {
    let (library, id, options) = Self.cases[number]
    let host = PlainHost(threads: 2)
    let (rows, width) = (7, 512)
    let found = try host.differentiate(
      library,
      "org.reft.\(id)",
      options,
      rows: rows,
      width: width
    )
    #expect(host.pieces.withLock { $0 } == 0)
    let alone = try PlainHost(threads: nil)
      .differentiate(library, "org.reft.\(id)", options, rows: rows, width: width)
    #expect(found.scratchBytes == alone.scratchBytes)
    #expect(found.numbers == alone.numbers)
  }

  /// Counts what `parallel_for` does.
  private final class Work: Sendable {
    let services = HostServices(plugin: "test")
    let done = Mutex([Int](repeating: 0, count: 41))
    let nested = Mutex(0)
    let inside = Mutex((now: 0, most: 0))

    func run(_ count: Int64, _ grain: Int64, _ body: @escaping reft_body_t) {
      let table = services.table.pointee
      let place = Unmanaged.passUnretained(self).toOpaque()
      table.parallel_for(table.context, nil, count, grain, body, place)
    }

    static func of(_ argument: UnsafeMutableRawPointer?) -> Work? {
      argument.map { Unmanaged<Work>.fromOpaque($0).takeUnretainedValue() }
    }

    /// Waits, a moment at most, until two threads are in a piece.
    func meet() {
      inside.withLock { $0 = ($0.now + 1, max($0.most, $0.now + 1)) }
      let end = Date(timeIntervalSinceNow: 0.02)
      while ThreadPool.shared.threadCount > 1, inside.withLock({ $0.most }) < 2, Date() < end {}
      inside.withLock { $0.now -= 1 }
    }

    /// Runs 11 pieces, each with 3 of its own, on a thread that is none of the pool's.
    func runAll() async {
      await withCheckedContinuation { continuation in
        Thread.detachNewThread { [self] in
          run(41, 4) { argument, begin, end in
            guard let work = Work.of(argument) else { return }
            work.meet()
            work.run(3, 1) { argument, _, _ in Work.of(argument)?.nested.withLock { $0 += 1 } }
            work.done.withLock { for index in begin..<end { $0[Int(index)] += 1 } }
          }
          continuation.resume()
        }
      }
    }
  }

  @Test("parallel_for of the host: each piece once, on several threads, within a piece too")
  func hostParallelFor() async {
    var most = 0
    // While another test has the pool, pieces run on their caller's thread.
    for _ in 0..<200 where most < min(2, ThreadPool.shared.threadCount) {
      let work = Work()
      await work.runAll()
      #expect(work.done.withLock { $0 } == [Int](repeating: 1, count: 41))
      #expect(work.nested.withLock { $0 } == 3 * 11)
      most = work.inside.withLock { $0.most }
    }
    #expect(most >= min(2, ThreadPool.shared.threadCount))
  }
}
