// Answer text as it streams: paragraphs, lists and [n] markers, built from text nodes. The server's
// `rendering.py` draws the finished answer by the same rules.
import { el } from "./dom.js";

const BULLET = /^\s*(?:[-*•])\s+/;
const NUMBER = /^\s*(\d{1,3})[.)、]\s+/;

/** Text with its [n] markers as links to the source cards of this answer. */
export function inline(text, prefix) {
  const nodes = [];
  let from = 0;
  for (const match of text.matchAll(/\[(\d{1,3})\]/g)) {
    if (match.index > from) nodes.push(text.slice(from, match.index));
    nodes.push(el("a", { class: "marker", href: `#${prefix}-s${match[1]}`, "data-marker": match[1] }, `[${match[1]}]`));
    from = match.index + match[0].length;
  }
  if (from < text.length) nodes.push(text.slice(from));
  return nodes;
}

/** Paragraphs and lists of an answer's text. */
export function blocks(text, prefix) {
  const result = [];
  let list = null;
  let paragraph = [];
  const flush = () => {
    if (paragraph.length) result.push(el("p", { dir: "auto" }, ...inline(paragraph.join("\n"), prefix)));
    paragraph = [];
  };
  for (const line of text.split("\n")) {
    const kind = BULLET.test(line) ? "ul" : NUMBER.test(line) ? "ol" : null;
    if (kind) {
      flush();
      if (list?.localName !== kind) result.push((list = el(kind)));
      const number = NUMBER.exec(line)?.[1]; // a quotation that begins at step 2 stays step 2
      list.append(el("li", { dir: "auto", value: kind === "ol" && number }, ...inline(line.replace(kind === "ul" ? BULLET : NUMBER, ""), prefix)));
    } else {
      list = null;
      if (line.trim()) paragraph.push(line);
      else flush();
    }
  }
  flush();
  return result;
}
