// SPDX-License-Identifier: Apache-2.0
// What plugins are told of where their rows come from, in ABI 1.0 and 1.1.

import ReFTHost
import ReFTTensor
import Testing

@Suite("Where rows come from")
struct RowOriginTests {
  /// The lists of a rule over a prompt of six tokens with two decoded ones, of sequence 1 of a batch.
  private func lists(_ rule: String, minor: Int) throws -> (PluginRows, RowLists, Int) {
    let rule = try PositionRule(rule)
    let set = RowSet()
    let sequence = SequenceEdit(adapter: nil, start: 10, count: 8, promptLength: 6, example: 77)
    var edited = try rule.rows(promptLength: 6)
    if rule.editsDecodedTokens {
      edited += [6, 7].map { EditedPosition(position: $0, group: .suffix, location: $0) }
    }
    for position in edited {
      set.append(
        position,
        of: sequence,
        index: 1,
        adapter: 0,
        locationCount: rule.locationCount
      )
    }
    let lists = RowLists(of: set)
    return (lists.origins(minor: minor), lists, set.count)
  }

  private func values(_ list: UnsafePointer<Int32>?, _ count: Int) -> [Int32] {
    Array(UnsafeBufferPointer(start: list, count: list == nil ? 0 : count))
  }

  @Test("a location is an index in the rule's list, and −1 where there is none")
  func locations() throws {
    for (rule, count, expected) in [
      ("f2+l1+decode", 3, [0, 1, 2, -1, -1]), ("[0,-1]", 2, [0, 1]),
      ("all", 0, [-1, -1, -1, -1, -1, -1]),
      ("every:3", 0, [-1, -1]), ("none+decode", 0, [-1, -1]),
    ] as [(String, Int, [Int32])] {
      let (rows, lists, total) = try lists(rule, minor: 1)
      #expect(values(rows.location, total) == expected, "\(rule)")
      #expect(try PositionRule(rule).locationCount == count)
      withExtendedLifetime(lists) {}
    }
  }

  @Test("decoded rows are marked, the example is an index and the key names the sequence")
  func marks() throws {
    let (rows, lists, total) = try lists("f1+l1+decode", minor: 1)
    #expect(values(rows.decoded, total) == [0, 0, 1, 1])
    #expect(values(rows.example, total) == [1, 1, 1, 1])
    #expect(rows.key?.pointee == 77)
    lists.advance()
    #expect(values(rows.position, total).suffix(2) == [7, 8])
    #expect(values(rows.location, total).suffix(2) == [-1, -1])
  }

  @Test("a row tells the subspace of its sequence, −1 where that names none")
  func subspaces() throws {
    let rule = try PositionRule("f1+l1")
    let set = RowSet()
    for (index, subspace) in ([nil, 3, 0] as [Int32?]).enumerated() {
      var sequence = SequenceEdit(adapter: nil, start: 4 * index, count: 4, promptLength: 4)
      sequence.subspace = subspace
      for edited in try rule.rows(promptLength: 4) {
        set.append(edited, of: sequence, index: index, adapter: 0, locationCount: 2)
      }
    }
    let lists = RowLists(of: set)
    #expect(values(lists.origins(minor: 1).subspace, 6) == [-1, -1, 3, 3, 0, 0])
    #expect(values(lists.origins(minor: 0).subspace, 6) == [-1, -1, 3, 3, 0, 0])
    withExtendedLifetime(lists) {}
  }

  @Test("a plugin of ABI 1.0 keeps what it was told: the key as example, a running location")
  func released() throws {
    let (rows, lists, total) = try lists("every:3+decode", minor: 0)
    #expect(values(rows.example, total) == [77, 77, 77, 77])
    #expect(values(rows.location, total) == [0, 1, 6, 7])
    withExtendedLifetime(lists) {}
  }
}
