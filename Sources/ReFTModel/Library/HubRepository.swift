// SPDX-License-Identifier: Apache-2.0
// A repository of a model hub: where its files are, and what is known of each before it is fetched.

import Foundation
public import ReFTTensor

/// A repository of a hub that serves files as BASE/ORG/NAME/resolve/REVISION/FILE.
public struct HubRepository: Sendable {
  /// Its name: an organisation and a model.
  public let name: String
  private let base: String
  private let revision: String

  /// The files of a folder that reft reads; all but the first may be missing.
  static let folderFiles = [
    "config.json", "tokenizer.json", "tokenizer.model", "tokenizer_config.json",
    "generation_config.json", "special_tokens_map.json", "chat_template.jinja",
  ]

  /// What the hub says of a file.
  struct Announcement {
    /// The digest, where the hub names one.
    var sha256: String?
    /// The size in bytes.
    var byteCount: Int?
  }

  /// Names a repository.
  ///
  /// - Parameters:
  ///   - name: ORG/NAME.
  ///   - baseURL: the hub; nil: `REFT_HUB_URL`.
  ///   - revision: a branch, tag or commit.
  ///   - environment: where the variable is looked up; nil: the process's own.
  /// - Throws: `usage` for a name or address of another form, `badConfiguration` without a hub.
  public init(
    _ name: String,
    baseURL: String?,
    revision: String,
    environment: [String: String]? = nil
  ) throws(ReFTError) {
    let environment = environment ?? ProcessInfo.processInfo.environment
    guard Self.isPlain(name),
      name.split(separator: "/", omittingEmptySubsequences: false).count == 2
    else { throw .hubName(name) }
    guard Self.isPlain(revision) else { throw .hubRevision(revision) }
    guard let base = baseURL ?? environment["REFT_HUB_URL"].flatMap({ $0.isEmpty ? nil : $0 })
    else { throw .hubMissing(name) }
    guard let url = URL(string: base), ["https", "http"].contains(url.scheme ?? ""),
      url.host?.isEmpty == false, url.query == nil
    else { throw .hubAddress(base) }
    self.name = name
    self.revision = revision
    self.base = base.hasSuffix("/") ? String(base.dropLast()) : base
  }

  /// Whether each part of a path is letters, digits and the like, and none leads upwards.
  static func isPlain(_ path: String) -> Bool {
    let allowed = Set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.+")
    return path.split(separator: "/", omittingEmptySubsequences: false).allSatisfy {
      !$0.isEmpty && !$0.hasPrefix(".") && !$0.hasPrefix("-") && $0.allSatisfy(allowed.contains)
    }
  }

  /// The last part of the name.
  var shortName: String { PathParts.name(of: name) }

  /// The address of a file.
  func address(of file: String) -> String { "\(base)/\(name)/resolve/\(revision)/\(file)" }

  /// Asks the hub for a file's digest and size; nil where it has no such file.
  ///
  /// - Throws: `inputOutput` when the hub does not answer, or answers with a refusal.
  func announcement(of file: String) throws(ReFTError) -> Announcement? {
    let address = address(of: file)
    let text = try FetchTool.output(
      [
        "curl", "--silent", "--show-error", "--location", "--head", "--retry", "2",
        "--connect-timeout", "30", "--header", "Accept-Encoding: identity", "--write-out",
        "\nstatus: %{http_code}\n", address,
      ],
      purpose: "ask for \(address)"
    )
    var announcement = Announcement()
    var (status, contentLength): (Int?, Int?) = (nil, nil)
    for line in text.split(whereSeparator: \.isNewline) {
      let parts = line.split(separator: ":", maxSplits: 1)
      guard parts.count == 2 else { continue }
      let value = parts[1].trimmingCharacters(in: .whitespaces)
      switch parts[0].lowercased() {
      case "status": status = Int(value)
      // A redirection leads to the storage, which says nothing of the digest.
      case "x-linked-etag": announcement.sha256 = Self.digest(value) ?? announcement.sha256
      case "x-linked-size": announcement.byteCount = Int(value) ?? announcement.byteCount
      case "content-length": contentLength = Int(value)
      default: break
      }
    }
    switch status {
    case 200:
      announcement.byteCount = announcement.byteCount ?? contentLength
      return announcement
    case 404: return nil
    default: throw .hubRefuses(address, status: status ?? 0)
    }
  }

  /// A SHA-256 in an entity tag; tags of small files are digests of another kind.
  private static func digest(_ tag: String) -> String? {
    let digits = tag.filter { $0 != "\"" }.lowercased()
    let isDigest = digits.utf8.count == 64 && digits.allSatisfy { "0123456789abcdef".contains($0) }
    return isDigest ? digits : nil
  }
}

extension ReFTError {
  static func hubName(_ name: String) -> ReFTError {
    ReFTError(.usage, "'\(name)' is no repository of a hub; expected ORG/NAME")
  }

  static func hubRevision(_ revision: String) -> ReFTError {
    ReFTError(.usage, "'\(revision)' is no revision; expected a branch, a tag or a commit")
  }

  static func hubFile(_ file: String) -> ReFTError {
    ReFTError(.usage, "'\(file)' is no file of a repository that reft runs; expected NAME.gguf")
  }

  static func hubAddress(_ address: String) -> ReFTError {
    ReFTError(
      .usage,
      "'\(address)' is not the address of a hub; expected https://HOST or http://HOST"
    )
  }

  static func hubMissing(_ name: String) -> ReFTError {
    ReFTError(
      .badConfiguration,
      "no hub is set to fetch '\(name)' from; name one with --base-url https://HOST, or set "
        + "REFT_HUB_URL"
    )
  }

  static func hubLacks(_ file: String, _ address: String) -> ReFTError {
    ReFTError(
      .inputMissing,
      "the hub has no file '\(file)' at \(address); check the name, --file and --revision"
    )
  }

  static func hubRefuses(_ address: String, status: Int) -> ReFTError {
    ReFTError(
      .inputOutput,
      "the hub answered \(address) with status \(status), expected 200; the repository may be "
        + "private or its terms not accepted: fetch it by other means and give its folder"
    )
  }

  static func hubSize(_ file: String, found: Int, expected: Int) -> ReFTError {
    ReFTError(
      .badData,
      "'\(file)' was fetched with \(found) bytes, expected \(expected); nothing was kept, try again"
    )
  }

  static func hubPlaceTaken(_ path: String) -> ReFTError {
    ReFTError(
      .usage,
      "'\(path)' is there already with other content than the hub's; nothing was changed: move it "
        + "away to fetch the other"
    )
  }
}
