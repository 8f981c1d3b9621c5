// A model's markdown as HTML that can do nothing: what looks like HTML in it is shown as the text it
// is, images become links (fetching one would tell its server that somebody reads this), and
// DOMPurify has the last word.
import DOMPurify from "dompurify";
import { Marked, type Token } from "marked";

export function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`);
}

const marked = new Marked({
  gfm: true,
  breaks: true,
  renderer: {
    html: ({ text }) => escapeHtml(text),
    image: ({ href, text }) => `<a href="${escapeHtml(href)}">${escapeHtml(text || href)}</a>`,
    checkbox: ({ checked }) => (checked ? "☑ " : "☐ "),
  },
});

const kTags = [
  "a", "blockquote", "br", "code", "del", "em", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "li", "ol", "p", "pre",
  "span", "strong", "table", "tbody", "td", "th", "thead", "tr", "ul",
];

DOMPurify.addHook("afterSanitizeAttributes", (node) => {
  if (node.tagName !== "A") return;
  node.setAttribute("target", "_blank");
  node.setAttribute("rel", "noopener noreferrer nofollow");
});

export function purify(html: string): string {
  return DOMPurify.sanitize(html, {
    ALLOWED_TAGS: kTags,
    ALLOWED_ATTR: ["href", "title", "start", "align", "class"],
    ALLOWED_URI_REGEXP: /^(?:https?|mailto):/i,
  });
}

export type Block = { kind: "html"; raw: string } | { kind: "code"; raw: string; code: string; language: string };

// The top-level blocks of a text. While it grows, only the last one changes, so only that is made
// again.
export function blocksOf(text: string): Block[] {
  return marked.lexer(text).filter((token) => token.type !== "space").map(blockOf);
}

function blockOf(token: Token): Block {
  if (token.type !== "code") return { kind: "html", raw: token.raw };
  const language = (token.lang ?? "").split(/\s/)[0].toLowerCase();
  return { kind: "code", raw: token.raw, code: token.text, language };
}

export function htmlOf(markdown: string): string {
  return purify(marked.parse(markdown, { async: false }));
}
