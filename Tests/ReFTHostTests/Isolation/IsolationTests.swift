// SPDX-License-Identifier: Apache-2.0
// Plugins in a process of their own: the same bits, and trouble that stays there.

import Foundation
import ReFTHost
import ReFTTensor
import Testing
import _ReFTTestSupport

@Suite("Isolation", .serialized)
struct IsolationTests {
  private static let site = PluginSite(dim: 24, layer: 3, component: "block_output")

  private func load(_ path: String, _ settings: IsolationSettings) throws -> Plugin {
    let file = try PluginFile(path: path)
    return try #require(try IsolatedLoader.load(file, settings: settings).first)
  }

  private func settings(
    capsules: String? = nil,
    timeout: Double = 30
  ) throws -> IsolationSettings {
    let folder = try #require(BuiltPlugins.folder)
    return IsolationSettings(
      timeoutSeconds: timeout,
      memoryLimit: 256 << 20,
      workerPath: folder + "/reft-plugin-worker",
      capsuleFolder: capsules
    )
  }

  private func trouble(
    in folder: String,
    timeout: Double = 30
  ) throws -> InstanceHarness {
    let path = try TroublePlugin.compile(in: folder)
    let plugin = try load(path, try settings(capsules: folder + "/capsules", timeout: timeout))
    return InstanceHarness(try plugin.makeInstance(at: Self.site, options: [:]), dim: 24)
  }

  private func rows(_ first: Float) -> [Float] { [first] + [Float](repeating: 0.5, count: 47) }

  @Test(
    "an isolated plugin gives the same bits as in process",
    arguments: [
      ("LoReFT", ["rank": OptionValue.int(4)]),
      ("LoReFT", ["rank": .int(2), "dropout": .float(0.3), "activation": .string("gelu")]),
      ("LoReFT", ["subspace": .string("0,2-3")]), ("LoReFT", ["subspaces": .string("0;2-3")]),
      ("LowRankFamily", [:]), ("ProjectionFamily", [:]),
      ("RED", [:]), ("AdditiveSteering", [:]), ("Interchange", [:]),
    ] as [(String, [String: OptionValue])]
  )
  func sameBits(library: String, options: [String: OptionValue]) throws {
    let path = try #require(BuiltPlugins.folder) + "/lib\(library).so"
    let inside = try PluginBytes(try PluginFile(path: path)).loadHere()
    let outside = try IsolatedLoader.load(try PluginFile(path: path), settings: try settings())
    try #require(inside.count == outside.count && !inside.isEmpty)
    for (inside, outside) in zip(inside, outside) {
      #expect(outside.isolation == .process && outside.description == inside.description)
      try expectSameBits(inside, outside, options)
    }
  }

  private func expectSameBits(
    _ inside: Plugin,
    _ outside: Plugin,
    _ options: [String: OptionValue]
  ) throws {
    let both = try [inside, outside].map {
      InstanceHarness(try $0.makeInstance(at: Self.site, options: options), dim: 24)
    }
    for harness in both {
      harness.takesCounterpart = inside.capabilities.contains(.needsCounterpart)
      if options["subspaces"] != nil { harness.subspaces = [1, -1, 0, 1, 0] }
    }
    #expect(both[0].instance.parameters == both[1].instance.parameters)
    let gradients = both.map { $0.store.makeGradients() }
    var generator = SeededGenerator(seed: 3)
    for step in 0..<6 {
      let count = 24 * [1, 3, 7, 112, 300, 2][step]
      let x = generator.normals(count)
      let dy = generator.normals(count)
      var results: [([Float], [UInt8], [Float])] = []
      for (harness, gradients) in zip(both, gradients) {
        let outcome = try harness.forward(x, step: UInt64(step))
        let dx = try harness.backward(
          x,
          dy,
          saved: outcome.saved,
          gradients: gradients,
          step: UInt64(step)
        )
        results.append((outcome.y, outcome.saved, dx))
        // A step of training, so that parameters differ from call to call.
        for index in gradients.values.indices {
          harness.store.values[index] -= 0.01 * gradients[index]
        }
      }
      expectIdentical(results[0].0, results[1].0, "y")
      expectIdentical(results[0].2, results[1].2, "dx")
      #expect(results[0].1 == results[1].1)
      expectIdentical(Array(gradients[0].values), Array(gradients[1].values), "gradients")
    }
    #expect(IsolatedLoader.worker(of: both[1].instance)?.starts == 1)
  }

