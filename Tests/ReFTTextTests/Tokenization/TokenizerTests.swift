// SPDX-License-Identifier: Apache-2.0
// Encoding and decoding with small vocabularies: merging, markers, bytes, streams.

import ReFTText
import Testing
import _ReFTTestSupport

@Suite struct TokenizerTests {
  private let vocabulary = SmallVocabulary.english()

  @Test("merges the pair of the lowest rank first, and the leftmost of equal ones")
  func mergesInOrder() throws {
    let tokenizer = try vocabulary.tokenizer()
    let cases: [(text: String, pieces: [String])] = [
      ("hello", ["hello"]), ("hello world", ["hello", "Ġwo", "rld"]), ("hell", ["hell"]),
      ("helo", ["he", "lo"]), ("aaa", ["aa", "a"]), ("aaaaa", ["aaaa", "a"]), ("é", ["Ã©"]),
      ("lllo", ["ll", "lo"]), ("", []), ("x", ["x"]), ("\n", ["Ċ"]),
    ]
    for (text, pieces) in cases {
      #expect(tokenizer.encode(text).map(tokenizer.piece) == pieces, "\(text)")
    }
  }

  @Test("merges long pieces exactly as a plain search for the lowest rank does")
  func mergesLongPieces() throws {
    var random = SeededGenerator(seed: 5)
    var vocabulary = SmallVocabulary()
    var known = ["a", "b", "c", "d"]
    var ranks: [String: Int] = [:]
    while ranks.count < 60 {
      let (left, right) = (
        known[Int(random.next() % UInt64(known.count))], known.randomElement(using: &random) ?? "a"
      )
      guard left.count + right.count < 9, ranks["\(left) \(right)"] == nil else { continue }
      ranks["\(left) \(right)"] = ranks.count
      vocabulary.merge(left, right)
      if !known.contains(left + right) { known.append(left + right) }
    }
    let tokenizer = try vocabulary.tokenizer()
    for length in [2, 3, 7, 31, 32, 33, 40, 100, 300] {
      for _ in 0..<20 {
        let letters = (0..<length).map { _ in
          ["a", "b", "c", "d"].randomElement(using: &random) ?? "a"
        }
        var symbols = letters
        while true {
          let pairs = zip(symbols, symbols.dropFirst()).map { ranks["\($0) \($1)"] ?? .max }
          guard let best = pairs.min(), best < .max, let at = pairs.firstIndex(of: best) else {
            break
          }
          symbols.replaceSubrange(at...(at + 1), with: [symbols[at] + symbols[at + 1]])
        }
        let found = tokenizer.encode(letters.joined()).map(tokenizer.piece)
        #expect(found == symbols, "\(letters.joined())")
      }
    }
  }

  @Test("encodes no more of a text than is asked for, and that exactly")
  func stopsAtALimit() throws {
    let tokenizer = try vocabulary.tokenizer()
    let text = String(repeating: "hello world hell x ", count: 50)
    let whole = tokenizer.encode(text)
    for limit in [0, 1, 2, 7, 40, whole.count - 1] {
      let part = tokenizer.encode(text, parseSpecial: true, addBOS: nil, limit: limit)
      #expect(part.count > limit && part.count <= limit + 8)
      #expect(part[...] == whole.prefix(part.count))
    }
    for limit in [whole.count, .max] {
      #expect(tokenizer.encode(text, parseSpecial: true, addBOS: nil, limit: limit) == whole)
    }
    let long = String(repeating: "hello world ", count: 1_000_000)
    let time = ContinuousClock().measure {
      _ = tokenizer.encode(long, parseSpecial: true, addBOS: nil, limit: 512)
    }
    #expect(time < .seconds(8))
  }

