"""What MkDocs needs beside mkdocs.yml: pages at their places in the repository, notebooks, and mathematics as MathML.

README.md, CONTRIBUTING.md, CHANGELOG.md, `docs/` and `notebooks/` are pages at the same paths in the site, so links
between them hold there as in the repository. Formulas are translated when the site is built: browsers need no script.
"""

import re
from html import unescape
from pathlib import Path
from typing import Any

from latex2mathml.converter import convert
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from nbconvert import MarkdownExporter

FORMULA = re.compile(r'<(span|div) class="arithmatex">\\([(\[])(.*?)\\[)\]]</\1>', re.DOTALL)
NOTEBOOK = re.compile(r"(\]\([^)#:]+)\.ipynb(#[^)]*)?\)")
TOP = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Return the theme's files and those of the repository."""
    root = Path(config.config_file_path).parent
    found = [file for file in files if Path(config.docs_dir) not in Path(file.abs_src_path or "/").parents]
    pages = [*TOP, *(f"docs/{path.name}" for path in sorted((root / "docs").glob("*.md")))]
    pictures = [str(path.relative_to(root)) for path in sorted((root / "docs").glob("pictures/*.png"))]
    found += [File.generated(config, name, abs_src_path=str(root / name)) for name in (*pages, *pictures)]
    for path in sorted((root / "notebooks").glob("*.ipynb")):
        found += notebook(path, config)
    return Files(found)


def notebook(path: Path, config: MkDocsConfig) -> list[File]:
    """Return a notebook as a page, and its pictures."""
    name = f"{path.parent.name}/{path.stem}"
    resources: dict[str, Any] = {"unique_key": path.stem, "output_files_dir": f"{path.stem}_files"}
    text, made = MarkdownExporter().from_filename(str(path), resources=resources)
    page = File.generated(config, f"{name}.md", content=text)
    return [page, *(File.generated(config, f"{path.parent.name}/{at}", content=b) for at, b in made["outputs"].items())]


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Return a page with links to notebooks as links to their pages."""
    return NOTEBOOK.sub(r"\1.md\2)", markdown)


def on_page_content(html: str, **_: Any) -> str:
    """Return a page with its formulas as MathML."""
    return FORMULA.sub(lambda m: convert(unescape(m[3]), display="inline" if m[2] == "(" else "block"), html)
