// SPDX-License-Identifier: Apache-2.0
// `reft model list`: what is there, what can be fetched, and what was run.

import ArgumentParser
import ReFTModel
import ReFTTensor

extension ModelCommand {
  struct List: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "List the models of $REFT_HOME/models, those to fetch, and the families that run.",
      discussion: """
        EXAMPLES
          reft model list
          reft model list --json
        """
    )

    @OptionGroup var common: CommonOptions

    private struct Document: Encodable {
      var folder: String
      var models: [Model]
      var known: [Known]
      var families: [Family]
    }

    private struct Model: Encodable {
      var name: String
      var path: String
      var family: String?
      var type: String?
      var bytes: Int?
      var error: String?
    }

    private struct Known: Encodable {
      var name: String
      var is_here: Bool
    }

    private struct Family: Encodable {
      var family: String
      var format: String
      var types: [String]
      var run: [String]
    }

    func run() throws {
      let library = ModelLibrary()
      let entries = library.entries()
      let document = Document(
        folder: library.folder,
        models: entries.map(Self.model),
        known: ModelLibrary.known.map { known in
          let isHere = entries.contains { PathName.last($0.path) == known.fileName }
          return Known(name: known.name, is_here: isHere)
        },
        families: FamilyCoverage.all.map { item in
          Family(
            family: item.family,
            format: item.format == .gguf ? "gguf" : "folder",
            types: item.types.map { "\($0)" },
            run: item.models
          )
        }
      )
      if common.json { return try Output.json(document) }
      Self.tell(document)
    }

    /// What the header of a model says; a damaged one is listed with its error.
    private static func model(_ entry: ModelLibrary.Entry) -> Model {
      do {
        let source = try ModelFiles.open(entry.path)
        let sizes = try ModelConfiguration(source)
        return Model(
          name: entry.name,
          path: entry.path,
          family: sizes.architecture,
          type: sizes.fileType,
          bytes: source.files.reduce(0) { $0 + $1.bytes.count }
        )
      } catch {
        return Model(name: entry.name, path: entry.path, error: error.message)
      }
    }

    private static func tell(_ document: Document) {
      if document.models.isEmpty { Output.line("no models in \(document.folder)") }
      Output.table(
        document.models.filter { $0.error == nil }.map { model in
          [model.name, model.family ?? "", model.type ?? "", Readable.bytes(model.bytes ?? 0)]
        }
      )
      for model in document.models {
        if let error = model.error { Output.line("\(model.name): does not run: \(error)") }
      }
      Output.line("")
      Output.line("to fetch with reft model pull:")
      Output.table(
        document.known.map { ["  " + $0.name, $0.is_here ? "here" : ""] }
      )
      Output.line("")
      Output.line("families that were run:")
      Output.table(
        document.families.map { item in
          let isAll = item.types.count == TensorType.allCases.count
          let types = isAll ? "every type" : item.types.joined(separator: " ")
          return ["  " + item.family, item.format, types, item.run.joined(separator: "; ")]
        }
      )
    }
  }
}

/// The last name of a path.
private enum PathName {
  static func last(_ path: String) -> String {
    path.split(separator: "/").last.map(String.init) ?? path
  }
}
