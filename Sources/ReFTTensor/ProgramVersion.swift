// SPDX-License-Identifier: Apache-2.0
// The version of this program: the one place that says it. The ABI has its own, in reft_plugin.h.

/// The version of reft.
public enum ProgramVersion {
  /// As users and plugins see it: semantic, without a prefix.
  public static let text: StaticString = "0.1.0"
}