  @Test("a worker that is killed in a call is started again and the call made again")
  func killedOnce() throws {
    try withTemporaryDirectory { folder in
      let harness = try trouble(in: folder)
      let healthy = try harness.forward(rows(TroublePlugin.identity)).y
      let process = try #require(IsolatedLoader.worker(of: harness.instance)?.process)
      let killer = Thread {
        usleep(100_000)
        kill(process, SIGKILL)
      }
      killer.start()
      let slow = try harness.forward(rows(TroublePlugin.slow)).y
      #expect(Array(slow.dropFirst()) == Array(healthy.dropFirst()))
      let worker = try #require(IsolatedLoader.worker(of: harness.instance))
      #expect(worker.starts == 2 && worker.process != process)
    }
  }

  @Test(
    "trouble that comes back quarantines the plugin, keeps the call, and the host goes on",
    arguments: [
      (TroublePlugin.crash, "was killed by signal 11"),
      (TroublePlugin.leave, "exited with status 3"),
      (TroublePlugin.hang, "did not answer for 0.5 s and was killed"),
      (TroublePlugin.memory, "was killed by signal 11"),
    ]
  )
  func quarantine(what: Float, says: String) throws {
    try withTemporaryDirectory { folder in
      let timeout = what == TroublePlugin.hang ? 0.5 : 30
      let harness = try trouble(in: folder, timeout: timeout)
      _ = try harness.forward(rows(TroublePlugin.identity))
      let error = #expect(throws: ReFTError.self) { _ = try harness.forward(rows(what)) }
      #expect(error?.code == .misbehaved)
      let start =
        "plugin 'trouble' is quarantined: in forward of layer 3 over 2 rows its process "
      #expect(error?.message.hasPrefix(start + says) == true, "\(error?.message ?? "")")
      #expect(IsolatedLoader.worker(of: harness.instance)?.starts == 2)
      // It stays so.
      let later = #expect(throws: ReFTError.self) {
        _ = try harness.forward(rows(TroublePlugin.identity))
      }
      #expect(later?.message == error?.message)
      let capsules = try FileManager.default.contentsOfDirectory(atPath: folder + "/capsules")
      let capsule = try Capsule(path: folder + "/capsules/" + (try #require(capsules.first)))
      #expect(capsule.reason.contains(says) && capsule.rows == 2 && capsule.site == Self.site)
      let replay = #expect(throws: ReFTError.self) {
        try capsule.replay(settings: try settings(timeout: timeout))
      }
      #expect(replay?.message.contains(says) == true)
    }
  }

