// SPDX-License-Identifier: Apache-2.0
// What can be wrong with control vectors, and with adapters on their way out.

import ReFTModel
import ReFTTensor

extension ReFTError {
  static func noControlVector(_ path: String, architecture: String?) -> ReFTError {
    ReFTError(
      .badData,
      "'\(path)' has the general.architecture '\(architecture?.shown() ?? "none")', not 'controlvector'; "
        + "give a control vector of llama.cpp or repeng"
    )
  }

  static func layerConvention(_ path: String, found: String) -> ReFTError {
    ReFTError(
      .badData,
      "'\(path)': reft.layer_convention is '\(found.shown())', not applied or extracted; give "
        + "--layer-convention"
    )
  }

  static func layerConventionNeeded(_ path: String, producer: String) -> ReFTError {
    let reason =
      producer == "llama.cpp"
      ? "it looks like one of llama.cpp's generator, which reads direction.N at the output of block N − 1 "
        + "while llama.cpp adds it to that of block N"
      : "it does not say who made it"
    return ReFTError(
      .usage,
      "'\(path)': what the layers mean is open: \(reason); give --layer-convention applied (block N, as "
        + "llama.cpp and repeng run it) or extracted (block N − 1, where the generator read it)"
    )
  }

  static func directionShape(
    _ path: String,
    _ name: String,
    shape: [Int],
    type: TensorType
  ) -> ReFTError {
    ReFTError(
      .badData,
      "'\(path)': '\(name)' has the shape \(shape) and the type \(type); one vector of floating-point "
        + "numbers is expected; write the file again"
    )
  }

  static func directionLayer(
    _ path: String,
    _ name: String,
    layer: Int,
    layers: Int
  ) -> ReFTError {
    ReFTError(
      .usage,
      "'\(path)': '\(name)' would edit block \(layer); control vectors begin with direction.1, and the model "
        + "has the blocks 0 to \(layers - 1); name the model that it was made for with --model"
    )
  }

  // MARK: - Export

  static func exportUnknown(_ format: AdapterFormat) -> ReFTError {
    ReFTError(
      .usage,
      "adapters are not written as \(format.rawValue), only read; use pyreft or control-vector"
    )
  }

  static func exportPlaceTaken(_ path: String, option: String) -> ReFTError {
    ReFTError(
      .usage,
      "\(option) '\(path)' is there and not an empty folder; nothing of it is changed: choose another place"
    )
  }

  static func exportWithHead(_ path: String) -> ReFTError {
    ReFTError(
      .usage,
      "the adapter '\(path)' has a trained head, which neither format has a place for; use it with reft"
    )
  }

  static func exportWithLoRA(_ path: String, format: AdapterFormat) -> ReFTError {
    ReFTError(
      .usage,
      "the adapter '\(path)' has a LoRA, which the format \(format.rawValue) has no place for; export it "
        + "with --format peft"
    )
  }

  static func exportPlugin(_ path: String, _ plugin: String, format: AdapterFormat) -> ReFTError {
    let known =
      format == .pyreft
      ? "loreft, direft, noreft, consreft and lobireft" : "additive-steering alone"
    return ReFTError(
      .usage,
      "the adapter '\(path)' has an intervention of plugin '\(plugin)'; the format \(format.rawValue) has a "
        + "place for \(known); use it with reft"
    )
  }

  static func exportOption(
    _ path: String,
    _ plugin: String,
    option: String,
    format: AdapterFormat
  ) -> ReFTError {
    ReFTError(
      .usage,
      "the adapter '\(path)' sets the option '\(option)' of plugin '\(plugin)', which the format "
        + "\(format.rawValue) has no place for; use it with reft"
    )
  }

  static func exportPlaces(_ path: String, what: String, format: AdapterFormat) -> ReFTError {
    ReFTError(
      .usage,
      "the adapter '\(path)' has \(what), which the format \(format.rawValue) has no place for; use it with "
        + "reft"
    )
  }

  static func exportParameters(_ path: String, intervention: Int, layer: Int) -> ReFTError {
    ReFTError(
      .badData,
      "the adapter '\(path)' does not have the parameters of interventions.\(intervention) at layer "
        + "\(layer) in the shapes that its plugin gives them; take an earlier checkpoint"
    )
  }

  static func exportComponent(_ path: String, _ component: Component) -> ReFTError {
    ReFTError(
      .usage,
      "the adapter '\(path)' edits \(component.rawValue); a control vector is added to block_output alone"
    )
  }

  static func exportPositions(_ path: String, _ positions: PositionRule) -> ReFTError {
    ReFTError(
      .usage,
      "the adapter '\(path)' edits the positions \(positions); a control vector is added to every token, of "
        + "the prompt and generated: only an adapter with positions all+decode does the same"
    )
  }

  static func exportFirstBlock(_ path: String) -> ReFTError {
    ReFTError(
      .usage,
      "the adapter '\(path)' edits the output of block 0; llama.cpp adds control vectors to block 1 and "
        + "those above it: leave layer 0 out"
    )
  }
}
