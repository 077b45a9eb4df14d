// SPDX-License-Identifier: Apache-2.0
// How reports look: one style sheet, light and dark, narrow and wide, paper.

/// The style sheet of a report.
enum ReportStyle {
  /// How many colours there are for runs.
  static let colorCount = 10

  /// A colour of the sheet, by the number of a run or group.
  static func color(_ index: Int) -> String { "var(--c\(index % colorCount))" }

  static let sheet = """
    :root { color-scheme: light dark; --paper: #fff; --ink: #1d2330; --soft: #5d6675; --rule: #e3e6ec;
    --shade: #f5f6f9; --c0: #3f66c9; --c1: #e8603c; --c2: #2f9e44; --c3: #c98a00; --c4: #8f4fe0;
    --c5: #1c9c94; --c6: #d6408c; --c7: #8d5f45; --c8: #5a93d8; --c9: #6d7480 }
    @media (prefers-color-scheme: dark) { :root { --paper: #14171d; --ink: #e4e7ee; --soft: #98a1b0;
    --rule: #2b313c; --shade: #1c2028; --c0: #7d9ff2; --c1: #ff8d6b; --c2: #5fcb73; --c3: #f0bb3c;
    --c4: #bd8cff; --c5: #55cfc5; --c6: #ff7fbd; --c7: #c79a7d; --c8: #9cc6fb; --c9: #a7aebb } }
    * { box-sizing: border-box }
    body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper);
    max-width: 76rem; margin: 2rem auto; padding: 0 1.25rem }
    h1 { font-size: 1.6rem; line-height: 1.2; margin: 0; overflow-wrap: anywhere }
    h2 { font-size: 1.05rem; margin: 0 0 .5rem } h3 { font-size: .9rem; margin: 0; font-weight: 600 }
    section { margin: 2rem 0 } p { margin: .25rem 0 } .note { color: var(--soft); font-size: .85rem;
    margin: -.25rem 0 .75rem; max-width: 46rem }
    .wide { overflow-x: auto } .wide th:first-child, .wide td:first-child { position: sticky;
    left: 0; background: var(--paper) } table { border-collapse: collapse; font-size: .88rem }
    th { text-align: left; font-weight: 600; color: var(--soft); white-space: nowrap }
    th, td { padding: .3rem 1.25rem .3rem 0; vertical-align: top }
    tbody tr { border-top: 1px solid var(--rule) } td { font-variant-numeric: tabular-nums }
    .facts td:first-child { color: var(--soft); white-space: nowrap }
    .numbers td { white-space: nowrap } .keys td:first-child { white-space: nowrap }
    .keys td { font: .82rem/1.5 ui-monospace, monospace; overflow-wrap: anywhere }
    .mark { display: inline-block; width: .7em; height: .7em; border-radius: 2px;
    margin-right: .45em } .soft { color: var(--soft) }
    .charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 27rem), 1fr));
    gap: 1.5rem 2rem } figure { margin: 0; min-width: 0 }
    .legend { font-size: .8rem; color: var(--soft); margin: .1rem 0 .25rem; min-height: 1.2em }
    .legend span { margin-right: 1em; white-space: nowrap }
    svg { width: 100%; height: auto; display: block; overflow: visible }
    svg text { font-size: 12px; fill: var(--soft) }
    svg polyline { fill: none; stroke-width: 1.75; stroke-linejoin: round;
    vector-effect: non-scaling-stroke } svg line { stroke: var(--rule); vector-effect:
    non-scaling-stroke } svg .raw { opacity: .28; stroke-width: 1 }
    .dots { display: grid; grid-template-columns: minmax(6rem, max-content) minmax(7rem, 1fr)
    max-content; gap: .35rem 1rem; align-items: center; font-size: .88rem; grid-auto-flow: dense }
    .dots .name { grid-column: 1 } .dots .value { grid-column: 3 }
    .dots .track, .dots .ticks { grid-column: 2 } .dots .name { overflow-wrap: anywhere; max-width: 24rem }
    .track { position: relative; height: 1.1rem; background: var(--shade); border-radius: 3px }
    .track i { position: absolute; top: calc(50% - 1px); height: 2px; border-radius: 1px }
    .track b { position: absolute; top: calc(50% - 5px); width: 10px; height: 10px;
    margin-left: -5px; border-radius: 50% }
    .ticks { position: relative; height: 1.1rem; font-size: .75rem; color: var(--soft) }
    .ticks span { position: absolute; transform: translateX(-50%); white-space: nowrap }
    .dots .value { font-variant-numeric: tabular-nums; white-space: nowrap }
    .bar { background: var(--shade); border-radius: 3px; height: .8rem; min-width: 8rem;
    margin-top: .25rem; overflow: hidden } .bar i { display: block; height: 100% }
    .heat { display: block; margin: -.15rem -.9rem -.15rem 0; padding: .15rem .4rem;
    border-radius: 3px } .reply { border-top: 1px solid var(--rule); padding: .75rem 0; display: grid; gap: .5rem 1.5rem;
    grid-template-columns: repeat(auto-fit, minmax(min(100%, 18rem), 1fr)) }
    .reply .prompt { grid-column: 1 / -1 } .text { white-space: pre-wrap; overflow-wrap: anywhere }
    .reply .prompt .text { background: var(--shade); border-radius: 4px; padding: .5rem .75rem }
    details { border-top: 1px solid var(--rule); padding: .4rem 0 } summary { cursor: pointer }
    pre { overflow-x: auto; font-size: .8rem; background: var(--shade); border-radius: 4px;
    padding: .75rem; margin: .5rem 0 }
    @media (max-width: 34rem) { body { margin: 1rem auto; padding: 0 .9rem }
    svg text { font-size: 15px } th, td { padding-right: .9rem }
    .dots { grid-template-columns: 1fr max-content; gap: .1rem .75rem }
    .numbers td:first-child { white-space: normal; overflow-wrap: anywhere; min-width: 7.5rem }
    .keys td { min-width: 8rem } .keys td:first-child { white-space: normal; min-width: 9rem }
    .dots .value { grid-column: 2; text-align: right } .dots .track, .dots .ticks {
    grid-column: 1 / -1; margin-bottom: .35rem }
    .ticks span:first-child { transform: none } .ticks span:last-child { transform:
    translateX(-100%) } }
    @media print { body { max-width: none } section { break-inside: avoid } }
    """
}
