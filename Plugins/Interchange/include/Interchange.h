/* SPDX-License-Identifier: Apache-2.0: this target has no header of its own; SwiftPM wants the
 * folder. */