  @Test("takes the longest marker in the text, unless markers shall be plain text")
  func findsMarkers() throws {
    let tokenizer = try vocabulary.tokenizer()
    func pieces(_ text: String, _ parse: Bool) -> [String] {
      tokenizer.encode(text, parseSpecial: parse).map(tokenizer.piece)
    }
    #expect(pieces("<|start|>hello<|end|>", true) == ["<|start|>", "hello", "<|end|>"])
    #expect(pieces("<|end|>more", true) == ["<|end|>more"])
    #expect(pieces("<|end|>mor", true) == ["<|end|>", "m", "o", "r"])
    #expect(pieces("<<|end|><|end", true) == ["<", "<|end|>", "<", "|", "e", "n", "d"])
    #expect(pieces("<unk>", true) == ["<unk>"])
    #expect(pieces("<|end|>", false) == ["<", "|", "e", "n", "d", "|", ">"])
    #expect(pieces("<unk>", false) == ["<", "u", "n", "k", ">"])
    #expect(pieces("a<own>a", false) == ["a", "<own>", "a"], "a text token is no marker")
  }

  @Test("begins with the start token where the model or the caller says so")
  func addsStart() throws {
    var vocabulary = vocabulary
    let start = vocabulary.id("<|start|>")
    #expect(try vocabulary.tokenizer().encode("x") == [vocabulary.id("x")])
    #expect(try vocabulary.tokenizer().encode("x", addBOS: true) == [start, vocabulary.id("x")])
    vocabulary.addsBOS = true
    #expect(try vocabulary.tokenizer().encode("x") == [start, vocabulary.id("x")])
    #expect(try vocabulary.tokenizer().encode("", addBOS: false).isEmpty)
    vocabulary.addsBOS = nil
    vocabulary.preTokenizer = "llama-bpe"
    #expect(try vocabulary.tokenizer().addsBOS, "llama-bpe does so unless the file says otherwise")
  }

  @Test("takes a piece that is a token whole where the pre-tokenizer says so")
  func takesWholePieces() throws {
    var vocabulary = vocabulary
    vocabulary.add("Ġunmerged", kind: 1)
    let text = "x unmerged"
    #expect(try vocabulary.tokenizer().encode(text).count == 10)
    vocabulary.preTokenizer = "llama-bpe"
    let tokenizer = try vocabulary.tokenizer()
    #expect(tokenizer.encode(text, addBOS: false).map(tokenizer.piece) == ["x", "Ġunmerged"])
  }

  @Test("knows the roles of tokens")
  func knowsRoles() throws {
    let tokenizer = try vocabulary.tokenizer()
    #expect(tokenizer.eos == vocabulary.id("<|end|>"))
    #expect(tokenizer.bos == vocabulary.id("<|start|>"))
    #expect(tokenizer.stopIds == [vocabulary.id("<|end|>")])
    #expect(tokenizer.isSpecial(vocabulary.id("<unk>")))
    #expect(!tokenizer.isSpecial(vocabulary.id("<own>")))
    #expect(!tokenizer.isSpecial(-1) && !tokenizer.isSpecial(Int32(tokenizer.vocabularySize)))
    #expect(tokenizer.id(of: "hello") == vocabulary.id("hello"))
    #expect(tokenizer.id(of: "not a token") == nil)
  }

  @Test("gives back every text and every run of bytes")
  func roundTrips() throws {
    var random = SeededGenerator(seed: 11)
    for name in ["gpt-2", "smollm", "llama-bpe", "qwen2"] {
      var vocabulary = vocabulary
      vocabulary.preTokenizer = name
      let tokenizer = try vocabulary.tokenizer()
      #expect(tokenizer.inexpressibleBytes.isEmpty)
      for count in 0..<200 {
        let bytes = random.bytes(count)
        let ids = tokenizer.encode(bytes: bytes, addBOS: false)
        #expect(tokenizer.decodeBytes(ids) == bytes, "\(name): \(bytes)")
        let scalars = (0..<count).compactMap { _ in
          Unicode.Scalar(UInt32(random.next() % (random.next() % 3 == 0 ? 0x110000 : 0x300)))
        }
        var text = String.UnicodeScalarView()
        text.append(contentsOf: scalars)
        let decoded = tokenizer.decode(tokenizer.encode(String(text), addBOS: false))
        #expect(Array(decoded.utf8) == Array(String(text).utf8), "\(name)")
      }
    }
  }

