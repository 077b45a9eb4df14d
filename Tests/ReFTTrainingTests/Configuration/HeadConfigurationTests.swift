// SPDX-License-Identifier: Apache-2.0
// The `head` part of a configuration: what it means, and what is refused.

import ReFTHost
import ReFTTensor
import ReFTTraining
import Testing

@Suite("The head of a configuration")
struct HeadConfigurationTests {
  private func parse(_ head: String, _ rest: String = "") throws -> RunConfiguration {
    try RunConfiguration.parse(
      yaml: """
        model: m.gguf
        data: {train: SST-2/train.tsv, format: glue/sst2}
        head: \(head)
        \(rest)
        """,
      path: "/work/run.yaml"
    )
  }

  @Test("is read with its defaults, stands without interventions, and comes back from its own text")
  func roundTrip() throws {
    let plain = try parse("{labels: [no, \"yes\"]}")
    let head = try #require(plain.head)
    #expect(plain.interventions.isEmpty)
    #expect(plain.data.format == .sst2)
    #expect(head.task == .classification && head.pooling == nil && head.hidden == .none)
    #expect(head.labels == LabelSet(names: ["no", "yes"]))
    for configuration in [
      plain, try parse("{}"), try parse("{task: regression, pooling: mean, dropout: 0.25}"),
      try parse(
        "{task: multi_label, labels: 4, hidden: dense, activation: relu}",
        "train: {metric: f1}\ninterventions: [{plugin: loreft}]"
      ),
    ] {
      let again = try RunConfiguration.parse(yaml: configuration.yaml(), path: "/work/run.yaml")
      #expect(again.head == configuration.head)
      #expect(again.train == configuration.train && again.data == configuration.data)
    }
    #expect(try parse("{task: regression}").head?.labels == .value)
  }

  struct Mistake: CustomTestStringConvertible, Sendable {
    var testDescription: String
    var head: String
    var rest = ""
    var message: String
  }

  static let mistakes = [
    Mistake(
      testDescription: "an unknown key",
      head: "{taks: regression}",
      message: "/work/run.yaml:3:8: unknown key 'taks' in 'head'; did you mean 'task'?"
    ),
    Mistake(
      testDescription: "an unknown pooling",
      head: "{pooling: cls}",
      message: "/work/run.yaml:3:17: 'head.pooling' must be one of first, mean, last; found 'cls'"
    ),
    Mistake(
      testDescription: "one label",
      head: "{labels: 1}",
      message: "/work/run.yaml:3:16: 'head.labels' is '1', which cannot be; expected 2 to 65536 "
        + "labels for a classification"
    ),
    Mistake(
      testDescription: "a label twice",
      head: "{labels: [a, b, a]}",
      message: "'head.labels' is a list, which cannot be; expected names that differ"
    ),
    Mistake(
      testDescription: "labels of a regression",
      head: "{task: regression, labels: [a, b]}",
      message: "expected 1 for a regression, whose one output is a number"
    ),
    Mistake(
      testDescription: "everything dropped",
      head: "{dropout: 1}",
      message: "'head.dropout' is '1', which cannot be; expected a number from 0 and below 1"
    ),
    Mistake(
      testDescription: "a measure of another task",
      head: "{task: regression}",
      rest: "train: {metric: accuracy}",
      message: "'train.metric' is 'accuracy', which a head for regression does not have; expected "
        + "loss, pearson, spearman"
    ),
  ]

  @Test("is refused with place and remedy where it cannot be", arguments: mistakes)
  func refuses(mistake: Mistake) {
    let error = #expect(throws: ReFTError.self) { try parse(mistake.head, mistake.rest) }
    #expect(error?.code == .badConfiguration)
    #expect(error?.message.contains(mistake.message) == true, "\(error?.message ?? "")")
  }

  @Test("is what a measure of answers needs")
  func metricWithoutHead() {
    let error = #expect(throws: ReFTError.self) {
      try RunConfiguration.parse(
        yaml: """
          model: m.gguf
          data: {train: a.jsonl}
          interventions: [{plugin: loreft}]
          train: {metric: accuracy}
          """,
        path: "/work/run.yaml"
      )
    }
    #expect(
      error?.message.hasSuffix(
        "'train.metric' is 'accuracy', which needs a 'head'; expected loss"
      ) == true
    )
  }
}
