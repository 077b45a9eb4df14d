// SPDX-License-Identifier: Apache-2.0
// Options that several commands share.

public import ArgumentParser
import Foundation
import ReFTGeneration
import ReFTHost
public import ReFTModel
import ReFTTensor
public import ReFTTraining

/// Options of every command.
struct CommonOptions: ParsableArguments {
  @Flag(help: "Print the result as one JSON document.")
  var json = false

  @Flag(help: "With an error, print where it comes from and its causes.")
  var verbose = false
}

/// The model that a command works with.
struct ModelOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "A .gguf file, or the short name of one under $REFT_HOME/models.",
      valueName: "model"
    )
  )
  var model: String

  /// The path of the model file.
  func path() throws -> String { try ModelLibrary().resolve(model) }
}

/// Where plugins are looked for.
struct PluginPlaces: ParsableArguments {
  @Option(
    name: .customLong("plugin-path"),
    parsing: .singleValue,
    help: ArgumentHelp("A folder to look for plugins first; may be repeated.", valueName: "folder")
  )
  var pluginPath: [String] = []

  /// The plugins of this machine, and of further folders.
  ///
  /// Folders that the user named are taken as written from the current one, and an error where they
  /// cannot be used; entries of the environment that cannot are told.
  func catalog(
    alsoIn folders: [String] = [],
    choice: IsolationChoice = IsolationChoice()
  ) throws -> PluginCatalog {
    let named = pluginPath.map { URL(fileURLWithPath: $0).standardizedFileURL.path }
    let catalog = PluginCatalog(extraPaths: named + folders, choice: choice)
    for (path, error) in catalog.refusedFolders where (named + folders).contains(path) {
      throw error
    }
    return catalog
  }

  /// The plugin's file that a word means: a path, or a name on the search path.
  func file(_ word: String) throws -> String {
    var isFolder: ObjCBool = false
    let isThere = FileManager.default.fileExists(atPath: word, isDirectory: &isFolder)
    let isPath =
      word.contains("/") || [".so", ".reft.json"].contains(where: word.hasSuffix)
      || (isThere && !isFolder.boolValue)
    guard !isPath else { return URL(fileURLWithPath: word).standardizedFileURL.path }
    return try catalog().file(named: word)
  }

  /// Whether two paths are one file.
  static func isSame(_ one: String, _ other: String) -> Bool {
    URL(fileURLWithPath: one).resolvingSymlinksInPath()
      == URL(fileURLWithPath: other).resolvingSymlinksInPath()
  }
}

/// Where plugins are looked for, and where they run.
struct PluginOptions: ParsableArguments {
  @OptionGroup var places: PluginPlaces

  @Option(
    parsing: .singleValue,
    help: ArgumentHelp(
      """
      Where plugins run: none (in this process) or process (in one of their own); NAME=process says \
      it of one plugin; may be repeated.
      """,
      valueName: "where"
    )
  )
  var isolation: [String] = []

  /// The plugins of this machine, and of further folders.
  func catalog(
    alsoIn folders: [String] = [],
    tellsRefusals: Bool = true
  ) throws -> PluginCatalog {
    let choice = try IsolationChoice(isolation)
    let catalog = try places.catalog(alsoIn: folders, choice: choice)
    for (path, error) in catalog.refusedFolders where tellsRefusals {
      Output.note("warning: '\(path)' of REFT_PLUGIN_PATH is left out: \(error.message)")
    }
    // A name with a slip in it would otherwise change nothing, and nobody would be told.
    for name in choice.byName.keys.sorted() { _ = try catalog.find(name) }
    return catalog
  }

  /// The options once more, as a user types them.
  var words: [String] {
    places.pluginPath.flatMap { ["--plugin-path", $0] } + isolation.flatMap { ["--isolation", $0] }
  }
}

extension DataFormat: ExpressibleByArgument {}
extension DecodePrecision.Activations: ExpressibleByArgument {}
extension CacheFormat: ExpressibleByArgument {}