  @Test("reads bytes and text alike")
  func bytesAndText() throws {
    let tokenizer = try vocabulary.tokenizer()
    let text = "hello <|end|> é 日本\r\n"
    #expect(tokenizer.encode(bytes: Array(text.utf8)) == tokenizer.encode(text))
  }

  @Test("leaves out bytes that no token stands for, and names them")
  func missingBytes() throws {
    var vocabulary = vocabulary
    vocabulary.tokens[0] = "other"
    let tokenizer = try vocabulary.tokenizer()
    #expect(tokenizer.inexpressibleBytes == [0])
    #expect(tokenizer.decodeBytes(tokenizer.encode(bytes: [97, 0, 98])) == [97, 98])
  }

  @Test("gives nothing for ids outside the vocabulary")
  func foreignIds() throws {
    let tokenizer = try vocabulary.tokenizer()
    let beyond = Int32(tokenizer.vocabularySize)
    #expect(tokenizer.decode([-1, beyond, .max, .min, vocabulary.id("x")]) == "x")
    #expect(tokenizer.bytes(of: beyond).isEmpty && tokenizer.piece(-1).isEmpty)
  }

  @Test("leaves special tokens out of the text on request")
  func skipsSpecial() throws {
    let tokenizer = try vocabulary.tokenizer()
    let ids = tokenizer.encode("<|start|>hello<own><unk><|end|>")
    #expect(tokenizer.decode(ids, skipSpecial: true) == "hello<own>")
    #expect(tokenizer.decode(ids) == "<|start|>hello<own><unk><|end|>")
  }

  @Test("streams text that never ends inside a character")
  func streams() throws {
    let tokenizer = try vocabulary.tokenizer()
    var decoder = Tokenizer.Decoder(tokenizer)
    let ids = Array("é日🙂a".utf8).flatMap { tokenizer.encode(bytes: [$0]) }
    #expect(ids.map { decoder.feed($0) } == ["", "é", "", "", "日", "", "", "", "🙂", "a"])
    #expect(decoder.finish().isEmpty)
    _ = decoder.feed(ids[2])
    #expect(decoder.finish() == "\u{FFFD}")
  }

  @Test("streams any bytes to the text that decoding at once gives")
  func streamsLikeDecode() throws {
    var random = SeededGenerator(seed: 3)
    let tokenizer = try vocabulary.tokenizer()
    let interesting: [UInt8] = [
      0x41, 0x80, 0xBF, 0xC2, 0xE0, 0xA0, 0xED, 0x9F, 0xF0, 0x90, 0xF4, 0x8F, 0xFF, 0xC0,
    ]
    for _ in 0..<2_000 {
      let bytes = (0..<8).map { _ in interesting.randomElement(using: &random) ?? 0 }
      let ids = bytes.flatMap { tokenizer.encode(bytes: [$0]) }
      var decoder = Tokenizer.Decoder(tokenizer)
      let text = ids.map { decoder.feed($0) }.joined() + decoder.finish()
      #expect(Array(text.utf8) == Array(tokenizer.decode(ids).utf8), "\(bytes)")
    }
  }

  @Test("encodes a long run of one letter and a long row of markers without delay")
  func survivesLongRuns() throws {
    let tokenizer = try vocabulary.tokenizer()
    let ids = tokenizer.encode(String(repeating: "a", count: 200_001))
    #expect(ids.count == 50_001)
    #expect(tokenizer.encode(String(repeating: "<|end|", count: 20_000)).count == 120_000)
  }
}
