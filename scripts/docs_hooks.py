"""Hooks of MkDocs: they add the script that draws diagrams to the site, and to the pages that have a diagram.

Material for MkDocs would load it from another web site.
"""

from importlib.resources import files as resource_files

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from mkdocs.utils import get_relative_url

SCRIPT = "assets/javascripts/mermaid.js"


def on_files(files: Files, config: MkDocsConfig) -> Files:
    content = resource_files("mermaidx").joinpath("assets/mermaid.js").read_bytes()
    files.append(File.generated(config, SCRIPT, content=content))
    return files


def on_post_page(output: str, page: Page, config: MkDocsConfig) -> str:
    if 'class="mermaid"' not in output:
        return output
    tag = f'<script src="{get_relative_url(SCRIPT, page.url)}"></script>'
    before, body, after = output.partition("<body")
    return f"{before.replace('</head>', f'{tag}</head>', 1)}{body}{after}"
