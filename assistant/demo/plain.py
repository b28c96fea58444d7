"""Blocks to the text formats: HTML, Markdown, plain text, CSV and e-mail."""

import csv
import io
import textwrap
from email.message import EmailMessage
from email.policy import SMTP
from html import escape
from pathlib import Path

from assistant.demo.blocks import BOLD, Block, Heading, ListBlock, PageBreak, Paragraph, Source, Table, plain


def write_markdown(source: Source, path: Path) -> None:
    path.write_text(f"# {source.meta['title']}\n\n{source.text}", encoding="utf-8")


def _html_inline(text: str) -> str:
    return BOLD.sub(r"<strong>\1</strong>", escape(text))


def _html_block(block: Block) -> str:
    match block:
        case Heading(level, text):
            return f"<h{level + 1}>{_html_inline(text)}</h{level + 1}>"
        case Paragraph(text):
            return f"<p>{_html_inline(text)}</p>"
        case ListBlock(items, ordered):
            tag = "ol" if ordered else "ul"
            return f"<{tag}>\n" + "\n".join(f"<li>{_html_inline(item)}</li>" for item in items) + f"\n</{tag}>"
        case Table(rows):
            lines = [
                "<tr>" + "".join(f"<{tag}>{_html_inline(cell)}</{tag}>" for cell in row) + "</tr>"
                for row, tag in zip(rows, ["th"] + ["td"] * (len(rows) - 1), strict=True)
            ]
            return "<table>\n" + "\n".join(lines) + "\n</table>"
        case PageBreak():
            return "<hr>"


def write_html(source: Source, path: Path) -> None:
    title = escape(source.meta["title"])
    language = "zh-CN" if source.meta["language"] == "zh" else "en"
    body = "\n".join(_html_block(block) for block in source.blocks)
    path.write_text(
        f'<!DOCTYPE html>\n<html lang="{language}">\n<head>\n<meta charset="utf-8">\n<title>{title}</title>\n'
        f"</head>\n<body>\n<h1>{title}</h1>\n{body}\n</body>\n</html>\n",
        encoding="utf-8",
    )


def text_lines(source: Source) -> str:
    """The document as an old-fashioned text file, English wrapped at 78 columns."""
    wrap = 78 if source.meta["language"] == "en" else 10_000

    def filled(text: str, first: str = "", rest: str = "") -> str:
        return textwrap.fill(plain(text), wrap, initial_indent=first, subsequent_indent=rest)

    parts: list[str] = []
    for block in source.blocks:
        match block:
            case Heading(level, text):
                parts.append(text.upper() if level == 1 else text)
            case Paragraph(text):
                parts.append(filled(text))
            case ListBlock(items, ordered):
                marks = [f"{n}. " if ordered else "- " for n in range(1, len(items) + 1)]
                parts.append("\n".join(
                    filled(item, mark, " " * len(mark)) for item, mark in zip(items, marks, strict=True)
                ))  # fmt: skip
            case Table(rows):
                parts.append("\n".join("  |  ".join(row) for row in rows))
            case PageBreak():
                parts.append("-" * 40)
    return "\n\n".join(parts) + "\n"


def write_text(source: Source, path: Path) -> None:
    content = f"{source.meta['title']}\n\n{text_lines(source)}"
    path.write_bytes(content.encode(source.meta.get("encoding", "utf-8")))


def write_csv(source: Source, path: Path) -> None:
    """The document's tables; a file that is one table of values says nothing else."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    for block in source.blocks:
        if isinstance(block, Table):
            writer.writerows(block.rows)
    path.write_text(out.getvalue(), encoding="utf-8-sig" if source.meta["language"] == "zh" else "utf-8", newline="")


def write_email(source: Source, path: Path) -> None:
    meta = source.meta
    message = EmailMessage(policy=SMTP)
    for header in ("From", "To", "Cc", "Date", "Subject"):
        if header.lower() in meta:
            message[header] = str(meta[header.lower()])
    message["Message-ID"] = f"<{path.stem}@mail.tarnwald.example>"
    message.set_content(text_lines(source), cte="quoted-printable")
    path.write_bytes(message.as_bytes())
