// SPDX-License-Identifier: Apache-2.0
// Runs cases in this process, and in processes of their own whose end can be told.

import Foundation
import ReFTTensor

/// A case that ended otherwise than it may.
public struct FuzzFind: Error, CustomStringConvertible {
  /// The reader's name.
  public var reader: String
  /// The seed of the run.
  public var seed: UInt64
  /// The number of the case.
  public var number: Int
  /// What happened.
  public var what: String

  /// Describes a case.
  public init(_ reader: String, seed: UInt64, number: Int, what: String) {
    (self.reader, self.seed, self.number, self.what) = (reader, seed, number, what)
  }

  /// What happened, and how to see it again.
  public var description: String {
    "\(reader): case \(number) of seed \(seed) \(what); "
      + "reft-fuzz \(reader) --seed \(seed) --from \(number) --cases 1 --print shows it"
  }
}

/// How the cases of a run ended.
public struct FuzzReport: Sendable, Equatable {
  /// How many cases there were.
  public var cases = 0
  /// How many of them were read without an error.
  public var accepted = 0
  /// The longest time of a case, in seconds of the processor.
  public var slowest = 0.0
  /// The case that took it.
  public var slowestCase = 0
}

/// Drives a reader.
public struct FuzzRun: Sendable {
  /// The longest time that a case may take, in seconds of the processor: others may be busy too.
  public static let mostSeconds = 10.0

  private let reader: any FuzzReader
  private let seed: UInt64

  /// Prepares a run.
  public init(_ reader: any FuzzReader.Type, seed: UInt64) {
    self.reader = reader.init()
    self.seed = seed
  }

  /// The input of a case.
  public func input(_ number: Int) -> [UInt8] {
    var random = FuzzRandom(seed: seed, number: number)
    return reader.makeInput(&random)
  }

  /// Runs cases in this process.
  ///
  /// - Parameters:
  ///   - cases: their numbers.
  ///   - before: is told of each case before it starts.
  /// - Returns: how they ended.
  /// - Throws: the first find that does not end the process.
  public func run(_ cases: Range<Int>, before: (Int) -> Void = { _ in }) throws -> FuzzReport {
    var report = FuzzReport()
    for number in cases {
      before(number)
      let input = input(number)
      let start = Self.processorSeconds()
      do {
        try reader.read(input)
        report.accepted += 1
      } catch is ReFTError {
        // What was wrong has been said.
      } catch {
        throw find(number, "ended with the error \(error), which is none of ours")
      }
      let seconds = Self.processorSeconds() - start
      if seconds > report.slowest { (report.slowest, report.slowestCase) = (seconds, number) }
      guard seconds <= Self.mostSeconds else { throw find(number, "took \(seconds) s") }
      report.cases += 1
    }
    return report
  }

  /// The time that this process has had.
  private static func processorSeconds() -> Double {
    var time = timespec()
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) * 1e-9
  }

  private func find(_ number: Int, _ what: String) -> FuzzFind {
    FuzzFind(type(of: reader).name, seed: seed, number: number, what: what)
  }
}
