# SPDX-License-Identifier: Apache-2.0
"""What the benchmark rows share: running programs, describing the machine, keeping results."""
