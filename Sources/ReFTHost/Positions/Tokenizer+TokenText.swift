// SPDX-License-Identifier: Apache-2.0
// The tokenizer of a model tells the text of tokens to position rules.

public import ReFTText

extension Tokenizer: TokenText {}
