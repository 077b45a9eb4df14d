// SPDX-License-Identifier: Apache-2.0
// The tokenizer of the tiny model: special tokens, every byte, and a few merges of common words.

import ReFTTensor

/// A byte-level BPE vocabulary of about three hundred tokens.
enum TinyVocabulary {
  static let specials = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]

  /// Pairs to merge, first things first; "Ġ" is the space.
  static let merges = [
    "Ġ t", "Ġ a", "h e", "i n", "r e", "o n", "e r", "Ġt he", "Ġ s", "a t", "Ġ o", "e n", "Ġ w",
    "Ġ c", "i t", "i s", "a n", "o r", "e s", "Ġ b", "e d", "Ġ f", "in g", "Ġ p", "o u", "Ġa n",
    "a l", "a r", "Ġt o", "Ġ m", "Ġo f", "Ġ in", "Ġ d", "Ġ h", "Ġan d", "i c", "l e", "Ġt h",
    "o m", "l l", "Ġ l",
  ]

  /// The printable stand-in of each byte, as GPT-2 chose them.
  static let bytes: [String] = {
    var next: UInt32 = 256
    return (UInt32(0)..<256).map { byte in
      let printable =
        (0x21...0x7e).contains(byte) || (0xa1...0xac).contains(byte) || (0xae...0xff).contains(byte)
      defer { if !printable { next += 1 } }
      return UnicodeScalar(printable ? byte : next).map { String($0) } ?? ""
    }
  }()

  static let tokens = specials + bytes + merges.map { $0.filter { $0 != " " } }

  /// ChatML without a default system message.
  static let chatTemplate = """
    {% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] \
    + '<|im_end|>' + '\n'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' \
    }}{% endif %}
    """

  static func addMetadata(to file: inout GGUFWriter, addsStartToken: Bool) {
    file.set("tokenizer.ggml.add_space_prefix", .bool(false))
    file.set("tokenizer.ggml.add_bos_token", .bool(addsStartToken))
    file.set("tokenizer.ggml.model", .string("gpt2"))
    file.set("tokenizer.ggml.pre", .string("smollm"))
    file.set("tokenizer.ggml.tokens", .strings(tokens))
    file.set(
      "tokenizer.ggml.token_type",
      .int32s(tokens.indices.map { $0 < specials.count ? 3 : 1 })
    )
    file.set("tokenizer.ggml.merges", .strings(merges))
    file.set("tokenizer.ggml.bos_token_id", .uint32(1))
    file.set("tokenizer.ggml.eos_token_id", .uint32(2))
    file.set("tokenizer.ggml.unknown_token_id", .uint32(0))
    file.set("tokenizer.ggml.padding_token_id", .uint32(2))
    file.set("tokenizer.chat_template", .string(chatTemplate))
  }
}
