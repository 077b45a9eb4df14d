// SPDX-License-Identifier: Apache-2.0
// What stands around one text and around two, and what gives way when there is too little room.

import ReFTTensor
import ReFTText
import Testing

@Suite struct TextFrameTests {
  /// A vocabulary in which each of `a` to `z` is a token, framed with the ids 300 and 301.
  private static func tokenizer(_ frame: TextFrame?) throws -> Tokenizer {
    var vocabulary = SmallVocabulary.english()
    while vocabulary.tokens.count < 302 { vocabulary.add("<\(vocabulary.tokens.count)>", kind: 3) }
    var metadata = vocabulary.metadata
    metadata.frame = frame
    return try Tokenizer(metadata, path: "small.gguf")
  }

  private static let single: [TextFrame.Part] = [
    .token(300, type: 0), .first(type: 0), .token(301, type: 0),
  ]
  private static let bert = TextFrame(
    single: single,
    pair: single + [.second(type: 1), .token(301, type: 1)]
  )

  @Test("puts the model's own tokens around one text and around two, with the types of segments")
  func frames() throws {
    let tokenizer = try Self.tokenizer(Self.bert)
    let (x, y) = (tokenizer.encode("x"), tokenizer.encode("y"))
    let one = tokenizer.encode("xx", pair: nil)
    #expect(one.ids == [300] + x + x + [301] && one.types == [0, 0, 0, 0])
    #expect(one.first == 1..<3 && one.second == nil && !one.isCut)
    let two = tokenizer.encode("xx", pair: "y")
    #expect(two.ids == [300] + x + x + [301] + y + [301])
    #expect(two.types == [0, 0, 0, 0, 1, 1])
    #expect(two.first == 1..<3 && two.second == 4..<5 && !two.isCut)
    let empty = tokenizer.encode("", pair: "")
    #expect(empty.ids == [300, 301, 301] && empty.second == 2..<2)
  }

  @Test("without a frame the texts stand one after the other, behind the start token if any")
  func plain() throws {
    let tokenizer = try Self.tokenizer(nil)
    let two = tokenizer.encode("x", pair: "yy")
    #expect(two.ids == tokenizer.encode("x") + tokenizer.encode("yy"))
    #expect(two.types == [0, 1, 1])
  }

  @Test(
    "takes from the longer text first, and never from the frame",
    arguments: [
      (2, 9, 8, 2, 3), (9, 2, 8, 3, 2), (5, 5, 8, 2, 3), (9, 9, 9, 3, 3), (1, 1, 8, 1, 1),
      (4, 4, 3, 0, 0), (4, 4, 0, 0, 0), (3, 0, 5, 2, 0),
    ]
  )
  func cuts(first: Int, second: Int, limit: Int, keptFirst: Int, keptSecond: Int) throws {
    let tokenizer = try Self.tokenizer(Self.bert)
    let text = String(repeating: "x", count: first)
    let other = String(repeating: "y", count: second)
    let pair = tokenizer.encode(text, pair: other, limit: limit)
    #expect(pair.first.count == keptFirst && pair.second?.count == keptSecond)
    #expect(pair.ids.count == keptFirst + keptSecond + 3 && pair.types.count == pair.ids.count)
    #expect(pair.isCut == (keptFirst + keptSecond < first + second))
  }

  @Test("refuses a frame whose tokens the vocabulary lacks")
  func refuses() throws {
    for id in [-1, 302] as [Int32] {
      let frame = TextFrame(single: [.token(id, type: 0), .first(type: 0)], pair: Self.bert.pair)
      let error = #expect(throws: ReFTError.self) { try Self.tokenizer(frame) }
      #expect(
        error?.message.contains("a token around the text is \(id); expected 0 to 301") == true
      )
    }
  }
}
