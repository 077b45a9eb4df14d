// SPDX-License-Identifier: Apache-2.0
// One row of a task's data, whatever file it came from: an object of fields, and where it stands.

package import ReFTTensor

/// One row of a task.
package struct TaskRow: Sendable {
  /// An object; the cells of tables are texts.
  package var fields: JSONNode
  /// Its number among the rows, from 0.
  package var number: Int
  /// The line of the file in which it begins.
  package var line: Int
  /// The file.
  package var path: String

  /// A row of a file.
  package init(fields: JSONNode, number: Int, line: Int, path: String) {
    (self.fields, self.number, self.line, self.path) = (fields, number, line, path)
  }

  /// Where the row stands, as `file:line`.
  package var place: String { "\(path):\(line)" }

  /// The value of a field; `a.b.0` goes into objects and lists.
  ///
  /// - Throws: `badData` naming the row and its fields where there is no such value.
  package func value(_ name: String) throws(ReFTError) -> JSONNode {
    if let whole = fields[name] { return whole }
    var node = fields
    for key in name.split(separator: ".").map(String.init) {
      let next: JSONNode? =
        switch node.content {
        case .object: node[key]
        case .list(let items): Int(key).flatMap { items.indices.contains($0) ? items[$0] : nil }
        default: nil
        }
      guard let next else { throw .noField(self, name) }
      node = next
    }
    return node
  }

  /// The text of a field; numbers and truth values as they are written.
  ///
  /// - Throws: `badData` naming the row where there is none, or it is a list or an object.
  package func text(_ name: String) throws(ReFTError) -> String {
    let node = try value(name)
    guard let text = node.plainText else {
      throw .wrongField(self, name, found: node.kind, expected: "a text or a number")
    }
    return text
  }

  /// The texts of a field that is a list.
  ///
  /// - Throws: `badData` naming the row for anything else.
  package func texts(_ name: String) throws(ReFTError) -> [String] {
    let node = try value(name)
    guard let texts = node.plainTexts, !texts.isEmpty else {
      throw .wrongField(self, name, found: node.kind, expected: "a list of texts, at least one")
    }
    return texts
  }

  /// Adds or replaces a field.
  mutating func set(_ name: String, _ content: JSONNode.Content) {
    guard case .object(var members) = fields.content else { return }
    members.removeAll { $0.key == name }
    let value = JSONNode(content: content, place: fields.place)
    members.append(JSONNode.Member(key: name, place: fields.place, value: value))
    fields.content = .object(members)
  }

  /// The names of the fields, for messages.
  var names: [String] {
    guard case .object(let members) = fields.content else { return [] }
    return members.map(\.key)
  }
}

extension JSONNode {
  /// A text, a number or a truth value as it is written; nil for anything else.
  var plainText: String? {
    switch content {
    case .text(let text): text
    case .integer(let number): String(number)
    case .number(let number): String(number)
    case .flag(let flag): String(flag)
    case .null, .list, .object: nil
    }
  }

  /// The texts of a list; nil where it is none, or holds something else.
  var plainTexts: [String]? {
    guard case .list(let items) = content else { return nil }
    let texts = items.compactMap(\.plainText)
    return texts.count == items.count ? texts : nil
  }
}
