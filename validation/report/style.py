"""How a page looks: light and dark, on any width, on paper.

The colours of things that are held beside each other are told apart by people who see few of them
(they are Okabe and Ito's, darkened or lightened to stand out from the ground), and lines are dashed
in different ways besides.
"""

STYLE = """
:root {
  color-scheme: light dark;
  --ground: #ffffff; --panel: #f5f7f9; --ink: #1b1f24; --soft: #59626c; --rule: #d9dfe5;
  --good: #0b6b35; --bad: #b3201a; --doubt: #7d5600;
  --c0: #0072b2; --c1: #c24a00; --c2: #00795a; --c3: #9c3f7b; --c4: #806200; --c5: #4a4fb0;
}
@media screen and (prefers-color-scheme: dark) {
  :root {
    --ground: #14171a; --panel: #1d2126; --ink: #e6e9ec; --soft: #a3acb5; --rule: #363d45;
    --good: #5fd38d; --bad: #ff8a80; --doubt: #f0c04d;
    --c0: #5cb8ec; --c1: #ff9350; --c2: #45d1a5; --c3: #ea9dcb; --c4: #f0cb57; --c5: #aeaef9;
  }
}
* { box-sizing: border-box }
html { -webkit-text-size-adjust: 100%; text-size-adjust: 100% }
body {
  margin: 0 auto; padding: 1.5rem 1rem 4rem; max-width: 66rem; background: var(--ground);
  color: var(--ink); font: 1rem/1.55 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif;
  overflow-wrap: anywhere;
}
h1 { font-size: 1.65rem; line-height: 1.25; margin: 0 0 1rem }
h2 {
  font-size: 1.2rem; line-height: 1.3; margin: 2.75rem 0 .75rem; padding-top: .75rem;
  border-top: 1px solid var(--rule);
}
p { margin: .5rem 0; max-width: 46rem }
a { color: var(--c0) }
.good { color: var(--good) } .bad { color: var(--bad) } .doubt { color: var(--doubt) }
.aside, .note { color: var(--soft) }
.note { font-size: .85rem; line-height: 1.45 }
.verdict {
  margin: 0 0 1rem; padding: .75rem 1rem; max-width: none; font-size: 1.1rem; font-weight: 600;
  background: var(--panel); border-left: .3rem solid currentColor; border-radius: .2rem;
}
.failures { padding-left: 1.3rem; font-size: .95rem }
.conditions {
  display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 19rem), 1fr));
  gap: .1rem 2rem; margin: 1.25rem 0; font-size: .85rem;
}
.conditions div { display: flex; gap: .6rem; padding: .15rem 0 }
.conditions .wide { grid-column: 1 / -1 }
.conditions dt { color: var(--soft); flex: none; width: 7.5rem; overflow-wrap: normal }
.conditions dd { margin: 0; min-width: 0 }
nav { font-size: .9rem }
nav ul { list-style: none; display: flex; flex-wrap: wrap; gap: .2rem 1.4rem; padding: 0 }
.scroll { overflow-x: auto; margin: .75rem 0; max-width: 100% }
.scroll:focus-visible { outline: 2px solid var(--c0); outline-offset: 2px }
table {
  border-collapse: collapse; font-size: .875rem; line-height: 1.35; overflow-wrap: normal;
  font-variant-numeric: tabular-nums;
}
caption { text-align: left; font-weight: 600; padding: .25rem 0; color: var(--ink) }
th, td { padding: .32rem .75rem; text-align: left; vertical-align: top }
th:first-child, td:first-child { padding-left: 0 } td:last-child { padding-right: .25rem }
thead th { vertical-align: bottom; color: var(--soft); font-weight: 600; white-space: nowrap;
  border-bottom: 2px solid var(--rule) }
tbody tr { border-bottom: 1px solid var(--rule) }
tbody th {
  font-weight: 500; position: sticky; left: 0; background: var(--ground); max-width: 24rem;
  overflow-wrap: anywhere; min-width: 7rem;
}
td { max-width: 30rem }
.number { text-align: right; white-space: nowrap }
pre {
  margin: 0; padding: .75rem 1rem; background: var(--panel); border-radius: .2rem;
  width: max-content; min-width: 100%;
  font: .85rem/1.5 ui-monospace, "SF Mono", Menlo, Consolas, monospace;
}
.charts {
  display: grid; gap: 1rem 2rem; margin: 1rem 0; align-items: start;
  grid-template-columns: repeat(auto-fill, minmax(min(100%, 24rem), 1fr));
}
figure { margin: 0; min-width: 0 }
figcaption { font-weight: 600; margin-bottom: .4rem }
.chart { display: block; width: 100%; max-width: 34rem; height: auto; font-size: 12.5px }
.chart text { fill: var(--ink); stroke: var(--ground); stroke-width: 3px; paint-order: stroke }
 .chart .power { font-size: 9.5px } .chart .small { font-size: 10.5px }
.line { fill: none; stroke-width: 2.2; stroke-linejoin: round }
.grid { stroke: var(--rule); fill: none } .axis { stroke: var(--soft); fill: none }
.whisker { stroke: var(--ink); stroke-width: 1.6; fill: none }
.around { stroke: var(--ground); stroke-width: 4; fill: none }
.mark { stroke: var(--ink); stroke-width: 1.4; stroke-dasharray: 3 2; fill: none }
.c0 { --own: var(--c0) } .c1 { --own: var(--c1) } .c2 { --own: var(--c2) }
.c3 { --own: var(--c3) } .c4 { --own: var(--c4) } .c5 { --own: var(--c5) }
.line { stroke: var(--own) } .fill { fill: var(--own) }
.legend { list-style: none; display: flex; flex-wrap: wrap; gap: .1rem 1.2rem; padding: 0;
  margin: .4rem 0; font-size: .85rem }
.legend li { display: flex; gap: .45rem; align-items: center; min-width: 0 }
.swatch { width: 26px; height: 12px; flex: none }
details { font-size: .85rem; margin: .3rem 0 } summary { cursor: pointer; color: var(--soft) }
.hidden { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%) }
@media (max-width: 30rem) {
  .conditions div { flex-wrap: wrap; gap: 0 .6rem }
  tbody th { max-width: 45vw } .chart { font-size: 14px } .chart .small { font-size: 12px }
}
@media print {
  body { max-width: none; padding: 0; font-size: 10pt }
  nav { display: none } .scroll { overflow: visible } tbody th { position: static }
  figure, tr, .verdict { break-inside: avoid } h2 { break-after: avoid }
  details::details-content { content-visibility: visible; block-size: auto }
  * { print-color-adjust: exact; -webkit-print-color-adjust: exact }
}
"""
