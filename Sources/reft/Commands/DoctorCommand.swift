// SPDX-License-Identifier: Apache-2.0
// `reft doctor`: what is installed, what is missing, and how to get it.

import ArgumentParser
import Foundation
import ReFTHost
import ReFTModel
import ReFTTensor

struct DoctorCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "doctor",
    abstract: "Show what is installed, which kernels and plugins are used, and what is missing.",
    discussion: """
      Exits with 69 when something that `reft train` needs is missing. Where the kernel cannot confine a \
      stranger's plugin, it is not run; REFT_ISOLATION_CONFINEMENT=weak runs it with less.

      EXAMPLES
        reft doctor
        reft doctor --json
      """
  )

  @OptionGroup var plugins: PluginOptions
  @OptionGroup var common: CommonOptions

  struct Check: Encodable {
    var name: String
    var good: Bool
    var found: String
    var remedy: String?
  }
  private struct Document: Encodable {
    var checks: [Check]
  }

  func run() throws {
    let checks =
      [
        program(), processor(), kernels(), threads(), memory(), models(), try catalogue(), worker(),
        confinement(), python(),
      ] + Self.cards()
    if common.json {
      try Output.json(Document(checks: checks))
    } else {
      Output.table(
        checks.map { [$0.good ? "ok" : "missing", $0.name, $0.found] }
      )
      for check in checks {
        if let remedy = check.remedy { Output.line("\n\(check.name): \(remedy)") }
      }
    }
    if checks.contains(where: { !$0.good }) { throw ExitCode(69) }
  }

  private func program() -> Check {
    Check(
      name: "reft",
      good: true,
      found: "\(Reft.version), in \(PluginCatalog.executableFolder ?? "an unknown folder")"
    )
  }

  private func processor() -> Check {
    Check(name: "processor", good: true, found: Machine.processorName)
  }

  private func kernels() -> Check {
    let isFast = Machine.usesFastKernels
    let isForced = ProcessInfo.processInfo.environment["REFT_KERNELS"] == "ref"
    let found =
      isFast
      ? Machine.kernels : "portable" + (isForced ? ", by REFT_KERNELS=ref" : ", no AVX2 here")
    return Check(
      name: "kernels",
      good: true,
      found: found,
      remedy: isForced ? "unset REFT_KERNELS to use the fast kernels" : nil
    )
  }

  private func threads() -> Check {
    Check(name: "threads", good: true, found: String(ThreadPool.shared.threadCount))
  }

  private func memory() -> Check {
    Check(name: "memory", good: true, found: Readable.bytes(Machine.memoryByteCount))
  }

  private func models() -> Check {
    let library = ModelLibrary()
    let names = library.entries().map(\.name)
    return Check(
      name: "models",
      good: !names.isEmpty,
      found: names.isEmpty
        ? "none in \(library.folder)" : names.joined(separator: ", ") + " in \(library.folder)",
      remedy: names.isEmpty ? "reft model pull smollm2-135m-instruct" : nil
    )
  }

  private func catalogue() throws -> Check {
    var names: [String] = []
    var refusals: [String] = []
    for entry in try plugins.catalog(tellsRefusals: false).list() {
      switch entry {
      case .plugin(let plugin, let reach):
        if reach != .nothing { names.append("\(plugin.name) \(plugin.version)") }
      case .refused(_, let error): refusals.append(error.message)
      }
    }
    let advice = "build them with 'swift build -c release', or name their folder by --plugin-path"
    return Check(
      name: "plugins",
      good: !names.isEmpty,
      found: names.isEmpty ? "none" : names.joined(separator: ", "),
      remedy: names.isEmpty ? advice : refusals.isEmpty ? nil : refusals.joined(separator: "\n  ")
    )
  }

  private func worker() -> Check {
    let path = (PluginCatalog.executableFolder ?? "") + "/reft-plugin-worker"
    let isThere = FileManager.default.isExecutableFile(atPath: path)
    return Check(
      name: "worker",
      good: isThere,
      found: isThere ? path : "no \(path)",
      remedy: isThere ? nil : "isolated plugins need it; build it with 'swift build -c release'"
    )
  }

  private func confinement() -> Check {
    let machine = MachineConfinement()
    return Check(
      name: "confinement",
      good: machine.isComplete,
      found: machine.description,
      remedy: machine.isComplete
        ? nil
        : "a stranger's plugin is not run here: boot a kernel with Landlock (5.13) and seccomp, or run it "
          + "with less by REFT_ISOLATION_CONFINEMENT=weak"
    )
  }

  private func python() -> Check {
    let folders = (ProcessInfo.processInfo.environment["PATH"] ?? "").split(separator: ":")
    let path = folders.map { $0 + "/python3" }.first {
      FileManager.default.isExecutableFile(atPath: $0)
    }
    return Check(
      name: "python3",
      good: path != nil,
      found: path ?? "not in PATH",
      remedy: path == nil ? "'reft model pull' needs it; Scripts/setup.sh installs it" : nil
    )
  }
}
