"""How README.html looks: calm, printable on A4, nothing from elsewhere, no meaning by colour alone.

`INK` and the other colours are named, so that a test computes their contrast.
"""

from __future__ import annotations

INK, QUIET, LINE, PAPER = "#1c2733", "#51606f", "#d5dce3", "#ffffff"
WASH, BAND, LINK, LEFT, GOOD = "#f4f7f9", "#12354f", "#0f5a8a", "#8a4b00", "#0b6b4f"
SOFT = "#cfe0ec"

ON_PAPER = (INK, QUIET, LINK, LEFT, GOOD)
"""Text colours that stand on PAPER and on WASH."""

ON_BAND = (PAPER, SOFT)
"""Text colours that stand on BAND."""

STYLE = f"""
:root{{color-scheme:light}}
*{{box-sizing:border-box}}
html{{scroll-behavior:auto;-webkit-text-size-adjust:100%}}
body{{margin:0;background:{PAPER};color:{INK};font:1rem/1.6 system-ui,-apple-system,"Segoe UI",
Roboto,"Helvetica Neue","Noto Sans",Arial,sans-serif}}
main,.in{{max-width:68rem;margin:0 auto;padding:0 1.5rem}}
h1,h2,h3,summary{{line-height:1.25;text-wrap:balance}}
h1,h2{{font-family:"Iowan Old Style","Palatino Linotype",Palatino,"Source Serif 4","Noto Serif",
Georgia,"DejaVu Serif",serif;font-weight:600}}
h1{{font-size:2.1rem;margin:.2rem 0 .6rem}}
h2{{font-size:1.5rem;margin:3.2rem 0 .8rem;padding-top:1.1rem;border-top:1px solid {LINE}}}
h2 .no{{color:{QUIET};font-weight:400;margin-right:.25rem}}
h3{{font-size:1.02rem;margin:1.9rem 0 .5rem}}
p,ul,ol{{max-width:46rem;margin:.5rem 0}}
li{{margin:.25rem 0}}
a{{color:{LINK};text-decoration:underline;text-decoration-thickness:1px;text-underline-offset:2px}}
a:focus-visible,summary:focus-visible{{outline:3px solid {LINK};outline-offset:2px}}
code{{font:.86em/1.45 ui-monospace,"SF Mono",Menlo,Consolas,"DejaVu Sans Mono",monospace;
overflow-wrap:anywhere}}
.top{{background:{BAND};color:{PAPER};padding:2.4rem 0 2rem}}
.top p{{max-width:50rem}}
.top .kind{{color:{SOFT};margin:0;font-size:.9rem}}
.top .about{{color:{SOFT};margin:0 0 1.2rem}}
.top a{{color:{PAPER}}}
.lead{{font-size:1.3rem;line-height:1.4;margin:0 0 1.1rem}}
.banner{{border-left:3px solid {SOFT};padding:.1rem 0 .1rem 1rem;font-size:.95rem}}
.banner p{{margin:.2rem 0}}
nav{{background:{WASH};border-bottom:1px solid {LINE};font-size:.93rem}}
nav ol{{columns:2;column-gap:2.5rem;margin:0;padding:1.1rem 0 1.1rem 2rem;max-width:none}}
nav li{{break-inside:avoid}}
dl{{display:grid;grid-template-columns:minmax(9rem,14rem) 1fr;margin:1rem 0;font-size:.95rem;
border-top:1px solid {LINE}}}
dt,dd{{margin:0;padding:.4rem 0;border-bottom:1px solid {LINE};overflow-wrap:anywhere}}
dt{{color:{QUIET};padding-right:1rem}}
.wide{{overflow-x:auto;margin:1rem 0 1.4rem}}
.long{{max-height:44rem;overflow:auto;border-bottom:2px solid {LINE}}}
.long thead th{{position:sticky;top:0}}
table{{border-collapse:collapse;width:100%;font-size:.86rem;line-height:1.45}}
caption{{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%);white-space:nowrap}}
th{{text-align:left;vertical-align:bottom;background:{WASH};border-bottom:2px solid {LINE};
font-weight:600;padding:.45rem .6rem}}
td{{vertical-align:top;border-bottom:1px solid {LINE};padding:.45rem .6rem;overflow-wrap:anywhere;
font-variant-numeric:tabular-nums}}
.left{{color:{LEFT}}}.good{{color:{GOOD}}}.quiet{{color:{QUIET}}}
.part{{display:block}}
details{{border-bottom:1px solid {LINE};max-width:none}}
summary{{cursor:pointer;padding:.5rem .2rem;font-weight:600;font-size:.95rem}}
.e{{padding:.5rem .2rem .6rem 1.2rem;font-size:.88rem;border-top:1px solid {LINE};
break-inside:avoid}}
.e p{{margin:0;max-width:none}}
.e .n{{font-weight:600;margin-right:.5rem}}
.e .m{{color:{QUIET};overflow-wrap:anywhere}}
.e:target{{background:{WASH};outline:2px solid {LINK}}}
footer{{margin:3rem 0 2.5rem;color:{QUIET};font-size:.9rem}}
@media (max-width:44rem){{dl{{grid-template-columns:1fr}}dt{{border:0;padding-bottom:0}}
nav ol{{columns:1}}table{{min-width:44rem}}h1{{font-size:1.6rem}}}}
@page{{size:A4;margin:16mm 14mm 18mm}}
@media print{{
body{{font-size:9.5pt;line-height:1.45}}
main,.in{{max-width:none;padding:0}}
.top{{background:none;color:{INK};padding:0 0 4mm;border-bottom:2pt solid {BAND}}}
.top .kind,.top .about{{color:{QUIET}}}.top a,a{{color:{INK}}}
.banner{{border-color:{BAND}}}
h1{{font-size:19pt}}h2{{font-size:13.5pt;margin-top:8mm}}h3{{font-size:10.5pt}}
h2,h3,summary{{break-after:avoid}}
.wide,.long{{overflow:visible;max-height:none}}.long thead th{{position:static}}
table{{font-size:7.6pt;line-height:1.35;table-layout:fixed;min-width:0}}
th,td{{padding:1.2mm 1.4mm}}
dl{{font-size:8.6pt;grid-template-columns:38mm 1fr}}
thead{{display:table-header-group}}tr,li,.e{{break-inside:avoid}}
p{{orphans:3;widows:3}}
.e{{font-size:7.8pt}}
nav ol{{columns:1}}nav{{background:none;border:0}}nav li{{margin:.1rem 0}}
details:not([open]) summary::after{{content:" (folded: see data/events.csv)";font-weight:400}}
}}
"""
