"""The plain pages of the gate as HTML: no script, no outside address, everything escaped."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

STYLE = """
:root { color-scheme: light; --ink: #111827; --soft: #4b5563; --line: #d1d5db; --blue: #1f5fd6;
  --page: #f3f5f9; --red: #a3160f; --green: #0b6b50; }
* { box-sizing: border-box; }
html { font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", sans-serif; }
body { margin: 0; min-height: 100vh; padding: 5vh 1rem 2rem; color: var(--ink);
  background: var(--page); border-top: 6px solid var(--blue); }
main { width: 100%; max-width: 30rem; margin: 0 auto; padding: 2rem; background: #fff;
  border: 1px solid var(--line); border-radius: .75rem; box-shadow: 0 8px 24px #1118270f; }
.brand { max-width: 30rem; margin: 0 auto 1rem; font-weight: 700; letter-spacing: .02em;
  color: var(--blue); }
.brand span { display: block; font-weight: 400; color: var(--soft); letter-spacing: 0; }
h1 { margin: 0 0 .75rem; font-size: 1.5rem; line-height: 1.25; overflow-wrap: anywhere; }
p { margin: 0 0 1rem; } ul { margin: 0 0 1rem; padding-left: 1.25rem; } li { margin: .25rem 0; }
label { display: block; margin: 1rem 0 .25rem; font-weight: 600; }
.hint { font-weight: 400; color: var(--soft); }
input { width: 100%; padding: .6rem .75rem; font: inherit; color: inherit; background: #fff;
  border: 1px solid #6b7280; border-radius: .4rem; }
fieldset { margin: 1rem 0 0; padding: 0; border: 0; }
legend { padding: 0; font-weight: 600; }
fieldset label { display: flex; gap: .6rem; align-items: center; margin: 0; padding: .35rem 0;
  font-weight: 400; }
input[type=radio] { flex: none; width: 1.15rem; height: 1.15rem; margin: 0; }
input:focus, button:focus, a:focus { outline: 3px solid #8db2f5; outline-offset: 1px; }
button, a.button { display: block; width: 100%; margin-top: 1.5rem; padding: .7rem 1rem;
  font: inherit; font-weight: 600; text-align: center; text-decoration: none;
  color: #fff; background: var(--blue);
  border: 0; border-radius: .4rem; cursor: pointer; }
a { color: var(--blue); } .back { display: block; margin-top: 1.25rem; text-align: center; }
dl { margin: 0 0 1rem; padding: .75rem 1rem; background: var(--page); border-radius: .4rem; }
dt { font-size: .875rem; color: var(--soft); }
dd { margin: 0 0 .5rem; overflow-wrap: anywhere; } dd:last-child { margin-bottom: 0; }
code { font: .9em ui-monospace, "DejaVu Sans Mono", monospace; overflow-wrap: anywhere; }
.bad, .good { padding: .75rem 1rem; border-radius: .4rem; border-left: 4px solid; }
.bad { color: var(--red); background: #fdf0ef; } .good { color: var(--green); background: #edf8f4; }
footer { max-width: 30rem; margin: 1rem auto; font-size: .875rem; color: var(--soft); }
@media (max-width: 30rem) { body { padding-top: 1.5rem; } main { padding: 1.25rem; } }
"""


def page(title: str, *parts: str, refresh: int = 0) -> str:
    """A whole page: one card in the middle, readable at any width.

    Args:
        title: heading, plain text.
        parts: HTML made by the functions below.
        refresh: seconds after which the browser asks again; 0 for never.
    """
    again = f'<meta http-equiv="refresh" content="{refresh}">' if refresh else ""
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"{again}<title>{escape(title)} · Consilium</title><style>{STYLE}</style></head><body>"
        '<div class="brand">Consilium<span>Hospitals learn together; no image leaves its '
        f"hospital.</span></div><main><h1>{escape(title)}</h1>{''.join(parts)}</main></body></html>"
    )


def said(text: str) -> str:
    """A paragraph."""
    return f"<p>{escape(text)}</p>"


def complaint(text: str) -> str:
    """What went wrong, for eyes and screen readers."""
    return f'<p class="bad" role="alert">✕ {escape(text)}</p>' if text else ""


def good_news(text: str) -> str:
    """What was done."""
    return f'<p class="good" role="status">✓ {escape(text)}</p>'


def bullets(lines: Sequence[str]) -> str:
    """A list."""
    return f"<ul>{''.join(f'<li>{escape(line)}</li>' for line in lines)}</ul>"


def facts(rows: Sequence[tuple[str, str]]) -> str:
    """Names and values, one below the other."""
    items = (
        f"<dt>{escape(name)}</dt><dd><code>{escape(value)}</code></dd>" for name, value in rows
    )
    return f"<dl>{''.join(items)}</dl>" if rows else ""


def field(name: str, label: str, *, kind: str = "text", hint: str = "", **more: str) -> str:
    """A labelled field; every field must be filled."""
    extra = "".join(f' {key}="{escape(value)}"' for key, value in more.items() if value)
    note = f' <span class="hint">{escape(hint)}</span>' if hint else ""
    return (
        f'<label for="{name}">{escape(label)}{note}</label>'
        f'<input id="{name}" name="{name}" type="{kind}" required{extra}>'
    )


def choice(name: str, label: str, options: Sequence[tuple[str, str]]) -> str:
    """One of a few words, all of them in sight.

    Args:
        name: of the field.
        label: what is asked.
        options: the word that is sent, and how people read it.
    """
    rows = (
        f'<label><input type="radio" name="{name}" value="{escape(value)}" required>'
        f"<span>{escape(words)}</span></label>"
        for value, words in options
    )
    return f"<fieldset><legend>{escape(label)}</legend>{''.join(rows)}</fieldset>"


def form(action: str, button: str, *parts: str, **hidden: str) -> str:
    """A form with its one button; hidden values travel along."""
    kept = "".join(
        f'<input type="hidden" name="{name}" value="{escape(value)}">'
        for name, value in hidden.items()
    )
    return (
        f'<form method="post" action="{escape(action)}">{kept}{"".join(parts)}'
        f'<button type="submit">{escape(button)}</button></form>'
    )


def link(address: str, text: str, *, button: bool = False) -> str:
    """A link to a page of ours."""
    kind = "button" if button else "back"
    return f'<a class="{kind}" href="{escape(address)}">{escape(text)}</a>'