/// In which of a plugin's subspaces texts are edited.
struct SubspaceOptions: ParsableArguments {
  @Option(help: "The subspace that plugins with several edit in; without it, all.")
  var subspace: Int32?

  func validate() throws {
    if let subspace, subspace < 0 { throw ValidationError("--subspace must be 0 or more") }
  }

  /// Refuses a subspace where no adapter edits in one.
  func check(_ adapters: AdapterOptions) throws(ReFTError) {
    guard subspace != nil, adapters.adapter.isEmpty else { return }
    throw ReFTError(
      .usage,
      "--subspace is given, and no --adapter whose edits it chooses among; leave it out, or name one"
    )
  }
}

/// How precisely tokens are decoded.
struct PrecisionOptions: ParsableArguments {
  @Option(help: "Activations of prompts and generated tokens: int8 (fastest), int16 or float32.")
  var activations = DecodePrecision.Activations.int16
  @Flag(help: "The same as --activations float32.")
  var exact = false
  @Option(
    name: .customLong("kv-cache"),
    help: """
      How keys and values are cached: float16, int8 (about half of its memory, for long texts and many at once) or \
      float32; without it float16, and float32 with float32 activations.
      """
  )
  var cache: CacheFormat?

  func validate() throws {
    if exact, activations != .int16, activations != .float32 {
      throw ValidationError("give --exact or --activations \(activations.rawValue), not both")
    }
  }

  /// The precision that was asked for.
  var value: DecodePrecision { DecodePrecision(exact ? .float32 : activations, cache: cache) }

  /// What differs from the default, in words.
  var words: [String] {
    let standard = DecodePrecision(value.activations)
    return (value.activations == .int16 ? [] : [value.activations.rawValue])
      + (value.cache == standard.cache ? [] : ["\(value.cache.rawValue) keys and values"])
  }
}

/// How tokens are drawn, and how many.
struct SamplingArguments: ParsableArguments {
  @Option(name: .customLong("max-tokens"), help: "The most tokens to generate.")
  var maxTokens = 256
  @Option(help: "Divides the logits before the draw; 0 always takes the most likely token.")
  var temperature = 0.0
  @Option(name: .customLong("top-k"), help: "Draw among so many likely tokens; 0: all.")
  var topK = 0
  @Option(name: .customLong("top-p"), help: "Draw among tokens of this total probability.")
  var topP = 1.0
  @Option(name: .customLong("min-p"), help: "Drop tokens below this part of the likeliest.")
  var minP = 0.0
  @Option(name: .customLong("repetition-penalty"), help: "Above 1: fewer repetitions.")
  var repetitionPenalty = 1.0
  @Option(help: "Names the random numbers; the same seed gives the same text.")
  var seed: UInt64 = 0
  @Option(parsing: .singleValue, help: "A text that ends the generation; may be repeated.")
  var stop: [String] = []

  /// Says which options change nothing where the likeliest token is always taken.
  func tellIgnored() {
    guard temperature == 0 else { return }
    let given = [
      topK == 0 ? nil : "--top-k \(topK)", topP == 1 ? nil : "--top-p \(topP)",
      minP == 0 ? nil : "--min-p \(minP)",
    ].compactMap { $0 }
    guard !given.isEmpty else { return }
    Output.note(
      "warning: without a --temperature above 0 the most likely token is always taken, and "
        + "\(given.joined(separator: ", ")) \(given.count == 1 ? "changes" : "change") nothing"
    )
  }

  /// The options as the sampler takes them, checked.
  func options() throws -> SamplingOptions {
    let options = SamplingOptions(
      temperature: temperature,
      topK: topK,
      topP: topP,
      minP: minP,
      repetitionPenalty: repetitionPenalty,
      seed: seed
    )
    try options.validate()
    return options
  }

  /// A request with these options.
  func request(
    _ prompt: GenerationRequest.Prompt,
    adapters: AdapterStack
  ) throws -> GenerationRequest {
    let request = GenerationRequest(
      prompt,
      maxTokens: maxTokens,
      sampling: try options(),
      stop: stop,
      adapters: adapters
    )
    try request.checkOptions()
    return request
  }
}
