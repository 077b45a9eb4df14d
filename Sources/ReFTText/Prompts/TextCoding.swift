// SPDX-License-Identifier: Apache-2.0
// What prompts need of a tokenizer.

public import ReFTTensor

/// What turns texts into tokens; a model's tokenizer is the usual one.
public protocol TextCoding: Sendable {
  /// The token before the first of a text; nil when the vocabulary has none.
  var bos: Int32? { get }
  /// Whether the model wants `bos` before each text.
  var addsBOS: Bool { get }
  /// The token that ends a completion; nil when the vocabulary has none.
  var eos: Int32? { get }
  /// The number of tokens.
  var vocabularySize: Int { get }
  /// Makes sure that texts can be turned into tokens.
  ///
  /// - Throws: `inputMissing` where a model knows ids alone.
  func requirePresent() throws(ReFTError)
  /// Whether a token marks structure and is no part of the text.
  func isSpecial(_ id: Int32) -> Bool
  /// Turns text into tokens; `addBOS` nil does what the model says.
  func encode(_ text: String, parseSpecial: Bool, addBOS: Bool?) -> [Int32]
  /// The same, but of more than `limit` tokens only the first ones, more than `limit` of them.
  func encode(_ text: String, parseSpecial: Bool, addBOS: Bool?, limit: Int) -> [Int32]
  /// Turns a text, or two, into at most `limit` tokens that an encoder reads, with those around them.
  func encode(_ text: String, pair: String?, limit: Int, parseSpecial: Bool) -> EncodedPair
}

extension TextCoding {
  /// Texts can be turned into tokens.
  public func requirePresent() throws(ReFTError) {}

  /// Encodes the whole text, however long it is.
  public func encode(
    _ text: String,
    parseSpecial: Bool,
    addBOS: Bool?,
    limit: Int
  ) -> [Int32] {
    encode(text, parseSpecial: parseSpecial, addBOS: addBOS)
  }

  /// Lays texts end to end, behind the beginning-of-text token where there is one before each text.
  public func encode(
    _ text: String,
    pair: String?,
    limit: Int,
    parseSpecial: Bool
  ) -> EncodedPair {
    TextFrame.plain(bos: addsBOS ? bos : nil).laid(
      around: encode(text, parseSpecial: parseSpecial, addBOS: false, limit: limit),
      pair.map { encode($0, parseSpecial: parseSpecial, addBOS: false, limit: limit) },
      limit: limit
    )
  }
}

extension Tokenizer: TextCoding {}
