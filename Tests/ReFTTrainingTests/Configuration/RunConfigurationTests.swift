// SPDX-License-Identifier: Apache-2.0
// Reading configurations: values, defaults, overrides, and every kind of mistake with its place.

import ReFTHost
import ReFTModel
import ReFTTensor
import ReFTText
import ReFTTraining
import Testing

private let minimal = """
  model: tiny.gguf
  data:
    train: rows.jsonl
  interventions:
    - plugin: loreft
  """

private let full = """
  model: tiny.gguf
  data:
    train: rows.jsonl
    validation: 0.25
    template: alpaca
    max_length: 64
    overlong: skip
    limit: 9
    shuffle: false
  interventions:
    - plugin: loreft
      layers: "2;10"
      component: mlp_output
      positions: [0, 5, -1]
      share_weights: false
      isolation: process
      learning_rate: 5.0e-4
      options: {rank: 8, dropout: 0.1, activation: gelu, bias: true, tag: "8"}
  train:
    epochs: 4
    max_steps: 11
    batch_size: 2
    learning_rate: 1.0e-3
    schedule: cosine
    warmup: 0.1
    weight_decay: 0.01
    clip_norm: 0.5
    betas: [0.8, 0.99]
    epsilon: 1e-7
    seed: 7
    save_every: 5
    eval_every: 3
    keep_checkpoints: 1
    result: last
    init_adapter: ../start
    cache_megabytes: 12
  output: out
  plugin_path: [plugins, /opt/plugins]
  """

struct RunConfigurationTests {
  private func parse(_ yaml: String, _ overrides: [String] = []) throws -> RunConfiguration {
    try RunConfiguration.parse(yaml: yaml, path: "/srv/runs/a.yaml", overrides: overrides)
  }

  @Test("fills what is not written with the documented defaults")
  func defaults() throws {
    let configuration = try parse(minimal)
    #expect(configuration.model == "tiny.gguf")
    #expect(configuration.data.train == "/srv/runs/rows.jsonl")
    #expect(configuration.output == "/srv/runs/runs/a")
    #expect(configuration.interventions[0].layers == nil)
    #expect(configuration.interventions[0].positions.description == "f1+l1")
    #expect(configuration.train == TrainOptions())
  }

