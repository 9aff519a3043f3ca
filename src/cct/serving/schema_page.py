"""The page /docs: the OpenAPI description for people. It has no script and asks no other address."""

from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

STYLE = """
:root { color-scheme: light dark; --line: #d9dce1; --soft: #f4f5f7; --accent: #2f5fd0; }
@media (prefers-color-scheme: dark) { :root { --line: #3a3f47; --soft: #22262c; --accent: #8fb0ff; } }
body { font: 16px/1.55 system-ui, sans-serif; max-width: 48rem; margin: 2rem auto; padding: 0 1rem; }
h2 { margin-top: 2.2rem; font-size: 1.15rem; } h2 b { color: var(--accent); } h3 { font-size: 1rem; }
code, pre { font: 0.9em ui-monospace, monospace; } td code { overflow-wrap: anywhere; }
pre { background: var(--soft); padding: .8rem; border-radius: 8px; white-space: pre-wrap; overflow-wrap: anywhere; }
table { border-collapse: collapse; width: 100%; } a { color: var(--accent); }
td, th { text-align: start; vertical-align: top; padding: .35rem .6rem; border-bottom: 1px solid var(--line); }
"""
# By the word for an input and by route.
EXAMPLES = {
    ("image", "/predict"): (
        "curl -F images=@cat.jpg -F images=@dog.png 'HERE/predict?top=3'\n"
        "curl -H 'Content-Type: image/jpeg' --data-binary @cat.jpg HERE/predict\n"
        "curl -H 'Content-Type: application/json' -d '{\"images\": [[[0, 255], [255, 0]]]}' HERE/predict"
    ),
    ("image", "/explain"): "curl -F image=@cat.jpg HERE/explain",
    ("text", "/predict"): (
        "curl -H 'Content-Type: application/json' -d '{\"texts\": [\"How far is it?\"]}' 'HERE/predict?top=3'\n"
        "curl -H 'Content-Type: text/plain' --data-binary @question.txt HERE/predict"
    ),
    ("text", "/explain"): "curl -H 'Content-Type: text/plain' -d 'How far is it?' HERE/explain",
}


def schema_page(openapi: Mapping[str, Any], one: str) -> str:
    """An OpenAPI description as HTML, for a model whose inputs are called `one`."""
    info = openapi["info"]
    parts = [
        f"<h1>{escape(info['title'])} {escape(info['version'])}</h1><p>{escape(info['description'])}</p>",
        "<p><a href='/'>Try the model</a> or read <a href='/openapi.json'>openapi.json</a>.</p>",
    ]
    for path, methods in openapi["paths"].items():
        for method, operation in methods.items():
            parts += _operation(path, method, operation, one)
    parts.append("<h2>Answers</h2>")
    for name, schema in openapi["components"]["schemas"].items():
        parts += _schema(name, schema)
    return (
        "<!DOCTYPE html>\n<html lang='en'>\n<head>\n<meta charset='utf-8'>\n"
        "<meta name='viewport' content='width=device-width, initial-scale=1'>\n<link rel='icon' href='data:,'>\n"
        f"<title>{escape(info['title'])}: the interface</title>\n<style>{STYLE}</style>\n</head>\n<body>\n"
        + "\n".join(parts)
        + "\n</body>\n</html>\n"
    )


def _operation(path: str, method: str, operation: Mapping[str, Any], one: str) -> Iterator[str]:
    yield f"<h2><b>{method.upper()}</b> <code>{escape(path)}</code></h2>"
    yield f"<p>{escape(operation.get('description', ''))}</p>"
    for option in operation.get("parameters", []):
        default = option["schema"].get("default")
        value = "" if default is None else f"={default}"
        yield f"<p><code>?{escape(option['name'])}{value}</code>: {escape(option.get('description', ''))}.</p>"
    if body := operation.get("requestBody"):
        yield f"<p>Takes {', '.join(f'<code>{escape(name)}</code>' for name in body['content'])}.</p>"
    if (one, path) in EXAMPLES:
        yield f"<pre>{escape(EXAMPLES[one, path])}</pre>"
    yield _table(
        ["status", "meaning", "answer"],
        (
            (status, escape(answer.get("description", "")), ", ".join(map(_content, answer.get("content", {}).items())))
            for status, answer in operation["responses"].items()
        ),
    )


def _content(item: tuple[str, Mapping[str, Any]]) -> str:
    media_type, content = item
    name = content.get("schema", {}).get("$ref", "").rpartition("/")[2]
    return f"<code>{escape(media_type)}</code>" + (f" <a href='#{escape(name)}'>{escape(name)}</a>" if name else "")


def _schema(name: str, schema: Mapping[str, Any]) -> Iterator[str]:
    yield f"<h3 id='{escape(name)}'>{escape(name)}</h3><p>{escape(schema.get('description', ''))}</p>"
    yield _table(
        ["field", "meaning"],
        (
            (f"<code>{escape(field)}</code>", escape(facts.get("description", "")))
            for field, facts in schema.get("properties", {}).items()
        ),
    )


def _table(header: list[str], rows: Iterator[tuple[str, ...]]) -> str:
    head = "".join(f"<th scope='col'>{name}</th>" for name in header)
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table><tr>{head}</tr>{body}</table>"