  @Test("the capsule of a mended plugin replays without trouble")
  func mended() throws {
    try withTemporaryDirectory { folder in
      let harness = try trouble(in: folder)
      #expect(throws: ReFTError.self) { _ = try harness.forward(rows(TroublePlugin.crash)) }
      let name = try #require(
        try FileManager.default.contentsOfDirectory(atPath: folder + "/capsules").first
      )
      let capsule = try Capsule(path: "\(folder)/capsules/\(name)")
      let source = try String(contentsOfFile: folder + "/trouble.c", encoding: .utf8)
      let path = try CompiledLibrary.c(
        source.replacingOccurrences(of: "if (what == 666)", with: "if (0)"),
        name: "mended",
        in: folder
      )
      try capsule.replay(pluginPath: path, settings: try settings())
    }
  }

  @Test(
    "a worker can open no connection, no file and no process, and touch no other process",
    arguments: [
      TroublePlugin.network, TroublePlugin.newFile, TroublePlugin.newProcess,
      TroublePlugin.otherProcess, TroublePlugin.oldFile,
    ]
  )
  func confined(what: Float) throws {
    try withTemporaryDirectory { folder in
      let harness = try trouble(in: folder)
      let confinement = try #require(IsolatedLoader.confinement(of: harness.instance))
      guard confinement.contains(.systemCalls) else {
        print("skipped: this kernel offers no system call filter")
        return
      }
      let y = try harness.forward(rows(what)).y
      #expect(y[0] == -1, "the call was not refused")
      // And the process lives on.
      #expect(IsolatedLoader.worker(of: harness.instance)?.starts == 1)
    }
  }

  @Test("a status of the plugin is an error with the plugin's name and no crash")
  func status() throws {
    try withTemporaryDirectory { folder in
      let harness = try trouble(in: folder)
      let error = #expect(throws: ReFTError.self) {
        _ = try harness.forward(rows(TroublePlugin.refusal))
      }
      #expect(
        error?.message.contains("plugin 'trouble' failed in forward with REFT_E_NUMERIC") == true
      )
      _ = try harness.forward(rows(TroublePlugin.identity))
      #expect(IsolatedLoader.worker(of: harness.instance)?.starts == 1)
    }
  }

  @Test(
    "an isolated plugin that writes past rows or gradients, or no numbers there, is told",
    arguments: [
      ("forward", "ROW(a->y, a->x.rows - 1)[self->dim] = 0;", "1 numbers past the last row of y"),
      (
        "backward", "ROW(a->dx, a->x.rows - 1)[self->dim] = 0;",
        "1 numbers past the last row of dx"
      ),
      (
        "backward", "((float *)a->dparams[0])[self->dim + 15] = 5;",
        "past the 24 numbers of the gradient of 'scale'"
      ),
      (
        "backward", "((float *)a->dparams[1])[self->dim] = 5;",
        "past the 24 numbers of the gradient of 'shift'"
      ),
      ("backward", "((float *)a->dparams[0])[2] = 0.0f / 0.0f;", "in the gradient of 'scale'"),
    ]
  )
  func overrun(function: String, code: String, says: String) throws {
    try withTemporaryDirectory { folder in
      let path = try TroublePlugin.compile(code, atStartOf: function, in: folder)
      let plugin = try load(path, try settings())
      let harness = InstanceHarness(try plugin.makeInstance(at: Self.site, options: [:]), dim: 24)
      let x = rows(1)
      let error = #expect(throws: ReFTError.self) {
        let saved = try harness.forward(x).saved
        _ = try harness.backward(x, x, saved: saved, gradients: harness.store.makeGradients())
      }
      #expect(error?.code == .misbehaved)
      #expect(
        error?.message.contains(says) == true && error?.message.contains("'trouble'") == true,
        "\(error?.message ?? "")"
      )
    }
  }

  @Test("a manifest runs in a worker too")
  func manifest() throws {
    try withTemporaryDirectory { folder in
      _ = try CompiledLibrary.c(ManifestPluginTests.clip, name: "libclip", in: folder)
      let path = folder + "/clip.reft.json"
      try Data(ManifestPluginTests.clipManifest.utf8).write(to: URL(filePath: path))
      let plugin = try load(path, try settings())
      let harness = InstanceHarness(
        try plugin.makeInstance(at: Self.site, options: ["limit": .float(2)]),
        dim: 24
      )
      #expect(try harness.forward(rows(9)).y.prefix(2) == [2, 0.5])
    }
  }

  @Test("a plugin that dies while it is loaded is refused in a sentence")
  func diesLoading() throws {
    try withTemporaryDirectory { folder in
      let path = try CompiledLibrary.c(
        """
        #include <stdlib.h>
        #include "reft_plugin.h"
        __attribute__((constructor)) static void start(void) { abort(); }
        const reft_library_t *reft_plugin_entry_v1(const reft_entry_args_t *a) { (void)a; return NULL; }
        """,
        name: "dies",
        in: folder
      )
      let error = #expect(throws: ReFTError.self) { _ = try load(path, try settings()) }
      #expect(error?.code == .pluginRefused)
      #expect(
        error?.message.contains("its process was killed by signal 6 (aborted) while loading it")
          == true
      )
    }
  }

  @Test("a missing worker executable is named with its remedy")
  func noExecutable() throws {
    let folder = try #require(BuiltPlugins.folder)
    let error = #expect(throws: ReFTError.self) {
      _ = try load(
        folder + "/libLoReFT.so",
        IsolationSettings(workerPath: "/nowhere/reft-plugin-worker")
      )
    }
    #expect(error?.message.contains("'/nowhere/reft-plugin-worker' is not there") == true)
    #expect(error?.message.contains("REFT_PLUGIN_WORKER") == true)
  }
}