  @Test("reads every key")
  func everyKey() throws {
    let configuration = try parse(full)
    #expect(configuration.data.validation == .fraction(0.25))
    #expect(configuration.data.template == .alpaca)
    #expect(configuration.data.overlong == .skip)
    #expect(configuration.data.limit == 9)
    #expect(!configuration.data.shuffles)
    let intervention = configuration.interventions[0]
    #expect(intervention.layers == [2, 10])
    #expect(intervention.component == .mlpOutput)
    #expect(intervention.positions.description == "[0,5,-1]")
    #expect(intervention.sharing == .ends)
    #expect(intervention.isolation == .process)
    #expect(intervention.learningRate == 5e-4)
    #expect(
      intervention.options == [
        "rank": .int(8), "dropout": .float(0.1), "activation": .string("gelu"),
        "bias": .flag(true), "tag": .string("8"),
      ]
    )
    let train = configuration.train
    #expect(train.epochs == 4 && train.maxSteps == 11 && train.batchSize == 2)
    #expect(train.learningRate == 1e-3 && train.schedule == .cosine)
    #expect(train.warmUp == .fraction(0.1) && train.weightDecay == 0.01 && train.clipNorm == 0.5)
    #expect(train.betas == .init(first: 0.8, second: 0.99) && train.epsilon == 1e-7)
    #expect(train.seed == 7 && train.saveEvery == 5 && train.evaluateEvery == 3)
    #expect(train.keptCheckpoints == 1 && train.result == .last && train.cacheMegabytes == 12)
    #expect(train.initialAdapter == "/srv/start")
    #expect(configuration.pluginPaths == ["/srv/runs/plugins", "/opt/plugins"])
  }

  @Test("writes YAML that reads back as the same configuration", arguments: [minimal, full])
  func roundTrip(yaml: String) throws {
    var first = try parse(yaml)
    var second = try RunConfiguration.parse(yaml: first.yaml(), path: "/elsewhere/b.yaml")
    for configuration in [first, second] {
      #expect(configuration.interventions.allSatisfy { !$0.place.isEmpty })
    }
    (first.path, second.path) = ("", "")
    for index in first.interventions.indices {
      (first.interventions[index].place, second.interventions[index].place) = ("", "")
      let places = [first, second].map { $0.interventions[index].optionPlaces }
      #expect(places[0].mapValues(\.path) == places[1].mapValues(\.path))
      #expect(Set(places[0].keys) == Set(first.interventions[index].options.keys))
      first.interventions[index].optionPlaces = [:]
      second.interventions[index].optionPlaces = [:]
    }
    #expect(first == second)
  }

  @Test("applies overrides to keys, list items and new branches")
  func overrides() throws {
    let configuration = try parse(
      minimal,
      [
        "train.learning_rate=2e-3", "interventions.0.options.rank=4",
        "interventions.0.layers=[1,2]",
        "interventions.1.plugin=direft", "data.limit=", "train.warmup=3",
      ]
    )
    #expect(configuration.train.learningRate == 2e-3)
    #expect(configuration.train.warmUp == .steps(3))
    #expect(configuration.interventions[0].options == ["rank": .int(4)])
    #expect(configuration.interventions[0].layers == [1, 2])
    #expect(configuration.interventions[1].plugin == "direft")
    #expect(configuration.data.limit == nil)
  }

  struct Mistake: CustomTestStringConvertible, Sendable {
    let testDescription: String
    let yaml: String
    var overrides: [String] = []
    let message: String

    init(_ id: String, _ yaml: String, _ overrides: [String] = [], _ message: String) {
      testDescription = id
      self.yaml = yaml
      self.overrides = overrides
      self.message = message
    }

    init(_ id: String, _ yaml: String, _ message: String) {
      self.init(id, yaml, [], message)
    }
  }

  static let mistakes = [
    Mistake(
      "empty",
      "",
      "/srv/runs/a.yaml:1:1: the configuration is empty; it needs at least model, "
        + "data.train and interventions"
    ),
    Mistake(
      "a list",
      "- 1",
      "/srv/runs/a.yaml:1:1: 'the configuration' must be a mapping of keys to values, "
        + "found a list"
    ),
    Mistake(
      "no model",
      "data: {train: x}\ninterventions: [{plugin: a}]",
      "/srv/runs/a.yaml:1:1: key 'model' is missing; name a .gguf file or a model of the "
        + "library"
    ),
    Mistake(
      "unknown key",
      minimal + "\ntrain:\n  learning_rat: 1",
      "/srv/runs/a.yaml:7:3: unknown key 'learning_rat' in 'train'; did you mean "
        + "'learning_rate'? Valid keys: objective, beta, margin, length_normalized, "
        + "epochs, max_steps, batch_size, micro_batch_tokens, "
        + "learning_rate, schedule, warmup, weight_decay, clip_norm, betas, epsilon, seed, "
        + "save_every, eval_every, keep_checkpoints, validate, metric, patience, "
        + "result, init_adapter, cache_megabytes, tensorboard"
    ),
    Mistake(
      "unknown key at the top",
      minimal + "\nbanana: 1",
      "/srv/runs/a.yaml:6:1: unknown key 'banana' at the top level. Valid keys: model, "
        + "data, interventions, lora, head, train, output, plugin_path"
    ),
    Mistake(
      "wrong type",
      minimal + "\ntrain: {epochs: many}",
      "/srv/runs/a.yaml:6:17: 'train.epochs' must be a whole number from 1 to 1000000, "
        + "found 'many'"
    ),
    Mistake(
      "quoted number",
      minimal + "\ntrain: {epochs: '3'}",
      "/srv/runs/a.yaml:6:17: 'train.epochs' must be a whole number from 1 to 1000000, "
        + "found the text \"3\""
    ),
    Mistake(
      "impossible number",
      minimal + "\ntrain: {epochs: 0}",
      "/srv/runs/a.yaml:6:17: 'train.epochs' is '0', which cannot be; expected a whole "
        + "number from 1 to 1000000"
    ),
    Mistake(
      "infinite rate",
      minimal + "\ntrain: {learning_rate: .inf}",
      "/srv/runs/a.yaml:6:24: 'train.learning_rate' must be a number from 0 to 100, "
        + "found '.inf'"
    ),
    Mistake(
      "negative rate",
      minimal + "\ntrain: {learning_rate: -1}",
      "/srv/runs/a.yaml:6:24: 'train.learning_rate' is '-1', which cannot be; expected a "
        + "number from 0 to 100"
    ),
    Mistake(
      "unknown schedule",
      minimal + "\ntrain: {schedule: liner}",
      "/srv/runs/a.yaml:6:19: 'train.schedule' must be one of constant, linear, cosine; "
        + "found 'liner' (did you mean 'linear'?)"
    ),
    Mistake(
      "whole warm-up as fraction",
      minimal + "\ntrain: {warmup: 1.5}",
      "/srv/runs/a.yaml:6:17: 'train.warmup' is '1.5', which cannot be; expected a "
        + "number of steps (10) or a fraction of all steps from 0 and below 1 (0.1)"
    ),
    Mistake(
      "one beta",
      minimal + "\ntrain: {betas: [0.9]}",
      "/srv/runs/a.yaml:6:16: 'train.betas' must be two numbers from 0 and below 1, such "
        + "as [0.9, 0.999], found a list"
    ),
    Mistake(
      "no interventions",
      "model: m\ndata: {train: x}\ninterventions: []",
      "/srv/runs/a.yaml:3:16: 'interventions' is a list, which cannot be; expected at "
        + "least one entry"
    ),
    Mistake(
      "one intervention without a dash",
      "model: m\ndata: {train: x}\ninterventions: {plugin: a}",
      "/srv/runs/a.yaml:3:16: 'interventions' must be a list; start each entry with '- "
        + "', found a mapping"
    ),
    Mistake(
      "no plugin",
      "model: m\ndata: {train: x}\ninterventions: [{layers: all}]",
      "/srv/runs/a.yaml:3:17: key 'interventions.0.plugin' is missing; name one of `reft "
        + "plugin list`"
    ),
    Mistake(
      "layer twice",
      minimal + "\n    layers: [3, 3]",
      "/srv/runs/a.yaml:6:13: 'interventions.0.layers' names block 3 twice; name it once"
    ),
    Mistake(
      "negative layer",
      minimal + "\n    layers: -1",
      "/srv/runs/a.yaml:6:13: 'interventions.0.layers' must be 'all', block numbers from "
        + "0 such as [2, 10], or \"2;10\", found '-1'"
    ),
    Mistake(
      "component",
      minimal + "\n    component: block_outptu",
      "/srv/runs/a.yaml:6:16: 'interventions.0.component' must be one of block_input, "
        + "block_output, attention_input, query_output, key_output, value_output, "
        + "attention_value_output, attention_output, mlp_input, mlp_activation, mlp_output; "
        + "found 'block_outptu' (did you mean 'block_output'?)"
    ),
    Mistake(
      "isolation",
      minimal + "\n    isolation: proces",
      "/srv/runs/a.yaml:6:16: 'interventions.0.isolation' must be one of none, process; "
        + "found 'proces' (did you mean 'process'?)"
    ),
    Mistake(
      "option",
      minimal + "\n    options: {rank: [1]}",
      "/srv/runs/a.yaml:6:21: 'interventions.0.options.rank' must be a text, found a list"
    ),
    Mistake(
      "validation fraction",
      "model: m\ndata: {train: x, validation: 1.0}\ninterventions: [{plugin: a}]",
      "/srv/runs/a.yaml:2:30: 'data.validation' is '1.0', which cannot be; expected a "
        + "file, or a fraction above 0 and below 1"
    ),
    Mistake(
      "best without validation",
      minimal + "\ntrain: {result: best}",
      "/srv/runs/a.yaml:6:8: 'train.result' is 'best', but there is no 'data.validation' "
        + "to judge by; add it, or take 'last'"
    ),
    Mistake(
      "key twice",
      "model: m\nmodel: n",
      "/srv/runs/a.yaml:1:1: key 'model' stands twice in one mapping; keep one"
    ),
    Mistake(
      "key twice below",
      "model: m\ndata: {train: x, limit: 1, train: y}",
      "/srv/runs/a.yaml:2:8: key 'train' stands twice in one mapping; keep one"
    ),
    Mistake(
      "tab as indentation",
      "model: m\ndata:\n\ttrain: x",
      "/srv/runs/a.yaml:3:1: not YAML: found character that cannot start any token, perhaps a tab: "
        + "indentation is of blanks; check indentation, colons and quotes"
    ),
    Mistake(
      "too many aliases",
      "a: &a [x]\nb: [*a,*a,*a,*a,*a,*a,*a,*a,*a]",
      "/srv/runs/a.yaml:2:29: more than 8 aliases; write the values themselves"
    ),
    Mistake(
      "alias in itself",
      "a: &a [*a]",
      "/srv/runs/a.yaml:1:8: not YAML: found undefined alias; check indentation, colons and quotes"
    ),
    Mistake(
      "number beyond 64 bits",
      minimal + "\ntrain: {epochs: 99999999999999999999}",
      "/srv/runs/a.yaml:6:17: 'train.epochs' is '99999999999999999999', which cannot be; expected a "
        + "whole number from 1 to 1000000"
    ),
    Mistake(
      "more steps than there can be",
      minimal + "\ntrain: {max_steps: 9223372036854775807}",
      "/srv/runs/a.yaml:6:20: 'train.max_steps' is '9223372036854775807', which cannot be; expected a "
        + "whole number from 1 to 1000000000"
    ),
    Mistake(
      "combining marks without end",
      "model: 'a" + String(repeating: "\u{301}", count: 70) + "'",
      "/srv/runs/a.yaml:1:8: a text with combining marks without end"
    ),
    Mistake(
      "one value set twice",
      minimal,
      ["train.epochs=1", "train.epochs=2"],
      "--set train.epochs=2: --set train.epochs=1 sets the same; keep one"
    ),
    Mistake(
      "one value set below another that replaces it",
      minimal,
      ["train.max_steps=1", "train={epochs: 1}"],
      "--set train={epochs: 1}: it replaces what --set train.max_steps=1 sets below it; keep one, or "
        + "give this one first"
    ),
    Mistake(
      "broken YAML",
      "model: [",
      "/srv/runs/a.yaml:2:1: not YAML: did not find expected node content; check "
        + "indentation, colons and quotes"
    ),
    Mistake(
      "template",
      "model: m\ndata: {train: x, template: alpacca}\ninterventions: [{plugin: a}]",
      "/srv/runs/a.yaml:2:28: 'data.template': there is no template 'alpacca'; did you "
        + "mean 'alpaca'? expected none, alpaca, chat, or a text with {instruction}, {input} "
        + "and {output}"
    ),
    Mistake(
      "override without value",
      minimal,
      ["train.epochs"],
      "--set train.epochs: expected KEY=VALUE, such as train.learning_rate=1e-3"
    ),
    Mistake(
      "override of nothing",
      minimal,
      ["interventions.5.plugin=a"],
      "--set interventions.5.plugin=a: '5' names no item of a list of 1; expected 0...1"
    ),
    Mistake(
      "override into a text",
      minimal,
      ["model.path=a"],
      "--set model.path=a: 'path' leads into 'tiny.gguf', which has no keys; set the "
        + "value above it"
    ),
    Mistake(
      "override with a wrong key",
      minimal,
      ["train.epoch=2"],
      "--set train.epoch=2: unknown key 'epoch' in 'train'; did you mean 'epochs'? Valid "
        + "keys: objective, beta, margin, length_normalized, "
        + "epochs, max_steps, batch_size, micro_batch_tokens, learning_rate, schedule, "
        + "warmup, weight_decay, clip_norm, betas, epsilon, seed, save_every, eval_every, "
        + "keep_checkpoints, validate, metric, patience, "
        + "result, init_adapter, cache_megabytes, tensorboard"
    ),
  ]

  @Test("names place, value found, value expected and remedy", arguments: mistakes)
  func names(mistake: Mistake) throws {
    let error = #expect(throws: ReFTError.self) { try parse(mistake.yaml, mistake.overrides) }
    #expect(error?.code == .badConfiguration)
    #expect(error?.message == mistake.message)
  }

  @Test("wraps what the position parser says in the place of the value")
  func positions() throws {
    let error = #expect(throws: ReFTError.self) { try parse(minimal + "\n    positions: middle") }
    #expect(error?.code == .badConfiguration)
    #expect(
      error?.message.hasPrefix("/srv/runs/a.yaml:6:16: 'interventions.0.positions': ") == true
    )
  }

  @Test("skips a byte order mark")
  func byteOrderMark() throws {
    #expect(try parse("\u{FEFF}" + minimal).model == "tiny.gguf")
  }

  @Test("reads wide and deep configurations in time linear in their size")
  func hostileSizes() throws {
    let layers = (0..<140_000).map(String.init)
    let texts = [
      minimal + "\n    layers: \"\(layers.joined(separator: ";"))\"",
      minimal + "\n    layers: [\(layers.prefix(90_000).joined(separator: ","))]",
      minimal + "\n    positions: \"[\(layers.joined(separator: ","))]\"",
      minimal + "\n" + layers.prefix(60_000).map { "k\($0): 1" }.joined(separator: "\n"),
      "model: " + String(repeating: "[", count: 13_000) + String(repeating: "]", count: 13_000),
      "model: \n " + String(repeating: "- ", count: 400_000),
      "a: &a [x,x,x,x,x,x,x,x,x]\n"
        + zip("abcdefgh", "bcdefghi").map {
          "\($1): &\($1) [" + Array(repeating: "*\($0)", count: 9).joined(separator: ",") + "]"
        }.joined(separator: "\n") + "\n? *i\n: 1\n",
    ]
    for text in texts {
      let time = ContinuousClock().measure { _ = try? parse(text) }
      #expect(time < .seconds(8), "\(text.prefix(120))")
    }
  }

  @Test("says which file is missing")
  func missingFile() {
    let error = #expect(throws: ReFTError.self) {
      try RunConfiguration.load(path: "/nowhere/run.yaml")
    }
    #expect(error?.code == .inputMissing)
    #expect(
      error?.message == "there is no configuration '/nowhere/run.yaml'; check the path"
    )
  }
}
