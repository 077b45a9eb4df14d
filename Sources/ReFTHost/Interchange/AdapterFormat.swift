// SPDX-License-Identifier: Apache-2.0
// The formats of other programs that adapters come from and go to.

/// A format of adapters that is not ours.
public enum AdapterFormat: String, Sendable, CaseIterable {
  /// A folder that pyreft saves.
  case pyreft
  /// A folder of the `adapters` library of AdapterHub, with a ReFT in it.
  case adapterHub = "adapter-hub"
  /// A GGUF file with one vector for each layer, as llama.cpp and repeng have them.
  case controlVector = "control-vector"
  /// A folder of PEFT with a LoRA.
  case peft
}

/// What the number in the name `direction.N` of a control vector means.
public enum LayerConvention: String, Sendable, CaseIterable {
  /// The output of block N, counted from 0, where llama.cpp and repeng add it.
  case applied
  /// The output of block N − 1, where llama.cpp's own generator reads it.
  case extracted
}
