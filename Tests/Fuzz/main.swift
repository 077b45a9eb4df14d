// SPDX-License-Identifier: Apache-2.0
// `reft-fuzz READER --cases N --seed S`: the long form of the fuzz tests. Cases run in processes of
// their own, so that a signal, a hang or too much memory is a find with a number, and not the end.

import Foundation
import _ReFTFuzz

/// How many cases one process runs.
let casesPerProcess = 5_000
/// How long one case may keep others waiting, in seconds; what it may compute is in FuzzRun.
let longestWait: UInt32 = 60
/// The address space of such a process, in bytes: 2 GB and what the program itself takes.
let mostBytes: rlim_t = 3 << 30

struct Arguments {
  var reader: (any FuzzReader.Type)?
  var cases = 100_000
  var from = 0
  var seed: UInt64 = 1
  var isChild = false
  var prints = false

  init(_ words: [String]) {
    var words = words[...]
    while let word = words.popFirst() {
      switch word {
      case "--cases": cases = words.popFirst().flatMap { Int($0) } ?? cases
      case "--from": from = words.popFirst().flatMap { Int($0) } ?? from
      case "--seed": seed = words.popFirst().flatMap { UInt64($0) } ?? seed
      case "--child": isChild = true
      case "--print": prints = true
      default: reader = FuzzReaders.named(word)
      }
    }
  }
}

func say(_ text: String) { FileHandle.standardError.write(Data((text + "\n").utf8)) }

/// Runs cases in this process; standard output tells the number of each before it starts.
func runHere(_ arguments: Arguments, _ reader: any FuzzReader.Type) {
  var limit = rlimit(rlim_cur: mostBytes, rlim_max: mostBytes)
  setrlimit(__rlimit_resource_t(RLIMIT_AS.rawValue), &limit)
  var number: Int64 = 0
  do {
    let cases = arguments.from..<(arguments.from + arguments.cases)
    let report = try FuzzRun(reader, seed: arguments.seed).run(cases) { next in
      number = Int64(next)
      alarm(longestWait)
      _ = write(STDOUT_FILENO, &number, MemoryLayout<Int64>.size)
    }
    say("\(report.cases) \(report.accepted) \(report.slowest) \(report.slowestCase)")
  } catch {
    say("\(error)")
    exit(1)
  }
}

/// Runs cases in a process of their own; nil where it went well, else what happened.
func runApart(_ arguments: Arguments, _ name: String, _ cases: Range<Int>) throws -> String? {
  let process = Process()
  process.executableURL = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath()
  process.arguments = [
    name, "--child", "--seed", String(arguments.seed), "--from", String(cases.lowerBound),
    "--cases", String(cases.count),
  ]
  let numbers = Pipe()
  process.standardOutput = numbers
  try process.run()
  var last = cases.lowerBound
  while case let data = numbers.fileHandleForReading.availableData, !data.isEmpty {
    let whole = data.suffix(8)
    if whole.count == 8 { last = whole.reversed().reduce(0) { $0 << 8 | Int($1) } }
  }
  process.waitUntilExit()
  if process.terminationReason == .exit, process.terminationStatus == 0 { return nil }
  let how =
    process.terminationReason == .exit
    ? "an error" : "signal \(process.terminationStatus) (14: more than \(longestWait) s)"
  return FuzzFind(name, seed: arguments.seed, number: last, what: "ended with \(how)")
    .description
}

let arguments = Arguments(Array(CommandLine.arguments.dropFirst()))
guard let reader = arguments.reader else {
  say(
    "usage: reft-fuzz READER [--cases N] [--seed S] [--from N] [--print]; readers: "
      + FuzzReaders.all.map { $0.name }.joined(separator: ", ")
  )
  exit(64)
}
if arguments.prints {
  FileHandle.standardOutput.write(
    Data(FuzzRun(reader, seed: arguments.seed).input(arguments.from))
  )
} else if arguments.isChild {
  runHere(arguments, reader)
} else {
  var finds = 0
  let end = arguments.from + arguments.cases
  for start in stride(from: arguments.from, to: end, by: casesPerProcess) {
    let cases = start..<min(end, start + casesPerProcess)
    if let find = try runApart(arguments, reader.name, cases) {
      say(find)
      finds += 1
    }
  }
  say("\(arguments.cases) cases of \(reader.name), seed \(arguments.seed): \(finds) finds")
  exit(finds == 0 ? 0 : 1)
}
