// SPDX-License-Identifier: Apache-2.0
// What a fuzz run drives: something that makes inputs from a seed, and reads them as the program does.

/// A reader of files from outside, with what makes files for it.
public protocol FuzzReader: Sendable {
  /// The name on the command line.
  static var name: String { get }
  /// Makes a reader.
  init()
  /// Makes one input; the same numbers make the same input.
  func makeInput(_ random: inout FuzzRandom) -> [UInt8]
  /// Reads an input as the program does.
  ///
  /// A `ReFTError` is a good end; any other error, a trap, a long time or much memory is a find.
  func read(_ input: [UInt8]) throws
}

/// The readers, by name: a new one is added here.
public enum FuzzReaders {
  /// All readers.
  public static let all: [any FuzzReader.Type] = [
    TemplateFuzz.self, DataFuzz.self, TableFuzz.self, DelimitedFuzz.self, ConfigurationFuzz.self,
    SafetensorsFuzz.self, AdapterFuzz.self, GGUFFuzz.self, TokenizerFuzz.self,
    SentencePieceFuzz.self, ELFFuzz.self, ManifestFuzz.self, TrustFuzz.self, TorchFuzz.self,
  ]

  /// The reader of a name.
  public static func named(_ name: String) -> (any FuzzReader.Type)? {
    all.first { $0.name == name }
  }
}

/// Random numbers from a seed and the number of a case, the same on every machine.
public struct FuzzRandom: RandomNumberGenerator, Sendable {
  private var state: UInt64

  /// Starts the numbers of one case.
  public init(seed: UInt64, number: Int) {
    state = seed &* 0xD134_2543_DE82_EF95 &+ UInt64(truncatingIfNeeded: number)
    _ = next()
  }

  /// The next number (SplitMix64).
  public mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var mixed = state
    mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
    mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
    return mixed ^ (mixed >> 31)
  }

  /// A number from 0 to one less than `count`, which is at least 1.
  public mutating func below(_ count: Int) -> Int { Int(next() % UInt64(count)) }

  /// Whether something happens that happens once in so many times.
  public mutating func once(in count: Int) -> Bool { below(count) == 0 }

  /// One of several things, of which there is at least one.
  public mutating func pick<Thing>(_ things: [Thing]) -> Thing { things[below(things.count)] }
}
