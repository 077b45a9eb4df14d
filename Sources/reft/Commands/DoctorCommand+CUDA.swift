// SPDX-License-Identifier: Apache-2.0
// The rows of `reft doctor` about NVIDIA cards. A machine without one is no fault: models run on the
// processor.

import ReFTCUDA
import ReFTTensor

extension DoctorCommand {
  /// A row for the libraries, and one for each card.
  ///
  /// - Parameter survey: what the machine has.
  /// - Returns: rows that are all good: nothing that `reft train` needs is missing without a card.
  static func cards(_ survey: CUDASurvey = CUDASurvey()) -> [Check] {
    let reasons = survey.problems.map(\.message)
    guard !survey.libraries.isEmpty else {
      return [Check(name: "cuda", good: true, found: reasons.joined(separator: " "))]
    }
    let found = survey.libraries.map { "\($0.role.rawValue) \($0.version) (\($0.path))" }
    let libraries = Check(
      name: "cuda",
      good: true,
      found: found.joined(separator: ", "),
      remedy: reasons.isEmpty ? nil : reasons.joined(separator: "\n  ")
    )
    return [libraries]
      + survey.cards.map { card in
        Check(
          name: "cuda:\(card.ordinal)",
          good: true,
          found:
            "\(card.name), capability \(card.capability), \(Readable.bytes(card.totalMemory)), "
            + "\(card.multiprocessors) multiprocessors"
        )
      }
  }
}
