// SPDX-License-Identifier: Apache-2.0
// What a run is: model, data, interventions, training. The keys and defaults of the YAML file are
// described here; reading them is in `RunConfiguration+Reading`, writing in `RunConfiguration+Writing`.

public import ReFTHost
public import ReFTModel
public import ReFTText

/// The resolved configuration of a training run.
public struct RunConfiguration: Sendable, Equatable {
  /// `model`: a file or folder (absolute once read), or a short name of the model library.
  public var model: String
  /// `data`: what to learn from.
  public var data: DataOptions
  /// `interventions`: which plugins edit what; at least one, unless there is a LoRA or a head.
  public var interventions: [InterventionOptions]
  /// `lora`: which matrices are updated by others of low rank; none by default.
  public var lora: LoRAOptions?
  /// `head`: what is trained to classify texts; none by default, and tokens are learnt.
  public var head: HeadOptions?
  /// `train`: how to learn.
  public var train: TrainOptions = TrainOptions()
  /// `output`: the run folder; `runs/<name of the configuration>` by default.
  public var output: String
  /// `plugin_path`: further folders with plugins, searched first; none by default.
  public var pluginPaths: [String] = []
  /// The file that the configuration was read from.
  public var path: String = ""

  /// Makes a configuration in code, with the defaults of the file.
  public init(
    model: String,
    data: DataOptions,
    interventions: [InterventionOptions],
    lora: LoRAOptions? = nil,
    head: HeadOptions? = nil,
    train: TrainOptions = TrainOptions(),
    output: String
  ) {
    self.model = model
    self.data = data
    self.interventions = interventions
    self.lora = lora
    self.head = head
    self.train = train
    self.output = output
  }
}

/// The `data` part of a configuration.
public struct DataOptions: Sendable, Equatable {
  /// Rows to validate on.
  public enum Validation: Sendable, Equatable {
    /// None: no validation loss, and the last parameters are the result.
    case none
    /// A file of its own.
    case file(String)
    /// This part of the training rows, chosen by the seed, above 0 and below 1.
    case fraction(Double)
  }

  /// What happens to a row of more than `max_length` tokens.
  public enum Overlong: String, Sendable, CaseIterable {
    /// Its end is cut off; a row that keeps no label is skipped; both are counted.
    case cut
    /// It is left out, and counted.
    case skip
    /// It ends the run before it starts.
    case error
  }

  /// `train`: the file with the training rows: JSON lines, one JSON list, or a table.
  public var train: String
  /// `format`: how the files are written; by default a table where a name ends in ".tsv", else JSON.
  public var format: DataFormat?
  /// `validation`: a file, or a fraction of the training rows; none by default.
  public var validation: Validation = .none
  /// `template`: `none`, `alpaca`, `chat` or a format string such as `"{instruction}\n{output}"`; nil
  /// by default: instructions as they are, conversations through the chat template.
  public var template: Template?
  /// `max_length`: the most tokens of a row, prompt and completion together; 512 by default.
  public var maxLength = 512
  /// `overlong`: `cut` (default), `skip` or `error`.
  public var overlong: Overlong = .cut
  /// `end_of_sequence`: whether completions end with the end-of-sequence token; true by default.
  public var appendsEndOfSequence = true
  /// `limit`: take only the first rows of the training file; all by default.
  public var limit: Int?
  /// `validation_limit`: the same for the validation file.
  public var validationLimit: Int?
  /// `shuffle`: whether each epoch has its own order; true by default.
  public var shuffles = true

  /// Describes data with the defaults of the file.
  public init(train: String) { self.train = train }
}

/// The `head` part of a configuration.
public struct HeadOptions: Sendable, Equatable {
  /// `task`: `classification` (default), `multi_label` or `regression`.
  public var task: HeadSpec.Task = .classification
  /// `labels`: a list of names, or their number; by default those that the training rows have.
  public var labels: LabelSet?
  /// `pooling`: `first`, `mean` or `last`; by default last for a decoder, first for an encoder.
  public var pooling: HeadSpec.Pooling?
  /// `hidden`: `none` (default) or `dense`.
  public var hidden: HeadSpec.Hidden = .none
  /// `activation`: `tanh` (default) or `relu`, after the hidden matrix.
  public var activation: HeadSpec.Activation = .tanh
  /// `dropout`: the part of the head's numbers that a training step leaves out; 0 by default.
  public var dropout = 0.0
  /// `learning_rate`: the peak rate of its parameters; that of `train` by default.
  public var learningRate: Double?

  /// The defaults of the file.
  public init() {}

  /// The head for a model and its labels.
  public func spec(_ model: ModelConfiguration, labels: LabelSet) -> HeadSpec {
    HeadSpec(
      task: task,
      labels: labels,
      pooling: pooling ?? (model.isEncoder ? .first : .last),
      hidden: hidden,
      activation: activation,
      dropout: dropout
    )
  }
}

