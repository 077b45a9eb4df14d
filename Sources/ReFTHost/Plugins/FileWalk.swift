// SPDX-License-Identifier: Apache-2.0
// Who could put another file in a file's place: a walk over all folders and links on the way to it.

import CReFTPlatform
import Foundation

/// Walks a path from the root, folder by folder and link by link.
enum FileWalk {
  /// The end of a path.
  struct Place: Hashable {
    /// The path without links.
    let path: String
    /// Whether all folders and links on the way, and the file, are the administrator's alone.
    let isSystems: Bool
    /// Whether everybody may write to it.
    let isOpen: Bool
    /// Who else than the administrator and this user owns it or something on the way, in a sentence.
    let foreign: String?
  }

  /// What a walk came to.
  enum Outcome: Hashable {
    /// The file is there.
    case there(Place)
    /// Something on the way is not there; whether everybody could make it.
    case missing(isOpen: Bool)
    /// Anybody could decide what the path leads to, in a sentence.
    case refused(String)
  }

  private static let linkLimit = 40

  private struct State {
    var current = ""
    var isSystems = true
    var isOpen = false
    var foreign: String?
  }

  /// Walks an absolute path.
  static func walk(_ path: String) -> Outcome {
    var state = State()
    if let reason = enter("/", &state) { return .refused(reason) }
    var left = Array(path.split(separator: "/").map(String.init).reversed())
    var links = 0
    while let name = left.popLast() {
      if name == "." { continue }
      if name == ".." {
        state.current = (state.current as NSString).deletingLastPathComponent
        if state.current == "/" { state.current = "" }
        state.isOpen = false
        continue
      }
      let next = "\(state.current)/\(name)"
      var status = stat()
      guard lstat(next, &status) == 0 else { return .missing(isOpen: state.isOpen) }
      noteOwner(next, status, &state)
      if status.st_mode & S_IFMT == S_IFLNK {
        links += 1
        guard links <= linkLimit, let target = target(of: next) else {
          return .refused("'\(next)' is a link that leads nowhere")
        }
        if target.hasPrefix("/") { state.current = "" }
        left += target.split(separator: "/").map(String.init).reversed()
      } else {
        if let reason = enter(next, &state, status) { return .refused(reason) }
        state.current = next
      }
    }
    return .there(
      Place(
        path: state.current.isEmpty ? "/" : state.current,
        isSystems: state.isSystems,
        isOpen: state.isOpen,
        foreign: state.foreign
      )
    )
  }

  /// Notes who may write to a file or folder; of `/proc`, where a name means another place for each
  /// process, nothing is taken.
  private static func enter(
    _ path: String,
    _ state: inout State,
    _ known: stat? = nil
  ) -> String? {
    var status = known ?? stat()
    if known == nil, stat(path, &status) != 0 { return "'\(path)' cannot be looked at" }
    state.isOpen = status.st_mode & S_IWOTH != 0
    if status.st_mode & (S_IWOTH | S_IWGRP) != 0 { state.isSystems = false }
    guard status.st_mode & S_IFMT == S_IFDIR else { return nil }
    // In a folder with the sticky bit nobody can replace what is another's; without it, anybody can.
    if state.isOpen, status.st_mode & S_ISVTX == 0 {
      return "'\(path)' can be written by everybody"
    }
    if reft_system_is_proc(path) == 1 { return "'\(path)' means another place for each process" }
    return nil
  }

  private static func noteOwner(_ path: String, _ status: stat, _ state: inout State) {
    if status.st_uid == 0 { return }
    state.isSystems = false
    guard status.st_uid != geteuid(), state.foreign == nil else { return }
    state.foreign = "'\(path)' belongs to user \(status.st_uid)"
  }

  private static func target(of link: String) -> String? {
    try? FileManager.default.destinationOfSymbolicLink(atPath: link)
  }
}
