// SPDX-License-Identifier: Apache-2.0
// The one reader of JSON: what RFC 8259 allows, and the place of everything else.

import Foundation
import ReFTTensor
import Testing
import _ReFTTestSupport

struct JSONScannerTests {
  private func read(_ bytes: [UInt8]) throws(JSONFault) -> JSONNode {
    let result: Result<JSONNode, JSONFault> = bytes.withUnsafeBytes { bytes in
      do throws(JSONFault) {
        return .success(try JSONScanner.document(bytes))
      } catch {
        return .failure(error)
      }
    }
    return try result.get()
  }

  private func read(_ text: String) throws(JSONFault) -> JSONNode { try read(Array(text.utf8)) }

  @Test(
    "reads every kind of value",
    arguments: [
      ("null", JSONValue.null), (" true ", .bool(true)), ("false", .bool(false)),
      ("0", .int(0)), ("-0", .int(0)), ("-12", .int(-12)), ("9223372036854775807", .int(.max)),
      ("9223372036854775808", .double(9_223_372_036_854_775_808)), ("0.5", .double(0.5)),
      ("-1.25e+2", .double(-125)), ("1E-2", .double(0.01)), ("1e400", nil),
      (#""a\u00e9\ud83d\ude00\n\"\\\/\b\f\r\t""#, .string("aé😀\n\"\\/\u{8}\u{c}\r\t")),
      ("[]", .array([])), ("[1,[2 ,\n3]]", .array([.int(1), .array([.int(2), .int(3)])])),
      ("{}", .object([:])), (#"{"":{"a":null}}"#, .object(["": .object(["a": .null])])),
    ] as [(String, JSONValue?)]
  )
  func values(text: String, expected: JSONValue?) throws {
    if let expected {
      #expect(try read(text).value == expected)
    } else {
      #expect(throws: JSONFault.self) { try read(text) }
    }
  }

  @Test(
    "refuses what is no JSON, with its place",
    arguments: [
      ("", "1:1 the text ends where a value should stand"),
      ("tru", "1:1 expected a JSON value, found 't'"),
      ("NaN", "1:1 expected a JSON value, found 'N'"),
      ("-Infinity", "1:1 '-' is no JSON number"),
      ("+1", "1:1 expected a JSON value, found '+'"),
      ("01", "1:1 '01' is no JSON number"),
      ("-01", "1:1 '-01' is no JSON number"),
      ("1.", "1:1 '1.' is no JSON number"),
      (".5", "1:1 expected a JSON value, found '.'"),
      ("1.e5", "1:1 '1.e5' is no JSON number"),
      ("1e", "1:1 '1e' is no JSON number"),
      ("1e+", "1:1 '1e+' is no JSON number"),
      ("1-2", "1:1 '1-2' is no JSON number"),
      ("0x10", "1:2 found 'x' after the end of the value"),
      ("1e999", "1:1 '1e999' is beyond the range of numbers"),
      (String(repeating: "1", count: 600), "1:1 a number of more than 512 characters"),
      ("[1,]", "1:4 expected a JSON value, found ']'"),
      ("[1 2]", "1:4 expected ',' or ']', found '2'"),
      ("[\n1\n", "3:1 expected ',' or ']', found the end of the text"),
      ("{,}", "1:2 expected a key in double quotes, found ','"),
      ("{'a':1}", "1:2 expected a key in double quotes, found '''"),
      ("{\"a\" 1}", "1:6 expected ':' after key \"a\", found '1'"),
      ("{\"a\":1,}", "1:8 expected a key in double quotes, found '}'"),
      ("{\"a\":1}}", "1:8 found '}' after the end of the value"),
      ("{\"a\":1,\n \"a\":2}", "2:2 key \"a\" stands twice in one object, first at 1:2"),
      ("{\"a\":1,\"\\u0061\":2}", "1:8 key \"a\" stands twice in one object, first at 1:2"),
      ("\"é\" é", "1:5 found byte 0xC3 after the end of the value"),
      ("\"a\nb\"", "1:3 an unescaped control character 0xa in a text"),
      ("\"a\u{0}b\"", "1:3 an unescaped control character 0x0 in a text"),
      ("\"é\\x\"", "1:4 expected an escape such as \\n after '\\', found 'x'"),
      ("\"\\u+041\"", "1:4 expected four hexadecimal digits after \\u"),
      ("\"\\u00 1\"", "1:4 expected four hexadecimal digits after \\u"),
      ("\"\\ud83d\"", "1:2 \\ud83d is half of a surrogate pair"),
      ("\"\\ud83d\\u0041\"", "1:2 \\ud83d is half of a surrogate pair"),
      ("\"\\ude00\\ud83d\"", "1:2 \\ude00 is half of a surrogate pair"),
      ("\"a", "1:3 a text without its closing quote"),
      ("\"a\\", "1:4 a text without its closing quote"),
      ("// a\n1", "1:1 expected a JSON value, found '/'"),
      (String(repeating: "[", count: 65), "1:65 lists and objects nested deeper than 64"),
      (String(repeating: "{\"a\":", count: 65), "1:321 lists and objects nested deeper than 64"),
      (
        "{\"a" + String(repeating: "\u{301}", count: 70) + "\":1}",
        "1:2 a key with combining marks without end"
      ),
    ]
  )
  func faults(text: String, expected: String) {
    let fault = #expect(throws: JSONFault.self) { try read(text) }
    #expect(fault.map { "\($0.place) \($0.message)" } == expected)
  }

  @Test("names the first byte that is not UTF-8")
  func encoding() {
    let bytes = Array("[\n\"é".utf8) + [0x61, 0xFF] + Array("\"]".utf8)
    let fault = #expect(throws: JSONFault.self) { try read(bytes) }
    #expect(fault?.isEncoding == true && fault?.place == TextPlace(line: 2, column: 4))
    #expect(fault?.offset == 6)
    for cut in [[0xC3], [0xED, 0xA0, 0x80], [0xC0, 0xAF], [0xF5, 0x80, 0x80, 0x80]] as [[UInt8]] {
      #expect(throws: JSONFault.self) { try read([0x22] + cut + [0x22]) }
    }
  }

  @Test("bounds the number of values")
  func bounds() throws {
    let texts = ["[1,2,[3]]", "[1,2,[3,4]]"].map { Array($0.utf8) }
    let faults = texts.map { text in
      text.withUnsafeBytes { bytes -> JSONFault? in
        var scanner = JSONScanner(bytes, valueLimit: 5)
        do throws(JSONFault) {
          _ = try scanner.value()
          return nil
        } catch {
          return error
        }
      }
    }
    #expect(faults[0] == nil)
    #expect(faults[1].map { "\($0.place) \($0.message)" } == "1:9 more than 5 values")
  }

  @Test("agrees with Foundation's reader on what it takes, over mutated documents")
  func mutated() throws {
    var random = SeededGenerator(seed: 8)
    let seed = Array(#"{"a":[1,-2.5e3,true,null,"x\u00e9\n"],"b":{"c":"é","d":[]}, "e":0}"#.utf8)
    var accepted = 0
    for _ in 0..<20_000 {
      var bytes = seed
      for _ in 0..<1 + random.next() % 3 {
        let place = Int(random.next() % UInt64(bytes.count))
        switch random.next() % 3 {
        case 0: bytes[place] = seed[Int(random.next() % UInt64(seed.count))]
        case 1: bytes.remove(at: place)
        default: bytes.insert(seed[Int(random.next() % UInt64(seed.count))], at: place)
        }
      }
      guard let node = try? read(bytes) else { continue }
      accepted += 1
      #expect(throws: Never.self) {
        let object = try JSONSerialization.jsonObject(with: Data(bytes), options: .fragmentsAllowed)
        #expect((object as? [String: Any])?.count == members(node))
      }
    }
    #expect(accepted > 1000)
  }

  private func members(_ node: JSONNode) -> Int? {
    if case .object(let members) = node.content { return members.count }
    return nil
  }
}