/// One entry of the `interventions` part of a configuration.
public struct InterventionOptions: Sendable, Equatable {
  /// `plugin`: the plugin's name or full id.
  public var plugin: String
  /// `layers`: `all` (nil here), a list, or a text such as "2;10;18".
  public var layers: [Int]?
  /// `component`: the hidden tensor; `block_output` by default.
  public var component: Component = .blockOutput
  /// `positions`: which tokens are edited; `f1+l1` by default, as in pyreft.
  public var positions = PositionRule(.ends(first: 1, last: 1))
  /// `share_weights`: one parameter set for all positions (`true`, default), one for each end of the
  /// prompt (`false`) or one for each position (`none`).
  public var sharing = WeightSharing.positions
  /// `heads`: the heads that are edited, each by itself; by default whole rows.
  public var heads: [Int]?
  /// `tie`: what one parameter set is shared over: `layers`, `heads` or both.
  public var tie: Set<TieAxis> = []
  /// `isolation`: `none` or `process`; by default the trust record decides.
  public var isolation: Isolation?
  /// `learning_rate`: the peak rate of its parameters; that of `train` by default.
  public var learningRate: Double?
  /// `auxiliary_weight`: what the plugin's auxiliary loss counts for; 1 by default, where it has one.
  public var auxiliaryWeight: Double?
  /// `options`: the plugin's own options.
  public var options: [String: OptionValue] = [:]
  /// Where the entry was written, as `file:line:column`, for errors found later.
  public var place = ""
  /// Where the key and the value of each option were written, and the option's path of keys.
  package var optionPlaces: [String: OptionPlace] = [:]

  /// Where an option was written.
  package struct OptionPlace: Sendable, Equatable {
    /// Its path of keys, such as `interventions.0.options.rank`.
    package var path: String
    /// Where its key stands.
    package var key: String
    /// Where its value stands.
    package var value: String
  }

  /// Describes an intervention at all layers, with the defaults of the file.
  public init(plugin: String) { self.plugin = plugin }
}

/// The `train` part of a configuration.
public struct TrainOptions: Sendable, Equatable {
  /// How the learning rate goes on after the warm-up.
  public enum Schedule: String, Sendable, CaseIterable {
    /// It stays.
    case constant
    /// It falls to zero in a straight line.
    case linear
    /// It falls to zero along half a cosine.
    case cosine
  }

  /// How long the learning rate rises.
  public enum WarmUp: Sendable, Equatable {
    /// For a number of steps.
    case steps(Int)
    /// For a part of all steps, rounded up.
    case fraction(Double)
  }

  /// Which parameters become the adapter at the end.
  public enum Result: String, Sendable, CaseIterable {
    /// Those with the lowest validation loss.
    case best
    /// Those after the last step.
    case last
  }

  /// Decay rates of AdamW's two moments.
  public struct Betas: Sendable, Equatable {
    /// Of the mean gradient.
    public var first: Double
    /// Of the mean squared gradient.
    public var second: Double

    /// Names both.
    public init(first: Double, second: Double) {
      self.first = first
      self.second = second
    }
  }

  /// `objective`: `likelihood` (nil here, default), or `dpo` or `margin` for rows with two answers; with
  /// `beta`, `margin` and `length_normalized`.
  public var preference: PreferenceOptions?
  /// `epochs`: how often the rows are seen; 3 by default.
  public var epochs = 3
  /// `max_steps`: end after so many optimiser steps, and plan the schedule for them; not set.
  public var maxSteps: Int?
  /// `batch_size`: sequences per optimiser step; 8 by default.
  public var batchSize = 8
  /// `micro_batch_tokens`: the most tokens of one pass; by default as many as keep 640 MiB for the
  /// backward pass.
  ///
  /// It is the knob of peak memory. A longer sequence has a pass of its own.
  public var microBatchTokens: Int?
  /// `learning_rate`: the peak rate; 9e-4 by default.
  public var learningRate = 9e-4
  /// `schedule`: `constant`, `linear` (default) or `cosine`.
  public var schedule: Schedule = .linear
  /// `warmup`: a fraction (0.1) or a number of steps (10); none by default.
  public var warmUp: WarmUp = .steps(0)
  /// `weight_decay`: decoupled, on unconstrained matrices alone; 0 by default.
  public var weightDecay = 0.0
  /// `clip_norm`: the largest global gradient norm; 1 by default, 0 switches it off.
  public var clipNorm = 1.0
  /// `betas`: decay rates of AdamW's moments; [0.9, 0.999] by default.
  public var betas = Betas(first: 0.9, second: 0.999)
  /// `epsilon`: added to AdamW's denominator; 1e-8 by default.
  public var epsilon = 1e-8
  /// `seed`: of order, initialisation, dropout and validation split; 42 by default.
  public var seed: UInt64 = 42
  /// `save_every`: steps between checkpoints; 100 by default, 0 saves at the end alone.
  public var saveEvery = 100
  /// `eval_every`: steps between validations; 0 (default) validates after each epoch.
  public var evaluateEvery = 0
  /// `keep_checkpoints`: how many of the latest checkpoints stay, beside the best; 2 by default.
  public var keptCheckpoints = 2
  /// `metric`: what the best step is judged by; by default the loss, or the usual measure of a head.
  public var metric: Metric?
  /// `metric`, where it is a measure of a task: `TASK.METRIC` of one of `validate`.
  public var taskMetric: String?
  /// `validate`: tasks that measure the adapter at each validation; none by default.
  public var validate: [TaskCheck] = []
  /// `patience`: end after so many validations without a better one; not set by default.
  public var patience: Int?
  /// `result`: `best` or `last`; by default best where there is validation, else last.
  public var result: Result?
  /// `init_adapter`: an adapter folder whose parameters are the start; not set by default.
  public var initialAdapter: String?
  /// `cache_megabytes`: memory for what the frozen model computes of every row; 1024 by default.
  ///
  /// It is kept across epochs; what does not fit goes to a file in the run folder. 0 switches the
  /// cache off.
  public var cacheMegabytes = 1024
  /// `tensorboard`: whether a file of events for TensorBoard is written; true by default.
  public var writesEvents = true

  /// The defaults.
  public init() {}
}
